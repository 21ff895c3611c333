# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom to probe: names become addresses, and all targets are probed side by side. Private to this collection."""

from __future__ import annotations

import os
import socket
from typing import Any, Callable, Iterator, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable, why
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.probe.getaddrinfo import foreign_files, lookups, numeric
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline, side_by_side

MAX_TARGETS = 64
MAX_TIME_S = 600.0
FAMILIES = {
    "any": socket.AF_UNSPEC,
    "both": socket.AF_UNSPEC,
    "ipv4": socket.AF_INET,
    "ipv6": socket.AF_INET6,
}
PROBE_SPEC: dict[str, dict[str, Any]] = {
    "targets": {"type": "list", "elements": "str", "required": True},
    "family": {"type": "str", "default": "any", "choices": list(FAMILIES)},
    "port": {"type": "int"},
    "time_limit": {"type": "float", "default": 60.0},
}


class Endpoint(NamedTuple):
    """One address of one target.

    :ivar target: as it was given.
    :ivar address: canonical text, with the zone of a link-local address.
    :ivar sockaddr: for ``connect``; its port is 0.
    """

    target: str
    family: int
    address: str
    sockaddr: tuple[Any, ...]

    @property
    def ipv6(self) -> bool:
        return self.family == socket.AF_INET6

    @property
    def family_name(self) -> str:
        return "ipv6" if self.ipv6 else "ipv4"

    def at(self, port: int) -> tuple[Any, ...]:
        return (self.sockaddr[0], port, *self.sockaddr[2:])


def check_options(params: dict[str, Any]) -> None:
    """:raises BadOption: one of ``PROBE_SPEC`` cannot be used."""
    count = len(params["targets"])
    if not 1 <= count <= MAX_TARGETS:
        raise BadOption("targets", f"{count} targets", f"1 to {MAX_TARGETS} host names or addresses")
    for target in params["targets"]:
        if not target.strip() or "\0" in target:
            raise BadOption("targets", target, "host names or addresses")
    within("timeout", params["timeout"], 0.05, 10.0, "seconds")
    within("time_limit", params["time_limit"], 1.0, MAX_TIME_S, "seconds")
    if params["port"] is not None:
        within("port", params["port"], 1, 65535, "a port number")


def within(option: str, value: float, low: float, high: float, what: str) -> None:
    """:raises BadOption: *value* is not from *low* to *high*."""
    if not low <= value <= high:
        raise BadOption(option, value, f"{what} from {low:g} to {high:g}")


def each(
    host: Host,
    params: dict[str, Any],
    probe: Callable[[Endpoint, Deadline], dict[str, Any]],
    failed: Callable[[str, Endpoint | None, str], dict[str, Any]],
) -> list[dict[str, Any]]:
    """A result for every wanted address of every target, in the order of the targets, all probed at the same time.

    :param probe: makes the result of an endpoint before the deadline.
    :param failed: makes the result where nothing can be measured; its last argument is the reason.
    """
    deadline = Deadline(params["time_limit"])
    targets = list(dict.fromkeys(target.strip() for target in params["targets"]))
    jobs = [job for target, found in resolve(host, targets, params, deadline) for job in _jobs(target, found)]

    def work(job: tuple[str, Endpoint | str]) -> dict[str, Any]:
        target, endpoint = job
        if isinstance(endpoint, str):
            return failed(target, None, endpoint)
        try:
            return probe(endpoint, deadline)
        except (Unavailable, OSError) as error:
            return failed(target, endpoint, why(error, endpoint.address))

    # A thread is in the network namespace of the one that started it.
    return side_by_side(work, jobs, len(jobs))


def _jobs(target: str, found: list[Endpoint] | str) -> list[tuple[str, Endpoint | str]]:
    return [(target, found)] if isinstance(found, str) else [(target, endpoint) for endpoint in found]


def resolve(
    host: Host, targets: list[str], params: dict[str, Any], deadline: Deadline
) -> Iterator[tuple[str, list[Endpoint] | str]]:
    """Each target with its addresses as the system's resolver prefers them (one, or one a family), or why not."""
    names = [target for target in targets if numeric(target) is None]
    files = foreign_files(host, os.path.join(host.etc, "resolv.conf")) if names else {}
    looked_up = lookups(names, 1, deadline.within(params["time_limit"] / 2), files) if names else {}
    for target in targets:
        addresses = [target]
        if target in looked_up:
            found = looked_up[target]
            addresses = found.addresses
            if not addresses:
                late = found.timed_out and not found.error
                yield target, f"{target}: {'no answer in time from the resolver' if late else found.error}"
                continue
        endpoints = _endpoints(target, addresses, FAMILIES[params["family"]])
        if not endpoints:
            yield target, f"{target}: has no {params['family']} address, only {', '.join(addresses[:3])}"
        else:
            yield target, endpoints if params["family"] == "both" else endpoints[:1]


def _endpoints(target: str, addresses: list[str], wanted: int) -> list[Endpoint]:
    """The first address of each family."""
    first: dict[int, Endpoint] = {}
    for address in addresses:
        try:
            found = socket.getaddrinfo(address, None, 0, socket.SOCK_DGRAM, 0, socket.AI_NUMERICHOST)
        except OSError:  # the zone of an interface that does not exist
            continue
        family, sockaddr = found[0][0], found[0][4]
        if wanted in (socket.AF_UNSPEC, family):
            shown = socket.getnameinfo(sockaddr, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
            first.setdefault(int(family), Endpoint(target, int(family), shown, sockaddr))
    return list(first.values())
