#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: peer_look
short_description: Has each host of a play look at its peers, in one round trip
version_added: 0.1.0
description:
  - Decides on the controller whom the host looks at, and who connects to it, and runs M(nettriage.linux.peer_facts) on
    it with that.
  - A host that is on neither end is skipped.
  - Needs the Python packages C(jmespath) and C(netaddr) on the controller.
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes.controller
  - nettriage.linux.attributes
  - nettriage.linux.pairs
options:
  urls:
    description: URLs that the sources request.
    type: list
    elements: str
    default: []
  names:
    description: Names that the sources look up.
    type: list
    elements: str
    default: []
  port:
    description: The TCP port of the service. See M(nettriage.linux.peer_facts).
    type: int
  gather_subset:
    description: Which facts of the host to gather. See M(nettriage.linux.peer_facts).
    type: list
    elements: str
  interval:
    description: Seconds between the two samples of the facts. See M(nettriage.linux.peer_facts).
    type: float
  top:
    description: How many rows a list of the facts may have. See M(nettriage.linux.peer_facts).
    type: int
  method:
    description: What paths are probed with. See M(nettriage.linux.peer_facts).
    type: str
  cycles:
    description: How often each target is probed. See M(nettriage.linux.peer_facts).
    type: int
  probe_interval:
    description: Seconds between two probes of a target. See M(nettriage.linux.peer_facts).
    type: float
  timeout:
    description: After so many seconds without an answer a probe is lost. See M(nettriage.linux.peer_facts).
    type: float
  time_limit:
    description: After so many seconds the probes end. See M(nettriage.linux.peer_facts).
    type: float
  validate_certs:
    description: Whether certificates are checked. See M(nettriage.linux.peer_facts).
    type: bool
  ca_path:
    description: The certificates to trust. See M(nettriage.linux.peer_facts).
    type: str
  netns:
    description: The network namespace to look into. See M(nettriage.linux.peer_facts).
    type: str
  procfs:
    description: Where procfs is mounted. See M(nettriage.linux.peer_facts).
    type: str
  sysfs:
    description: Where sysfs is mounted. See M(nettriage.linux.peer_facts).
    type: str
seealso:
  - module: nettriage.linux.peer_facts
  - module: nettriage.linux.triage_report
  - module: nettriage.linux.mesh_report
"""

EXAMPLES = r"""
- name: Every web server looks at every database, and these at who connects to them
  nettriage.linux.peer_look:
    sources: web
    destinations: db
    address_variable: triage_address
    port: 5432
  register: seen
  ignore_unreachable: true
  failed_when: false
"""

RETURN = r"""
ansible_facts:
  description: The facts that M(nettriage.linux.peer_facts) returns, as one JSON string.
  returned: success
  type: dict
"""
