# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils import since
from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import evaluate

LONG = 11520.0


def facts(past: dict[str, Any] | None = None, seconds: float = LONG, **own: Any) -> dict[str, Any]:
    counters = {"TcpExt": {"TCPTimeWaitOverflow": 9, "SyncookiesSent": 500}, "Ip": {"OutNoRoutes": 50}}
    return {
        "meta": {"interval_s": 1.0, "uptime_s": 90000},
        "tcp": {
            "counters": counters,
            "delta": {group: dict.fromkeys(table, 0) for group, table in counters.items()},
            "derived": {"memory_ratio": 0.1},
        },
        "routes": {"default": [{}]},
        "since": {"available": True, "seconds": seconds, "tcp": {"delta": past or {}, "derived": {}}},
        **own,
    }


def test_what_only_the_long_window_saw_is_past_and_less_severe() -> None:
    (finding,) = evaluate(facts({"TcpExt": {"TCPTimeWaitOverflow": 3}}))
    assert finding["id"] == "tcp.time_wait_overflow"
    assert finding["severity"] == "info"
    assert finding["title"].startswith("Since the last audit, 3 h 12 min ago: More connections in TIME_WAIT")
    assert finding["evidence"]["time_wait_overflow_delta"] == 3
    assert finding["evidence"]["window"] == "since the last audit, 3 h 12 min"


@pytest.mark.parametrize(("seconds", "severity"), [(299, "warning"), (301, "info")])
def test_a_short_window_speaks_of_now(seconds: float, severity: str) -> None:
    (finding,) = evaluate(facts({"TcpExt": {"TCPTimeWaitOverflow": 3}}, seconds))
    assert finding["severity"] == severity


def test_both_windows_are_told() -> None:
    given = facts({"TcpExt": {"TCPTimeWaitOverflow": 30}})
    given["tcp"]["delta"]["TcpExt"]["TCPTimeWaitOverflow"] = 2
    (finding,) = evaluate(given)
    assert finding["severity"] == "warning"
    assert finding["evidence"]["window"] == "1.0 s sample"
    assert finding["evidence"]["time_wait_overflow_delta"] == 2
    assert finding["evidence"]["since_last_audit"] == {"window": "3 h 12 min", "time_wait_overflow_delta": 30}


def test_without_a_baseline_nothing_is_different() -> None:
    given = facts({"TcpExt": {"TCPTimeWaitOverflow": 30}})
    given["tcp"]["delta"]["TcpExt"]["TCPTimeWaitOverflow"] = 2
    with_one = evaluate(given)
    alone = evaluate({**given, "since": {"available": False, "why": "x"}})
    assert alone == evaluate({name: part for name, part in given.items() if name != "since"})
    assert "window" not in alone[0]["evidence"] and "since_last_audit" in with_one[0]["evidence"]


def test_a_rule_about_states_is_not_asked_twice() -> None:
    listener = {"address": "::", "port": 80, "accept_queue": 9, "accept_queue_before": 9, "backlog": 8, "fill": 1.1}
    sockets = {"tcp": {"listeners": [{**listener, "drops_delta": 0, "processes": []}]}}
    (finding,) = evaluate(facts(sockets=sockets))
    assert finding["id"] == "tcp.accept_queue" and not finding["title"].startswith("Since")
    assert "since_last_audit" not in finding["evidence"]


@pytest.mark.parametrize(("sent", "found"), [(20, []), (5000, ["tcp.syn_flood"])])
def test_so_many_in_hours_are_not_so_many_in_a_second(sent: int, found: list[str]) -> None:
    """Twenty cookies in an interval are a flood; in three hours they are nothing."""
    given = facts({"TcpExt": {"SyncookiesSent": sent}})
    given["since"]["tcp"]["derived"]["syncookie_return_ratio"] = 0.0
    assert [each["id"] for each in evaluate(given)] == found
    given["tcp"]["delta"]["TcpExt"]["SyncookiesSent"] = sent
    given["tcp"]["derived"]["syncookie_return_ratio"] = 0.0
    assert "tcp.syn_flood" in [each["id"] for each in evaluate(given)]


def test_an_interface_and_a_socket_of_the_past() -> None:
    row = {"name": "eth0", "virtual": False, "errors_delta": {"crc": 0}, "delta": {}, "error_ratio": 0.0, "qdisc": []}
    past = {"name": "eth0", "errors_delta": {"crc": 4}, "error_ratio": 0.00001}
    datagrams = {"address": "0.0.0.0", "port": 53, "drops_delta": 0, "processes": []}
    given = facts(
        nic={"interfaces": [row, {**row, "name": "eth1"}]},
        sockets={"udp": {"sockets": [datagrams, {**datagrams, "port": 54}]}},
    )
    given["since"]["nic"] = {"interfaces": [past]}
    given["since"]["sockets"] = {"udp": {"sockets": [{"address": "0.0.0.0", "port": 54, "drops_delta": 7}]}}
    found = {(each["id"], each["subject"]): each for each in evaluate(given)}
    assert set(found) == {("nic.physical_errors", "eth0"), ("udp.receive_errors", "0.0.0.0:54")}
    assert found["udp.receive_errors", "0.0.0.0:54"]["evidence"]["drops_delta"] == 7


@pytest.mark.parametrize("damaged", [None, [], {"available": True}, {"available": True, "seconds": "x"},
                                     {"available": True, "seconds": 5, "tcp": 3, "nic": {"interfaces": [1]},
                                      "sockets": {"tcp": []}, "routes": None}])  # fmt: skip
def test_a_damaged_since_finds_nothing(damaged: Any) -> None:
    assert evaluate(facts(since=damaged)) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.4, "4 s"), (119, "119 s"), (120, "2 min"), (3599, "59 min"), (LONG, "3 h 12 min"), (187200, "2 d 4 h")],
)
def test_lengths(seconds: float, text: str) -> None:
    assert since.duration(seconds) == text
