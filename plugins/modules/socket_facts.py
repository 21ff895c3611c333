#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: socket_facts
short_description: Sockets by state, listener, destination and owner, and how well connections do
version_added: 0.1.0
description:
  - Counts the TCP sockets of a network namespace by state, and tells the listeners with their queues, the destinations
    with the ephemeral ports that they take, the processes behind them, and the quality of connections as TCP itself
    measures it.
  - With O(interval) it also tells how much each connection, destination, process and interface carries, from the byte
    counters of TCP and without any capture. What comes and goes within the interval is not seen by that.
  - The kernel is asked by netlink. Where it does not answer, the tables in C(/proc/net) are read, and
    RV(ansible_facts.nettriage_sockets.source) says so.
  - Without privilege other users' processes stay unnamed, and RV(ansible_facts.nettriage_sockets.limited) tells how
    many.
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes
  - nettriage.linux.attributes.read_only
  - nettriage.linux.attributes.facts
  - nettriage.linux.target
  - nettriage.linux.target.sampling
options:
  connections:
    description:
      - Return single TCP sockets too, as RV(ansible_facts.nettriage_sockets.connections).
      - Any of O(states), O(address), O(port) and O(process) has the same effect.
    type: bool
    default: false
  states:
    description:
      - Only sockets in one of these states, written as C(ss) or the kernel does, for example V(close-wait) or
        V(close_wait). V(all) is any.
    type: list
    elements: str
  address:
    description:
      - Only sockets whose local or peer address lies in this IPv4 or IPv6 prefix.
    type: str
  port:
    description:
      - Only sockets with this local or peer port.
    type: int
  process:
    description:
      - Only sockets that are held by the process with this id, or by any process with this name, as in
        C(/proc/PID/comm).
    type: str
  limit:
    description:
      - How many single sockets to return at most. All are counted in
        RV(ansible_facts.nettriage_sockets.connections_total).
    type: int
    default: 100
seealso:
  - module: nettriage.linux.health_facts
  - module: nettriage.linux.tcp_counters
"""

EXAMPLES = r"""
- name: Sockets, with what changed over two seconds
  nettriage.linux.socket_facts:
    interval: 2

- name: Who uses the bandwidth?
  ansible.builtin.debug:
    msg: "{{ ansible_facts['nettriage_sockets'].tcp.bandwidth.processes }}"

- name: Which destination takes most of the ephemeral ports, and for whom?
  ansible.builtin.debug:
    msg: "{{ ansible_facts['nettriage_sockets'].tcp.destinations[:1] }}"

- name: The connections that the database's clients have forgotten to close
  nettriage.linux.socket_facts:
    states: [close-wait]
    port: 5432
    limit: 20

- name: Everything that nginx holds towards one network
  nettriage.linux.socket_facts:
    process: nginx
    address: 10.20.0.0/16
"""

RETURN = r"""
ansible_facts:
  description: The facts, below one key.
  returned: always
  type: dict
  contains:
    nettriage_sockets:
      description:
        - The same object as C(nettriage.sockets) of M(nettriage.linux.health_facts). See C(docs/facts.md) of the
          collection for every field.
      returned: always
      type: dict
      contains:
        available:
          description: Whether sockets could be asked for.
          returned: always
          type: bool
        why:
          description: Why not, in one sentence.
          returned: when not available
          type: str
        limited:
          description: What could not be seen, one sentence each.
          returned: when available
          type: list
          elements: str
        source:
          description: V(netlink) or V(procfs).
          returned: when available
          type: str
          sample: netlink
        interrupted:
          description: Whether the table changed during every attempt to read it, so that the counts are not exact.
          returned: when available
          type: bool
        tcp:
          description: States, listeners, destinations, processes, queues, quality and bandwidth of TCP.
          returned: when available
          type: dict
        udp:
          description: UDP sockets, those that drop first.
          returned: when available
          type: dict
        unix:
          description: How many unix sockets there are, and how many listen. V(null) where it is not known.
          returned: when available
          type: dict
        ports:
          description: The range of ephemeral ports and what is reserved of it.
          returned: when available
          type: dict
        connections:
          description:
            - Single sockets, in the order of the kernel's table.
            - C(tcp_info) is V(null) where the kernel keeps none, and each of its fields where this kernel is too old
              for it.
          returned: on request
          type: list
          elements: dict
        connections_total:
          description: How many sockets there are that were asked for.
          returned: on request
          type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nettriage.linux.plugins.module_utils import compile_once

compile_once.enable()

from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_connections import socket_facts
from ansible_collections.nettriage.linux.plugins.module_utils.target import SAMPLING_SPEC, TARGET_SPEC, run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            **SAMPLING_SPEC,
            "connections": {"type": "bool", "default": False},
            "states": {"type": "list", "elements": "str"},
            "address": {"type": "str"},
            "port": {"type": "int"},
            "process": {"type": "str"},
            "limit": {"type": "int", "default": 100},
        },
        supports_check_mode=True,
    )
    run(module, socket_facts)


if __name__ == "__main__":
    main()
