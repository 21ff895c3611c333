#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tcp_counters
short_description: Protocol counters of the kernel, their change, and the ratios that matter
version_added: 0.1.0
description:
  - Reads the counters of IP, ICMP, TCP, UDP and MPTCP for IPv4 and IPv6, the memory of sockets, and the receive path
    of the CPUs, from C(/proc/net).
  - With O(interval) every counter has its change and its rate, and the ratios that need a change are there, such as
    the share of data segments that were sent again.
  - The names are the kernel's own. A counter that this kernel does not have is absent, which is not the same as V(0).
  - A counter that went back between the two samples was reset or has wrapped. Its change is null, never negative.
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes
  - nettriage.linux.attributes.read_only
  - nettriage.linux.target
  - nettriage.linux.target.sampling
options:
  groups:
    description:
      - Return the counters of these groups only, for example V(Tcp) and V(TcpExt). Without it, of all groups.
      - What is derived from counters is always complete.
    type: list
    elements: str
    default: []
seealso:
  - module: nettriage.linux.health_facts
  - module: nettriage.linux.socket_facts
"""

EXAMPLES = r"""
- name: How much of what was sent had to be sent again in the last ten seconds?
  nettriage.linux.tcp_counters:
    interval: 10
    groups: [Tcp, TcpExt]
  register: tcp

- name: Fail above one percent, if there was enough traffic to tell
  ansible.builtin.assert:
    that: tcp.derived.retransmit_ratio < 0.01
  when: (tcp.derived.data_segments_sent or 0) >= 10000

- name: Counters of one network namespace
  nettriage.linux.tcp_counters:
    netns: blue
"""

RETURN = r"""
available:
  description: Whether there are counters at all. If not, RV(why) says why not, and nothing else is returned.
  returned: always
  type: bool
  sample: true
why:
  description: Why there are no counters.
  returned: when there are none
  type: str
limited:
  description: One sentence for each thing that could not be read, or was damaged.
  returned: when available
  type: list
  elements: str
  sample: []
counters:
  description: Totals by group and name.
  returned: when available
  type: dict
  sample: {"Tcp": {"ActiveOpens": 15, "RetransSegs": 2}, "TcpExt": {"ListenOverflows": 0}}
delta:
  description:
    - What the counters have changed by between the samples. Fields that are states, such as C(CurrEstab), have none.
    - Null without O(interval).
  returned: when available
  type: dict
  sample: {"Tcp": {"ActiveOpens": 1, "RetransSegs": 0}, "TcpExt": {"ListenOverflows": 0}}
rates:
  description: The same per second.
  returned: when available
  type: dict
  sample: {"Tcp": {"ActiveOpens": 0.1, "RetransSegs": 0.0}, "TcpExt": {"ListenOverflows": 0.0}}
derived:
  description:
    - Ratios from the change of the counters, and of the memory that sockets use at the moment. Null where the divisor
      is zero, where the kernel lacks a counter, and, for those from changes, without O(interval).
  returned: when available
  type: dict
  contains:
    retransmit_ratio:
      description: RV(derived.retransmitted_segments) ÷ RV(derived.data_segments_sent).
      type: float
    retransmitted_segments:
      description: Segments with data that were sent again, which is C(RetransSegs) less C(TCPSynRetrans).
      type: int
    data_segments_sent:
      description: Segments with data that were sent for the first time, C(TCPOrigDataSent).
      type: int
    syn_retransmits_per_s:
      description: SYN and SYN-ACK segments that were sent again, a second.
      type: float
    spurious_ratio:
      description: Retransmissions that the peer reported as not needed, C(TCPDSACKRecv) ÷ C(RetransSegs).
      type: float
    spurious_rto_ratio:
      description: Timeouts that were found to be premature, C(TCPSpuriousRTOs) ÷ C(TCPTimeouts).
      type: float
    out_of_order_ratio:
      description: Segments that came out of order, C(TCPOFOQueue) ÷ C(InSegs).
      type: float
    syncookie_return_ratio:
      description: SYN cookies that came back, C(SyncookiesRecv) ÷ C(SyncookiesSent). A flood does not send them back.
      type: float
    memory_ratio:
      description: Memory of all TCP sockets ÷ the second number of C(tcp_mem), where the kernel begins to press.
      type: float
    memory_pages:
      description: Memory of all TCP sockets of the host, in pages.
      type: int
    memory_pressure_pages:
      description: The second number of C(tcp_mem), in pages.
      type: int
    orphan_ratio:
      description: TCP sockets without a process ÷ C(tcp_max_orphans).
      type: float
    resets_sent_per_s:
      description: RST segments sent, a second.
      type: float
    attempt_fails_per_s:
      description: Connections that failed to be opened, a second.
      type: float
    udp_memory_ratio:
      description: Memory of all UDP sockets ÷ the first number of C(udp_mem), beyond which datagrams are dropped.
      type: float
sockstat:
  description: Sockets and their memory by protocol. Memory is in pages, that of C(FRAG) in bytes.
  returned: when available
  type: dict
  sample: {"TCP": {"alloc": 5, "inuse": 3, "mem": 1, "orphan": 0, "tw": 2}, "sockets": {"used": 120}}
softnet:
  description: The receive path of the CPUs. Null where it cannot be read.
  returned: when available
  type: dict
  contains:
    cpus:
      description: CPUs online.
      type: int
    counters:
      description: Sums of all CPUs.
      type: dict
      sample: {"dropped": 0, "flow_limit": 0, "processed": 3431, "received_rps": 0, "squeezed": 1}
    delta:
      description: Their change, null without O(interval).
      type: dict
    rates:
      description: The same per second.
      type: dict
    worst_cpus:
      description:
        - The CPUs that dropped most or ran out of budget most often, at most O(top), over the interval if there is one.
      type: list
      elements: dict
      sample: [{"cpu": 3, "dropped": 12, "squeezed": 40}]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nettriage.linux.plugins.module_utils import compile_once

compile_once.enable()

from ansible_collections.nettriage.linux.plugins.module_utils.collect.counters import tcp_counters
from ansible_collections.nettriage.linux.plugins.module_utils.target import SAMPLING_SPEC, TARGET_SPEC, run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            **SAMPLING_SPEC,
            "groups": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    run(module, tcp_counters)


if __name__ == "__main__":
    main()
