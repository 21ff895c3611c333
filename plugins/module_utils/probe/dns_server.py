# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one name server does with many questions. Private to this collection."""

from __future__ import annotations

from typing import Any, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.probe.dns_exchange import (
    ANSWERED,
    TIMEOUT,
    NameServer,
    Question,
    Reply,
    Style,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe.dns_message import values
from ansible_collections.nettriage.linux.plugins.module_utils.probe.dns_search import GO_ON
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline, distribution, tally

FOUND, NODATA = "found", "nodata"
_WAVE = 20
_KNOCKS = 5
_PATIENCE = 2


class Job(NamedTuple):
    """What to ask.

    :ivar plans: by name, the candidates in the order of the resolver.
    :ivar sequential: whether the resolver sends A and AAAA one after the other.
    :ivar by_tcp: whether the resolver asks by TCP only.
    """

    plans: dict[str, list[str]]
    types: tuple[str, ...]
    protocols: tuple[str, ...]
    rounds: int
    timeout: float
    style: Style
    sequential: bool
    by_tcp: bool


class Step(NamedTuple):
    """One candidate, with the reply for each type; a truncated one is that of the repetition by TCP."""

    candidate: str
    replies: list[Reply]

    @property
    def outcome(self) -> str:
        """``found``, ``nodata``, the server's rcode, or why there was no answer."""
        if any(found(self.candidate, reply) for reply in self.replies):
            return FOUND
        rcodes = []
        for reply in self.replies:
            if reply.outcome != ANSWERED or reply.message is None:
                return reply.outcome
            rcodes.append(reply.message.rcode)
        return next((rcode for rcode in rcodes if rcode != "noerror"), NODATA)


class Measured:
    """All replies of one server.

    :ivar walks: by name, the candidates that were tried until one was found.
    :ivar pairs: replies of A and AAAA that were asked for at once from one port.
    :ivar retries: repetitions by TCP of what was truncated.
    :ivar cut: whether time was over before everything was asked.
    """

    def __init__(self) -> None:
        self.walks: dict[str, list[Step]] = {}
        self.pairs: list[list[Reply]] = []
        self.udp: list[Reply] | None = None
        self.tcp: list[Reply] | None = None
        self.retries: list[Reply] = []
        self.wrong = 0
        self.cut = False
        self.error: str | None = None


def found(name: str, reply: Reply) -> list[str]:
    """The addresses of *reply* for *name*."""
    return values(reply.message, name, reply.question.rtype)[0] if reply.message and not reply.late else []


def measure(address: str, port: int, job: Job, deadline: Deadline) -> Measured:
    """Ask one server everything. Takes a few timeouts if it is silent, and never longer than *deadline*."""
    result = Measured()
    try:
        server = NameServer(address, port, job.style, deadline)
    except OSError as error:
        result.error = error.strerror or str(error)
        return result
    try:
        _measure(server, job, deadline, result)
    finally:
        server.close()
    result.wrong = server.wrong
    result.cut = deadline.over
    return result


def _measure(server: NameServer, job: Job, deadline: Deadline, result: Measured) -> None:
    speaks = False
    for number, (name, tried) in enumerate(job.plans.items()):
        if number and not speaks:
            break
        steps = result.walks[name] = _walk(server, tried, job, deadline, result)
        speaks = speaks or any(reply.outcome == ANSWERED for step in steps for reply in step.replies)
    questions = [Question(".", "NS")]
    if job.plans:
        names = [_settled(result.walks.get(name), tried) for name, tried in job.plans.items()]
        questions = [Question(name, rtype) for name in dict.fromkeys(names) for rtype in job.types]
    if "udp" in job.protocols:
        result.udp = _by_udp(server, questions * job.rounds, job, deadline, speaks or not job.plans)
        speaks = speaks or any(reply.outcome == ANSWERED for reply in result.udp)
        if _has_pairs(job) and speaks:
            pair = [Question(questions[0].name, rtype) for rtype in job.types]
            for at in range(0, job.rounds, _WAVE):
                result.pairs += server.udp([pair] * min(_WAVE, job.rounds - at), job.timeout)
    if "tcp" in job.protocols:
        result.tcp = []
        silent, patience = 0, _PATIENCE if speaks else 1
        for question in questions * job.rounds:
            if deadline.over or silent >= patience:
                break
            reply = server.tcp(question, job.timeout)
            silent = silent + 1 if reply.outcome == TIMEOUT else 0
            result.tcp.append(reply)


def _has_pairs(job: Job) -> bool:
    return bool(job.plans) and not job.sequential and not job.by_tcp and len(job.types) > 1


def _walk(server: NameServer, tried: list[str], job: Job, deadline: Deadline, result: Measured) -> list[Step]:
    """Try candidates as the resolver does, until one is found or an error ends its search."""
    steps: list[Step] = []
    for candidate in tried:
        if deadline.over:
            break
        questions = [Question(candidate, rtype) for rtype in job.types]
        if job.by_tcp:
            replies = [server.tcp(question, job.timeout) for question in questions]
        elif _has_pairs(job):
            (replies,) = server.udp([questions], job.timeout)
            result.pairs.append(replies)
        else:
            replies = [server.udp([[question]], job.timeout)[0][0] for question in questions]
        if not job.by_tcp:
            replies = [_repeated(server, reply, job, result) for reply in replies]
        steps.append(Step(candidate, replies))
        if steps[-1].outcome not in GO_ON:
            break
    return steps


def _repeated(server: NameServer, reply: Reply, job: Job, result: Measured) -> Reply:
    """*reply*, or what TCP says where it is truncated."""
    if reply.outcome != ANSWERED or reply.message is None or not reply.message.truncated:
        return reply
    result.retries.append(server.tcp(reply.question, job.timeout))
    return result.retries[-1]


def _settled(steps: list[Step] | None, tried: list[str]) -> str:
    """The candidate whose speed counts: the one that was found, or the last one."""
    return next((step.candidate for step in steps or [] if step.outcome == FOUND), tried[-1])


def _by_udp(server: NameServer, questions: list[Question], job: Job, deadline: Deadline, speaks: bool) -> list[Reply]:
    """One after the other; a server that is silent gets a few at once, for the sake of time."""
    replies: list[Reply] = []
    silent = 0 if speaks else _PATIENCE
    while len(replies) < len(questions) and not deadline.over:
        width = 1 if silent < _PATIENCE else _KNOCKS
        wave = server.udp([[question] for question in questions[len(replies) : len(replies) + width]], job.timeout)
        replies += [reply for group in wave for reply in group]
        heard = any(group[0].outcome != TIMEOUT for group in wave)
        silent = 0 if heard else silent + 1
        if silent > _PATIENCE:
            break
    return replies


def server_facts(result: Measured) -> dict[str, Any]:
    """Figures of one server, as they stand in ``dns.servers``."""
    replies = [reply for steps in result.walks.values() for step in steps for reply in step.replies]
    replies += (result.udp or []) + (result.tcp or [])
    late = [reply.ms for reply in replies if reply.late]
    return {
        "reachable": any(reply.outcome == ANSWERED or reply.late for reply in replies) if replies else None,
        "error": result.error,
        "udp": None
        if result.udp is None
        else {**_figures(result.udp), "wrong": result.wrong, "late": len(late), "late_ms": _spread(late)},
        "tcp": None
        if result.tcp is None
        else {**_figures(result.tcp), "connect_ms": _spread(reply.connect_ms for reply in result.tcp)},
        "truncated_retries": {
            "sent": len(result.retries),
            "answered": sum(reply.outcome == ANSWERED for reply in result.retries),
        },
        "pairs": _pairs(result.pairs) if result.pairs else None,
    }


def _figures(replies: list[Reply]) -> dict[str, Any]:
    answers = [reply.message for reply in replies if reply.outcome == ANSWERED and reply.message]
    return {
        "sent": len(replies),
        "answered": len(answers),
        "timeouts": sum(reply.outcome == TIMEOUT for reply in replies),
        "errors": tally(reply.outcome for reply in replies if reply.outcome not in (ANSWERED, TIMEOUT)),
        "rcodes": tally(message.rcode for message in answers),
        "truncated": sum(message.truncated for message in answers),
        "latency_ms": _spread(reply.ms for reply in replies if not reply.late),
    }


def _spread(values_ms: Any) -> dict[str, float] | None:
    return distribution(value for value in values_ms if value is not None)


def _pairs(pairs: list[list[Reply]]) -> dict[str, Any]:
    answered = [sum(reply.outcome == ANSWERED for reply in pair) for pair in pairs]
    half = [pair for pair, count in zip(pairs, answered) if count == 1]
    return {
        "sent": len(pairs),
        "complete": sum(count == len(pair) for pair, count in zip(pairs, answered)),
        "one_lost": len(half),
        "both_lost": answered.count(0),
        "lost": tally(reply.question.rtype for pair in half for reply in pair if reply.outcome != ANSWERED),
    }
