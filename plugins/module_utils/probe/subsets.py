# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probes as subsets of the facts: side by side, within one time. Private to this collection.

Each goes in a process of its own: a lookup by the C library needs a process without threads to fork from, and whatever
becomes of one probe, the others have their time. What is probed is bounded, so that a fleet that asks for the same
targets at once does not become their trouble.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from typing import Any, Callable, Dict

from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.collect.health import health
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable, why
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
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
# After its time a probe still has its result to put together; then it is ended.
_GRACE_S = 2.0
_BLOCK = 65536


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
    for (parts, __), answer in zip(jobs, _side_by_side([work for __, work in jobs], deadline)):
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
        options = {"method": "icmp" if _echoes() else "udp", "probes": 3, "timeout": 1.0, "send_data": True}
        facts["pmtu"] = _one("pmtu", lambda: probe_pmtus(host, {**common, **options, "time_limit": seconds}))
        if "path" in names:
            time.sleep(deadline.left(_REFILL_S))
    if "path" in names:
        facts["path"] = _one("path", lambda: _path(host, common, max(1.0, deadline.left()), params["top"]))
    return facts


def _echoes() -> bool:
    """Whether this user may send echo requests. Replies to them are not held back, as ICMP errors are."""
    from ansible_collections.nettriage.linux.plugins.module_utils.probe.icmp import echo_socket

    try:
        echo_socket(socket.AF_INET)[0].close()
    except Unavailable:
        return False
    return True


def _path(host: Host, common: dict[str, Any], seconds: float, rows: int) -> Facts:
    from ansible_collections.nettriage.linux.plugins.module_utils.probe.path import probe_paths

    cycles = _CYCLES if _echoes() else _SLOW_CYCLES
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


class _Refused(BadOption):
    """An option that a child did not accept, in its words."""

    def __init__(self, sentence: str) -> None:
        ValueError.__init__(self, sentence)


def _side_by_side(jobs: list[Callable[[], Facts]], deadline: Deadline) -> list[Facts]:
    """What each of *jobs* returns, or ``{"why": ...}``; each in a process of its own, which *deadline* ends.

    :raises BadOption: a job did so.
    """
    children = [_Child(work, deadline) for work in jobs]
    poll = select.poll()
    try:
        reading = {child.reader: child for child in children}
        for descriptor in reading:
            poll.register(descriptor, select.POLLIN)
        while reading:
            ready = poll.poll(int((deadline.left() + _GRACE_S) * 1000))
            if not ready:
                break
            for descriptor, __ in ready:
                if not reading[descriptor].read():
                    poll.unregister(descriptor)
                    refused = reading.pop(descriptor).answer().get("refused")
                    if refused:
                        raise _Refused(refused)
        return [child.answer() for child in children]
    finally:
        for child in children:
            child.end()


class _Child:
    """A process that does one job and writes what came of it as JSON."""

    def __init__(self, work: Callable[[], Facts], deadline: Deadline) -> None:
        self._text = b""
        self.reader, writer = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            try:
                # Should the parent be killed, this ends all the same.
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_REAL, deadline.left() + _GRACE_S)
                with open(writer, "w", encoding="utf-8") as file:
                    json.dump(_outcome(work), file)
            finally:
                os._exit(0)
        os.close(writer)

    def read(self) -> bool:
        """Whether there may be more to come."""
        block = os.read(self.reader, _BLOCK)
        self._text += block
        return bool(block)

    def answer(self) -> Facts:
        try:
            said: Facts = json.loads(self._text)
        except ValueError:
            return {"why": "the probe did not end in time"}
        return said

    def end(self) -> None:
        os.close(self.reader)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _outcome(work: Callable[[], Facts]) -> Facts:
    try:
        return work()
    except BadOption as error:
        return {"refused": str(error)}
    except (Unavailable, OSError) as error:
        return {"why": why(error, "the probe")}
    except Exception as error:  # one probe's defect must not cost the others
        return {"why": f"a defect of the collection, please report it: {type(error).__name__}: {error}"}
