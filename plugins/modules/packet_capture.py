#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: packet_capture
short_description: A bounded packet capture with a summary, and the kernel's own count of what it missed
version_added: 0.1.0
description:
  - Captures packets for some seconds and tells what they show. Connection attempts without an answer, resets,
    retransmissions, full receive buffers, ICMP errors, fragments and top talkers, each with who and to whom.
  - Only headers are taken unless O(snaplen) says otherwise. The filter in the kernel cuts each packet where its headers
    end, so that no payload reaches this module, its file or its result.
  - Without O(path) nothing is written and only the summary is returned.
  - With a file, packets are looked at after they have been written, so that less is lost. The module then takes longer
    than O(duration), about ten seconds for each million packets.
  - Needs C(CAP_NET_RAW).
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes
  - nettriage.linux.target
attributes:
  check_mode:
    support: full
    details:
      - Captures and summarises, and writes no file.
  diff_mode:
    support: none
  platform:
    support: full
options:
  interface:
    description:
      - The interface, or V(any) for all of them. With V(any) a packet that is forwarded appears on each interface that
        it passes; connections are followed on each of them for itself.
    type: str
    default: any
  duration:
    description:
      - Seconds to capture, from 0.1 to 3600.
    type: float
    default: 10
  max_packets:
    description:
      - The capture ends after so many packets.
    type: int
    default: 1000000
  max_bytes:
    description:
      - The capture ends before its file becomes larger. It never takes more than half of the free space, either.
      - Without O(path) it is what such a file would have had.
    type: int
    default: 67108864
  ring:
    description:
      - Instead of ending at O(max_bytes), go on and overwrite the oldest packets, so that the file holds the last ones.
      - Of O(max_bytes), which must be 1 MiB or more, the last third to two thirds are kept. The rest is needed to put
        the file in order.
      - The summary is then one of what the file holds.
    type: bool
    default: false
  snaplen:
    description:
      - How many bytes to keep of each packet, with its link header. V(0) keeps the headers only.
      - With anything else the file holds what people send to each other, passwords among it.
    type: int
    default: 0
  path:
    description:
      - Absolute path of a file to write in pcap format. It must not exist, and is readable by its owner only.
      - Its directory must belong to the user or root, and nobody else may be able to put another file in its place.
      - Where the capture fails, or is stopped by a signal, no file is left.
    type: path
  hosts:
    description:
      - Addresses, or networks such as V(192.0.2.0/24), of which one has to be source or destination. At most 32.
      - ICMP errors about packets that O(hosts), O(ports) and O(protocols) let through are taken as well.
    type: list
    elements: str
    default: []
  ports:
    description:
      - Port numbers of which one has to be source or destination. At most 64.
      - Of a fragmented packet only the first part has ports.
    type: list
    elements: int
    default: []
  protocols:
    description:
      - Protocols of which it has to be one.
    type: list
    elements: str
    choices: [tcp, udp, sctp, icmp, icmpv6]
    default: []
  filter:
    description:
      - An expression as in C(pcap-filter(7)), instead of O(hosts), O(ports) and O(protocols).
      - Needs C(tcpdump) on the host.
    type: str
  engine:
    description:
      - V(af_packet) captures by a packet socket of its own, needs nothing installed, and takes O(hosts), O(ports) and
        O(protocols).
      - V(tcpdump) runs C(tcpdump), which takes O(filter) as well, but no ICMP errors about what it lets through, and
        loses more packets.
      - V(auto) is V(af_packet) unless there is a O(filter).
    type: str
    choices: [auto, af_packet, tcpdump]
    default: auto
  top:
    description:
      - How many rows a list of the summary may have at most, worst first.
    type: int
    default: 10
seealso:
  - module: nettriage.linux.capture_report
"""

EXAMPLES = r"""
- name: What happens between us and the database?
  nettriage.linux.packet_capture:
    hosts: [192.0.2.10]
    ports: [5432]
    duration: 30
  register: capture

- name: Does it answer?
  ansible.builtin.assert:
    that: capture.summary.syn_unanswered.connections == 0
    fail_msg: "{{ capture.summary.syn_unanswered.destinations }}"

- name: What do the rules make of it?
  ansible.builtin.debug:
    msg: "{{ {'capture': capture} | nettriage.linux.findings }}"

- name: All headers that pass one interface, for Wireshark
  nettriage.linux.packet_capture:
    interface: eth0
    path: /var/tmp/eth0.pcap
    max_bytes: 10000000
"""

RETURN = r"""
summary:
  description: What the packets show. Lists are worst first and have at most O(top) rows.
  returned: always
  type: dict
  contains:
    protocols:
      description: How many packets of each.
      returned: always
      type: dict
      sample: {tcp: 1204, icmp: 3}
    talkers:
      description: Who sent most bytes to whom, with C(protocol), C(packets), C(bytes) and C(mbps).
      returned: always
      type: list
      elements: dict
    connections:
      description: How many TCP connections were seen, attempts included.
      returned: always
      type: int
    handshakes:
      description:
        - How many began and got through, C(completed), and the distribution of C(rtt_ms) from SYN to first ACK.
      returned: always
      type: dict
    syn_unanswered:
      description:
        - Attempts that nobody answered, as C(connections), and the C(destinations) of these.
        - C(syns) and C(syn_retransmits) count all SYNs.
      returned: always
      type: dict
    resets:
      description:
        - How many attempts were C(refused), and C(refused_by) whom. How many connections were reset C(midstream), and
          by which C(senders), each with C(after), which is V(handshake), V(data), V(fin), or V(unknown).
      returned: always
      type: dict
    retransmits:
      description:
        - C(segments) with data, C(retransmits) of them and the C(ratio), how many of them were C(spurious),
          C(out_of_order) segments, C(duplicate_acks), C(keepalives) and C(window_probes).
        - By C(paths) and by C(connections), each direction for itself.
      returned: always
      type: dict
    zero_windows:
      description: How many C(times) a receive buffer was full, by C(receivers), with the time, C(closed_ms).
      returned: always
      type: dict
    too_big:
      description: ICMP errors that a packet was too big, by C(routers), with the C(mtu) and about which packet.
      returned: always
      type: dict
    unreachable:
      description: Other ICMP errors by C(senders), with C(what) and about which destination.
      returned: always
      type: dict
    fragments:
      description: IP fragments by C(senders).
      returned: always
      type: dict
packets:
  description: How many packets were captured.
  returned: always
  type: int
overwritten:
  description: How many of these are not in the file any more, and not in the summary, because of O(ring).
  returned: always
  type: int
bytes:
  description: How long they were on the wire, with their link headers.
  returned: always
  type: int
received:
  description: How many packets passed the filter by the kernel's count.
  returned: always
  type: int
dropped:
  description:
    - How many of them were lost to the capture, by the kernel's own count. With any, the capture is not to be trusted.
    - V(null) where C(tcpdump) did not say.
  returned: always
  type: int
drop_ratio:
  description: The share of RV(received) that was dropped. V(null) where nothing was received.
  returned: always
  type: float
truncated_by:
  description: The limit that ended it, V(duration), V(bytes) or V(packets). V(null) where it ended before any of them.
  returned: always
  type: str
duration_s:
  description: How long it captured.
  returned: always
  type: float
started:
  description: When it began, in seconds since 1970.
  returned: always
  type: int
path:
  description: The file. V(null) where none was written.
  returned: always
  type: str
size_bytes:
  description: Its size. V(null) where none was written.
  returned: always
  type: int
interface:
  description: As it was given.
  returned: always
  type: str
netns:
  description: As it was given.
  returned: always
  type: str
filter:
  description: What was let through. V(null) for everything.
  returned: always
  type: str
  sample: hosts 192.0.2.10; ports 5432
snaplen:
  description: As it was given.
  returned: always
  type: int
engine:
  description: V(af_packet) or V(tcpdump).
  returned: always
  type: str
link_type:
  description: The kind of link header in the file, as C(tcpdump) names it.
  returned: always
  type: str
  sample: EN10MB
available:
  description: Whether anything could be captured at all. A module that fails says why instead.
  returned: always
  type: bool
why:
  description: V(null), since it could.
  returned: always
  type: str
limited:
  description: What could not be done as it should, one sentence each.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nettriage.linux.plugins.module_utils import compile_once

compile_once.enable()

from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture import ENGINES, packet_capture
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_filter import PROTOCOLS
from ansible_collections.nettriage.linux.plugins.module_utils.target import TARGET_SPEC, run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            "interface": {"type": "str", "default": "any"},
            "duration": {"type": "float", "default": 10},
            "max_packets": {"type": "int", "default": 1_000_000},
            "max_bytes": {"type": "int", "default": 64 << 20},
            "ring": {"type": "bool", "default": False},
            "snaplen": {"type": "int", "default": 0},
            "path": {"type": "path"},
            "hosts": {"type": "list", "elements": "str", "default": []},
            "ports": {"type": "list", "elements": "int", "default": []},
            "protocols": {"type": "list", "elements": "str", "default": [], "choices": list(PROTOCOLS)},
            "filter": {"type": "str"},
            "engine": {"type": "str", "default": "auto", "choices": list(ENGINES)},
            "top": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    run(module, lambda host, params: packet_capture(host, params, module.check_mode))


if __name__ == "__main__":
    main()
