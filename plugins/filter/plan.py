# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: plan
short_description: What to set on a host, what not to, and why
version_added: 0.1.0
description:
  - Goes through the collection's remedies with the facts and findings of one host, evaluates every guard, and returns
    the changes it would make together with the refusals.
  - Nothing is changed. The role P(nettriage.linux.tune#role) applies a plan.
positional: _input, findings, policy
author:
  - nettriage maintainers (@nettriage)
options:
  _input:
    description: The facts that M(nettriage.linux.health_facts) returned, as a structure or as the JSON string.
    type: raw
    required: true
  findings:
    description: What P(nettriage.linux.findings#filter) made of the same facts.
    type: list
    elements: dict
    required: true
  policy:
    description:
      - What is allowed and what is known of the paths.
      - V(remedies) is V(auto), which acts on evidence only, or a list of remedies to consider without evidence.
        The guards are evaluated either way.
      - V(rtt_ms) and V(bandwidth_mbps) state the path that the buffers should carry. V(port_range), V(reserved_ports),
        V(keepalive_time_s), V(keepalive_intvl_s), V(keepalive_probes), V(middlebox_idle_s), V(somaxconn),
        V(fin_timeout_s), V(tw_buckets), V(buffer_max_bytes), V(udp_buffer_bytes),
        V(asymmetric_interfaces), V(memory_share), V(conntrack_memory_share),
        V(wan_rtt_ms), V(loss_min) and V(loss_max) are limits of single remedies.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: What would help this host
  ansible.builtin.debug:
    msg: "{{ facts | nettriage.linux.plan(facts | nettriage.linux.findings) }}"
  vars:
    facts: "{{ ansible_facts['nettriage'] }}"

- name: Buffers for a stated path
  ansible.builtin.debug:
    msg: "{{ facts | nettriage.linux.plan([], {'remedies': ['buffers'], 'rtt_ms': 80, 'bandwidth_mbps': 1000}) }}"
  vars:
    facts: "{{ ansible_facts['nettriage'] }}"
"""

RETURN = r"""
_value:
  description:
    - One row for each key to set, and one for each remedy that is refused or already in place.
    - C(status) is V(planned), V(already) or V(refused). C(guards) holds every condition with what was seen, C(refused)
      the reason in one sentence.
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import plain
from ansible_collections.nettriage.linux.plugins.plugin_utils.plan import make_plan


def plan(facts: Any, findings: list[dict[str, Any]], policy: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    try:
        return make_plan(plain(facts), plain(findings), plain(policy or {}))
    except ValueError as error:
        raise AnsibleFilterError(f"nettriage.linux.plan: {error}") from error


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"plan": plan}
