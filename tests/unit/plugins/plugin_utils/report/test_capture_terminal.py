# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import evaluate
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.capture_terminal import table
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import width

_WAY = {"source": "192.0.2.9", "destination": "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"}
_QUIET: dict[str, Any] = {
    "talkers": [],
    "syn_unanswered": {"destinations": []},
    "resets": {"refused_by": [], "senders": []},
    "retransmits": {"paths": []},
    "zero_windows": {"receivers": []},
    "too_big": {"routers": []},
    "unreachable": {"senders": []},
    "fragments": {"senders": []},
}
_SICK: dict[str, Any] = {
    "talkers": [{**_WAY, "protocol": "tcp", "bytes": 4000000, "packets": 9, "mbps": 3.2}],
    "syn_unanswered": {"destinations": [{"address": "192.0.2.10", "port": 81, "connections": 3, "syns": 9}] * 2},
    "resets": {
        "refused_by": [{"address": "2001:db8::1", "port": 82, "connections": 1}],
        "senders": [
            {"address": "192.0.2.10", "role": "server", "peer": "192.0.2.9", "service_port": 80, "after": "data",
             "connections": 4}
        ],
    },
    "retransmits": {
        "paths": [{**_WAY, "service_port": 80, "segments": 100, "retransmits": 20, "ratio": 0.2, "out_of_order": 3}]
    },
    "zero_windows": {
        "receivers": [{"address": "192.0.2.10", "role": "server", "peer": "a", "service_port": 80, "closed_ms": 900.0}]
    },
    "too_big": {"routers": [{**_WAY, "router": "192.0.2.1", "mtu": 1400, "packets": 2}]},
    "unreachable": {
        "senders": [{"sender": "192.0.2.1", "what": "host unreachable", "destination": "192.0.2.77", "port": None}]
    },
    "fragments": {"senders": [{**_WAY, "protocol": "udp", "packets": 12}]},
}  # fmt: skip
_RESULT: dict[str, Any] = {
    "interface": "eth0", "netns": None, "packets": 1, "bytes": 2048, "received": 9, "dropped": 0, "drop_ratio": 0.0,
    "duration_s": 10.02, "truncated_by": "duration", "limited": [], "summary": _QUIET,
}  # fmt: skip


def _lines(columns: int = 80, files: dict[str, str] | None = None, **results: Any) -> list[str]:
    return [line for line, __ in table(results, columns, files)]


def test_a_host_where_nothing_is_wrong() -> None:
    assert _lines(web=_RESULT) == ["web: 1 packet, 2 KiB in 10.0 s on eth0", "  nothing unusual"]
    assert _lines(web={**_RESULT, "packets": 0})[-1] == "  no packet came by"


def test_what_is_wrong_is_named_worst_first() -> None:
    text = "\n".join(_lines(120, {"web": "/x/web.pcap"}, web={**_RESULT, "summary": _SICK, "netns": "blue"}))
    for line in (
        "on eth0 in blue",
        "SYN unanswered  3 to 192.0.2.10:81 (+1)",
        "refused         1 by [2001:db8::1]:82",
        "reset           4 by server 192.0.2.10, port 80, after data",
        "retransmits     20 % (20 of 100) 192.0.2.9 > 2001:db8:aaaa:",
        "zero window     900 ms by server 192.0.2.10, port 80",
        "too big         mtu 1400 says 192.0.2.1 about 2001:",
        "unreachable     host unreachable says 192.0.2.1 about 192.0.2.77",
        "fragments       12 192.0.2.9 >",
        "tcp, 3.2 Mbit/s",
        "file            /x/web.pcap",
    ):
        assert line in text
    assert "nothing unusual" not in text


def test_overtaking_is_shown_where_nothing_was_sent_again() -> None:
    row = {**_SICK["retransmits"]["paths"][0], "retransmits": 0}
    text = "\n".join(_lines(web={**_RESULT, "summary": {**_QUIET, "retransmits": {"paths": [row]}}}))
    assert "out of order    3 of 100 192.0.2.9 >" in text


def test_what_the_capture_lost_comes_first() -> None:
    assert _lines(web={**_RESULT, "dropped": 3})[1] == "  capture lost    3 of 9 packets"
    assert _lines(web={**_RESULT, "dropped": None})[1] == "  capture lost    unknown"


def test_limits_and_gaps_are_told() -> None:
    lines = _lines(web={**_RESULT, "truncated_by": "bytes", "limited": ["eth0 is down"]})
    assert lines[0].endswith("ended by max_bytes") and "  limited         eth0 is down" in lines


def test_hosts_that_could_not() -> None:
    lines = _lines(web={"msg": "capturing packets needs CAP_NET_RAW"}, db=None)
    assert lines[0] == "web: nothing captured: capturing packets needs CAP_NET_RAW"
    assert lines[2] == "db: nothing captured: it had dropped out of the play before"


@pytest.mark.parametrize(
    "wrong", [{"summary": 7}, {**_RESULT, "summary": {}}, {**_RESULT, "packets": "x", "bytes": []}]
)
def test_a_host_that_answers_anything_costs_the_others_nothing(wrong: dict[str, Any]) -> None:
    lines = _lines(web=wrong, db=_RESULT)
    assert lines[0].startswith("web: ") and lines[-2:] == _lines(db=_RESULT)


def test_the_findings_colour_the_lines() -> None:
    result = {**_RESULT, "summary": _SICK}
    colours = dict(table({"web": result}, 200, None, {"web": evaluate({"capture": result})}))
    assert colours["  SYN unanswered  3 to 192.0.2.10:81 (+1)"] == "red"
    assert colours["  zero window     900 ms by server 192.0.2.10, port 80"] == "yellow"


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_no_line_is_too_wide_and_no_character_moves_the_cursor(columns: int) -> None:
    wild = {**_RESULT, "summary": _SICK, "interface": "\x1b[2J" * 30, "limited": ["\x1b" * 200]}
    for line in _lines(columns, {"web\x1b": "/" + "x" * 300}, **{"web\x1b": wild, "db": {"msg": "\x1b" * 300}}):
        assert width(line) <= columns and "\x1b" not in line
