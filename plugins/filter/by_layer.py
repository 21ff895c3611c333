# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: by_layer
short_description: Findings by network layer, bottom-up
version_added: 0.1.0
description:
  - Groups findings by the layer at which the fault is. What is wrong further down mostly explains what is wrong above,
    so begin with the first.
  - Layers without a finding are left out.
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
"""

EXAMPLES = r"""
- name: Bottom-up
  ansible.builtin.debug:
    msg: "{{ item.name }} is {{ item.worst }}: {{ item.findings | map(attribute='title') | join('; ') }}"
  loop: "{{ facts | nettriage.linux.findings | nettriage.linux.by_layer }}"
  vars:
    facts: "{{ ansible_facts['nettriage'] }}"
"""

RETURN = r"""
_value:
  description: One row for each layer that has findings.
  type: list
  elements: dict
  contains:
    layer:
      description: V(1/2), V(3), V(4) or V(7).
      type: str
    name:
      description: What the layer is called.
      type: str
    worst:
      description: The worst severity of its findings.
      type: str
    findings:
      description: Its findings, in the order that they had.
      type: list
      elements: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.nettriage.linux.plugins.plugin_utils.severity import rows, worst
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import LAYERS

NAMES = dict(zip(LAYERS, ("link", "IP and path", "transport", "names and services"), strict=True))


def by_layer(findings: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    try:
        layers: dict[str, list[Mapping[str, Any]]] = {layer: [] for layer in NAMES}
        for finding in rows(findings):
            if finding.get("layer") not in layers:
                raise ValueError(f"layer {finding.get('layer')!r} is not accepted; there are {', '.join(NAMES)}")
            layers[finding["layer"]].append(finding)
        return [
            {"layer": layer, "name": NAMES[layer], "worst": worst(found), "findings": found}
            for layer, found in layers.items()
            if found
        ]
    except ValueError as error:
        raise AnsibleFilterError(f"nettriage.linux.by_layer: {error}") from error


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"by_layer": by_layer}
