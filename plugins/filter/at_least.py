# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: at_least
short_description: The findings that are as severe as stated, or worse
version_added: 0.1.0
description:
  - Leaves out what is less severe. The order stays.
positional: _input, severity
author:
  - nettriage maintainers (@nettriage)
options:
  _input:
    description: What P(nettriage.linux.findings#filter) returned.
    type: list
    elements: dict
    required: true
  severity:
    description: The least severity that is wanted.
    type: str
    choices: [critical, warning, info]
    required: true
seealso:
  - plugin: nettriage.linux.findings
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Only what somebody has to look at
  ansible.builtin.debug:
    msg: "{{ facts | nettriage.linux.findings | nettriage.linux.at_least('warning') | map(attribute='title') }}"
  vars:
    facts: "{{ ansible_facts['nettriage'] }}"
"""

RETURN = r"""
_value:
  description: The findings that are left.
  type: list
  elements: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.nettriage.linux.plugins.plugin_utils.severity import rank, rows


def at_least(findings: list[Mapping[str, Any]], severity: str) -> list[Mapping[str, Any]]:
    try:
        least = rank(severity)
        return [finding for finding in rows(findings) if rank(finding["severity"]) <= least]
    except ValueError as error:
        raise AnsibleFilterError(f"nettriage.linux.at_least: {error}") from error


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"at_least": at_least}
