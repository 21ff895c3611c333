# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the path probes, and how targets become addresses."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline
from ansible_collections.nettriage.linux.plugins.module_utils.probe.path import path_probe
from ansible_collections.nettriage.linux.plugins.module_utils.probe.pmtu import pmtu_probe
from ansible_collections.nettriage.linux.plugins.module_utils.probe.targets import Endpoint, each, resolve

_PATH = {
    "targets": ["127.0.0.1"],
    "family": "any",
    "port": None,
    "method": "udp",
    "timeout": 1.0,
    "time_limit": 5.0,
    "cycles": 1,
    "interval": 1.0,
    "max_hops": 30,
    "size": 64,
    "resolve": False,
}
_PMTU = {key: _PATH[key] for key in ("targets", "family", "port", "method", "timeout", "time_limit", "max_hops")}
_PMTU.update(probes=2, send_data=True)


@pytest.mark.parametrize(
    ("probe", "option", "value"),
    [
        (probe, option, value)
        for probe, own in (
            ("path", [("cycles", 0), ("interval", 0.0), ("size", 10), ("method", "smoke")]),
            ("pmtu", [("probes", 0), ("method", "auto")]),
        )
        for option, value in [
            *own,
            ("targets", []),
            ("targets", [" "]),
            ("targets", ["a\0b"]),
            ("targets", ["192.0.2.1"] * 65),
            ("port", 0),
            ("port", 65536),
            ("timeout", 0.0),
            ("time_limit", 0.5),
            ("time_limit", float("nan")),
            ("max_hops", 65),
        ]
    ],
)
def test_a_wrong_option_is_named(probe: str, option: str, value: Any) -> None:
    run, params = (path_probe, _PATH) if probe == "path" else (pmtu_probe, _PMTU)
    with pytest.raises(BadOption, match=f"^{option}: .* is not accepted; give ") as raised:
        run(Host(), {**params, option: value})
    assert raised.value.option == option


def test_recorded_files_cannot_be_probed(tmp_path: Any) -> None:
    for run, params in ((path_probe, _PATH), (pmtu_probe, _PMTU)):
        with pytest.raises(Unavailable, match="recorded files"):
            run(Host(procfs=str(tmp_path)), params)


def _resolved(*targets: str, family: str = "any") -> dict[str, Any]:
    params = {"family": family, "time_limit": 4.0}
    return dict(resolve(Host(), list(targets), params, Deadline(4)))


def test_addresses_need_no_resolver() -> None:
    found = _resolved("192.0.2.1", "2001:DB8:0::1")
    assert [each.address for each in found["192.0.2.1"]] == ["192.0.2.1"]
    assert [(each.address, each.family_name) for each in found["2001:DB8:0::1"]] == [("2001:db8::1", "ipv6")]


def test_a_family_that_a_target_does_not_have_is_its_own_trouble() -> None:
    found = _resolved("192.0.2.1", "2001:db8::1", family="ipv6")
    assert "no ipv6 address" in found["192.0.2.1"] and found["2001:db8::1"][0].ipv6


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a..b", "x" * 300, "-", "caf\u00e9.invalid"])
def test_a_name_that_is_none_is_a_result(name: str) -> None:
    said = _resolved(name)[name]
    assert isinstance(said, str) and said.startswith(f"{name}: ") and "\n" not in said


def test_results_stand_in_the_order_of_the_targets_and_trouble_stays_with_its_own() -> None:
    def probe(endpoint: Endpoint, deadline: Deadline) -> dict[str, Any]:
        if endpoint.address == "192.0.2.2":
            raise PermissionError(1, "Operation not permitted")
        return {"address": endpoint.address}

    def failed(target: str, endpoint: Endpoint | None, reason: str) -> dict[str, Any]:
        return {"address": target, "why": reason}

    params = {"targets": ["192.0.2.3", "192.0.2.2", "192.0.2.1", "192.0.2.3"], "family": "any", "time_limit": 4.0}
    found = each(Host(), params, probe, failed)
    assert [row["address"] for row in found] == ["192.0.2.3", "192.0.2.2", "192.0.2.1"]
    assert found[1]["why"] == "192.0.2.2: permission denied"


def test_loopback_for_real() -> None:
    started = time.monotonic()
    (way,) = path_probe(Host(), {**_PATH, "targets": ["localhost"], "family": "ipv4", "resolve": True})["paths"]
    assert way["reached"] and way["loss"] == 0 and [hop["addresses"] for hop in way["hops"]] == [["127.0.0.1"]]
    assert way["hops"][0]["names"] == ["localhost"]
    (path,) = pmtu_probe(Host(), _PMTU)["paths"]
    assert (path["verdict"], path["path_mtu"], path["interface_mtu"], path["hop"]) == ("clean", 65535, 65535, None)
    assert time.monotonic() - started < 5
