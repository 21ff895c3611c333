# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests and connections to one URL or port, at all of its addresses, several times. Private to this collection."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.probe.http_message import Answer, exchange
from ansible_collections.nettriage.linux.plugins.module_utils.probe.http_url import Url, request
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import (
    Deadline,
    distribution,
    since_ms,
    tally,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe.tcp_connect import (
    FILTERED,
    OK,
    TIMEOUT,
    Failed,
    connect,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe.tls_handshake import (
    Trust,
    Untrusted,
    handshake,
    session_facts,
)

PHASES = ("lookup", "connect", "tls", "first_byte", "transfer")
# How many times in a row it may take the whole time until it is not tried again.
_PATIENCE = {FILTERED: 1, TIMEOUT: 2}


class Way(NamedTuple):
    """How to ask.

    :ivar headers: the user's own; a server whose certificate is not accepted does not get them.
    :ivar trust: ``None`` where no URL is secure.
    :ivar validate: whether certificates are checked.
    """

    method: str
    headers: dict[str, str]
    rounds: int
    timeout: float
    max_bytes: int
    trust: Trust | None
    validate: bool


class Run:
    """One attempt: how long each phase took that came to its end, and what the last one said."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}
        self.answer: Answer | None = None
        self.failed: Failed | None = None


class Place:
    """One address of a URL or target, and what became of each attempt there."""

    def __init__(self, address: str, port: int) -> None:
        self.address = address
        info = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0]
        self.family, self.where = info[0], info[4]
        self.runs: list[Run] = []
        self.session: dict[str, Any] | None = None
        self.untrusted: Untrusted | None = None

    @property
    def worth_trying(self) -> bool:
        """Whether it has not been silent too often."""
        outcomes = [run.failed.outcome if run.failed else OK for run in self.runs]
        patience = _PATIENCE.get(outcomes[-1]) if outcomes else None
        return patience is None or outcomes[-patience:] != [outcomes[-1]] * patience


def ask(places: list[Place], url: Url | None, way: Way, deadline: Deadline) -> None:
    """Fill the runs of *places*, in turns: requests for *url*, or connections only."""
    for __ in range(way.rounds):
        for place in places:
            if deadline.over:
                return
            if place.worth_trying:
                place.runs.append(_attempt(place, url, way, deadline.within(way.timeout)))


def _attempt(place: Place, url: Url | None, way: Way, end: Deadline) -> Run:
    run = Run()
    stream: socket.socket | None = None
    try:
        stream = _connected(place, run, end)
        if url is None:
            return run
        if url.secure and way.trust is not None:
            stream = _secured(place, run, stream, url, way.trust, way.validate, end)
        # Who cannot prove whom he is does not get the user's headers.
        headers = way.headers if place.untrusted is None else {}
        run.answer = exchange(stream, request(url, way.method, headers), end, way.max_bytes)
        run.ms["first_byte"], run.ms["transfer"] = run.answer.first_byte_ms, run.answer.transfer_ms
    except Failed as failure:
        run.failed = failure
    finally:
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    return run


def _connected(place: Place, run: Run, end: Deadline) -> socket.socket:
    started = time.perf_counter()
    stream = connect(place.family, place.where, end)
    run.ms["connect"] = since_ms(started)
    return stream


def _secured(
    place: Place, run: Run, stream: socket.socket, url: Url, trust: Trust, validate: bool, end: Deadline
) -> socket.socket:
    """A handshake; where the certificate is not accepted, one more over a new connection without asking for it."""
    context = trust.checked if validate and place.untrusted is None else trust.unchecked
    started = time.perf_counter()
    try:
        secure = handshake(stream, context, url.host.partition("%")[0].rstrip("."), end)
    except Untrusted as problem:
        place.untrusted = problem
        return _secured(place, run, _connected(place, run, end), url, trust, validate, end)
    run.ms["tls"] = since_ms(started)
    if place.session is None:
        place.session = session_facts(secure)
    return secure


def place_facts(place: Place, lookup_ms: list[float], url: Url | None, way: Way) -> dict[str, Any]:
    """One row of ``addresses``."""
    failures = [run.failed for run in place.runs if run.failed]
    row: dict[str, Any] = {
        "address": place.address,
        "family": "ipv6" if place.family == socket.AF_INET6 else "ipv4",
        **_verdict(place.runs, failures),
    }
    if url is None:
        row["connect_ms"] = _spread(place.runs, "connect")
        return row
    phases = {name: _spread(place.runs, name) for name in PHASES}
    phases["lookup"] = distribution(lookup_ms)
    complete = [run for run in place.runs if not run.failed]
    answers = [run.answer for run in complete if run.answer]
    middle = {name: spread["median"] for name, spread in phases.items() if spread} if complete else {}
    total = sum(middle.values())
    shares = {name: round(ms / total, 4) for name, ms in middle.items()} if total else {}
    lookups = (lookup_ms * len(complete))[: len(complete)] or [0.0] * len(complete)
    last = answers[-1] if answers else None
    row.update(
        phases={f"{name}_ms": spread for name, spread in phases.items()},
        total_ms=distribution(sum(run.ms.values()) + ms for run, ms in zip(complete, lookups)),
        shares=shares,
        slow_phase=max(shares, key=lambda name: shares[name]) if shares else None,
        status=last.status if last else None,
        statuses=tally(str(answer.status) for answer in answers),
        http_version=last.version if last else None,
        location=last.location if last else None,
        body_bytes=last.body_bytes if last else None,
        body_whole=last.whole if last else None,
        headers_withheld=bool(way.headers and place.untrusted),
        tls=_tls(place, way) if url.secure else None,
    )
    return row


def _verdict(runs: list[Run], failures: list[Failed]) -> dict[str, Any]:
    """How the attempts ended; the words are those of the most frequent failure."""
    outcomes = tally(failure.outcome for failure in failures)
    worst = next(iter(outcomes), None)
    shown = next((failure for failure in failures if failure.outcome == worst), None)
    return {
        "runs": len(runs),
        "ok": len(runs) - len(failures),
        "outcome": worst or (OK if runs else "not_tried"),
        "outcomes": {**({OK: len(runs) - len(failures)} if len(runs) > len(failures) else {}), **outcomes},
        "failed_phase": shown.phase if shown else None,
        "error": str(shown) if shown else None,
    }


def _spread(runs: list[Run], phase: str) -> dict[str, float] | None:
    return distribution(run.ms[phase] for run in runs if phase in run.ms)


def _tls(place: Place, way: Way) -> dict[str, Any]:
    """``verified`` is null where nothing was checked, or no handshake came so far."""
    session = place.session or {"version": None, "cipher": None, "alpn": None, "certificate": None, "chain": None}
    verified = None
    if way.validate and (place.session or place.untrusted):
        verified = place.untrusted is None
    return {
        **session,
        "verified": verified,
        "problem": place.untrusted.problem if place.untrusted else None,
        "problem_code": place.untrusted.code if place.untrusted else None,
    }
