# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of drop_trace, its facts, and who the threads and ports are."""

from __future__ import annotations

import os
import pathlib
import socket
import threading
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.probe.drop_trace import TOPICS, drop_trace
from ansible_collections.nettriage.linux.plugins.module_utils.probe.drop_trace_events import (
    Connections,
    Drops,
    Flow,
    Resets,
    Retransmits,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe.drop_trace_names import Listeners, Threads, text
from ansible_collections.nettriage.linux.plugins.module_utils.probe.drop_trace_report import Report

PARAMS: dict[str, Any] = {"duration": 1.0, "events": list(TOPICS), "top": 10}
_NOWHERE = socket.inet_aton("192.0.2.1")
_PEER = socket.inet_aton("192.0.2.2")


@pytest.mark.parametrize(
    ("option", "value"),
    [("duration", 0.0), ("duration", 61.0), ("duration", float("nan")), ("events", []), ("events", ["drops", "x"])],
)
def test_options_that_cannot_be_used(option: str, value: object) -> None:
    with pytest.raises(BadOption, match=option):
        drop_trace(Host(), {**PARAMS, option: value})


def test_recorded_files_cannot_be_traced(tmp_path: pathlib.Path) -> None:
    found = drop_trace(Host(str(tmp_path), str(tmp_path)), PARAMS)
    assert found["available"] is False and "recorded files" in found["why"] and found["limited"] == []


def test_a_kernel_without_tracefs(tmp_path: pathlib.Path) -> None:
    found = drop_trace(Host("/proc", str(tmp_path)), PARAMS)
    assert found["available"] is False and "this kernel has no tracefs" in found["why"]


@pytest.fixture
def limited() -> list[str]:
    return []


def report(limited: list[str], top: int = 10, **lost: int) -> Report:
    return Report(Host(), top, 2.0, {"drops": 0, "tcp": 0, **lost}, limited)


def test_drops_by_reason_and_protocol(limited: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    drops = Drops()
    drops.has_reason, drops.names = True, {3: "NO_SOCKET", 12: "NETFILTER_DROP"}
    for key, count in {(10, 0x0800, 3): 4, (20, 0x0800, 3): 6, (10, 0x86DD, 3): 1, (30, 0x0800, 12): 20}.items():
        drops.table.add(key, count)
    made = report(limited, 2, drops=18)
    monkeypatch.setattr(made, "_functions", lambda __: {})
    found = made.drops(drops)
    assert found is not None
    assert (found["total"], found["lost"], found["per_s"]) == (31, 18, 24.5)
    assert [(row["reason"], row["protocol"], row["count"], row["per_s"]) for row in found["reasons"]] == [
        ("NETFILTER_DROP", "ipv4", 20, 10.0),
        ("NO_SOCKET", "ipv4", 10, 5.0),
    ]
    assert found["reasons"][1]["locations"] == [{"function": None, "module": None, "count": 10}]
    assert limited == ["18 drops came faster than they are read: they are counted, and no more"]


def test_what_kernels_do_not_tell_of_drops(limited: list[str]) -> None:
    assert report(limited).drops(Drops()) == {"total": 0, "per_s": 0.0, "lost": 0, "reasons": []}
    assert "names no reasons" in limited[0]
    nameless = Drops()
    nameless.has_reason = True
    report(limited).drops(nameless)
    assert "numbers only" in limited[1]


def test_topics_that_were_not_watched_are_null(limited: list[str]) -> None:
    made = report(limited)
    assert made.drops(None) is made.retransmits(None) is made.resets(None) is None
    assert made.connections(None, threads()) is None


def test_ports_of_one_connection_only_are_left_out(limited: list[str]) -> None:
    retransmits, resets = Retransmits(), Resets()
    for number in range(5):
        retransmits.table.add((Flow(_NOWHERE, 50000 + number, _PEER, 443), "established"), 2)
        resets.sent.add(Flow(_NOWHERE, 80, _PEER, 50000 + number))
        resets.received.add(Flow(_NOWHERE, 80, _PEER, 50100 + number))
    resets.received.add(Flow(_NOWHERE, 80, _PEER, 81))
    made = report(limited)
    out = {"local_address": "192.0.2.1", "local_port": None, "address": "192.0.2.2", "port": 443}
    found = made.retransmits(retransmits)
    assert found == {"total": 10, "per_s": 5.0, "destinations": [{**out, "state": "established", "count": 10}]}
    into = {"local_address": "192.0.2.1", "local_port": 80, "address": "192.0.2.2", "port": None}
    assert made.resets(resets) == {
        "sent": 5,
        "received": 6,
        "reasons": [],
        "peers": [{**into, "sent": 5, "received": 5}, {**into, "port": 81, "sent": 0, "received": 1}],
    }


def test_a_listener_keeps_its_port_among_the_ephemeral_ones() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        listeners = Listeners(Host())
        loopback = socket.inet_aton("127.0.0.1")
        assert listeners.ends(Flow(loopback, port, loopback, 50001)) == (port, None)
        assert listeners.ends(Flow(loopback, 50001, loopback, port)) == (None, port)
        owners = listeners.owners([(loopback, port), (_NOWHERE, port)])
        assert [who["pid"] for who in owners.values()] == [os.getpid()]


def threads(visible: bool = True, **commands: str) -> Threads:
    """As if the procfs showed the initial pid namespace, in which the test may not run."""
    made = Threads(Host(), lambda: {int(name[1:]): command for name, command in commands.items()})
    made.visible = visible
    return made


def test_connections_by_process(limited: list[str]) -> None:
    who = threads(t4000001="curl", t4000002="curl")
    found = Connections(who.see)
    found.outbound.add((os.getpid(), _PEER, 443), 3)
    found.failed.add((os.getpid(), _PEER, 443), 2)
    who.see(os.getpid())
    for gone in (4000001, 4000002):
        found.outbound.add((gone, _PEER, 80), 1)
        who.see(gone)
    who.catch_up()
    found.inbound.add((_NOWHERE, 8080), 4)
    facts = report(limited).connections(found, who)
    assert facts is not None
    assert [facts[name] for name in ("total", "outbound", "inbound", "failed")] == [9, 5, 4, 2]
    foreign, own, curl = facts["processes"]
    assert foreign["pid"] is foreign["command"] is None
    assert foreign["listeners"] == [{"address": "192.0.2.1", "port": 8080, "count": 4}] and foreign["inbound"] == 4
    assert own["pid"] == os.getpid() and own["failed"] == 2
    assert own["destinations"] == [{"address": "192.0.2.2", "port": 443, "count": 3, "failed": 2}]
    assert (curl["command"], curl["processes"], curl["outbound"], curl["failed"]) == ("curl", 2, 2, 0)
    assert limited == []


def test_threads_of_a_hidden_pid_namespace(limited: list[str]) -> None:
    who = threads(visible=False, **{f"t{os.getpid()}": "curl"})
    found = Connections(who.see)
    found.outbound.add((os.getpid(), _PEER, 443))
    who.see(os.getpid())
    who.catch_up()
    facts = report(limited).connections(found, who)
    assert facts is not None and [(row["pid"], row["command"]) for row in facts["processes"]] == [(None, "curl")]
    assert "another pid namespace" in limited[0]


def test_a_thread_is_its_process() -> None:
    who = threads()
    numbers: list[int] = []

    def work() -> None:
        numbers.append(threading.get_native_id())
        who.see(numbers[0])

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert numbers != [os.getpid()] and who.of(numbers[0])["pid"] == os.getpid()
    assert who.of(4000001) == {"pid": None, "command": None, "unit": None, "container": None}


def test_addresses_are_written_as_usual() -> None:
    assert text(_PEER) == "192.0.2.2" and text(bytes(15) + b"\1") == "::1"
