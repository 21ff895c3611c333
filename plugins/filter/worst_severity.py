# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: worst_severity
short_description: The worst severity among findings
version_added: 0.1.0
description:
  - Tells how bad it is at worst, for example to decide whether a play goes on.
author:
  - nettriage maintainers (@nettriage)
options:
  _input:
    description: What P(nettriage.linux.findings#filter) returned.
    type: list
    elements: dict
    required: true
seealso:
  - plugin: nettriage.linux.findings
    plugin_type: filter
  - plugin: nettriage.linux.at_least
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Take no host into service that is at fault
  ansible.builtin.assert:
    that: facts | nettriage.linux.findings | nettriage.linux.worst_severity != 'critical'
  vars:
    facts: "{{ ansible_facts['nettriage'] }}"
"""

RETURN = r"""
_value:
  description: V(critical), V(warning) or V(info), and V(ok) where there are no findings.
  type: str
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.nettriage.linux.plugins.plugin_utils.severity import worst


def worst_severity(findings: list[Mapping[str, Any]]) -> str:
    try:
        return worst(findings) or "ok"
    except ValueError as error:
        raise AnsibleFilterError(f"nettriage.linux.worst_severity: {error}") from error


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"worst_severity": worst_severity}
