#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tune_verify
short_description: Whether a host is better or worse off than before
version_added: 0.1.0
description:
  - Compares two sets of facts, one from before a change and one from after it. Loss, resets, failed connections, drops
    and latency must not have grown; the fact that each planned change names as its proof should have moved.
  - Runs on the controller and changes nothing.
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes.controller
  - nettriage.linux.attributes
options:
  before:
    description: The facts from before the change, gathered with an interval.
    type: raw
    required: true
  after:
    description: The facts from after the change, gathered with an interval.
    type: raw
    required: true
  plan:
    description: The rows of the plan that was carried out.
    type: list
    elements: dict
    required: true
seealso:
  - module: nettriage.linux.tune_plan
"""

EXAMPLES = r"""
- name: Compare
  nettriage.linux.tune_verify:
    before: "{{ before.ansible_facts.nettriage }}"
    after: "{{ after.ansible_facts.nettriage }}"
    plan: "{{ tuning.plan }}"
"""

RETURN = r"""
verdict:
  description: V(worse) if something watched got worse, V(better) if an effect was proven, else V(same).
  returned: success
  type: str
checks:
  description: Every watched fact with its value before and after.
  returned: success
  type: list
  elements: dict
proofs:
  description: Every planned key with the fact that proves it. C(proven) is null where nothing moved.
  returned: success
  type: list
  elements: dict
"""
