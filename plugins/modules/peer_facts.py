#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: peer_facts
short_description: What one end knows about its peers, measured and asked within one interval
version_added: 0.1.0
description:
  - Gathers the same facts as M(nettriage.linux.health_facts), and between their two samples it probes some peers, so
    that the change of every counter is that of the time of the probes.
  - For each target it asks the kernel for the route, the interface and the next hop, traces the path
    (M(nettriage.linux.path_probe)), looks for its MTU (M(nettriage.linux.pmtu_probe)), connects to O(port), requests
    O(urls) (M(nettriage.linux.http_probe)) and looks up O(names) (M(nettriage.linux.dns_probe)). All of it happens at
    the same time.
  - It tells the listeners on O(port) of this host, and the connections with O(targets) and O(clients) that have that
    port on one side, with what has changed on each.
  - One end alone sees half of a connection. Run on both ends at the same time it is what the role C(triage) joins.
  - Needs no privilege. Without it, processes of other users have no names, and paths are probed by UDP.
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes
  - nettriage.linux.attributes.facts
  - nettriage.linux.attributes.read_only
  - nettriage.linux.target
options:
  targets:
    description:
      - Host names or addresses to probe, at most 64, all at the same time. May be empty.
      - A name that cannot be resolved is a result, and no failure of the module.
    type: list
    elements: str
    default: []
  clients:
    description:
      - Host names or addresses of peers that connect to this host. They are not probed.
    type: list
    elements: str
    default: []
  port:
    description:
      - The TCP port of the service, at the targets or here.
    type: int
  urls:
    description: URLs to request, V(http) or V(https), at most 20.
    type: list
    elements: str
    default: []
  names:
    description: Names to look up, at most 20.
    type: list
    elements: str
    default: []
  gather_subset:
    description:
      - Which facts of the host to gather, see M(nettriage.linux.health_facts).
    type: list
    elements: str
    default: [all]
  interval:
    description:
      - Seconds between the two samples of the facts. It should be as long as the probes take.
    type: float
    default: 5
  top:
    description:
      - How many rows a list of the result may have at most, worst first.
    type: int
    default: 10
  method:
    description:
      - What paths are probed with, see M(nettriage.linux.path_probe).
    type: str
    choices: [auto, udp, icmp, tcp]
    default: auto
  cycles:
    description:
      - How often each target is probed. The smaller it is, the less can be said about little loss.
      - By UDP, which is what is left without privilege, it is eight times at most, for that can be done only once a
        second.
    type: int
    default: 40
  probe_interval:
    description:
      - Seconds between two probes of a target.
    type: float
    default: 0.1
  timeout:
    description:
      - After so many seconds without an answer a probe of the path is lost.
    type: float
    default: 1
  time_limit:
    description:
      - After so many seconds the probes end with what is known by then.
    type: float
    default: 20
  validate_certs:
    description:
      - Whether certificates of O(urls) are checked. They are described in either case.
    type: bool
    default: true
  ca_path:
    description:
      - A file or directory with the certificates to trust in PEM form, instead of the target's own.
    type: path
  as_json:
    description:
      - Return the facts as one compact JSON string instead of a structure.
    type: bool
    default: false
seealso:
  - module: nettriage.linux.health_facts
  - module: nettriage.linux.path_probe
  - module: nettriage.linux.http_probe
"""

EXAMPLES = r"""
- name: What does this host see on its way to the database?
  nettriage.linux.peer_facts:
    targets: [db1.example.com]
    port: 5432

- name: Say what is wrong
  ansible.builtin.debug:
    msg: "{{ ansible_facts['nettriage'] | nettriage.linux.findings }}"
"""

RETURN = r"""
ansible_facts:
  description: Facts to add to C(ansible_facts).
  returned: always
  type: dict
  contains:
    nettriage:
      description:
        - The subsets of M(nettriage.linux.health_facts) that O(gather_subset) names, C(path), C(pmtu), C(http) and
          C(dns) as far as there was something to probe, and C(peers).
        - Their fields are described in C(docs/facts.md) of the collection.
      returned: always
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nettriage.linux.plugins.module_utils import compile_once

compile_once.enable()

from ansible_collections.nettriage.linux.plugins.module_utils.probe.peer_facts import peer_facts
from ansible_collections.nettriage.linux.plugins.module_utils.target import TARGET_SPEC, run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            "targets": {"type": "list", "elements": "str", "default": []},
            "clients": {"type": "list", "elements": "str", "default": []},
            "port": {"type": "int"},
            "urls": {"type": "list", "elements": "str", "default": []},
            "names": {"type": "list", "elements": "str", "default": []},
            "gather_subset": {"type": "list", "elements": "str", "default": ["all"]},
            "interval": {"type": "float", "default": 5},
            "top": {"type": "int", "default": 10},
            "method": {"type": "str", "choices": ["auto", "udp", "icmp", "tcp"], "default": "auto"},
            "cycles": {"type": "int", "default": 40},
            "probe_interval": {"type": "float", "default": 0.1},
            "timeout": {"type": "float", "default": 1},
            "time_limit": {"type": "float", "default": 20},
            "validate_certs": {"type": "bool", "default": True},
            "ca_path": {"type": "path"},
            "as_json": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run(module, peer_facts)


if __name__ == "__main__":
    main()
