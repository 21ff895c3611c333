#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: triage_report
short_description: Joins what both ends of each pair have seen, and says who is at fault
version_added: 0.1.0
description:
  - Goes through the layers of each pair from the lowest, up to the first that is broken, and says what was ruled out
    before, which end or whether the path causes it, what each end has seen, and what to do next.
  - Joins what the two ends see of the same connection, such as the repeated SYNs of the one with the full accept queue
    of the other, or the send queue of the one with what the other has not read.
  - Runs on the controller, once for all hosts. Give the task C(run_once=true).
  - An end that could not be looked at is named, and what the other one has seen is told all the same.
  - Writes C(triage.md) and C(triage.json).
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
  port:
    description: The TCP port that was connected to.
    type: int
  url:
    description: The URL that was requested.
    type: str
  names:
    description: The names that were looked up.
    type: list
    elements: str
    default: []
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
    default: 60
  fail_on:
    description:
      - The verdict from which on the task fails, after the report was written.
      - Pairs of which nothing could be seen count as failing for V(broken) and V(suspicious).
    type: str
    choices: [broken, suspicious, never]
    default: never
seealso:
  - module: nettriage.linux.peer_look
"""

EXAMPLES = r"""
- name: Say where it is broken between the web servers and the databases
  nettriage.linux.triage_report:
    results: seen
    sources: web
    destinations: db
    address_variable: triage_address
    port: 5432
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
  description: The worst verdict on a pair, V(broken), V(suspicious), V(unknown) or V(healthy).
  returned: always
  type: str
  sample: broken
pairs:
  description: How many pairs there are.
  returned: always
  type: int
"""
