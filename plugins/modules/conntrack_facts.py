#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: conntrack_facts
short_description: How full the connection tracking table is, and who fills it
version_added: 0.1.0
description:
  - Tells how many connections the kernel tracks in a network namespace, how many it may, what it had to drop, and how
    long it remembers.
  - Looking never loads a module. Where connection tracking is not in use, that is what is said.
  - The maximum is one for the whole host, and the count of each network namespace is held against it.
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes
  - nettriage.linux.attributes.read_only
  - nettriage.linux.attributes.facts
  - nettriage.linux.target
  - nettriage.linux.target.sampling
options:
  flows:
    description:
      - Walk the table and tell who fills it, as RV(ansible_facts.nettriage_conntrack.top). O(top) rows are returned of
        each list.
      - Needs C(CAP_NET_ADMIN), and some six microseconds of CPU time for each entry. At most 500000 entries are looked
        at.
    type: bool
    default: false
seealso:
  - module: nettriage.linux.health_facts
"""

EXAMPLES = r"""
- name: Is the table full, and has anything been dropped in the last five seconds?
  nettriage.linux.conntrack_facts:
    interval: 5

- name: Show the usage
  ansible.builtin.debug:
    msg: "{{ ansible_facts['nettriage_conntrack'].usage }}"

- name: Who fills it?
  nettriage.linux.conntrack_facts:
    flows: true
    top: 5
"""

RETURN = r"""
ansible_facts:
  description: The facts, below one key.
  returned: always
  type: dict
  contains:
    nettriage_conntrack:
      description: Connection tracking in this network namespace.
      returned: always
      type: dict
      contains:
        available:
          description: Whether anything can be told. If not, C(why) says why not.
          type: bool
        limited:
          description: One sentence for each thing that could not be read.
          type: list
          elements: str
        in_use:
          description: Whether the kernel has connection tracking. If not, nothing more is returned.
          type: bool
        source:
          description: Where the statistics come from, V(netlink) or V(procfs).
          type: str
        count:
          description: Tracked connections.
          type: int
        max:
          description: How many there may be. V(0) is without limit.
          type: int
        usage:
          description: RV(ansible_facts.nettriage_conntrack.count) ÷ RV(ansible_facts.nettriage_conntrack.max).
          type: float
        buckets:
          description: Size of the hash table.
          type: int
        entries_per_bucket:
          description: RV(ansible_facts.nettriage_conntrack.max) ÷ RV(ansible_facts.nettriage_conntrack.buckets).
          type: float
        stats:
          description: Totals of all CPUs, in the kernel's own names. What this kernel does not count is absent.
          type: dict
          sample: {"drop": 0, "early_drop": 0, "error": 0, "found": 12, "insert_failed": 0, "invalid": 3}
        delta:
          description: What they have changed by between the samples. Null without O(interval).
          type: dict
        rates:
          description: The same per second.
          type: dict
        timeouts:
          description: For how many seconds an idle connection is remembered, by protocol and state.
          type: dict
          sample: {"tcp_established_s": 432000, "tcp_time_wait_s": 120, "udp_s": 30}
        memory_estimate_bytes:
          description: What the hash table and as many entries as there may be take.
          type: int
        top:
          description: Who fills the table. Null where it may not be read.
          returned: with O(flows=true)
          type: dict
          contains:
            flows:
              description: Entries that were looked at.
              type: int
            complete:
              description: Whether these were all, and did not change meanwhile.
              type: bool
            unreplied:
              description: Entries without any packet in the other direction.
              type: int
            protocols:
              description: Entries by protocol.
              type: dict
            tcp_states:
              description: TCP entries by state.
              type: dict
            sources_total:
              description: Different sources.
              type: int
            sources:
              description: The addresses that began most connections.
              type: list
              elements: dict
              sample: [{"address": "192.0.2.7", "count": 31021}]
            destinations_total:
              description: Different destinations.
              type: int
            destinations:
              description: The destinations of most connections, before any translation of addresses.
              type: list
              elements: dict
              sample: [{"address": "198.51.100.2", "count": 30888, "port": 53, "protocol": "udp"}]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nettriage.linux.plugins.module_utils import compile_once

compile_once.enable()

from ansible_collections.nettriage.linux.plugins.module_utils.collect.flows import conntrack_facts
from ansible_collections.nettriage.linux.plugins.module_utils.target import SAMPLING_SPEC, TARGET_SPEC, run


def main() -> None:
    module = AnsibleModule(
        argument_spec={**TARGET_SPEC, **SAMPLING_SPEC, "flows": {"type": "bool", "default": False}},
        supports_check_mode=True,
    )
    run(module, conntrack_facts)


if __name__ == "__main__":
    main()
