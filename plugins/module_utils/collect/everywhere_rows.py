# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of many namespaces in little room: who they are, worst first, and what is theirs alone.

Left out is what a namespace shares with the others (the kernel's own tables and limits), what has not moved, what is
the same as on the host, and what is null or empty. Private to this collection.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Iterable

from ansible_collections.nettriage.linux.plugins.module_utils.collect import sysctls_namespaces
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Facts
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import processes
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, shown

if TYPE_CHECKING:
    from ansible_collections.nettriage.linux.plugins.module_utils.collect.everywhere import View

# How much JSON the list may be, for each row that a list of the facts may have.
BYTES_PER_TOP = 4096
# Of it, what rows in full may take: there shall be room to name the others.
_IN_FULL = 0.75
# Lists within a namespace have this share of the rows that the host's own have.
_INNER = 3
_SHOWN = 3

# Counters that should not move.
_ALARMS = {
    "TcpExt": (
        "IPReversePathFilter", "ListenDrops", "ListenOverflows", "PruneCalled", "RcvPruned", "TCPAbortOnMemory",
        "TCPAbortOnTimeout", "TCPMemoryPressures", "TCPRcvCollapsed", "TCPRcvQDrop", "TCPReqQFullDoCookies",
        "TCPReqQFullDrop", "TCPTimeouts", "TCPTimeWaitOverflow", "TCPToZeroWindowAdv", "TCPZeroWindowDrop",
    ),
    "Ip": ("OutNoRoutes", "FragFails", "ReasmFails"),
    "IpExt": ("InNoRoutes",),
    "Udp": ("RcvbufErrors", "MemErrors"),
    "Udp6": ("RcvbufErrors", "MemErrors"),
}  # fmt: skip
# Of the kernel, not of a namespace.
_SHARED_DERIVED = ("memory_ratio", "memory_pages", "memory_pressure_pages", "orphan_ratio", "udp_memory_ratio")
_SHARED_NEIGHBOURS = ("entries", "gc_thresh1", "gc_thresh2", "gc_thresh3", "usage", "table_fulls", "table_fulls_delta")
_CONNTRACK = ("available", "why", "limited", "in_use", "count", "max", "usage", "delta")
_INTERFACE_ONLY_WHEN_MOVED = ("delta", "errors", "errors_delta", "rates")


def inner_top(top: int) -> int:
    """How many rows a list within another namespace may have."""
    return max(1, top // _INNER)


def facts(host: Host, own: Facts, views: list[View], total: int, limited: list[str], top: int) -> Facts:
    """The part ``namespaces`` of the facts.

    :param total: how many there are besides the own one.
    """
    said = list(limited)
    closed = sum(view.closed for view in views)
    if closed:
        said.append(
            f"{closed} of {total} were not entered, which needs CAP_SYS_ADMIN and CAP_SYS_PTRACE:"
            " at most their protocol counters are known"
        )
    missed = total - len(views)
    if missed and not limited:
        said.append(
            f"{missed} of {total} were not looked into: at most {len(views)} are, those with most processes first"
        )
    seen = sorted(views, key=lambda view: (_trouble(view.facts or {}), _size(view)), reverse=True)
    rows: list[Facts] = []
    room, in_full = BYTES_PER_TOP * top, 0
    for view in seen:
        short = _identity(host, view)
        row = {**short, **_own(view.facts or {}, own)}
        size = len(json.dumps(row))
        if room - size < BYTES_PER_TOP * top * (1 - _IN_FULL):
            row = {**short, "in_full": False, "sockets": _pruned({"tcp": {"total": _total(view)}})}
            size = len(json.dumps(row))
        else:
            in_full += 1
        if size > room:
            break
        rows.append(row)
        room -= size
    if in_full < len(rows):
        said.append(
            f"{len(rows) - in_full} of {total}, those with least trouble, are shown without their facts: top is {top}"
        )
    if len(rows) < len(seen):
        said.append(f"{len(seen) - len(rows)} of {total}, those with least trouble, are not shown: top is {top}")
    return {"available": True, "limited": said, "total": total, "in_full": in_full, "list": rows}


def settings(host: Host, own: Facts, views: list[View]) -> None:
    """Tell in the own facts which namespaces have other settings: what ``sysctl`` alone knows of tuned hosts only."""
    sysctl = own.get("sysctl", {})
    here = sysctl.get("values")
    if here is None:
        return
    found = []
    for view in views:
        there = (view.facts or {}).get("sysctl", {}).get("values")
        # Services are locked into namespaces with nothing but a loopback interface.
        if there is None or view.namespace is None or (view.facts or {}).get("nic", {}).get("interfaces_total") == 1:
            continue
        other = {
            key: {"host": _text(here[key]), "here": _text(there[key])}
            for key in sorted(sysctls_namespaces.KEYS)
            if None not in (here.get(key), there.get(key)) and here[key] != there[key]
        }
        if other:
            found.append(sysctls_namespaces.row(host, shown(str(view.host.netns)), view.namespace.pids, other))
    found.sort(key=lambda row: (-len(row["differing"]), -row["processes_total"], row["netns"]))
    sysctl["namespaces"] = found[:_SHOWN]
    sysctl["namespaces_total"] = len(found)


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _identity(host: Host, view: View) -> Facts:
    namespace = view.other
    named = [processes.describe(host, pid) for pid in namespace.pids[:_SHOWN]]
    pod = processes.pod(host, namespace.pids[0]) if namespace.pids else None
    return {
        "name": shown(str(view.host.netns)),
        "names": [shown(each) for each in namespace.names[:_SHOWN]],
        "inode": namespace.inode,
        "pid": namespace.pids[0] if namespace.pids else None,
        "command": named[0].command if named else None,
        "container": next((each.container for each in named if each.container), None),
        "pod": pod,
        "unit": next((each.unit for each in named if each.unit), None),
        "processes_total": len(namespace.pids),
        "in_full": not view.closed,
    }


def _own(found: Facts, own: Facts) -> Facts:
    """What is this namespace's alone of the facts *found* there."""
    made = {
        "tcp": _tcp,
        "nic": _nic,
        "conntrack": _conntrack,
        "routes": _routes,
    }
    row = {name: _pruned(make(found[name])) for name, make in made.items() if name in found}
    delta = found.get("tcp", {}).get("delta")
    if delta is not None:
        moved = {group: _moved(table) for group, table in delta.items()}
        # Empty where nothing moved, and with None for what cannot be compared: both are not the same as absent.
        row["tcp"]["delta"] = {group: table for group, table in moved.items() if table}
    if "sockets" in found:
        row["sockets"] = _pruned(_sockets(found["sockets"], own.get("sockets", {})))
    if "sysctl" in found:
        row["sysctl"] = _sysctl(found["sysctl"], own.get("sysctl", {}))
    if "resolver" in found:
        row["resolver"] = _resolver(found["resolver"], own.get("resolver", {}))
    return {name: part for name, part in row.items() if part}


def _sockets(found: Facts, own: Facts) -> Facts:
    tcp = dict(found.get("tcp") or {})
    if tcp.get("total") == 0:
        tcp = {"total": 0}
    else:
        tcp["states"] = {state: count for state, count in tcp.get("states", {}).items() if count}
        tcp["orphans"] = {state: count for state, count in (tcp.get("orphans") or {}).items() if count}
        quality = tcp.get("quality") or {}
        if not quality.get("connections"):
            tcp["quality"] = None
    kept = {key: found.get(key) for key in ("available", "why", "limited", "source", "udp")}
    return {**kept, "tcp": tcp, "ports": None if found.get("ports") == own.get("ports") else found.get("ports")}


def _tcp(found: Facts) -> Facts:
    derived = {key: value for key, value in (found.get("derived") or {}).items() if key not in _SHARED_DERIVED}
    return {
        "available": found.get("available"),
        "why": found.get("why"),
        "limited": [each for each in found.get("limited", []) if not each.startswith("tcp_mem:")],
        "derived": derived,
        "sockstat": {"TCP": _only(found, "sockstat.TCP", "inuse", "tw"), "UDP": _only(found, "sockstat.UDP", "inuse")},
    }


def _only(found: Facts, path: str, *names: str) -> Facts:
    for key in path.split("."):
        found = found.get(key) or {}
    return {name: found.get(name) for name in names}


def _moved(table: dict[str, Any]) -> dict[str, Any]:
    """What has not moved is left out; what cannot be compared stays, as ``None``."""
    return {name: change for name, change in table.items() if change != 0}


def _nic(found: Facts) -> Facts:
    rows = []
    for row in found.get("interfaces", []):
        if row["kind"] == "loopback" and row["carrier"] is not False and not any((row["errors_delta"] or {}).values()):
            continue
        kept = {key: value for key, value in row.items() if key not in ("counters", "queues", "bus", "index", "driver")}
        for key in _INTERFACE_ONLY_WHEN_MOVED:
            kept[key] = {name: value for name, value in (row[key] or {}).items() if value}
        kept["rates"] = {name: rate for name, rate in kept["rates"].items() if name == "rx_dropped"}
        kept["qdisc"] = [each for each in row["qdisc"] or [] if each["drops"] or each["backlog_bytes"]]
        rows.append(kept)
    limited = [each for each in found.get("limited", []) if "are not shown" not in each]
    return {**found, "limited": limited, "interfaces": rows}


def _conntrack(found: Facts) -> Facts:
    if found.get("in_use") is False:
        return {}
    kept = {key: found.get(key) for key in _CONNTRACK}
    kept["delta"] = None if found.get("delta") is None else _moved(found["delta"])
    return kept


def _routes(found: Facts) -> Facts:
    neighbours = dict(found.get("neighbours") or {})
    for family in ("ipv4", "ipv6"):
        table = neighbours.get(family) or {}
        neighbours[family] = {key: value for key, value in table.items() if key not in _SHARED_NEIGHBOURS}
        neighbours[family]["states"] = {key: count for key, count in table.get("states", {}).items() if count}
    rp_filter = [row for row in found.get("rp_filter", []) if row["effective"] or row["value"] != row["all"]]
    kept = {key: value for key, value in found.items() if key not in ("rules", "rules_total", "route_get")}
    return {**kept, "neighbours": neighbours, "rp_filter": rp_filter}


def _sysctl(found: Facts, own: Facts) -> Facts:
    """Only values that differ from those of the host; what is absent here is the kernel's, and holds here as there."""
    values, here = found.get("values"), own.get("values")
    if values is None or here is None:
        return {key: found[key] for key in ("available", "why", "limited") if found.get(key) not in (None, [])}
    differing = {
        key: value
        for key, value in values.items()
        if key.startswith("net.") and value is not None and value != here.get(key)
    }
    return {"differing": differing} if differing else {}


def _resolver(found: Facts, own: Facts) -> Facts:
    """Nothing where the same servers are asked in the same way as by the host."""
    same = all(found.get(key) == own.get(key) for key in ("available", "nameservers", "search", "options"))
    return {} if same else {key: value for key, value in found.items() if value not in (None, [])}


def _pruned(value: Any) -> Any:
    """*value* without what is null or empty."""
    if isinstance(value, dict):
        parts = {key: _pruned(part) for key, part in value.items()}
        return {key: part for key, part in parts.items() if part is not None and part != {} and part != []}
    return [_pruned(part) for part in value] if isinstance(value, list) else value


def _total(view: View) -> int | None:
    tcp = ((view.facts or {}).get("sockets") or {}).get("tcp") or {}
    total: int | None = tcp.get("total")
    return total


def _size(view: View) -> tuple[int, int]:
    return _total(view) or 0, len(view.namespace.pids) if view.namespace else 0


def _trouble(found: Facts) -> float:
    """How much there is to look at: an order for what has to be cut, not a judgement."""
    delta = (found.get("tcp") or {}).get("delta") or {}
    score = float(sum(bool((delta.get(group) or {}).get(name)) for group, names in _ALARMS.items() for name in names))
    tcp = (found.get("sockets") or {}).get("tcp") or {}
    score += _peak(tcp.get("listeners"), "fill") + 2 * _peak(tcp.get("destinations"), "port_usage")
    score += _peak(tcp.get("listeners"), "drops_delta") + _peak(tcp.get("destinations"), "syn_sent_retried") / 10
    close_wait = tcp.get("close_wait") or {}
    score += min(5.0, ((close_wait.get("total") or 0) + (close_wait.get("unowned") or 0)) / 20)
    score += len(tcp.get("stalled") or ())
    for queue in (tcp.get("queues") or {}).values():
        score += sum(bool(row.get("bytes_before")) for row in queue)
    for row in (found.get("nic") or {}).get("interfaces") or ():
        score += row["admin_up"] is True and row["carrier"] is False
        score += any((row["errors_delta"] or {}).values()) + any(each["drops_delta"] for each in row["qdisc"] or ())
    conntrack = found.get("conntrack") or {}
    score += (conntrack.get("usage") or 0) + any(
        (conntrack.get("delta") or {}).get(key) for key in ("drop", "early_drop")
    )
    return round(score, 6)


def _peak(rows: Iterable[Facts] | None, key: str) -> float:
    return min(2.0, max((row.get(key) or 0 for row in rows or ()), default=0))
