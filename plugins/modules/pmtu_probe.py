#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pmtu_probe
short_description: How large a packet may be on the way to some targets, and where it gets narrow
version_added: 0.1.0
description:
  - Looks for the largest packet that arrives at each target unfragmented, and tells a path that is merely narrow, which
    says so by ICMP, from a black hole, in which large packets vanish while small ones arrive. In the latter,
    connections are made and then hang.
  - A size counts as vanished only if small packets that are sent along with it are answered.
  - Where a target answers nothing, the routers before it tell how far packets of which size come.
  - No privilege is needed, except for O(method=icmp).
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes
  - nettriage.linux.attributes.read_only
  - nettriage.linux.target
  - nettriage.linux.target.probe
options:
  method:
    description:
      - V(udp) sends datagrams to a port where nobody listens, as C(tracepath) does. A target that does not answer them
        is asked by V(icmp), if this user may.
      - V(icmp) sends echo requests, which are answered by replies of the same size, so that the way back counts, too.
        A target that does not answer them is asked by V(udp). It needs C(CAP_NET_RAW), or a group of the user within
        C(net.ipv4.ping_group_range).
      - V(tcp) connects to O(port) and looks at what that connection carries. It is told what the peer announces as its
        MSS, too.
    type: str
    choices: [udp, icmp, tcp]
    default: udp
  port:
    description:
      - The destination port of V(udp), 33434 by default, and of V(tcp), 443 by default, which must be open.
    type: int
  probes:
    description:
      - How often a size has to vanish before that is believed.
    type: int
    default: 3
  timeout:
    description:
      - Seconds to wait for an answer at most. Once the target has answered, its round-trip time is what counts.
    type: float
    default: 1.0
  max_hops:
    description:
      - No hop beyond this one is looked at.
    type: int
    default: 30
  send_data:
    description:
      - With O(method=tcp), send one packet full of empty lines over each connection, and see whether it arrives.
      - Without, only the size that the two ends have agreed upon is known, and no black hole can be seen.
    type: bool
    default: true
seealso:
  - module: nettriage.linux.path_probe
"""

EXAMPLES = r"""
- name: May packets to the other site be as large as our interface allows?
  nettriage.linux.pmtu_probe:
    targets: [10.20.0.1, files.example.com]
  register: pmtu

- name: Large transfers would hang
  ansible.builtin.fail:
    msg: "{{ item.target }}: {{ item.why }}. On the router: {{ item.mss_advice.clamp }}"
  loop: "{{ pmtu.paths | selectattr('verdict', 'equalto', 'black_hole') }}"

- name: What does a connection to the web server carry?
  nettriage.linux.pmtu_probe:
    targets: [www.example.com]
    method: tcp
    port: 443
    family: both
"""

RETURN = r"""
paths:
  description: One path for every wanted address of every target, in the order of the targets.
  returned: always
  type: list
  elements: dict
  contains:
    target:
      description: As it was given.
      returned: always
      type: str
      sample: files.example.com
    address:
      description: The address that was probed. V(null) where the name could not be resolved.
      returned: always
      type: str
      sample: 192.0.2.10
    family:
      description: V(ipv4) or V(ipv6).
      returned: always
      type: str
    method:
      description: What the measurement rests on.
      returned: always
      type: str
      sample: udp
    path_mtu:
      description:
        - The size in bytes of the largest packet that arrives, with its IP header. V(null) where none was seen to.
        - Where RV(paths[].reached) is V(false), as far as the last hop that answers.
      returned: always
      type: int
      sample: 1420
    interface:
      description: The interface through which packets to the target leave.
      returned: always
      type: str
    interface_mtu:
      description: Its MTU in bytes, which is the largest size that is tried, and 65535 at most for IPv4.
      returned: always
      type: int
    cached_mtu:
      description: The path MTU that the kernel had learnt or was configured with before. V(null) where it had none.
      returned: always
      type: int
    verdict:
      description:
        - V(clean), packets as large as the interface allows arrive.
        - V(reduced), they do not, and somebody says so, so that path MTU discovery works.
        - V(black_hole), they vanish, and nobody says so.
        - V(unreachable), the target answered nothing.
        - V(null) where the time limit came first, or the target stopped answering.
      returned: always
      type: str
    why:
      description: The reason for the verdict in one sentence. V(null) for V(clean).
      returned: always
      type: str
    reached:
      description: Whether the target itself answered.
      returned: always
      type: bool
    hop:
      description: Where the path gets narrow. V(null) where it does not, or where no router can be seen.
      returned: always
      type: dict
      contains:
        number:
          description: The last hop that large packets reach. V(0) is this host itself.
          returned: always
          type: int
        address:
          description: Its address.
          returned: always
          type: str
        next_address:
          description: The next hop that answers, which only smaller packets reach.
          returned: always
          type: str
        mtu:
          description: The size in bytes that it still lets through.
          returned: always
          type: int
    mss_advice:
      description: The largest TCP segments that fit.
      returned: always
      type: dict
      contains:
        tcp4:
          description: The MSS for TCP over IPv4.
          returned: always
          type: int
        tcp6:
          description: The MSS for TCP over IPv6.
          returned: always
          type: int
        clamp:
          description: An nftables rule for the router before the narrow link. V(null) for a clean path.
          returned: always
          type: str
    probes_sent:
      description: How many packets were sent for it, and with V(tcp) how many connections made.
      returned: always
      type: int
    elapsed_ms:
      description: How long it took.
      returned: always
      type: float
available:
  description: Whether anything could be probed at all. A module that fails says why instead.
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

from ansible_collections.nettriage.linux.plugins.module_utils.probe.pmtu import METHODS, pmtu_probe
from ansible_collections.nettriage.linux.plugins.module_utils.probe.targets import PROBE_SPEC
from ansible_collections.nettriage.linux.plugins.module_utils.target import TARGET_SPEC, run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            **PROBE_SPEC,
            "method": {"type": "str", "default": "udp", "choices": list(METHODS)},
            "probes": {"type": "int", "default": 3},
            "timeout": {"type": "float", "default": 1.0},
            "max_hops": {"type": "int", "default": 30},
            "send_data": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    run(module, pmtu_probe)


if __name__ == "__main__":
    main()
