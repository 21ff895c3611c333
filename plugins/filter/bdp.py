# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: bdp
short_description: Bandwidth-delay product of a path, in bytes
version_added: 0.1.0
description:
  - How many bytes are under way when a path is full. One connection needs a buffer of that size to fill it, and twice
    as much while it recovers from a loss.
positional: _input, rtt_ms
author:
  - nettriage maintainers (@nettriage)
options:
  _input:
    description: The bandwidth in Mbit/s (a million bits a second).
    type: float
    required: true
  rtt_ms:
    description: The round-trip time in milliseconds.
    type: float
    required: true
"""

EXAMPLES = r"""
- name: What a connection needs to fill 1 Gbit/s over 80 ms (10000000 bytes)
  ansible.builtin.debug:
    msg: "{{ 1000 | nettriage.linux.bdp(80) }}"

- name: Whether the send buffers may grow so far
  ansible.builtin.debug:
    msg: "{{ values['net.ipv4.tcp_wmem'][2] >= 2 * (1000 | nettriage.linux.bdp(80)) }}"
  vars:
    values: "{{ ansible_facts['nettriage'].sysctl['values'] }}"
"""

RETURN = r"""
_value:
  description: The bytes, rounded up.
  type: int
"""

from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.nettriage.linux.plugins.plugin_utils.arithmetic import bdp_bytes, positive


def bdp(bandwidth_mbps: float, rtt_ms: float) -> int:
    try:
        return bdp_bytes(positive("rtt_ms", rtt_ms), positive("the bandwidth in Mbit/s", bandwidth_mbps))
    except ValueError as error:
        raise AnsibleFilterError(f"nettriage.linux.bdp: {error}") from error


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"bdp": bdp}
