# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: keepalive_detection
short_description: How long until a dead peer of an idle connection is noticed, in seconds
version_added: 0.1.0
description:
  - The idle time before the first probe, and the interval for each probe that stays without an answer.
  - It holds for connections whose program asked for keepalive (C(SO_KEEPALIVE)) and set no times of its own.
author:
  - nettriage maintainers (@nettriage)
options:
  _input:
    description:
      - The kernel's settings by name, as in C(sysctl.values) of the facts, with C(net.ipv4.tcp_keepalive_time),
        C(net.ipv4.tcp_keepalive_intvl) and C(net.ipv4.tcp_keepalive_probes).
      - The last part of the names is enough.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: As this host is set
  ansible.builtin.debug:
    msg: "{{ ansible_facts['nettriage'].sysctl['values'] | nettriage.linux.keepalive_detection }}"

- name: As it would be (450 seconds)
  ansible.builtin.debug:
    msg: "{{ wanted | nettriage.linux.keepalive_detection }}"
  vars:
    wanted: {tcp_keepalive_time: 300, tcp_keepalive_intvl: 30, tcp_keepalive_probes: 5}
"""

RETURN = r"""
_value:
  description: The seconds.
  type: int
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.nettriage.linux.plugins.plugin_utils.arithmetic import keepalive_detection_s, positive

KEYS = ("tcp_keepalive_time", "tcp_keepalive_intvl", "tcp_keepalive_probes")


def keepalive_detection(values: Mapping[str, Any]) -> int:
    try:
        if not isinstance(values, Mapping):
            raise ValueError(f"{values!r} is not accepted; give a mapping with {', '.join(KEYS)}")
        return int(keepalive_detection_s(*(positive(key, _value(values, key)) for key in KEYS)))
    except ValueError as error:
        raise AnsibleFilterError(f"nettriage.linux.keepalive_detection: {error}") from error


def _value(values: Mapping[str, Any], key: str) -> Any:
    return values.get(f"net.ipv4.{key}", values.get(key))


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"keepalive_detection": keepalive_detection}
