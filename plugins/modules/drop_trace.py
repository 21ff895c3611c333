#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: drop_trace
short_description: Why the kernel drops packets, who resends, resets and connects, for a few seconds
version_added: 0.1.0
description:
  - Watches the kernel for O(duration) and tells for what reason and in which function it drops packets, to where it
    retransmits, with whom connections are reset, and which processes open and accept new connections.
  - The trace has instances of tracefs of its own, so that nobody else's trace is disturbed. They are removed in every
    case, and what a run left that was killed is removed by the next one. Where tracefs is not mounted, it is mounted
    for this process only.
  - The trace must not become the fault. Its buffers take 6 MB, reading takes a quarter of one processor at most, and
    what comes faster is counted as lost. A connection costs some microseconds more while it is watched.
  - The kernel traces the whole host. With O(netns) events of other network namespaces are still among the result, and
    only the processes that accept connections are looked for in that namespace.
  - Needs root with C(CAP_SYS_ADMIN). Without, RV(available) is V(false) and RV(why) tells what is missing.
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes
  - nettriage.linux.attributes.read_only
  - nettriage.linux.target
options:
  duration:
    description: Seconds to watch, from 0.1 to 60.
    type: float
    default: 5
  events:
    description:
      - What to watch. V(drops) are packets that the kernel drops, V(retransmits) TCP segments that are sent again,
        V(resets) connections that either side breaks off, V(connections) those that begin.
    type: list
    elements: str
    choices: [drops, retransmits, resets, connections]
    default: [drops, retransmits, resets, connections]
  top:
    description: How many rows a list of the result may have at most, most frequent first.
    type: int
    default: 10
seealso:
  - module: nettriage.linux.health_facts
  - module: nettriage.linux.tcp_counters
"""

EXAMPLES = r"""
- name: Why are packets dropped on this host?
  nettriage.linux.drop_trace:
    duration: 10
  register: trace

- name: The most frequent reason, and where in the kernel it is
  ansible.builtin.debug:
    msg: "{{ row.count }} x {{ row.reason }} in {{ row.locations[0].function }}"
  vars:
    row: "{{ trace.drops.reasons | first }}"
  when: trace.available and trace.drops.reasons | length > 0

- name: What the reasons mean, and where to look next
  ansible.builtin.debug:
    msg: "{{ {'drops': trace} | nettriage.linux.findings }}"

- name: Who opens connections, and to where?
  nettriage.linux.drop_trace:
    events: [connections]
    duration: 5
  register: connecting
"""

RETURN = r"""
available:
  description: Whether anything could be traced; the result has the form of the facts' subset C(drops).
  returned: success
  type: bool
why:
  description: Why not, in one sentence. V(null) otherwise.
  returned: success
  type: str
limited:
  description: One sentence for each thing that could not be seen.
  returned: success
  type: list
  elements: str
  sample: []
duration_s:
  description: How long was watched.
  returned: when available
  type: float
drops:
  description: Packets that the kernel dropped. V(null) where they were not watched or this kernel cannot.
  returned: when available
  type: dict
  contains:
    total:
      description: How many were seen.
      type: int
    per_s:
      description: How many a second, lost ones among them.
      type: float
    lost:
      description: Drops that came faster than they may be read. Nothing else is known of them.
      type: int
    reasons:
      description: One row for each reason and protocol.
      type: list
      elements: dict
      contains:
        reason:
          description:
            - The kernel's own name, as in C(include/net/dropreason-core.h). V(null) before Linux 5.17.
            - V(SUBSYSTEM_N_M) is reason M of the kernel's subsystem N, which has no name in the trace.
          type: str
          sample: NETFILTER_DROP
        protocol:
          description: V(ipv4), V(ipv6), V(arp), or the number of the Ethernet type.
          type: str
        count:
          description: How many packets.
          type: int
        per_s:
          description: How many a second.
          type: float
        locations:
          description: C(function) that dropped them, its C(module) (V(null) for the kernel itself), and C(count).
          type: list
          elements: dict
          sample: [{"function": "nft_do_chain", "module": "nf_tables", "count": 40}]
retransmits:
  description:
    - TCP segments that were sent again. C(total), C(per_s) and C(destinations).
    - A destination has C(local_address), C(local_port), C(address), C(port), C(state) of the connection, and C(count).
      A port that was picked for one connection only is V(null).
  returned: when available
  type: dict
resets:
  description:
    - C(sent) and C(received) resets, C(reasons) for which they were sent (C(reason) and C(count), since Linux 6.10),
      and C(peers) with C(local_address), C(local_port), C(address), C(port), C(sent) and C(received).
    - Before Linux 6.10 the kernel does not trace resets for ports where nobody listens.
  returned: when available
  type: dict
connections:
  description: New TCP connections.
  returned: when available
  type: dict
  contains:
    total:
      description: C(outbound) and C(inbound) together.
      type: int
    outbound:
      description: Attempts of this host's processes to connect.
      type: int
    inbound:
      description: Connections that were accepted.
      type: int
    failed:
      description: Attempts that ended without a connection while the trace was running.
      type: int
    processes:
      description:
        - One row for each command and its unit or container. C(pid) of one of its processes, C(command), C(unit),
          C(container), C(processes) (how many), C(outbound), C(inbound), C(failed), C(destinations) with C(address),
          C(port), C(count) and C(failed), and C(listeners) with C(address), C(port) and C(count).
        - All are V(null) for connections that were accepted in another network namespace.
      type: list
      elements: dict
events_lost:
  description: How many events of all kinds came faster than they may be read.
  returned: when available
  type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nettriage.linux.plugins.module_utils import compile_once

compile_once.enable()

from ansible_collections.nettriage.linux.plugins.module_utils.probe.drop_trace import TOPICS, drop_trace
from ansible_collections.nettriage.linux.plugins.module_utils.target import TARGET_SPEC, run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            "duration": {"type": "float", "default": 5},
            "events": {"type": "list", "elements": "str", "choices": list(TOPICS), "default": list(TOPICS)},
            "top": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    run(module, drop_trace)


if __name__ == "__main__":
    main()
