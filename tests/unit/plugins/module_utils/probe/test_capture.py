# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of packet_capture, and what becomes of them."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.probe import capture_tcpdump
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture import packet_capture
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_filter import wanted

_PARAMS: dict[str, Any] = {
    "netns": None, "interface": "any", "duration": 0.1, "max_packets": 10, "max_bytes": 1 << 20, "snaplen": 0,
    "ring": False,
    "path": None, "hosts": [], "ports": [], "protocols": [], "filter": None, "engine": "auto", "top": 10,
}  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"duration": 0}, "duration: 0"),
        ({"duration": 3601}, "duration: 3601"),
        ({"max_packets": 0}, "max_packets: 0"),
        ({"max_bytes": 10}, "max_bytes: 10"),
        ({"snaplen": -1}, "snaplen: -1"),
        ({"top": 0}, "top: 0"),
        ({"hosts": ["nobody"]}, "hosts: 'nobody'"),
        ({"interface": "nosuch0"}, "interface: 'nosuch0' is not accepted; give any, or one of lo"),
        ({"engine": "tcpdump", "interface": "-r"}, "interface: '-r'"),
        ({"filter": "tcp", "ports": [80]}, "either a filter, or hosts"),
        ({"filter": "tcp", "engine": "af_packet"}, "only tcpdump can compile"),
        ({"filter": "tcp\n"}, "pcap-filter"),
        ({"ring": True}, "ring: True is not accepted; give false, or a path as well"),
        ({"ring": True, "path": "/a", "max_bytes": 9999}, "max_bytes: 9999"),
        ({"path": "relative.pcap"}, "path: 'relative.pcap'"),
    ],
)
def test_wrong_options_are_one_sentence(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadOption, match=said):
        packet_capture(Host(), {**_PARAMS, **options})


def test_recorded_files_have_no_packets(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Unavailable, match="recorded files"):
        packet_capture(Host(str(tmp_path), str(tmp_path)), _PARAMS)


def test_without_tcpdump(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_tcpdump, "PLACES", ("/nonexistent",))
    with pytest.raises(Unavailable, match="tcpdump is in none of /nonexistent; hosts, ports and protocols do without"):
        packet_capture(Host(), {**_PARAMS, "filter": "tcp"})


def test_what_is_wanted_in_the_words_of_tcpdump() -> None:
    want = wanted(["192.0.2.1", "2001:db8::/32"], [80, 443], ["tcp", "icmpv6"])
    assert capture_tcpdump.expressed(want) == (
        "(host 192.0.2.1 or net 2001:db8::/32) and (port 80 or port 443) and (tcp or icmp6)"
    )
    assert capture_tcpdump.expressed(wanted([], [], [])) == ""
