# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import pathlib
import socket
from typing import Any, Iterator

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_connections import socket_facts
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.tests.unit.diag_messages import FIXTURES

DEFAULTS: dict[str, Any] = {
    "interval": 0,
    "top": 10,
    "connections": False,
    "states": None,
    "address": None,
    "port": None,
    "process": None,
    "limit": 100,
}


def ask(host: Host, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = socket_facts(host, {**DEFAULTS, **options})["ansible_facts"]["nettriage_sockets"]
    return found


@pytest.fixture
def recorded() -> Host:
    return Host(f"{FIXTURES}/6.18/proc", FIXTURES)


def test_rows_come_only_on_request(recorded: Host) -> None:
    assert "connections" not in ask(recorded)
    found = ask(recorded, connections=True)
    assert found["connections_total"] == len(found["connections"]) == 38


@pytest.mark.parametrize(
    ("options", "total"),
    [
        ({"states": ["close-wait"]}, 3),
        ({"states": ["CLOSE_WAIT", "listen"]}, 11),
        ({"states": ["all"]}, 38),
        ({"port": 9090}, 3),
        ({"address": "192.0.2.0/24"}, 2),
        ({"address": "192.0.2.9"}, 2),
        ({"address": "::1"}, 2),
        ({"address": "::ffff:127.0.0.0/104", "port": 8086}, 2),
        ({"address": "127.0.0.0/8", "port": 8086}, 2),
        ({"address": "0.0.0.0/0", "states": ["syn_sent"]}, 3),
        ({"address": "::/0", "states": ["established"]}, 2),
        ({"port": 8086, "states": ["listen"]}, 1),
        ({"port": 1}, 0),
        ({"process": "nobody"}, 0),
    ],
)
def test_filters(recorded: Host, options: dict[str, Any], total: int) -> None:
    found = ask(recorded, **options)
    assert found["connections_total"] == len(found["connections"]) == total


def test_the_limit_cuts_rows_but_not_the_count(recorded: Host) -> None:
    found = ask(recorded, connections=True, limit=5)
    assert (found["connections_total"], len(found["connections"])) == (38, 5)


@pytest.mark.parametrize(
    ("option", "value", "accepted"),
    [
        ("states", ["established", "foo"], "time_wait"),
        ("address", "10.0.0.0/33", "prefix"),
        ("address", "host.example", "prefix"),
        ("address", "", "prefix"),
        ("port", 0, "65535"),
        ("port", 65536, "65535"),
        ("limit", 0, "100000"),
    ],
)
def test_a_wrong_option_is_one_sentence(recorded: Host, option: str, value: object, accepted: str) -> None:
    with pytest.raises(BadOption, match=f"^{option}: .* is not accepted; give .*{accepted}"):
        ask(recorded, **{option: value})


def test_a_wrong_filter_fails_before_anything_is_asked(recorded: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadOption):
        ask(recorded, port=-1, interval=10**6)


def test_rows_of_text_have_no_tcp_info(recorded: Host) -> None:
    (row, *__) = ask(recorded, port=8091, states=["listen"])["connections"]
    assert (row["accept_queue"], row["backlog"], row["tcp_info"], row["peer_address"]) == (2, None, None, None)
    (row,) = ask(recorded, states=["time_wait"], limit=1)["connections"]
    assert (row["timer"], row["inode"], row["uid"]) == ("time_wait", None, None)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, __ = listener.accept()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        with client, server:
            yield client, server


def test_a_living_connection_is_told_in_detail(pair: tuple[socket.socket, socket.socket]) -> None:
    client, server = pair
    server.sendall(b"x" * 1000)
    port = client.getsockname()[1]
    found = ask(Host(), port=port, process=str(os.getpid()))
    if found["source"] != "netlink":
        pytest.skip("this kernel has no sock_diag")
    assert found["connections_total"] == 2
    (mine,) = [row for row in found["connections"] if row["local_port"] == port]
    (theirs,) = [row for row in found["connections"] if row["peer_port"] == port]
    assert mine["receive_queue_bytes"] == 1000
    assert mine["timer"] == "keepalive" and mine["timer_expires_ms"] > 0
    assert mine["processes"][0]["pid"] == os.getpid()
    assert mine["congestion_control"]
    assert mine["receive_buffer_bytes"] and mine["send_buffer_bytes"]
    info = theirs["tcp_info"]
    assert info["bytes_acked"] >= 1000 and info["mss"] > 500 and info["path_mtu"] >= info["mss"]
    assert info["congestion_window"] > 0 and info["reordering"] >= 3
    assert mine["tcp_info"]["bytes_received"] == 1000


def test_a_living_listener_is_found_by_its_process(pair: tuple[socket.socket, socket.socket]) -> None:
    command = pathlib.Path("/proc/self/comm").read_text(encoding="utf-8").strip()
    found = ask(Host(), process=command, states=["listen"])
    if found["source"] != "netlink":
        pytest.skip("this kernel has no sock_diag")
    port = pair[1].getsockname()[1]
    (row,) = [row for row in found["connections"] if row["local_port"] == port]
    assert row["backlog"] > 0 and row["tcp_info"] is None
