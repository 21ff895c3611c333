#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tune_report
short_description: Shows the plans of a batch of hosts as a table
version_added: 0.1.0
description:
  - Shows what is planned, why, and what was refused, on the terminal, and keeps the plans in a file if asked to.
  - Runs on the controller. Give the task C(run_once=true).
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes.controller
  - nettriage.linux.attributes
options:
  results:
    description: Name of the variable in which each host registered the result of M(nettriage.linux.tune_plan).
    type: str
    required: true
  path:
    description: A file to keep the plans in, for O(nettriage.linux.tune_plan#module:plan_file). Empty keeps none.
    type: str
    default: ""
seealso:
  - module: nettriage.linux.tune_plan
"""

EXAMPLES = r"""
- name: Show the plans
  nettriage.linux.tune_report:
    results: tuning
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
{}
"""
