# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loss and latency, hop by hop, to some targets. Private to this collection."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.probe import path_report
from ansible_collections.nettriage.linux.plugins.module_utils.probe.error_queue import Sender
from ansible_collections.nettriage.linux.plugins.module_utils.probe.icmp import Echo, echo_socket
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline
from ansible_collections.nettriage.linux.plugins.module_utils.probe.path_tcp import Connects, Syns
from ansible_collections.nettriage.linux.plugins.module_utils.probe.path_trace import PACE_S, Trace
from ansible_collections.nettriage.linux.plugins.module_utils.probe.path_udp import Udp
from ansible_collections.nettriage.linux.plugins.module_utils.probe.targets import (
    Endpoint,
    check_options,
    each,
    within,
)

METHODS = ("auto", "udp", "icmp", "tcp")
_NAMES_S = 3.0
_UNKNOWN: dict[str, Any] = {
    "port": None,
    "reached": False,
    "refused_by": None,
    "refusal": None,
    "cycles": 0,
    "interval_s": None,
    "size_bytes": None,
    "sent": 0,
    "received": 0,
    "lost": 0,
    "loss": None,
    "rtt_ms": path_report.figures([]),
    "loss_from_hop": None,
    "loss_from_address": None,
    "latency_from_hop": None,
    "latency_from_address": None,
    "latency_step_ms": None,
    "hops": [],
}


def path_probe(host: Host, params: dict[str, Any]) -> dict[str, Any]:
    """What the module path_probe returns.

    :raises BadOption: a value that cannot be used.
    :raises Unavailable: the method is not to be had for this user.
    """
    return {"changed": False, **probe_paths(host, params)}


def probe_paths(host: Host, params: dict[str, Any]) -> dict[str, Any]:
    """``{paths, limited}``: a path for every wanted address of every target, all probed at the same time."""
    host.require_live("path_probe")
    check_options(params)
    within("cycles", params["cycles"], 1, 1000, "a number")
    within("interval", params["interval"], 0.1, 60.0, "seconds")
    within("max_hops", params["max_hops"], 1, 64, "a number")
    within("size", params["size"], 40, 9000, "bytes")
    if params["method"] not in METHODS:
        raise BadOption("method", params["method"], f"one of {', '.join(METHODS)}")
    method, limited = _method(params["method"])

    def probe(endpoint: Endpoint, deadline: Deadline) -> dict[str, Any]:
        return _path(endpoint, method, params, deadline)

    def failed(target: str, endpoint: Endpoint | None, reason: str) -> dict[str, Any]:
        return {**_head(target, endpoint, method), **_UNKNOWN, "why": reason}

    deadline = Deadline(params["time_limit"])
    paths = each(host, params, probe, failed)
    if params["resolve"]:
        _name(paths, deadline.within(_NAMES_S))
    return {"available": True, "why": None, "limited": limited, "paths": paths}


def _method(wanted: str) -> tuple[str, list[str]]:
    """The method to use, and what it cannot do for this user."""
    if wanted in ("auto", "icmp"):
        try:
            echo_socket(socket.AF_INET)[0].close()
            return "icmp", []
        except Unavailable as error:
            if wanted == "icmp":
                raise
            return "udp", [f"{error}; udp is used, which a destination with a firewall does not answer"]
    if wanted == "tcp":
        try:
            socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP).close()
        except OSError:
            sentence = "method tcp: without CAP_NET_RAW every probe is a connection of its own, which load balancers"
            return "tcp", [f"{sentence} may send different ways"]
    return wanted, []


def _sender(endpoint: Endpoint, method: str, port: int | None) -> Sender:
    if method == "udp":
        return Udp(endpoint, port, False)
    if method == "icmp":
        return Echo(endpoint, False)
    try:
        return Syns(endpoint, port)
    except PermissionError:
        return Connects(endpoint, port)


def _head(target: str, endpoint: Endpoint | None, method: str) -> dict[str, Any]:
    return {
        "target": target,
        "address": endpoint.address if endpoint else None,
        "family": endpoint.family_name if endpoint else None,
        "method": method,
    }


def _path(endpoint: Endpoint, method: str, params: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
    with _sender(endpoint, method, params["port"]) as sender:
        interval = max(params["interval"], PACE_S if sender.paced else 0.0)
        trace = Trace(sender, params["timeout"], params["max_hops"], params["size"])
        trace.run(params["cycles"], interval, deadline)
        port = sender.port
    hops = path_report.rows(trace)
    reached = trace.end is not None
    result = {
        **_head(endpoint.target, endpoint, method),
        **_UNKNOWN,
        "port": port,
        "reached": reached,
        "why": _why(trace, hops, params, deadline),
        "cycles": trace.cycles,
        "interval_s": interval,
        "size_bytes": params["size"],
        "hops": hops,
    }
    if reached:
        last = hops[-1]
        result.update(sent=last["sent"], received=last["received"], loss=last["loss"])
        result["lost"] = last["sent"] - last["received"]
        result["rtt_ms"] = path_report.figures(trace.hops[last["hop"]].rtts_ms)
        begins = path_report.loss_from(hops)
        if begins is not None:
            result.update(loss_from_hop=begins["hop"], loss_from_address=_first(begins))
    elif trace.blocked is not None:
        row = hops[trace.blocked - 1]
        result.update(refused_by=_first(row), refusal=", ".join(row["errors"]))
    step = path_report.latency_from(hops)
    if step is not None:
        result.update(latency_from_hop=step[0]["hop"], latency_from_address=_first(step[0]), latency_step_ms=step[1])
    return result


def _first(row: dict[str, Any]) -> str | None:
    return row["addresses"][0] if row["addresses"] else None


def _why(trace: Trace, hops: list[dict[str, Any]], params: dict[str, Any], deadline: Deadline) -> str | None:
    """Why the destination was not reached, or not as often as wanted."""
    if trace.cycles < params["cycles"]:
        cut = f"stopped in cycle {trace.cycles} of {params['cycles']} at the time limit of {params['time_limit']:g} s"
        if trace.end is not None or (deadline.over and not hops):
            return cut
    if trace.end is not None:
        return None
    if trace.blocked is not None:
        row = hops[trace.blocked - 1]
        return f"{_first(row) or 'this host'} says: {', '.join(row['errors'])}"
    if not hops:
        return "nothing answers, not even the first hop"
    last = _first(hops[-1])
    if last is not None and any(last in row["addresses"] for row in hops[:-1]):
        return f"packets go round in a circle through {last}"
    return f"nothing answers behind hop {hops[-1]['hop']} ({last or 'unknown'})"


def _name(paths: list[dict[str, Any]], deadline: Deadline) -> None:
    """Add ``names`` to every hop, as far as the resolver of this host answers in time."""
    names: dict[str, str] = {}

    def ask(address: str) -> None:
        with contextlib.suppress(OSError):  # most routers have no name
            names[address] = socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0]

    wanted = {address for path in paths for hop in path["hops"] for address in hop["addresses"]}
    # A thread that the resolver keeps waiting ends with the process.
    threads = [threading.Thread(target=ask, args=(address,), daemon=True) for address in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(deadline.left())
    for path in paths:
        for hop in path["hops"]:
            hop["names"] = [names.get(address) for address in hop["addresses"]]
