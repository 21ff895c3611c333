#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mesh_report
short_description: Shows what every pair of a group has measured as a matrix, and names who is to blame
version_added: 0.1.0
description:
  - Joins the probes of all hosts to a matrix of loss, round-trip time and path MTU, judged by the rules of the
    findings.
  - A host of which every pair is bad, or every one in one direction, is named once instead of with each of its pairs;
    so is a host that is down, and a group of the inventory whose borders explain all bad pairs. What is left is told
    pair by pair, with those that are bad in one direction only.
  - Runs on the controller, once for all hosts. Give the task C(run_once=true).
  - Writes C(mesh.html), C(mesh.md) and C(mesh.json).
  - Needs the Python packages C(jmespath) and C(netaddr) on the controller.
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes.controller
  - nettriage.linux.attributes
  - nettriage.linux.pairs
attributes:
  check_mode:
    details:
      - The result is shown and no file is written.
options:
  results:
    description:
      - Name of the variable in which each host registered the result of M(nettriage.linux.peer_look).
    type: str
    required: true
  limits:
    description:
      - Limits of the rules that differ from their defaults, see P(nettriage.linux.findings#filter).
    type: dict
    default: {}
  path:
    description:
      - The directory that the report is written to. It is made where it does not exist.
      - A relative path starts at the directory of the playbook, or where the user stands if the playbook belongs to a
        collection.
    type: str
    default: nettriage-report
  lines:
    description:
      - How many lines the terminal may show. With V(0) nothing is shown, for callbacks that print JSON.
    type: int
    default: 40
  fail_on:
    description:
      - The verdict from which on the task fails, after the report was written.
      - Pairs that could not be looked at count as failing for V(critical) and V(warning).
    type: str
    choices: [critical, warning, never]
    default: never
seealso:
  - module: nettriage.linux.peer_look
"""

EXAMPLES = r"""
- name: Show the matrix of the storage network
  nettriage.linux.mesh_report:
    results: seen
    sources: storage
    destinations: storage
    address_variable: mesh_address
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
report:
  description: The files that were written.
  returned: always
  type: list
  elements: str
verdict:
  description: The worst verdict on a pair, V(critical), V(warning), V(unreachable) or V(ok).
  returned: always
  type: str
  sample: ok
pairs:
  description: How many pairs there are.
  returned: always
  type: int
"""
