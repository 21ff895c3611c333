#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tune_plan
short_description: What a host should be set to, from its facts
version_added: 0.1.0
description:
  - Judges the facts of one host, plans with P(nettriage.linux.plan#filter), and returns what
    M(nettriage.linux.sysctl_transaction) is to be given.
  - Runs on the controller and changes nothing.
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes.controller
  - nettriage.linux.attributes
options:
  facts:
    description: What M(nettriage.linux.health_facts) returned, as a structure or as the JSON string.
    type: raw
    required: true
  policy:
    description: What the plan may do, see P(nettriage.linux.plan#filter).
    type: dict
    default: {}
  settings:
    description: Settings of your own by key. They win over the plan.
    type: dict
    default: {}
  limits:
    description: Limits of the rules that differ from their defaults, see P(nettriage.linux.findings#filter).
    type: dict
    default: {}
  rules:
    description: Rules of your own, see P(nettriage.linux.findings#filter).
    type: list
    elements: dict
    default: []
  plan_file:
    description:
      - A file in which M(nettriage.linux.tune_report) kept the plans of a run in check mode, to carry them out.
      - A host on which a planned key no longer has the value that the plan saw is refused.
      - In check mode the file is not read.
    type: str
    default: ""
seealso:
  - plugin: nettriage.linux.plan
    plugin_type: filter
  - module: nettriage.linux.sysctl_transaction
"""

EXAMPLES = r"""
- name: Plan for a host
  nettriage.linux.tune_plan:
    facts: "{{ ansible_facts['nettriage'] }}"
    policy:
      rtt_ms: 80
      bandwidth_mbps: 1000
  register: tuning
"""

RETURN = r"""
plan:
  description: The rows of P(nettriage.linux.plan#filter).
  returned: success
  type: list
  elements: dict
settings:
  description: The keys to set with their values, the plan's and the own ones.
  returned: success
  type: dict
raise_only:
  description: Those of them that must never be lowered.
  returned: success
  type: list
  elements: str
restart:
  description: Units, containers or processes that take the new values only after a restart.
  returned: success
  type: list
  elements: str
"""
