# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: findings
short_description: What is wrong with a host's network, and who causes it
version_added: 0.1.0
description:
  - Applies the collection's rules to the facts of one host and returns what they find.
  - The order is worst first, then bottom-up by layer.
  - Where the facts have other network namespaces in C(namespaces), each of them is judged by the same rules.
  - Totals since boot are never a finding. Gather the facts with an interval, or whatever needs a change stays silent.
positional: _input, limits, rules
author:
  - nettriage maintainers (@nettriage)
options:
  _input:
    description:
      - The facts that M(nettriage.linux.health_facts) returned, as a structure or as the JSON string.
      - Subsets that are missing or unavailable are no error. The rules that need them stay silent.
    type: raw
    required: true
  limits:
    description:
      - Limits to replace, by name, for example V(ephemeral_port_usage_warning). The file
        C(plugins/plugin_utils/rules/limits.yml) of the collection has them all.
    type: dict
    default: {}
  rules:
    description:
      - Rules of your own, in the form of those of the collection.
      - A rule with the V(id) of one of the collection's takes its place. With V(enabled=false) it is switched off.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description: A name such as V(site.too_many_listeners).
        type: str
        required: true
      enabled:
        description: Whether the rule is used at all.
        type: bool
        default: true
      layer:
        description: The layer of what is at fault.
        type: str
        choices: ["1/2", "3", "4", "7"]
      for_each:
        description:
          - A JMESPath expression for a list. The rule is applied to each element, which is C(item).
          - Without it, the rule is applied once to the host.
        type: str
      when:
        description:
          - A JMESPath expression over C(facts), C(item) and C(limits), or a mapping with one for each severity.
          - Besides JMESPath's own functions there are C(ratio), C(total), C(peak), C(at_least), C(within), C(group_by),
            C(lower_bound), C(bdp_bytes), C(keepalive_detection_s), C(kernel_at_least), C(scope) and C(common_prefix).
          - What is absent is null, and a comparison with null does not hold.
        type: raw
      severity:
        description: The severity, where O(rules[].when) is a single expression.
        type: str
        choices: [critical, warning, info]
      subject:
        description:
          - The culprit. Like every text of a rule it may have placeholders such as C({item.port}) or
            C({item.bytes|bytes}), a JMESPath expression and optionally a format.
          - Formats are C(plain), C(count), C(percent), C(bytes), C(ms), C(s), C(mbps), C(per_s), C(process),
            C(processes), C(endpoint) and C(host).
          - Instead of a text, a list of texts and of mappings with V(when) and V(text) is possible. The first whose
            condition holds is taken.
        type: raw
        default: host
      scope:
        description:
          - What the rule speaks of. With V(kernel) it is something that all network namespaces share, so that facts of
            many namespaces are judged by it once and not once each.
        type: str
        choices: [namespace, kernel]
        default: namespace
      title:
        description: What is wrong, in one line.
        type: raw
      evidence:
        description: Names, each with the JMESPath expression for its value. What is null is left out.
        type: dict
        default: {}
      cause:
        description: Why, in one or two sentences.
        type: raw
      advice:
        description:
          - What to do. A list of texts, or of mappings with V(when) and V(text). All whose condition holds are taken.
        type: list
        elements: raw
        default: []
      remedies:
        description: Names of remedies that would help. Like O(rules[].advice), with conditions if wanted.
        type: list
        elements: raw
        default: []
      refused:
        description: Remedies that would not help. Mappings with V(remedy), V(why), and V(when) if wanted.
        type: list
        elements: dict
        default: []
      command:
        description: The line by which a person sees it on the host. The network namespace is put before it.
        type: raw
      refs:
        description: Where more is to be read.
        type: list
        elements: str
        default: []
"""

EXAMPLES = r"""
- name: Look at everything, with the change of every counter over one second
  nettriage.linux.health_facts:
    interval: 1

- name: Say what is wrong
  ansible.builtin.debug:
    msg: "{{ ansible_facts['nettriage'] | nettriage.linux.findings }}"

- name: With another limit and a rule of one's own
  ansible.builtin.debug:
    msg: "{{ ansible_facts['nettriage'] | nettriage.linux.findings(limits, rules) }}"
  vars:
    limits:
      close_wait_per_process: 200
    rules:
      - id: site.cleartext_database
        layer: "7"
        severity: warning
        for_each: facts.sockets.tcp.listeners[?address == '0.0.0.0']
        when: item.port == `5432`
        subject: "{item|endpoint}"
        title: "{item.processes|processes} listens on every address"
      - id: tcp.keepalive_slow
        enabled: false
"""

RETURN = r"""
_value:
  description: The findings. Empty where nothing is wrong.
  type: list
  elements: dict
  contains:
    id:
      description: The rule's name, for example V(tcp.close_wait_leak).
      type: str
    severity:
      description: V(critical), V(warning) or V(info).
      type: str
    layer:
      description: V(1/2) link, V(3) IP and path, V(4) transport, V(7) names and services.
      type: str
    subject:
      description: The culprit, such as a process, listener, destination or interface.
      type: str
    title:
      description: What is wrong, in one line.
      type: str
    evidence:
      description: What was seen, by name. Units stand in the names.
      type: dict
    cause:
      description: Why it is so.
      type: str
    advice:
      description: What to do.
      type: list
      elements: str
    remedies:
      description: Names of the remedies of this collection that would help.
      type: list
      elements: str
    refused:
      description: Remedies that would not help, each with the reason.
      type: list
      elements: dict
    command:
      description: The line by which a person sees it on the host.
      type: str
    namespace:
      description:
        - The network namespace that it is about, where the facts are of many of them. It is named in C(subject),
          C(title) and C(command), too.
      returned: for other namespaces than the host's own
      type: dict
      sample: {name: blue, container: null, pod: null, unit: null, pid: 4711, command: nginx}
"""

from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import evaluate
from ansible_collections.nettriage.linux.plugins.plugin_utils.packages import MISSING


def findings(
    facts: dict[str, Any] | str, limits: dict[str, Any] | None = None, rules: list[dict[str, Any]] | None = None
) -> list[dict[str, Any]]:
    if MISSING is not None:
        raise AnsibleFilterError(
            f"nettriage.linux.findings: the Python package {MISSING} is missing on the controller;"
            " install jmespath and netaddr there"
        )
    try:
        return evaluate(facts, limits, rules)
    except ValueError as error:
        raise AnsibleFilterError(f"nettriage.linux.findings: {error}") from error


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"findings": findings}
