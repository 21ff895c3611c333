# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probes as subsets: each in a process of its own, whatever becomes of the others."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.collect.health import health, wanted
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.probe import subsets

PARAMS: dict[str, Any] = {
    "gather_subset": ["!all"],
    "interval": 0,
    "top": 10,
    "targets": [],
    "urls": [],
    "names": [],
    "probe_timeout": 5.0,
    "as_json": False,
}


@pytest.mark.parametrize(
    ("gather_subset", "given", "probes"),
    [
        (["all"], (), []),
        (["all"], ("targets", "urls", "names"), ["path", "pmtu", "http", "dns"]),
        (["sysctl"], ("urls",), ["http"]),
        (["!pmtu"], ("targets",), ["path"]),
        (["!all", "dns"], (), ["dns"]),
        (["path"], ("targets",), ["path", "pmtu"]),
    ],
)
def test_an_option_adds_its_probes(gather_subset: list[str], given: tuple[str, ...], probes: list[str]) -> None:
    assert [name for name in wanted(gather_subset, given) if name in ("path", "pmtu", "http", "dns")] == probes


@pytest.mark.parametrize("name", ["path", "pmtu", "http"])
def test_a_probe_needs_something_to_probe(name: str) -> None:
    with pytest.raises(BadOption, match=f"gather_subset: '{name}' is not accepted; give something in (targets|urls)"):
        wanted([name])


def test_without_the_probes_at_hand_nothing_is_left_out_in_silence() -> None:
    with pytest.raises(BadOption, match=r"urls: .* is not accepted"):
        health(Host(), {**PARAMS, "urls": ["http://127.0.0.1/"]})


@pytest.mark.parametrize("seconds", [0, 1.9, 301])
def test_a_time_that_cannot_be_kept(seconds: float) -> None:
    with pytest.raises(BadOption, match="probe_timeout"):
        subsets.probed(Host(), ["http"], {**PARAMS, "urls": ["http://127.0.0.1/"], "probe_timeout": seconds})


def test_hops_are_kept_of_the_worst_paths_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def paths(host: Host, params: dict[str, Any]) -> dict[str, Any]:
        rows = [(True, 0.0, 5.0), (False, None, None), (True, 0.2, 1.0), (True, 0.0, 90.0)]
        found = [
            {"reached": reached, "loss": loss, "rtt_ms": {"median": median}, "hops": ["hop"]}
            for reached, loss, median in rows
        ]
        return {"available": True, "paths": found}

    monkeypatch.setattr("ansible_collections.nettriage.linux.plugins.module_utils.probe.path.probe_paths", paths)
    found = subsets._path(Host(), {"targets": ["a"]}, 5.0, 3)
    assert [len(way["hops"]) for way in found["paths"]] == [0, 1, 1, 1]
