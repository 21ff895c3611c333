# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

ansible_errors = pytest.importorskip("ansible.errors")

from ansible_collections.nettriage.linux.plugins.filter import (  # noqa: E402
    at_least,
    bdp,
    by_layer,
    findings,
    keepalive_detection,
    metrics,
    worst_severity,
)

FOUND = [
    {"id": "a", "severity": "critical", "layer": "4"},
    {"id": "b", "severity": "warning", "layer": "1/2"},
    {"id": "c", "severity": "info", "layer": "4"},
]


def _apply(module: Any, *arguments: Any) -> Any:
    ((__, function),) = module.FilterModule().filters().items()
    return function(*arguments)


def test_findings() -> None:
    (found,) = _apply(findings, '{"sysctl": {"values": {"net.ipv4.tcp_timestamps": 0}}}')
    assert found["id"] == "sysctl.timestamps_off"
    assert _apply(findings, {"sysctl": {}}, {"wan_rtt_ms": 5}, []) == []


def test_metrics() -> None:
    text = _apply(metrics, '{"meta": {}, "sysctl": {"values": {"net.ipv4.tcp_timestamps": 0}}}')
    assert 'nettriage_finding{id="sysctl.timestamps_off",severity="info"} 1\n' in text
    off = _apply(metrics, {"sysctl": {"values": {}}}, {}, [{"id": "sysctl.timestamps_off", "enabled": False}])
    assert 'nettriage_findings{severity="info"} 0\n' in off and "nettriage_finding{" not in off
    wrongs: list[tuple[Any, ...]] = [("{",), ({"meta": {}}, {"no_such_limit": 1})]
    for wrong in wrongs:
        with pytest.raises(ansible_errors.AnsibleFilterError, match=r"nettriage\.linux\.metrics: "):
            _apply(metrics, *wrong)


@pytest.mark.parametrize(
    ("given", "expected"), [(FOUND, "critical"), (FOUND[1:], "warning"), (FOUND[2:], "info"), ([], "ok")]
)
def test_worst_severity(given: Any, expected: str) -> None:
    assert _apply(worst_severity, given) == expected


def test_at_least() -> None:
    assert _apply(at_least, FOUND, "warning") == FOUND[:2]
    assert _apply(at_least, FOUND, "info") == FOUND


def test_by_layer() -> None:
    first, second = _apply(by_layer, FOUND)
    assert first == {"layer": "1/2", "name": "link", "worst": "warning", "findings": [FOUND[1]]}
    assert (second["layer"], second["worst"], second["findings"]) == ("4", "critical", [FOUND[0], FOUND[2]])


def test_bdp() -> None:
    assert _apply(bdp, 1000, 80) == 10_000_000
    assert _apply(bdp, "0.5", 0.1) == 7


def test_keepalive_detection() -> None:
    values = {
        "net.ipv4.tcp_keepalive_time": 7200,
        "net.ipv4.tcp_keepalive_intvl": 75,
        "net.ipv4.tcp_keepalive_probes": 9,
    }
    assert _apply(keepalive_detection, values) == 7875
    assert _apply(keepalive_detection, {key.rpartition(".")[2]: value for key, value in values.items()}) == 7875


@pytest.mark.parametrize(
    ("module", "arguments", "says"),
    [
        (findings, ("no json",), "the facts are neither"),
        (findings, ({"sysctl": {}}, {"nope": 1}), "'nope' is not a limit"),
        (findings, ({"sysctl": {}}, {}, [{"id": "x"}]), "rule x: layer"),
        (worst_severity, ([{"id": "x"}],), "these are no findings"),
        (worst_severity, ("x",), "these are no findings"),
        (worst_severity, ([{"severity": "x"}],), "severity 'x' is not accepted; give one of critical, warning, info"),
        (at_least, (FOUND, "error"), "severity 'error' is not accepted"),
        (by_layer, ([{"severity": "info", "layer": 9}],), "layer 9 is not accepted; there are 1/2, 3, 4, 7"),
        (bdp, ("fast", 80), "the bandwidth in Mbit/s: 'fast' is not accepted; give a number above 0"),
        (bdp, (1000, 0), "rtt_ms: 0 is not accepted"),
        (bdp, (True, 1), "True is not accepted"),
        (bdp, (1, float("nan")), "rtt_ms: nan is not accepted"),
        (keepalive_detection, ({"tcp_keepalive_time": 300},), "tcp_keepalive_intvl: None is not accepted"),
        (keepalive_detection, (7200,), "give a mapping with tcp_keepalive_time"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(module: Any, arguments: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ansible_errors.AnsibleFilterError) as raised:
        _apply(module, *arguments)
    (name,) = module.FilterModule().filters()
    assert str(raised.value).startswith(f"nettriage.linux.{name}: ") and says in str(raised.value)
