# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probes as subsets of the facts: side by side, within one time. Private to this collection.

Each goes in a process of its own, see ``children``. What is probed is bounded, so that a fleet that asks for the same
targets at once does not become their trouble.
"""

from __future__ import annotations

import socket
import time
from typing import Any, Callable, Dict

from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.collect.health import health
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable, why
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.probe.children import Children
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline

Facts = Dict[str, Any]
MIN_TIME_S, MAX_TIME_S = 2.0, 300.0
# The search for the path MTU comes first: it needs several ICMP errors at once, of which Linux keeps a few in store.
_PMTU_SHARE = 0.5
# After that each router and target has one again: one a second is what they allow.
_REFILL_S = 1.05
_CYCLES, _INTERVAL_S, _SLOW_CYCLES = 20, 0.25, 8
_REQUESTS, _BODY_BYTES = 3, 65536
_QUESTIONS = 5


def probed_health(host: Host, params: dict[str, Any]) -> Facts:
    """The result of the module probed_health_facts: that of health_facts, with the probes."""
    return health(host, params, probed)


def probed(host: Host, names: list[str], params: dict[str, Any]) -> Facts:
    """The facts of the probes *names* (``path``, ``pmtu``, ``http``, ``dns``) for ``targets``, ``urls`` and ``names``.

    :raises BadOption: a target, URL, name or time that cannot be used.
    """
    seconds = params["probe_timeout"]
    if not MIN_TIME_S <= seconds <= MAX_TIME_S:
        raise BadOption("probe_timeout", seconds, f"a number of seconds from {MIN_TIME_S:g} to {MAX_TIME_S:g}")
    deadline = Deadline(seconds)
    jobs: list[tuple[list[str], Callable[[], Facts]]] = []
    ways = [name for name in names if name in ("path", "pmtu")]
    if ways:
        jobs.append((ways, lambda: _ways(host, ways, params, deadline)))
    if "http" in names:
        jobs.append((["http"], lambda: {"http": _http(host, params, deadline)}))
    if "dns" in names:
        jobs.append((["dns"], lambda: {"dns": _dns(host, params, deadline)}))
    facts: Facts = {}
    for (parts, __), answer in zip(jobs, Children([work for __, work in jobs], deadline).answers()):
        for name in parts:
            facts[name] = answer.get(name) or unavailable(answer["why"])
    return {name: facts[name] for name in names}


def _ways(host: Host, names: list[str], params: dict[str, Any], deadline: Deadline) -> Facts:
    """Path MTU and hops, one after the other: they go the same way, and would be each other's trouble."""
    facts: Facts = {}
    common = {"targets": params["targets"], "family": "any", "port": None, "max_hops": 30}
    if "pmtu" in names:
        from ansible_collections.nettriage.linux.plugins.module_utils.probe.pmtu import probe_pmtus

        seconds = max(1.0, deadline.left() * (_PMTU_SHARE if "path" in names else 1.0))
        options = {"method": "icmp" if echoes() else "udp", "probes": 3, "timeout": 1.0, "send_data": True}
        facts["pmtu"] = _one("pmtu", lambda: probe_pmtus(host, {**common, **options, "time_limit": seconds}))
        if "path" in names:
            time.sleep(deadline.left(_REFILL_S))
    if "path" in names:
        facts["path"] = _one("path", lambda: _path(host, common, max(1.0, deadline.left()), params["top"]))
    return facts


def echoes() -> bool:
    """Whether this user may send echo requests. Replies to them are not held back, as ICMP errors are."""
    from ansible_collections.nettriage.linux.plugins.module_utils.probe.icmp import echo_socket

    try:
        echo_socket(socket.AF_INET)[0].close()
    except Unavailable:
        return False
    return True


def _path(host: Host, common: dict[str, Any], seconds: float, rows: int) -> Facts:
    from ansible_collections.nettriage.linux.plugins.module_utils.probe.path import probe_paths

    cycles = _CYCLES if echoes() else _SLOW_CYCLES
    options = {"method": "auto", "cycles": cycles, "interval": _INTERVAL_S, "timeout": 2.0, "size": 64}
    found = probe_paths(host, {**common, **options, "resolve": False, "time_limit": seconds})
    for way in sorted(found["paths"], key=_trouble)[rows:]:
        way["hops"] = []
    return found


def _trouble(way: Facts) -> tuple[bool, float, float]:
    """For sorting: paths that lead nowhere first, then those that lose most, then the longest."""
    return way["reached"], -(way["loss"] or 0.0), -(way["rtt_ms"]["median"] or 0.0)


def _http(host: Host, params: dict[str, Any], deadline: Deadline) -> Facts:
    from ansible_collections.nettriage.linux.plugins.module_utils.probe.http_probe import http_probe

    options = {"urls": params["urls"], "targets": [], "method": "GET", "headers": {}, "validate_certs": True}
    options.update(
        ca_path=None, count=_REQUESTS, timeout=5.0, max_bytes=_BODY_BYTES, deadline=max(1.0, deadline.left())
    )
    return http_probe(host, options)


def _dns(host: Host, params: dict[str, Any], deadline: Deadline) -> Facts:
    from ansible_collections.nettriage.linux.plugins.module_utils.probe.dns_probe import dns_probe

    options = {"names": params["names"], "servers": [], "protocols": ["udp", "tcp"], "count": _QUESTIONS}
    options.update(timeout=2.0, deadline=max(1.0, deadline.left()), getaddrinfo=True)
    return dns_probe(host, options)


def _one(name: str, probe: Callable[[], Facts]) -> Facts:
    """What *probe* returns, or why there is nothing."""
    try:
        return probe()
    except (Unavailable, OSError) as error:
        return unavailable(why(error, name))
