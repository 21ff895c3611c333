# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How name servers answer, and what the C library makes of it. Private to this collection."""

from __future__ import annotations

import os
import time
from typing import Any, Dict, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.collect import resolver
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Window
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.probe import getaddrinfo
from ansible_collections.nettriage.linux.plugins.module_utils.probe.dns_exchange import Style
from ansible_collections.nettriage.linux.plugins.module_utils.probe.dns_message import encode_name
from ansible_collections.nettriage.linux.plugins.module_utils.probe.dns_names import name_facts
from ansible_collections.nettriage.linux.plugins.module_utils.probe.dns_search import candidates
from ansible_collections.nettriage.linux.plugins.module_utils.probe.dns_server import (
    Job,
    Measured,
    measure,
    server_facts,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import (
    Deadline,
    bounded_option,
    endpoint,
    side_by_side,
)

Facts = Dict[str, Any]
PORT = 53
MAX_NAMES, MAX_SERVERS, MAX_CANDIDATES = 20, 16, 10
_PROTOCOLS = ("udp", "tcp")
_EDNS_BYTES = 1200  # glibc's RESOLV_EDNS_BUFFER_SIZE
_SHARE = 0.6  # of the time; the rest is for getaddrinfo, which waits by rules of its own


class _Server(NamedTuple):
    address: str
    port: int
    source: str
    ignored: bool


def dns_probe(host: Host, params: dict[str, Any]) -> Facts:
    """What the module returns.

    :raises BadOption: an option that cannot be used.
    :raises Unavailable: no servers are stated, and the resolver's configuration cannot be read.
    """
    started = time.monotonic()
    if not host.live:
        raise BadOption("procfs", host.procfs, "a mounted procfs: recorded files cannot answer")
    for option, least, most in (("count", 1, 100), ("timeout", 0.1, 30), ("deadline", 1, 300)):
        bounded_option(params, option, least, most)
    deadline = Deadline(params["deadline"])
    names = _names(params["names"])
    protocols = params["protocols"]
    if not protocols or not set(protocols) <= set(_PROTOCOLS):
        raise BadOption("protocols", protocols, "a list of udp and tcp")
    stated = _stated(params["servers"])

    config = _resolver(host, bool(stated))
    servers = stated or _configured(config)
    types = ("A",) if config["options"]["no_aaaa"] else ("A", "AAAA")
    plans = {name: candidates(name, config["search"], config["options"]["ndots"]) for name in names}
    job = Job(
        {name: tried[:MAX_CANDIDATES] for name, tried in plans.items()},
        types,
        tuple(protocols),
        params["count"],
        params["timeout"],
        Style(_EDNS_BYTES if config["options"]["edns0"] else 0, config["options"]["trust_ad"]),
        config["options"]["single_request"] or config["options"]["single_request_reopen"],
        config["options"]["use_vc"] or "udp" not in protocols,
    )
    asks_library = bool(params["getaddrinfo"] and names)
    raw = deadline.within(params["deadline"] * _SHARE) if asks_library else deadline
    measured: list[Measured] = side_by_side(
        lambda server: measure(server.address, server.port, job, raw), servers, len(servers)
    )
    limited = list(config["limited"])
    for server, result in zip(servers, measured):
        if result.cut:
            limited.append(f"not every question was sent to {server.address}: time was over")
    said: dict[str, getaddrinfo.Lookup] = {}
    if asks_library:
        files = getaddrinfo.foreign_files(host, config["path"]) if config["path"] else {}
        said = getaddrinfo.lookups(names, params["count"], deadline, files)
        limited += sorted({each.limited for each in said.values() if each.limited})
    hosts = _hosts(host) if names else {}
    rows = [
        {
            "address": server.address,
            "port": server.port,
            "position": position,
            "source": server.source,
            "ignored": server.ignored,
            **server_facts(result),
        }
        for position, (server, result) in enumerate(zip(servers, measured))
    ]
    used = [(server.address, result) for server, result in zip(servers, measured) if not server.ignored]
    return {
        "available": True,
        "limited": limited,
        "resolver": {
            name: config[name] for name in ("path", "nameservers", "nameservers_ignored", "search", "options")
        },
        "servers": rows,
        "names": [
            name_facts(name, plans[name], types, used, said.get(name), hosts, config["options"]["timeout_s"])
            for name in names
        ],
        "duration_ms": round((time.monotonic() - started) * 1000, 3),
    }


def _names(names: list[str]) -> list[str]:
    if len(names) > MAX_NAMES:
        raise BadOption("names", len(names), f"at most {MAX_NAMES} names")
    for name in names:
        accepted = "host names, such as db.example.com"
        if getaddrinfo.numeric(name) is not None or not name.isprintable() or " " in name or name in ("", "."):
            raise BadOption("names", name, accepted)
        try:
            encode_name(name)
        except ValueError as error:
            raise BadOption("names", name, f"{accepted}: {error}") from error
    return list(dict.fromkeys(names))


def _stated(servers: list[str]) -> list[_Server]:
    if len(servers) > MAX_SERVERS:
        raise BadOption("servers", len(servers), f"at most {MAX_SERVERS} servers")
    found = []
    for text in servers:
        address, port = endpoint(text, PORT)
        plain = getaddrinfo.numeric(address)
        if plain is None or port is None:
            raise BadOption("servers", text, "addresses, such as 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353")
        found.append(_Server(plain, port, "option", False))
    return list(dict.fromkeys(found))


def _configured(config: Facts) -> list[_Server]:
    used = [_Server(address, PORT, "resolv.conf", False) for address in config["nameservers"]]
    ignored = [_Server(address, PORT, "resolv.conf", True) for address in config["nameservers_ignored"]]
    return (used + ignored)[:MAX_SERVERS]


def _resolver(host: Host, optional: bool) -> Facts:
    try:
        return resolver.facts(host, None, resolver.sample(host), Window(None, 1))
    except Unavailable as error:
        if not optional:
            raise
        found = resolver.parse("")
        return {
            "path": None,
            "nameservers": [],
            "nameservers_ignored": [],
            "search": [],
            "options": found.options,
            "limited": [f"without the resolver's configuration no search domain is known: {error}"],
        }


def _hosts(host: Host) -> dict[str, list[str]]:
    """Addresses by lower-case name from the hosts file that the resolver reads first."""
    found: dict[str, list[str]] = {}
    for path in (os.path.join(host.etc, "hosts"), "/etc/hosts"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                for line in file:
                    address, *names = line.partition("#")[0].split() or [""]
                    plain = getaddrinfo.numeric(address)
                    for name in names if plain else []:
                        found.setdefault(name.lower(), []).append(plain or "")
            return found
        except OSError:
            continue
    return found
