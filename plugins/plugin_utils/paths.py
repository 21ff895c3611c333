# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several paths of one host tell of each other. Private to this collection."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]


def cleared(paths: list[Row]) -> list[Row]:
    """*paths* without blame for hops through which another of them goes and loses nothing.

    Routers send few ICMP errors to one host, so where many targets are traced through the same router at once, it seems
    to lose probes. If a target behind it loses none, it does not.
    """
    innocent = {
        address
        for path in paths
        if path.get("loss") == 0
        for hop in path.get("hops") or ()
        for address in hop.get("addresses") or ()
    }
    return [_cleared(path, innocent) for path in paths]


def route_error(route: Row | None) -> str | None:
    """Why there is no route, in the kernel's words."""
    error = (route or {}).get("error")
    return None if error is None else str(error).removeprefix("netlink: ")


def _cleared(path: Row, innocent: set[str]) -> Row:
    if path.get("loss_from_hop") is None or path.get("loss_from_address") not in innocent:
        return path
    for hop in path.get("hops") or ():
        addresses = hop.get("addresses") or ()
        if hop.get("hop", 0) > path["loss_from_hop"] and addresses and addresses[0] not in innocent:
            return {**path, "loss_from_hop": hop["hop"], "loss_from_address": addresses[0]}
    return {**path, "loss_from_hop": None, "loss_from_address": None}
