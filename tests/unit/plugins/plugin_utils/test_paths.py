# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths of one host clear each other's hops."""

from __future__ import annotations

from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.paths import cleared


def path(loss: float, *addresses: str, begins: int | None = None) -> dict[str, Any]:
    hops = [{"hop": number, "addresses": [address]} for number, address in enumerate(addresses, 1)]
    address = addresses[begins - 1] if begins else None
    return {"loss": loss, "hops": hops, "loss_from_hop": begins, "loss_from_address": address}


def blamed(*paths: dict[str, Any]) -> list[tuple[Any, Any]]:
    return [(row["loss_from_hop"], row["loss_from_address"]) for row in cleared(list(paths))]


def test_a_hop_through_which_nothing_is_lost_loses_nothing() -> None:
    well = path(0.0, "gw", "b")
    assert blamed(path(0.4, "gw", "core", "c", begins=1), well)[0] == (2, "core")
    assert blamed(path(0.4, "gw", "c", begins=1), well)[0] == (2, "c")
    assert blamed(path(0.4, "gw", begins=1), well)[0] == (None, None)


def test_without_a_witness_it_stays_as_it_was_measured() -> None:
    assert blamed(path(0.4, "gw", "c", begins=1), path(0.2, "gw", "d", begins=1)) == [(1, "gw"), (1, "gw")]
    assert blamed(path(0.4, "gw", "c", begins=2), path(0.0, "gw", "d"))[0] == (2, "c")
    assert cleared([{"loss": None}]) == [{"loss": None}]
