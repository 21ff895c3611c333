#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: health_facts
short_description: Network health of a host in one round trip
version_added: 0.1.0
description:
  - Asks the kernel for sockets, protocol counters, interfaces, connection tracking, sysctls, routes, neighbours and
    the resolver's configuration, and returns them as one bounded structure.
  - With O(targets), O(urls) or O(names) it probes them as well, after everything else was sampled, so that what the
    probes cause is not counted as the host's own.
  - Nothing is judged here. Give the facts to the filter P(nettriage.linux.findings#filter).
  - Whatever cannot be had, for want of privilege or of a kernel feature, is marked as unavailable with the reason.
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes
  - nettriage.linux.attributes.read_only
  - nettriage.linux.attributes.facts
  - nettriage.linux.health
  - nettriage.linux.target
  - nettriage.linux.target.sampling
seealso:
  - module: nettriage.linux.socket_facts
  - module: nettriage.linux.tcp_counters
  - module: nettriage.linux.nic_health
  - module: nettriage.linux.conntrack_facts
  - module: nettriage.linux.path_probe
  - module: nettriage.linux.pmtu_probe
  - module: nettriage.linux.http_probe
  - module: nettriage.linux.dns_probe
"""

EXAMPLES = r"""
- name: Look at everything, with the change of every counter over one second
  nettriage.linux.health_facts:
    interval: 1

- name: Say what is wrong
  ansible.builtin.debug:
    msg: "{{ ansible_facts['nettriage'] | nettriage.linux.findings }}"

- name: Look at everything in every container, pod and other network namespace as well
  nettriage.linux.health_facts:
    interval: 1
    netns: all

- name: What has happened since this task ran the last time, without waiting for anything
  nettriage.linux.health_facts:
    baseline: true

- name: Sockets and counters of one container only
  nettriage.linux.health_facts:
    gather_subset: [sockets, tcp]
    netns: pid:4711

- name: Everything, and how this host reaches what it depends on
  nettriage.linux.health_facts:
    interval: 1
    targets: [db1.example.com, 2001:db8::7]
    urls: [https://api.example.com/health]
    names: [db1.example.com]
"""

RETURN = r"""
ansible_facts:
  description: The facts, below one key.
  returned: always
  type: dict
  contains:
    nettriage:
      description:
        - The subsets C(meta), C(sockets), C(tcp), C(nic), C(conntrack), C(sysctl), C(routes) and C(resolver), and
          C(path), C(pmtu), C(http) and C(dns), as far as they were asked for, C(namespaces) with O(netns=all), and
          C(since) with O(baseline). See C(docs/facts.md) of the collection for every field.
        - A string with O(as_json=true).
      returned: always
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nettriage.linux.plugins.module_utils import compile_once

compile_once.enable()

from ansible_collections.nettriage.linux.plugins.module_utils.collect.health import HEALTH_SPEC, health
from ansible_collections.nettriage.linux.plugins.module_utils.target import run


def main() -> None:
    run(AnsibleModule(argument_spec=HEALTH_SPEC, supports_check_mode=True), health, all_namespaces=True)


if __name__ == "__main__":
    main()
