#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dns_probe
short_description: How the name servers of a host answer, and what its C library makes of it
version_added: 0.1.0
description:
  - Asks each name server of the target's own C(resolv.conf), or those that are stated, directly over UDP and TCP, and
    tells their latency, timeouts, refusals, failures, truncated and wrong answers, as C(dig) would one by one.
  - Tells which names the C library tries for each of O(names), in which order, and which of them is found.
  - Asks C(getaddrinfo) beside it, as the programs of the host do, and tells where the two differ.
  - Sends the questions for A and AAAA at once from one port, as the C library does. Where one of the two is lost time
    and again while single questions are not, a firewall or NAT on the way drops it, and every lookup waits until the
    resolver's own timeout, mostly five seconds.
  - Needs no privilege, and leaves nothing behind.
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes
  - nettriage.linux.attributes.read_only
  - nettriage.linux.target
options:
  names:
    description:
      - Names to look up, written as programs do; at most 20. A dot at the end makes a name complete.
      - Without any, the servers are asked for the name servers of the root, which every resolver knows.
    type: list
    elements: str
    default: []
  servers:
    description:
      - Addresses to ask instead of the name servers in C(resolv.conf), each with a port if it is not 53, for example
        V(192.0.2.53), V(192.0.2.53:5353) or V([2001:db8::53]:5353). At most 16.
    type: list
    elements: str
    default: []
  protocols:
    description: How to ask.
    type: list
    elements: str
    choices: [udp, tcp]
    default: [udp, tcp]
  count:
    description: How many times every question is asked, from 1 to 100.
    type: int
    default: 5
  timeout:
    description:
      - Seconds to wait for one answer, from 0.1 to 30.
      - The resolver has a timeout of its own, C(resolver.options.timeout_s) of the result.
    type: float
    default: 2
  deadline:
    description:
      - Seconds after which the module ends with what it has, from 1 to 300.
    type: float
    default: 30
  getaddrinfo:
    description: Whether to ask the C library as well.
    type: bool
    default: true
seealso:
  - module: nettriage.linux.http_probe
  - module: nettriage.linux.health_facts
"""

EXAMPLES = r"""
- name: Do the name servers of this host answer, and how fast?
  nettriage.linux.dns_probe:
  register: dns

- name: What happens when a program looks for "db"?
  nettriage.linux.dns_probe:
    names: [db]
  register: dns

- name: Say what is wrong
  ansible.builtin.debug:
    msg: "{{ {'dns': dns} | nettriage.linux.findings }}"

- name: Compare two servers, from the network of one container
  nettriage.linux.dns_probe:
    names: [www.example.com]
    servers: [192.0.2.53, "[2001:db8::53]:5353"]
    count: 20
    netns: pid:4711
"""

RETURN = r"""
available:
  description: Always V(true); the result has the form of the facts' subset C(dns).
  returned: success
  type: bool
limited:
  description: One sentence for each thing that could not be seen.
  returned: success
  type: list
  elements: str
  sample: []
resolver:
  description: What the C library takes from C(resolv.conf), as in C(nettriage.resolver) of the facts.
  returned: success
  type: dict
  contains:
    path:
      description: The file that was read. Null where it could not be.
      type: str
    nameservers:
      description: The servers that are asked, at most three.
      type: list
      elements: str
    nameservers_ignored:
      description: The servers after the third, which are never asked.
      type: list
      elements: str
    search:
      description: The search domains.
      type: list
      elements: str
    options:
      description: C(ndots), C(timeout_s), C(attempts) and the switches.
      type: dict
servers:
  description: One row for each server, in the resolver's order.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The server's address.
      type: str
    port:
      description: The server's port.
      type: int
    position:
      description: Its place in the resolver's order, from 0.
      type: int
    source:
      description: V(resolv.conf) or V(option).
      type: str
    ignored:
      description: Whether the C library never asks it, since three stand before it.
      type: bool
    reachable:
      description: Whether it answered anything at all.
      type: bool
    error:
      description: Why it could not even be asked.
      type: str
    udp:
      description:
        - Single questions over UDP, each from a port of its own. Null where it was not wanted.
        - C(sent), C(answered), C(timeouts); C(errors) by kind (V(refused), V(unreachable), V(not_permitted));
          C(rcodes); C(truncated); C(latency_ms) with C(min), C(median), C(p95) and C(max).
        - C(late) counts answers that came after the timeout, C(late_ms) tells when. C(wrong) counts datagrams that
          were no answer to what had been asked.
      type: dict
    tcp:
      description: The same over TCP, with C(connect_ms); C(latency_ms) is without it.
      type: dict
    truncated_retries:
      description: How many truncated answers were asked for again over TCP, and how many of these were answered.
      type: dict
      sample: {"answered": 1, "sent": 1}
    pairs:
      description:
        - A and AAAA at once from one port; C(lost) tells which of the two where only one was answered.
        - Null where the resolver does not ask so.
      type: dict
      sample: {"both_lost": 0, "complete": 6, "lost": {}, "one_lost": 0, "sent": 6}
names:
  description: One row for each name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: As it was given.
      type: str
    candidates:
      description:
        - The complete names that are tried, in order, and what the first server that answered said to each. Null is
          what need not be tried any more.
      type: list
      elements: dict
    candidates_total:
      description: How many there are.
      type: int
    queries_if_missing:
      description: How many queries it costs if no candidate exists.
      type: int
    queries_needed:
      description: How many queries it costs until one is found. Null where none is.
      type: int
    outcome:
      description: V(found), V(nxdomain), V(nodata), V(servfail), V(refused), V(timeout) and the like.
      type: str
    server:
      description: Who said so.
      type: str
    resolved_as:
      description: The candidate that was found.
      type: str
    aliases:
      description: The CNAMEs that led to the addresses.
      type: list
      elements: str
    addresses:
      description: What the server answered, at most 16.
      type: list
      elements: str
    addresses_total:
      description: How many there are.
      type: int
    ttl_s:
      description: How long the answer may be kept.
      type: int
    by_server:
      description: What each server says, where they do not agree on whether and as what the name exists; else empty.
      type: list
      elements: dict
    hosts_file:
      description: Addresses for this name in the hosts file, which normally precede those of servers.
      type: list
      elements: str
    getaddrinfo:
      description:
        - What the C library says. C(addresses), C(error), C(error_code), C(timed_out), C(runs) and C(latency_ms).
        - C(waited) counts the runs that took the resolver's own timeout or longer.
        - C(only_here) and C(only_in_answers) are the addresses in which both differ; C(differs) is whether they have
          none in common.
      type: dict
duration_ms:
  description: How long all of it took.
  returned: success
  type: float
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nettriage.linux.plugins.module_utils import compile_once

compile_once.enable()

from ansible_collections.nettriage.linux.plugins.module_utils.probe.dns_probe import dns_probe
from ansible_collections.nettriage.linux.plugins.module_utils.target import TARGET_SPEC, run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            "names": {"type": "list", "elements": "str", "default": []},
            "servers": {"type": "list", "elements": "str", "default": []},
            "protocols": {"type": "list", "elements": "str", "choices": ["udp", "tcp"], "default": ["udp", "tcp"]},
            "count": {"type": "int", "default": 5},
            "timeout": {"type": "float", "default": 2},
            "deadline": {"type": "float", "default": 30},
            "getaddrinfo": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    run(module, dns_probe)


if __name__ == "__main__":
    main()
