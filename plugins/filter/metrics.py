# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: metrics
short_description: Findings and facts of a host as Prometheus metrics
version_added: 0.1.0
description:
  - Judges the facts of one host as P(nettriage.linux.findings#filter) does, and writes what was found, together with
    the facts that node_exporter does not have, in Prometheus' text format.
  - There is no label for the host, since whoever scrapes the host's node_exporter knows it.
  - The number of series is bounded, and no label changes from run to run.
positional: _input, limits, rules
author:
  - nettriage maintainers (@nettriage)
options:
  _input:
    description: The facts that M(nettriage.linux.health_facts) returned, as a structure or as the JSON string.
    type: raw
    required: true
  limits:
    description: Limits to replace, see P(nettriage.linux.findings#filter).
    type: dict
    default: {}
  rules:
    description: Rules of your own, see P(nettriage.linux.findings#filter).
    type: list
    elements: dict
    default: []
seealso:
  - module: nettriage.linux.metrics_textfile
  - plugin: nettriage.linux.findings
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Look at everything, with the change of every counter over one second
  nettriage.linux.health_facts:
    interval: 1
    as_json: true

- name: Leave the metrics to node_exporter
  nettriage.linux.metrics_textfile:
    directory: /var/lib/prometheus/node-exporter
    content: "{{ ansible_facts['nettriage'] | nettriage.linux.metrics }}"
"""

RETURN = r"""
_value:
  description: The metrics, ready to be read by Prometheus.
  type: str
"""

from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import evaluate, facts_of
from ansible_collections.nettriage.linux.plugins.plugin_utils.packages import MISSING
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.as_prometheus import host_lines


def metrics(
    facts: dict[str, Any] | str, limits: dict[str, Any] | None = None, rules: list[dict[str, Any]] | None = None
) -> str:
    if MISSING is not None:
        raise AnsibleFilterError(
            f"nettriage.linux.metrics: the Python package {MISSING} is missing on the controller;"
            " install jmespath and netaddr there"
        )
    try:
        plain = facts_of(facts)
        return "".join(host_lines(plain, evaluate(plain, limits, rules)))
    except ValueError as error:
        raise AnsibleFilterError(f"nettriage.linux.metrics: {error}") from error


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"metrics": metrics}
