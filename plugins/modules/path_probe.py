#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: path_probe
short_description: Loss and latency on the way to some targets, hop by hop
version_added: 0.1.0
description:
  - Probes every hop of the way to each target at the same time, cycle by cycle, as C(mtr) does, and says where loss
    begins and stays, and where the round trip gets long and stays long.
  - A router that does not answer probes, or only some of them, loses nothing as long as those behind it answer. Such
    hops are marked, and never taken for loss.
  - All probes of a path belong to one flow, so that load balancers send each of them the same way.
  - With O(method=udp) no privilege is needed. O(method=icmp) needs C(CAP_NET_RAW), or a group of the user within
    C(net.ipv4.ping_group_range). O(method=tcp) works without privilege since Linux 6.0, but then every probe is a flow
    of its own.
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
      - What a probe is. V(icmp) is an echo request. V(udp) is a datagram to a port where nobody listens. V(tcp) is the
        first packet of a connection, which is reset at once if the target accepts it.
      - V(auto) is V(icmp) where this user may, and V(udp) elsewhere.
    type: str
    choices: [auto, udp, icmp, tcp]
    default: auto
  port:
    description:
      - The destination port of V(udp), 33434 by default, and of V(tcp), 443 by default.
    type: int
  cycles:
    description:
      - How often the target is probed. The smaller it is, the less can be said about little loss.
    type: int
    default: 10
  interval:
    description:
      - Seconds between two probes of the target.
      - The routers before it are probed once a second at most, and with O(method=udp) so is the target, every 1.05
        seconds. Hosts send only one ICMP error a second, and what they withhold would look as if it were lost.
    type: float
    default: 1.0
  timeout:
    description:
      - After so many seconds without an answer a probe is lost.
    type: float
    default: 2.0
  max_hops:
    description:
      - No hop beyond this one is probed.
    type: int
    default: 30
  size:
    description:
      - Size of a probe in bytes, with its IP header. A probe of V(tcp) always has its smallest size.
    type: int
    default: 64
  resolve:
    description:
      - Ask the resolver for the names of the hops, for three seconds in all and within O(time_limit).
    type: bool
    default: false
seealso:
  - module: nettriage.linux.pmtu_probe
"""

EXAMPLES = r"""
- name: Where do packets to the database get lost?
  nettriage.linux.path_probe:
    targets: [db1.example.com]
    cycles: 30
    interval: 0.5
    time_limit: 60
  register: way

- name: Say so
  ansible.builtin.debug:
    msg: "{{ item.target }}: {{ item.loss }} lost, from hop {{ item.loss_from_hop }} ({{ item.loss_from_address }}) on"
  loop: "{{ way.paths | selectattr('loss') }}"

- name: The way that connections to a web server take, in both families
  nettriage.linux.path_probe:
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
      sample: db1.example.com
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
      description: What the probes were.
      returned: always
      type: str
      sample: icmp
    port:
      description: The destination port. V(null) for V(icmp).
      returned: always
      type: int
    reached:
      description: Whether the target itself answered any probe.
      returned: always
      type: bool
    refused_by:
      description: Who said that there is no way to the target, be it a router or this host. V(null) where nobody did.
      returned: always
      type: str
    refusal:
      description: What was said.
      returned: always
      type: str
      sample: host unreachable
    why:
      description: Why it was not reached, or not probed as often as wanted, in one sentence. V(null) otherwise.
      returned: always
      type: str
    cycles:
      description: How many cycles there were.
      returned: always
      type: int
    interval_s:
      description: Seconds between two probes of the target.
      returned: always
      type: float
    size_bytes:
      description: The size of a probe.
      returned: always
      type: int
    sent:
      description: Probes with the target as their last hop of which the fate is known.
      returned: always
      type: int
    received:
      description: How many of them the target answered.
      returned: always
      type: int
    lost:
      description: How many it did not answer.
      returned: always
      type: int
    loss:
      description: The share, from 0 to 1, that it did not answer. V(null) where it answered none.
      returned: always
      type: float
    rtt_ms:
      description: Round-trip times to the target in milliseconds.
      returned: always
      type: dict
      sample: {best: 10.1, avg: 10.9, median: 10.6, worst: 14.2, stddev: 1.2, jitter: 0.7}
    loss_from_hop:
      description: The first hop from which on all lose, up to the target. V(null) where the target loses nothing.
      returned: always
      type: int
    loss_from_address:
      description: Its address.
      returned: always
      type: str
    latency_from_hop:
      description:
        - The hop at which the round trip becomes longer by most, and stays so. V(null) where no single hop makes up
          half of it.
      returned: always
      type: int
    latency_from_address:
      description: Its address.
      returned: always
      type: str
    latency_step_ms:
      description: By how much it becomes longer there.
      returned: always
      type: float
    hops:
      description: Every hop up to the target, or up to the last one that answered.
      returned: always
      type: list
      elements: dict
      contains:
        hop:
          description: Its number.
          returned: always
          type: int
        addresses:
          description: Who answered, most frequent first. Empty where nobody did.
          returned: always
          type: list
          elements: str
        names:
          description: Their names. V(null) for one that has none.
          returned: with O(resolve=true)
          type: list
          elements: str
        sent:
          description: Probes of which the fate is known.
          returned: always
          type: int
        received:
          description: How many of them were answered.
          returned: always
          type: int
        loss:
          description: The share that was not.
          returned: always
          type: float
        best_ms:
          description: The shortest round trip.
          returned: always
          type: float
        avg_ms:
          description: The mean.
          returned: always
          type: float
        median_ms:
          description: The median.
          returned: always
          type: float
        worst_ms:
          description: The longest.
          returned: always
          type: float
        stddev_ms:
          description: The standard deviation.
          returned: always
          type: float
        jitter_ms:
          description: The mean difference between successive round trips.
          returned: always
          type: float
        errors:
          description: What else was said by the hop, such as V(host unreachable), and how often.
          returned: always
          type: dict
        filters_probes:
          description: Whether it answers no probe, while hops behind it do.
          returned: always
          type: bool
        rate_limited:
          description: Whether it answers only some, while hops behind it lose less.
          returned: always
          type: bool
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

from ansible_collections.nettriage.linux.plugins.module_utils.probe.path import METHODS, path_probe
from ansible_collections.nettriage.linux.plugins.module_utils.probe.targets import PROBE_SPEC
from ansible_collections.nettriage.linux.plugins.module_utils.target import TARGET_SPEC, run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            **PROBE_SPEC,
            "method": {"type": "str", "default": "auto", "choices": list(METHODS)},
            "cycles": {"type": "int", "default": 10},
            "interval": {"type": "float", "default": 1.0},
            "timeout": {"type": "float", "default": 2.0},
            "max_hops": {"type": "int", "default": 30},
            "size": {"type": "int", "default": 64},
            "resolve": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run(module, path_probe)


if __name__ == "__main__":
    main()
