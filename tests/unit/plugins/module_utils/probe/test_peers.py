# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host itself knows of its peers."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.probe import peers
from ansible_collections.nettriage.linux.plugins.module_utils.probe.peer_facts import peer_facts

PARAMS: dict[str, Any] = {
    "targets": [],
    "clients": [],
    "port": None,
    "urls": [],
    "names": [],
    "gather_subset": ["routes"],
    "interval": 0,
    "top": 10,
    "method": "auto",
    "cycles": 2,
    "probe_interval": 0.1,
    "timeout": 1.0,
    "time_limit": 10.0,
    "validate_certs": True,
    "ca_path": None,
    "as_json": False,
}


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6), st.ip_addresses(v=4) | st.ip_addresses(v=6), st.integers(0, 128))
def test_prefixes_are_those_of_the_standard_library(one: Any, other: Any, length: int) -> None:
    length = min(length, other.max_prefixlen)
    network = ipaddress.ip_network(f"{other}/{length}", strict=False)
    assert peers._within(str(one), f"{other}/{length}") == (one.version == other.version and one in network)


def _socket(local_port: int, peer: str, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "state": "established",
        "local_address": "10.0.0.1",
        "local_port": local_port,
        "peer_address": peer,
        "peer_port": 80,
        "receive_queue_bytes": 0,
        "send_queue_bytes": 0,
        "timer": None,
        "timer_retransmits": 0,
        "processes": [],
        "inode": local_port,
        "tcp_info": {"retransmitted_total": 0, "data_segments_out": 10, "bytes_acked": 5},
    }
    return {**row, **changes}


def _conversation(*rows: dict[str, Any]) -> peers.Conversation:
    half_open = {"syn_sent": sum(row["state"] == "syn_sent" for row in rows), "syn_recv": 0}
    return peers.Conversation({}, {peers._ends(row): row for row in rows}, half_open, len(rows))


def test_changes_are_those_between_the_two_looks() -> None:
    """A counter that went back is a reused socket: no negative change; of each peer the worst rows."""
    before = _conversation(_socket(1, "10.0.0.2"), _socket(2, "10.0.0.2"))
    counted = {"retransmitted_total": 7, "data_segments_out": 4, "bytes_acked": 9}
    now = _conversation(
        _socket(1, "10.0.0.2"),
        _socket(2, "10.0.0.2", tcp_info=counted),
        _socket(3, "10.0.0.3", tcp_info=None, state="syn_sent"),
    )
    told = peers.told(before, now, 1)
    assert told["states"] == {"established": 2, "syn_sent": 1} and told["connections_total"] == 3
    worst, fresh = told["connections"]
    assert (worst["local"], worst["retransmitted_delta"], worst["segments_delta"]) == ("10.0.0.1:2", 7, 0)
    assert fresh["peer"] == "10.0.0.3:80" and fresh["retransmitted_delta"] is None
    assert fresh["send_queue_before_bytes"] is None


def test_both_ends_of_a_real_connection() -> None:
    """The listener with what waits in its queue, the way, the path and the port, of this very host."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            found = peer_facts(Host(), {**PARAMS, "targets": ["127.0.0.1"], "port": port})
    facts = found["ansible_facts"]["nettriage"]
    (target,) = facts["peers"]["targets"]
    assert target["route"]["interface"] == target["link"]["name"] == "lo" and target["link"]["carrier"]
    (listener,) = facts["peers"]["listeners"]
    assert listener["accept_queue_before"] in (1, None) and listener["accept_queue"] >= 1
    assert {row["peer"].partition(":")[0] for row in facts["peers"]["connections"]} == {"127.0.0.1"}
    assert facts["path"]["paths"][0]["reached"] and facts["path"]["paths"][0]["target"] == "127.0.0.1"
    assert facts["http"]["targets"][0]["outcome"] == "ok" and facts["http"]["urls"] == []
    assert "routes" in facts and "tcp" not in facts


def test_a_name_that_has_no_address_is_a_result() -> None:
    found = peer_facts(Host(), {**PARAMS, "targets": ["nowhere.invalid"]})["ansible_facts"]["nettriage"]
    assert "nowhere.invalid" in found["peers"]["targets"][0]["error"]
    assert "path" not in found


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("port", 0),
        ("targets", ["a"] * 65),
        ("targets", [" "]),
        ("clients", ["a\0b"]),
        ("cycles", 0),
        ("probe_interval", 0.01),
        ("time_limit", 0),
        ("gather_subset", ["everything"]),
    ],
)
def test_an_option_that_cannot_be_used(option: str, value: Any) -> None:
    with pytest.raises(BadOption, match=option):
        peer_facts(Host(), {**PARAMS, option: value})
