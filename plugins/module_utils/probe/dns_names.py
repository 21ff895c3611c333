# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of one name: at the servers, and in the C library. Private to this collection."""

from __future__ import annotations

from typing import Any, Sequence

from ansible_collections.nettriage.linux.plugins.module_utils.probe.dns_message import values
from ansible_collections.nettriage.linux.plugins.module_utils.probe.dns_server import FOUND, Measured, Step, found
from ansible_collections.nettriage.linux.plugins.module_utils.probe.getaddrinfo import Lookup
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import distribution

_ADDRESSES = 16
_CANDIDATES = 10


def name_facts(
    name: str,
    tried: list[str],
    types: Sequence[str],
    servers: list[tuple[str, Measured]],
    said: Lookup | None,
    hosts: dict[str, list[str]],
    timeout_s: int,
) -> dict[str, Any]:
    """One row of ``dns.names``.

    :param tried: all candidates.
    :param servers: those that the resolver uses, in its order.
    :param said: what getaddrinfo said, where it was asked.
    """
    walks = [(address, result.walks[name]) for address, result in servers if result.walks.get(name)]
    heard = [(address, steps) for address, steps in walks if _answered(steps)]
    server, steps = next(iter(heard or walks), (None, []))
    last = steps[-1] if steps else None
    hit = last if last is not None and last.outcome == FOUND else None
    addresses = _addresses(hit)
    return {
        "name": name,
        "candidates": [
            {"name": candidate, "outcome": steps[number].outcome if number < len(steps) else None}
            for number, candidate in enumerate(tried[:_CANDIDATES])
        ],
        "candidates_total": len(tried),
        "queries_if_missing": len(tried) * len(types),
        "queries_needed": len(steps) * len(types) if hit else None,
        "outcome": _verdict(steps),
        "server": server,
        "resolved_as": hit.candidate if hit else None,
        "aliases": _aliases(hit),
        "addresses": addresses[:_ADDRESSES],
        "addresses_total": len(addresses),
        "ttl_s": _ttl(hit),
        "by_server": _by_server(heard),
        "hosts_file": hosts.get(name.rstrip(".").lower(), []),
        "getaddrinfo": _library(said, addresses, bool(heard), timeout_s) if said else None,
    }


def _answered(steps: list[Step]) -> bool:
    return any(reply.message is not None and not reply.late for step in steps for reply in step.replies)


def _verdict(steps: list[Step]) -> str | None:
    """What the resolver makes of the steps: a failure of a server outweighs that the others know no such name."""
    if not steps:
        return None
    outcomes = [step.outcome for step in steps]
    if outcomes[-1] == FOUND:
        return FOUND
    return next((each for each in outcomes if each not in ("nxdomain", "nodata")), None) or (
        "nodata" if "nodata" in outcomes else "nxdomain"
    )


def _addresses(hit: Step | None) -> list[str]:
    return [address for reply in hit.replies for address in found(hit.candidate, reply)] if hit else []


def _aliases(hit: Step | None) -> list[str]:
    for reply in hit.replies if hit else []:
        if hit and reply.message:
            aliases = values(reply.message, hit.candidate, reply.question.rtype)[1]
            if aliases:
                return aliases
    return []


def _ttl(hit: Step | None) -> int | None:
    """How long the answer may be kept."""
    return min(
        (record.ttl for reply in (hit.replies if hit else []) if reply.message for record in reply.message.answers),
        default=None,
    )


def _by_server(heard: list[tuple[str, list[Step]]]) -> list[dict[str, Any]]:
    """What each server says, where they do not all say the same; which of many addresses they give does not count."""
    rows = []
    for address, steps in heard:
        hit = steps[-1] if steps[-1].outcome == FOUND else None
        rows.append(
            {
                "server": address,
                "outcome": _verdict(steps),
                "resolved_as": hit.candidate if hit else None,
                "addresses": _addresses(hit)[:_ADDRESSES],
            }
        )
    same = len({(row["outcome"], row["resolved_as"]) for row in rows}) <= 1
    return [] if same else rows


def _library(said: Lookup, addresses: list[str], heard: bool, timeout_s: int) -> dict[str, Any]:
    more = [address for address in said.addresses if address not in addresses]
    fewer = [address for address in addresses if address not in said.addresses]
    return {
        "addresses": said.addresses[:_ADDRESSES],
        "error": said.error,
        "error_code": said.error_code,
        "timed_out": said.timed_out,
        "runs": len(said.runs_ms),
        "latency_ms": distribution(said.runs_ms),
        # The resolver's own timeout shows as a run that took at least that long.
        "waited": sum(ms >= timeout_s * 1000 for ms in said.runs_ms) + said.timed_out if timeout_s else None,
        "only_here": more[:_ADDRESSES],
        "only_in_answers": fewer[:_ADDRESSES],
        # Servers that rotate many addresses differ in some of them every time.
        "differs": (bool(more or fewer) and not set(addresses) & set(said.addresses)) if heard else None,
    }
