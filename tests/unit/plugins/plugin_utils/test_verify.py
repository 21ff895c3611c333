# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.verify import measure, verify


def facts(**values: float | None) -> dict[str, Any]:
    rows = [{"port_usage": values.get("usage", 0.5)}, {"port_usage": 0.1}]
    quality = {"rtt_ms": {"median": values.get("rtt", 2.0)}, "min_rtt_ms": {"median": values.get("shortest", 1.0)}}
    return {
        "tcp": {
            "derived": {
                "retransmit_ratio": values.get("loss", 0.001),
                "data_segments_sent": values.get("segments", 50_000),
                "retransmitted_segments": (values.get("loss", 0.001) or 0) * (values.get("segments", 50_000) or 0),
                "resets_sent_per_s": values.get("resets", 0.0),
            },
            "delta": {"TcpExt": {"ListenOverflows": values.get("overflows", 0), "TWRecycled": values.get("reused", 0)}},
            "rates": {"TcpExt": {"ListenDrops": values.get("drops", 0.0)}},
        },
        "sockets": {"tcp": {"destinations": rows, "quality": quality}},
    }


def planned(verify_by: str, proof: str) -> list[dict[str, Any]]:
    return [{"status": "planned", "key": "a.b", "verify_by": verify_by, "proof": proof}]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"loss": 0.001}, {"loss": 0.05}),
        ({"loss": 0.0}, {"loss": 0.6, "segments": 40}),
        ({"loss": 0.0}, {"loss": 3.0, "segments": 12}),
        ({"resets": 1.0}, {"resets": 40.0}),
        ({"drops": 0.0}, {"drops": 50.0}),
        ({"rtt": 2.0}, {"rtt": 30.0}),
        ({"rtt": 80.0, "shortest": 78.0}, {"rtt": 170.0, "shortest": 79.0}),
    ],
)
def test_a_host_that_got_worse(before: dict[str, float], after: dict[str, float]) -> None:
    result = verify(facts(**before), facts(**after), [])
    assert result["verdict"] == "worse"
    assert sum(check["worse"] for check in result["checks"]) == 1
    assert verify(facts(**after), facts(**before), [])["verdict"] == "same"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"loss": 0.001}, {"loss": 0.005}),
        ({"loss": 0.0}, {"loss": 0.3, "segments": 20}),
        ({"loss": 0.0}, {"loss": 0.011, "segments": 1000}),
        ({"loss": None}, {"loss": 0.5}),
        ({"rtt": None}, {"rtt": 90.0}),
        ({"rtt": 2.0}, {"rtt": 90.0, "shortest": 88.0}),
        ({"resets": 0.1}, {"resets": 3.0}),
        ({"rtt": 0.2}, {"rtt": 2.0}),
        ({"rtt": 5.0}, {"rtt": None}),
    ],
)
def test_noise_is_no_reason(before: dict[str, float], after: dict[str, float]) -> None:
    assert verify(facts(**before), facts(**after), [])["verdict"] == "same"


@pytest.mark.parametrize(
    ("path", "proof", "before", "after", "proven"),
    [
        ("tcp.delta.TcpExt.ListenOverflows", "falls", {"overflows": 9}, {"overflows": 0}, True),
        ("tcp.delta.TcpExt.ListenOverflows", "falls", {"overflows": 9}, {"overflows": 9}, False),
        ("tcp.delta.TcpExt.ListenOverflows", "falls", {}, {}, None),
        ("tcp.delta.TcpExt.TWRecycled", "rises", {}, {"reused": 3}, True),
        ("sockets.tcp.destinations.port_usage", "falls", {"usage": 0.9}, {"usage": 0.4}, True),
        ("sysctl.values", "set", {}, {}, None),
    ],
)
def test_the_effect_is_proven(
    path: str, proof: str, before: dict[str, float], after: dict[str, float], proven: bool | None
) -> None:
    result = verify(facts(**before), facts(**after), planned(path, proof))
    assert result["proofs"][0]["proven"] is proven
    assert result["verdict"] == ("better" if proven else "same")


def test_nothing_gets_through_any_more() -> None:
    after = facts()
    after["tcp"]["derived"].update(retransmit_ratio=None, data_segments_sent=0, retransmitted_segments=24)
    result = verify(facts(), after, [])
    (check,) = (check for check in result["checks"] if check["worse"])
    assert check["after"] == 1.0


def test_refusals_need_no_proof() -> None:
    assert verify(facts(), facts(), [{"status": "refused"}])["proofs"] == []


@pytest.mark.parametrize("path", ["a.b.c", "tcp.missing.x", "tcp", "sockets.tcp.destinations.nothing"])
def test_what_is_absent_is_no_number(path: str) -> None:
    assert measure(facts(), path) is None
