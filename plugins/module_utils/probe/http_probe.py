# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How web servers and TCP ports answer, phase by phase. Private to this collection."""

from __future__ import annotations

import time
from typing import Any, Dict, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.collect import resolver
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.probe import getaddrinfo, http_url
from ansible_collections.nettriage.linux.plugins.module_utils.probe.http_request import Place, Way, ask, place_facts
from ansible_collections.nettriage.linux.plugins.module_utils.probe.http_url import Url
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import (
    Deadline,
    bounded_option,
    distribution,
    endpoint,
    side_by_side,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe.tls_handshake import Trust

Facts = Dict[str, Any]
MAX_URLS, MAX_TARGETS = 20, 50
_METHODS = ("GET", "HEAD")
_MEBIBYTE = 1 << 20
_ADDRESSES = 8
_WORKERS = 16
_LOOKUP_SHARE = 0.5  # of the time: the C library can take all of it


class _Subject(NamedTuple):
    """What is asked: a URL, or a port only."""

    text: str
    host: str
    port: int
    url: Url | None


def http_probe(host: Host, params: dict[str, Any]) -> Facts:
    """What the module returns.

    :raises BadOption: an option that cannot be used.
    """
    started = time.monotonic()
    if not host.live:
        raise BadOption("procfs", host.procfs, "a mounted procfs: recorded files cannot answer")
    for option, least, most in (("count", 1, 20), ("timeout", 0.1, 60), ("deadline", 1, 300)):
        bounded_option(params, option, least, most)
    bounded_option(params, "max_bytes", 0, 64 * _MEBIBYTE)
    deadline = Deadline(params["deadline"])
    subjects = _subjects(params["urls"], params["targets"])
    if params["method"] not in _METHODS:
        raise BadOption("method", params["method"], "GET or HEAD")
    secure = any(subject.url and subject.url.secure for subject in subjects)
    way = Way(
        params["method"],
        http_url.checked_headers(params["headers"] or {}),
        params["count"],
        params["timeout"],
        params["max_bytes"],
        Trust(params["ca_path"]) if secure or params["ca_path"] else None,
        params["validate_certs"],
    )
    limited: list[str] = []
    if secure and way.validate and way.trust and way.trust.empty:
        limited.append("this host trusts no certificate authority, so that no certificate can be verified")
    said = _lookups(host, subjects, way, deadline, limited)

    def work(subject: _Subject) -> list[Place]:
        places = [Place(address, subject.port) for address in said[subject.host].addresses[:_ADDRESSES]]
        ask(places, subject.url, way, deadline)
        return places

    places = side_by_side(work, subjects, _WORKERS)
    if deadline.over:
        limited.append(f"not everything was tried {way.rounds} times: time was over")
    rows = [_row(subject, said[subject.host], tried, way) for subject, tried in zip(subjects, places)]
    return {
        "available": True,
        "limited": limited,
        "urls": [row for subject, row in zip(subjects, rows) if subject.url],
        "targets": [row for subject, row in zip(subjects, rows) if not subject.url],
        "duration_ms": round((time.monotonic() - started) * 1000, 3),
    }


def _subjects(urls: list[str], targets: list[str]) -> list[_Subject]:
    if not urls and not targets:
        raise BadOption("urls", urls, "at least one URL, or one of targets as HOST:PORT")
    for option, given, most in (("urls", urls, MAX_URLS), ("targets", targets, MAX_TARGETS)):
        if len(given) > most:
            raise BadOption(option, len(given), f"at most {most}")
    found = []
    for text in dict.fromkeys(urls):
        url = http_url.parse(text)
        found.append(_Subject(text, url.host, url.port, url))
    for text in dict.fromkeys(targets):
        name, port = endpoint(text, None)
        if port is None or not http_url.valid_host(name):
            raise BadOption("targets", text, "HOST:PORT, ADDRESS:PORT or [ADDRESS]:PORT")
        found.append(_Subject(text, name, port, None))
    return found


def _lookups(
    host: Host, subjects: list[_Subject], way: Way, deadline: Deadline, limited: list[str]
) -> dict[str, getaddrinfo.Lookup]:
    """What the C library says for each host; an address stands for itself and takes no time."""
    said: dict[str, getaddrinfo.Lookup] = {}
    for subject in subjects:
        plain = getaddrinfo.numeric(subject.host)
        if plain is not None:
            said[subject.host] = getaddrinfo.Lookup([plain], [], None, None, False, None)
    names = [subject.host for subject in subjects if subject.host not in said]
    if names:
        try:
            files = getaddrinfo.foreign_files(host, resolver.sample(host).path)
        except Unavailable as error:
            files = {}
            limited.append(str(error))
        end = deadline.within(deadline.left() * _LOOKUP_SHARE)
        said.update(getaddrinfo.lookups(names, way.rounds, end, files))
    limited += sorted({each.limited for each in said.values() if each.limited})
    return said


def _row(subject: _Subject, said: getaddrinfo.Lookup, places: list[Place], way: Way) -> Facts:
    rows = [place_facts(place, said.runs_ms, subject.url, way) for place in places]
    good = sum(row["runs"] > 0 and row["ok"] == row["runs"] for row in rows)
    kind = "url" if subject.url else "target"
    for row in rows:
        row[kind] = subject.text
    timed = [row for row in rows if row.get("total_ms")]
    slow = max(timed, key=lambda row: float(row["total_ms"]["median"]), default=None)
    return {
        kind: subject.text,
        "host": subject.host,
        "port": subject.port,
        "lookup": {
            "addresses": said.addresses[:_ADDRESSES],
            "addresses_total": len(said.addresses),
            "latency_ms": distribution(said.runs_ms),
            "error": said.error,
            "error_code": said.error_code,
            "timed_out": said.timed_out,
        },
        "outcome": _outcome(said, rows),
        "addresses_ok": good,
        **({"slowest": _slowest(slow)} if subject.url else {}),
        "addresses": rows,
    }


def _slowest(row: Facts | None) -> Facts | None:
    """The address whose median is the largest, and the phase that is to blame for it."""
    if row is None or row["slow_phase"] is None:
        return None
    phase = row["slow_phase"]
    return {
        "address": row["address"],
        "total_ms": row["total_ms"]["median"],
        "phase": phase,
        "share": row["shares"][phase],
        "phases_ms": {name: row["phases"][f"{name}_ms"]["median"] for name in row["shares"]},
    }


def _outcome(said: getaddrinfo.Lookup, rows: list[Facts]) -> str:
    """``ok``, ``partial`` where some attempts went well, ``lookup_failed``, or how the first address failed."""
    if not rows:
        return "lookup_failed"
    if all(row["outcome"] == "ok" for row in rows):
        return "ok"
    return "partial" if any(row["ok"] for row in rows) else str(rows[0]["outcome"])
