#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: capture_report
short_description: Shows what the captures of all hosts of a play show
version_added: 0.1.0
description:
  - Shows in a few lines a host what M(nettriage.linux.packet_capture) returned, on the terminal, and returns what the
    rules make of it.
  - Runs on the controller. Give the task C(run_once=true).
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes.controller
  - nettriage.linux.attributes
options:
  results:
    description: Name of the variable in which each host registered the result of M(nettriage.linux.packet_capture).
    type: str
    required: true
  files:
    description: Name of the variable in which each host registered the result of M(ansible.builtin.fetch), if any.
    type: str
    default: ""
  limits:
    description: Limits of rules that are other than the collection's own.
    type: dict
    default: {}
seealso:
  - module: nettriage.linux.packet_capture
"""

EXAMPLES = r"""
- name: Capture on every host
  nettriage.linux.packet_capture:
    ports: [443]
  register: capture

- name: Show what came of it
  nettriage.linux.capture_report:
    results: capture
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
findings:
  description: For each host that captured, the findings as P(nettriage.linux.findings#filter) gives them.
  returned: always
  type: dict
"""
