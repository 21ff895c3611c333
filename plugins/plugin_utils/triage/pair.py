# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins what both ends see of the same connection to the facts of one pair. Private to this collection.

The rules of ``rules.yml`` look at what is made here, so that a rule only compares.
"""

from __future__ import annotations

from ansible_collections.nettriage.linux.plugins.plugin_utils.addresses import scope
from ansible_collections.nettriage.linux.plugins.plugin_utils.paths import route_error
from ansible_collections.nettriage.linux.plugins.plugin_utils.triage.ends import End, Row, rows

# What only the destination itself can have said: packets get there and back.
_ANSWERS = ("ok", "partial", "refused", "reset", "closed")


def facts(source: End, destination: End, address: str, own: list[str], port: int | None, url: str | None) -> Row:
    """The facts of one pair.

    :param address: the destination's, as it was given to the source.
    :param own: the source's, as they were given to the destination.
    """
    target, back = source.target(address), destination.client(own)
    path, pmtu = source.path("path", address), source.path("pmtu", address)
    connect = source.connect(target.get("address"), port)
    request = next((row for row in rows(source.facts, "http", "urls") if row.get("url") == url), {})
    listeners, elsewhere = _listeners(destination, source.name == destination.name)
    joined = _joined(source, destination, target.get("address"), port)
    pair: Row = {
        "target": address if address == target.get("address") or not target.get("address") else _named(target),
        **{key: target.get(key) for key in ("address", "error", "route", "link", "neighbour")},
        "route_error": route_error(target.get("route")),
        "route_error_back": route_error(back.get("route")),
        "links_down": target.get("links_down") or [],
        "back": back,
        "port": port,
        "path": path,
        "pmtu": pmtu,
        "probes_sent": sum(hop.get("sent") or 0 for hop in path.get("hops") or ()) or None,
        **_last(path),
        "connect": connect,
        "request": request,
        "request_outcome": request.get("outcome"),
        "names_found": _names_found(source),
        "listeners": listeners,
        "listeners_elsewhere": elsewhere,
        "listeners_told": len(listeners) + len(elsewhere) if destination.seen and port else None,
        "half_open": _states(destination).get("syn_recv"),
        "conntrack": _conntrack(source, destination),
        "ports": _ports(source, target.get("address"), port),
        "unread_there": _unread(joined, "destination", "source"),
        "unread_here": _unread(joined, "source", "destination"),
        "totals": _totals(joined),
    }
    near = source.nic((target.get("link") or {}).get("name"))
    far = destination.nic((back.get("link") or {}).get("name"))
    pair["clean"] = {"source": _clean(near), "destination": _clean(far)}
    pair["dropped_there"] = _dropped(far, destination)
    pair["reached_by"] = _reached_by(pair, joined)
    pair["reached"] = bool(pair["reached_by"])
    return {
        "source": {"name": source.name, "seen": source.seen, "error": source.error, "facts": source.facts},
        "destination": {
            "name": destination.name,
            "seen": destination.seen,
            "error": destination.error,
            "facts": destination.facts,
        },
        "pair": pair,
    }


def _named(target: Row) -> str:
    return f"{target['target']} ({target['address']})"


def _last(path: Row) -> Row:
    """The last hop that said anything, of a path whose end was not reached."""
    speaking = [hop for hop in path.get("hops") or () if hop.get("addresses")]
    last = speaking[-1] if speaking and not path.get("reached") else {}
    return {"last_hop": last.get("hop"), "last_address": (last.get("addresses") or [None])[0]}


def _names_found(source: End) -> bool:
    names = rows(source.facts, "dns", "names")
    return bool(names) and all(row.get("outcome") == "found" for row in names)


def _listeners(destination: End, itself: bool) -> tuple[list[Row], list[Row]]:
    """The listeners of the port that others can reach, the fullest first, and those on the loopback only."""
    found = rows(destination.facts, "peers", "listeners")
    local = [row for row in found if scope(str(row.get("address"))) == "loopback" and not itself]
    others = [row for row in found if row not in local]
    others.sort(key=lambda row: (row.get("accept_queue") or 0, row.get("drops_delta") or 0), reverse=True)
    return others, [] if others else local


def _states(end: End) -> Row:
    states = (end.facts.get("peers") or {}).get("states")
    return states if isinstance(states, dict) else {}


def _ports(source: End, address: str | None, port: int | None) -> Row | None:
    """The source's row of local ports towards this address and port."""
    for row in rows(source.facts, "sockets", "tcp", "destinations"):
        if (row.get("address"), row.get("port")) == (address, port):
            return row
    return None


def _conntrack(source: End, destination: End) -> list[Row]:
    """How full the connection tracking tables are, of the ends that have one in use."""
    found = []
    for name, end in (("source", source), ("destination", destination)):
        table = end.facts.get("conntrack") or {}
        if table.get("in_use"):
            delta = table.get("delta") or {}
            dropped = sum(delta.get(key) or 0 for key in ("drop", "early_drop"))
            row = {key: table.get(key) for key in ("count", "max", "usage")}
            found.append({"end": name, "name": end.name, "dropped": dropped, **row})
    return found


def _joined(source: End, destination: End, address: str | None, port: int | None) -> list[Row]:
    """The connections of this pair, each as both ends see it; one side may be missing."""
    there = {(row["local"], row["peer"]): row for row in rows(destination.facts, "peers", "connections")}
    here = [
        row
        for row in rows(source.facts, "peers", "connections")
        if address is not None and row["peer"] == _endpoint(address, port)
    ]
    joined: list[Row] = []
    mine = set()
    for row in here:
        joined.append({"source": row, "destination": there.pop((row["peer"], row["local"]), None)})
        mine.add(row["local"].rpartition(":")[0])
    rest = [row for row in there.values() if row["peer"].rpartition(":")[0] in mine]
    return joined + [{"source": None, "destination": row} for row in rest]


def _endpoint(address: str, port: int | None) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _unread(joined: list[Row], end: str, other: str) -> list[Row]:
    """The connection on which most waits unread at *end*, at both looks, beside what the *other* end has of it."""
    waiting = [
        {**row[end], "other": row[other]}
        for row in joined
        if row[end] and (row[end].get("receive_queue_before_bytes") or 0) > 0 and not _draining(row[end])
    ]
    return sorted(waiting, key=lambda row: -(row.get("receive_queue_bytes") or 0))[:1]


def _draining(row: Row) -> bool:
    """Whether there is much less in the queue than before."""
    return bool((row.get("receive_queue_bytes") or 0) < (row.get("receive_queue_before_bytes") or 0) / 2)


def _totals(joined: list[Row]) -> Row:
    """The change of all connections of the pair within the interval, as the source counts them."""
    here = [row["source"] for row in joined if row["source"]]
    there = [row["destination"] for row in joined if row["destination"]]
    retransmitted, segments = _sum(here, "retransmitted_delta"), _sum(here, "segments_delta")
    return {
        "connections": len(here),
        "retransmitted": retransmitted,
        "segments": segments,
        "ratio": retransmitted / segments if retransmitted is not None and segments else None,
        "out_of_order": _sum(there, "out_of_order_delta"),
    }


def _sum(found: list[Row], key: str) -> int | None:
    values = [row[key] for row in found if row.get(key) is not None]
    return sum(values) if values else None


def _clean(nic: Row) -> bool | None:
    """Whether an interface has had no error within the interval; ``None`` where that is not known.

    What it dropped by itself is no error: unknown protocols are counted there, too.
    """
    errors = nic.get("errors_delta")
    if errors is None:
        return None
    return not any(number for name, number in errors.items() if name != "dropped")


def _dropped(nic: Row, destination: End) -> int | None:
    """What the destination's interface and receive path have dropped within the interval; ``None`` where not known."""
    errors = nic.get("errors_delta") or {}
    softnet = ((destination.facts.get("tcp") or {}).get("softnet") or {}).get("delta") or {}
    values = [errors.get(name) for name in ("missed", "fifo", "no_buffer")] + [softnet.get("dropped")]
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _reached_by(pair: Row, joined: list[Row]) -> str | None:
    """What proves that packets get from one end to the other; ``None`` where nothing does."""
    if pair["path"].get("reached"):
        return "it answers to probes"
    if pair["connect"].get("outcome") in _ANSWERS:
        return f"it answers on port {pair['port']}"
    if any((row.get("drops_delta") or 0) > 0 for row in pair["listeners"]):
        return f"connections arrive at the full queue of port {pair['port']}"
    moving = [each for row in joined for each in (row["source"], row["destination"]) if each]
    if any((row.get("bytes_acked_delta") or 0) > 0 or (row.get("bytes_received_delta") or 0) > 0 for row in moving):
        return "connections carry data"
    return None
