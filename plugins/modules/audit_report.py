#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: audit_report
short_description: Findings and report of all hosts of a play in one task
version_added: 0.1.0
description:
  - Judges what each host of the play registered from M(nettriage.linux.health_facts), writes the report of the whole
    fleet and shows its worst part as a table on the terminal.
  - Runs on the controller, once for all hosts. Give the task C(run_once=true).
  - Only what was registered in this run of Ansible is looked at, never what a fact cache holds of former runs. With
    C(serial) every batch makes the report anew with the hosts of the batches before it.
  - A host that is unreachable, whose module failed, or that had dropped out of the play before, is in the report with
    the reason. A host that was skipped is not.
  - Needs the Python packages C(jmespath) and C(netaddr) on the controller.
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes.controller
  - nettriage.linux.attributes
attributes:
  check_mode:
    details:
      - The table is shown and no file is written.
options:
  results:
    description:
      - Name of the variable in which each host registered the result of M(nettriage.linux.health_facts).
    type: str
    required: true
  limits:
    description:
      - Limits of the rules that differ from their defaults, see P(nettriage.linux.findings#filter).
      - A host whose inventory has a variable C(audit_limits) is judged by that one, unless the play or the role sets
        it.
    type: dict
    default: {}
  rules:
    description:
      - Rules of your own, in the form of the collection's, see P(nettriage.linux.findings#filter).
      - A host whose inventory has a variable C(audit_rules) is judged by that one, unless the play or the role sets it.
    type: list
    elements: dict
    default: []
  path:
    description:
      - The directory that the report is written to. It is made where it does not exist.
      - A relative path starts at the directory of the playbook, or where the user stands if the playbook belongs to a
        collection.
    type: str
    default: nettriage-report
  formats:
    description:
      - Which files to write. V(html) is C(report.html), one file without any reference to others, V(markdown)
        C(report.md), V(json) C(report.json).
      - For pipelines and monitoring there are V(junit) as C(report.xml), V(sarif) as C(report.sarif), and
        V(prometheus) as C(report.prom) with the metrics of all hosts.
    type: list
    elements: str
    choices: [html, markdown, json, junit, sarif, prometheus]
    default: [html, markdown, json]
  title:
    description:
      - What the report is called.
    type: str
    default: Network audit
  lines:
    description:
      - How many lines the table on the terminal may have. With V(0) nothing is shown, for callbacks that print JSON.
    type: int
    default: 40
  fail_on:
    description:
      - The verdict from which on the task fails, after the report was written.
      - Hosts that could not be looked at count as failing for V(critical) and V(warning), for an audit that could not
        look must not pass.
    type: str
    choices: [critical, warning, never]
    default: never
seealso:
  - module: nettriage.linux.health_facts
  - plugin: nettriage.linux.findings
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Look at the host
  nettriage.linux.health_facts:
    interval: 1
    as_json: true
  register: health
  ignore_unreachable: true
  failed_when: false

- name: Report on all hosts, and fail if one of them is in a critical state
  nettriage.linux.audit_report:
    results: health
    path: /srv/reports/network
    fail_on: critical
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
report:
  description: The files that were written.
  returned: always
  type: list
  elements: str
  sample: [/home/me/nettriage-report/report.html]
verdict:
  description: The worst verdict of this batch, V(critical), V(warning), V(unreachable) or V(ok).
  returned: always
  type: str
verdicts:
  description: How many hosts of this batch have each verdict.
  returned: always
  type: dict
  sample: {critical: 1, warning: 0, unreachable: 0, ok: 11}
"""
