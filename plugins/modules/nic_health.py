#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nic_health
short_description: Links, drivers, queues and their errors
version_added: 0.1.0
description:
  - Asks the kernel and the drivers about the network interfaces, as C(ip -s link), C(ethtool), C(ethtool -S),
    C(ethtool -g), C(ethtool -l) and C(tc -s qdisc) would, and returns it as one structure.
  - The private statistics of the drivers are sorted into classes, so that one question fits all drivers. A number that
    the standard counters, a total and the queues all report is counted once.
  - Needs no privilege.
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes
  - nettriage.linux.attributes.read_only
  - nettriage.linux.target
  - nettriage.linux.target.sampling
options:
  interfaces:
    description:
      - The names of the interfaces to return. All of them are returned then, whatever O(top) is.
      - Without it the most telling ones of all come first. These are physical interfaces that are switched on and
        those that a default route uses, and among them the ones in trouble.
    type: list
    elements: str
    default: []
notes:
  - Virtual interfaces report speeds that mean nothing, C(veth) for example 10000. They are marked with C(virtual).
seealso:
  - module: nettriage.linux.health_facts
"""

EXAMPLES = r"""
- name: Look for errors over ten seconds
  nettriage.linux.nic_health:
    interval: 10
  register: nics

- name: Show interfaces that received damaged frames meanwhile
  ansible.builtin.debug:
    msg: "{{ nics.interfaces | selectattr('error_ratio') | map(attribute='name') }}"

- name: One interface in the network namespace of a container
  nettriage.linux.nic_health:
    interfaces: [eth0]
    netns: pid:4711
"""

RETURN = r"""
available:
  description: Whether the interfaces could be read.
  returned: always
  type: bool
why:
  description: Why they could not.
  returned: when not available
  type: str
limited:
  description: What could not be seen, or is not shown, and why.
  returned: when available
  type: list
  elements: str
interfaces_total:
  description: How many interfaces there are.
  returned: when available
  type: int
interfaces:
  description: The interfaces. What a driver does not tell is null.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the interface.
      type: str
      sample: eth0
    index:
      description: Its index in the network namespace.
      type: int
    kind:
      description: V(physical), V(loopback), V(veth), V(bridge), V(bond), V(vlan), V(tunnel), V(tun) and so on.
      type: str
    virtual:
      description: Whether there is no device below.
      type: bool
    admin_up:
      description: Whether it is switched on.
      type: bool
    operstate:
      description: State as of RFC 2863.
      type: str
      sample: up
    carrier:
      description: Whether it has a signal. Null while it is switched off.
      type: bool
    carrier_changes:
      description: How often the signal came or went since the interface exists.
      type: int
    carrier_changes_delta:
      description: The same within O(interval).
      type: int
    down_reason:
      description: Why there is no signal, as the driver sees it. Few drivers tell.
      type: str
      sample: no cable
    speed_mbps:
      description: Speed in Mbit/s. Null where unknown.
      type: int
    best_speed_mbps:
      description: The fastest mode that the port itself advertises, in Mbit/s.
      type: int
    duplex:
      description: V(full) or V(half).
      type: str
    autonegotiation:
      description: Whether autonegotiation is on.
      type: bool
    mtu:
      description: Largest packet in bytes.
      type: int
    driver:
      description: Name of the driver.
      type: str
      sample: ixgbe
    bus:
      description: Where the device sits.
      type: str
      sample: '0000:3b:00.0'
    master:
      description: The bridge, bond or the like that it is a port of.
      type: str
    ports:
      description: How many ports it has itself.
      type: int
    addresses:
      description: Its addresses, at most 10.
      type: list
      elements: str
    addresses_total:
      description: How many addresses it has.
      type: int
    counters:
      description: The kernel's standard counters since the interface exists.
      type: dict
      sample: {"rx_packets": 1024, "rx_dropped": 0}
    delta:
      description: Their change within O(interval).
      type: dict
    rates:
      description: The same per second, without those that are zero.
      type: dict
    errors:
      description:
        - Standard counters and private statistics by class, which are C(crc), C(frame), C(length), C(missed),
          C(fifo), C(no_buffer), C(carrier), C(dropped) and C(allowance), the last one being what a cloud held back.
        - A class of which neither kind of counter exists is null.
      type: dict
      sample: {"crc": 0, "missed": 17}
    errors_delta:
      description: The same within O(interval).
      type: dict
    ethtool:
      description: The driver's own statistics that belong to a class and are not zero, at most 12, and their C(delta).
      type: dict
      contains:
        statistics:
          description: Name and value.
          type: dict
        delta:
          description: Change within O(interval).
          type: dict
    ring:
      description: Size of the rings in descriptors, C(rx) and C(tx), and what they can be, C(rx_max) and C(tx_max).
      type: dict
    queues:
      description: Queues, C(rx), C(tx) and C(combined), and how many the device could have, C(combined_max).
      type: dict
    qdisc:
      description:
        - Queueing disciplines at the root and at ingress. Their numbers contain those of the ones below, which C(below)
          counts and of which C(worst_below) names the worst.
      type: list
      elements: dict
    utilisation:
      description: Share of the speed that was used within O(interval), C(rx) and C(tx), from 0 to 1.
      type: dict
    rx_mbps:
      description: Received, in Mbit/s.
      type: float
    tx_mbps:
      description: Sent, in Mbit/s.
      type: float
    error_ratio:
      description: Damaged frames (crc, frame and length) ÷ packets received, within O(interval).
      type: float
    has_default_route:
      description: Whether a default route leads out of it.
      type: bool
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nettriage.linux.plugins.module_utils import compile_once

compile_once.enable()

from ansible_collections.nettriage.linux.plugins.module_utils.collect.nic import nic_health
from ansible_collections.nettriage.linux.plugins.module_utils.target import SAMPLING_SPEC, TARGET_SPEC, run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            **SAMPLING_SPEC,
            "interfaces": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    run(module, nic_health)


if __name__ == "__main__":
    main()
