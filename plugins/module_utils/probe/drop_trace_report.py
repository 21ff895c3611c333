# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts that a trace of drops and connections becomes. Private to this collection."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Callable, Dict, Iterable, TypeVar

from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_owners import UNKNOWN
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import kallsyms
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.probe.drop_trace_events import (
    MAX_KEYS,
    Connections,
    Drops,
    Flow,
    Resets,
    Retransmits,
    Table,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe.drop_trace_names import Listeners, Threads, text

Facts = Dict[str, Any]
Key = TypeVar("Key")
Ends = Callable[[Flow], Facts]


class Report:
    """Makes facts of what was counted.

    :param lost: how many events did not fit into the buffers, by instance.
    :param limited: takes one sentence for each thing that could not be seen.
    """

    def __init__(self, host: Host, top: int, duration_s: float, lost: dict[str, int], limited: list[str]) -> None:
        self._host = host
        self._top = top
        self._duration_s = duration_s
        self._lost = lost
        self._limited = limited
        for label, count in lost.items():
            if count:
                what = "drops" if label == "drops" else "events of TCP"
                limited.append(f"{count} {what} came faster than they are read: they are counted, and no more")
        if host.netns is not None:
            limited.append(
                f"tracing sees all network namespaces of the host, not only {host.netns}:"
                " only the processes that accept connections are looked for in this one"
            )

    def drops(self, found: Drops | None) -> Facts | None:
        """Packets that were thrown away, by reason and protocol."""
        if found is None:
            return None
        if not found.has_reason:
            self._limited.append("drops: this kernel names no reasons (Linux 5.17 does), only the functions that drop")
        elif not found.names:
            self._limited.append("drops: this kernel gives reasons numbers only, without names")
        table = self._whole(found.table, "drops")
        functions = self._functions({location for location, *__ in table})
        rows: dict[tuple[int | None, int], dict[kallsyms.Function | None, int]] = {}
        for (location, protocol, reason), count in table.items():
            places = rows.setdefault((reason, protocol), {})
            _add(places, functions.get(location), count)
        made = [
            {
                "reason": found.reason(reason),
                "protocol": found.protocol(protocol),
                **self._rate(sum(places.values())),
                "locations": [
                    {"function": place and place.name, "module": place and place.module, "count": count}
                    for place, count in self._most(places)
                ],
            }
            for (reason, protocol), places in rows.items()
        ]
        lost = self._lost["drops"]
        return {
            "total": found.table.total,
            "per_s": self._rate(found.table.total + lost)["per_s"],
            "lost": lost,
            "reasons": sorted(made, key=lambda row: -row["count"])[: self._top],
        }

    def retransmits(self, found: Retransmits | None) -> Facts | None:
        """Segments that were sent again, by where to and in which state."""
        if found is None:
            return None
        rows: dict[tuple[Any, ...], int] = {}
        for (flow, state), count in self._whole(found.table, "retransmits").items():
            _add(rows, (*self._ends(flow), state), count)
        return {
            "total": found.table.total,
            "per_s": self._rate(found.table.total)["per_s"],
            "destinations": [{**_named(*ends), "state": state, "count": n} for (*ends, state), n in self._most(rows)],
        }

    def resets(self, found: Resets | None) -> Facts | None:
        """Connections that were broken off, by peer."""
        if found is None:
            return None
        sent: dict[tuple[Any, ...], int] = {}
        received: dict[tuple[Any, ...], int] = {}
        for rows, table in ((sent, found.sent), (received, found.received)):
            for flow, count in self._whole(table, "resets").items():
                _add(rows, self._ends(flow), count)
        peers = {ends: sent.get(ends, 0) + received.get(ends, 0) for ends in (*sent, *received)}
        return {
            "sent": found.sent.total,
            "received": found.received.total,
            "reasons": [{"reason": reason, "count": count} for reason, count in self._most(found.reasons.counts)],
            "peers": [
                {**_named(*ends), "sent": sent.get(ends, 0), "received": received.get(ends, 0)}
                for ends, __ in self._most(peers)
            ],
        }

    def connections(self, found: Connections | None, threads: Threads) -> Facts | None:
        """New connections by process."""
        if found is None:
            return None
        if not threads.visible and found.outbound.total:
            self._limited.append(
                f"connections: {self._host.procfs} shows another pid namespace than the host's own, whose numbers the"
                " kernel traces: of processes that connect only the command is known"
            )
        rows: dict[tuple[Any, ...], _Process] = {}
        for (thread, address, port), count in self._whole(found.outbound, "connections").items():
            row = _process(rows, threads.of(thread))
            _add(row.destinations, (address, port), count)
            _add(row.failed, (address, port), found.failed.counts.get((thread, address, port), 0))
        inbound = self._whole(found.inbound, "connections")
        owners = self._listeners.owners(list(inbound)) if inbound else {}
        for place, count in inbound.items():
            _add(_process(rows, owners.get(place, UNKNOWN)).listeners, place, count)
        ranked = sorted(rows.values(), key=lambda row: -row.total)
        return {
            "total": found.outbound.total + found.inbound.total,
            "outbound": found.outbound.total,
            "inbound": found.inbound.total,
            "failed": found.failed.total,
            "processes": [self._process_row(row) for row in ranked[: self._top]],
        }

    def _process_row(self, row: _Process) -> Facts:
        return {
            **row.who,
            "processes": len(row.pids),
            "outbound": sum(row.destinations.values()),
            "inbound": sum(row.listeners.values()),
            "failed": sum(row.failed.values()),
            "destinations": [
                {"address": text(place[0]), "port": place[1], "count": count, "failed": row.failed[place]}
                for place, count in self._most(row.destinations)
            ],
            "listeners": [
                {"address": text(address), "port": port, "count": count}
                for (address, port), count in self._most(row.listeners)
            ],
        }

    @cached_property
    def _listeners(self) -> Listeners:
        return Listeners(self._host)

    def _ends(self, flow: Flow) -> tuple[bytes, int | None, bytes, int | None]:
        local_port, remote_port = self._listeners.ends(flow)
        return flow.local, local_port, flow.remote, remote_port

    def _functions(self, addresses: Iterable[int]) -> dict[int, kallsyms.Function]:
        wanted = set(addresses)
        if not wanted:
            return {}
        try:
            return kallsyms.functions(self._host, wanted)
        except Unavailable as error:
            self._limited.append(f"drops: the functions that drop cannot be named: {error}")
            return {}

    def _rate(self, count: int) -> Facts:
        return {"count": count, "per_s": round(count / self._duration_s, 3)}

    def _whole(self, table: Table[Key], what: str) -> dict[Key, int]:
        if table.cut:
            self._limited.append(f"{what}: {table.cut} events beyond {MAX_KEYS} different ones are in the totals only")
        return table.counts

    def _most(self, rows: dict[Key, int]) -> list[tuple[Key, int]]:
        return sorted(rows.items(), key=lambda item: -item[1])[: self._top]


class _Process:
    """What the processes of one command in one unit or container did.

    :ivar who: the first of them, as facts show it.
    """

    def __init__(self, who: Facts) -> None:
        self.who = who
        self.pids: set[int | None] = set()
        self.destinations: dict[tuple[bytes, int], int] = {}
        self.failed: dict[tuple[bytes, int], int] = {}
        self.listeners: dict[tuple[bytes, int], int] = {}

    @property
    def total(self) -> int:
        return sum(self.destinations.values()) + sum(self.listeners.values())


def _process(rows: dict[tuple[Any, ...], _Process], who: Facts) -> _Process:
    """The row of this program: a client that is started anew for each connection is one row."""
    row = rows.setdefault((who["command"], who["unit"], who["container"]), _Process(who))
    row.pids.add(who["pid"])
    return row


def _add(rows: dict[Key, int], key: Key, count: int) -> None:
    rows[key] = rows.get(key, 0) + count


def _named(local: bytes, local_port: int | None, remote: bytes, remote_port: int | None) -> Facts:
    return {
        "local_address": text(local),
        "local_port": local_port,
        "address": text(remote),
        "port": remote_port,
    }
