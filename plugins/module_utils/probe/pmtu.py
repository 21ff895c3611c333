# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Path MTU to some targets, and where it gets smaller. Private to this collection."""

from __future__ import annotations

import socket
import time
from typing import Any, Callable, Literal, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import rtnetlink
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable, why
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, shown
from ansible_collections.nettriage.linux.plugins.module_utils.probe.error_queue import Answer, Sender
from ansible_collections.nettriage.linux.plugins.module_utils.probe.icmp import Echo, echo_socket
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline
from ansible_collections.nettriage.linux.plugins.module_utils.probe.path_tcp import PORT
from ansible_collections.nettriage.linux.plugins.module_utils.probe.path_udp import Udp
from ansible_collections.nettriage.linux.plugins.module_utils.probe.pmtu_rounds import (
    ALL_THE_WAY,
    Circle,
    Narrow,
    Rounds,
    Silent,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe.pmtu_search import Search, TimeUp, TooBig
from ansible_collections.nettriage.linux.plugins.module_utils.probe.pmtu_tcp import Connection, smallest
from ansible_collections.nettriage.linux.plugins.module_utils.probe.targets import (
    Endpoint,
    check_options,
    each,
    within,
)

METHODS = ("udp", "icmp", "tcp")
CLEAN, REDUCED, BLACK_HOLE, NOT_REACHED = "clean", "reduced", "black_hole", "unreachable"
_LARGEST = {"ipv4": 65535, "ipv6": 65575}
_TCP_HEADERS = {"tcp4": 40, "tcp6": 60}


class Route(NamedTuple):
    """:ivar cached_mtu: what the kernel has learnt about the path or was told to use; ``None`` for the interface's."""

    interface: str | None
    interface_mtu: int
    cached_mtu: int | None


def pmtu_probe(host: Host, params: dict[str, Any]) -> dict[str, Any]:
    """What the module pmtu_probe returns.

    :raises BadOption: a value that cannot be used.
    :raises Unavailable: the method is not to be had for this user.
    """
    return {"changed": False, **probe_pmtus(host, params)}


def probe_pmtus(host: Host, params: dict[str, Any]) -> dict[str, Any]:
    """``{paths, limited}``: a path for every wanted address of every target, all probed at the same time."""
    host.require_live("pmtu_probe")
    check_options(params)
    within("probes", params["probes"], 1, 10, "a number")
    within("max_hops", params["max_hops"], 1, 64, "a number")
    method, limited = params["method"], []
    if method not in METHODS:
        raise BadOption("method", method, f"one of {', '.join(METHODS)}")
    if method != "tcp":
        try:
            echo_socket(socket.AF_INET)[0].close()
        except Unavailable as error:
            if method == "icmp":
                raise
            limited.append(f"{error}; a destination that does not answer udp is not asked by icmp")

    def probe(endpoint: Endpoint, deadline: Deadline) -> dict[str, Any]:
        started = time.monotonic()
        route = _route(endpoint)
        path = _Path(endpoint, route, params, deadline)
        try:
            found = path.by_tcp() if method == "tcp" else path.by_datagrams()
        except (Unavailable, OSError) as error:
            found = {"verdict": NOT_REACHED, "why": why(error, f"sending to {endpoint.address}")}
        return {
            **_unknown(endpoint.target, endpoint, method),
            **route._asdict(),
            **found,
            "probes_sent": path.sent,
            "elapsed_ms": round((time.monotonic() - started) * 1000, 1),
        }

    def failed(target: str, endpoint: Endpoint | None, reason: str) -> dict[str, Any]:
        return {**_unknown(target, endpoint, method), "verdict": NOT_REACHED, "why": reason}

    return {"available": True, "why": None, "limited": limited, "paths": each(host, params, probe, failed)}


def _unknown(target: str, endpoint: Endpoint | None, method: str) -> dict[str, Any]:
    return {
        "target": target,
        "address": endpoint.address if endpoint else None,
        "family": endpoint.family_name if endpoint else None,
        "method": method,
        **dict.fromkeys(Route._fields),
        **dict.fromkeys(("path_mtu", "verdict", "why", "hop", "mss_advice", "elapsed_ms")),
        "reached": False,
        "probes_sent": 0,
    }


def _route(endpoint: Endpoint) -> Route:
    """:raises Unavailable: no route leads there."""
    with rtnetlink.open_route() as link:
        zone = endpoint.sockaddr[3] if endpoint.ipv6 else 0
        try:
            found = None if zone else rtnetlink.way(link, endpoint.address)
        except Unavailable as error:
            raise Unavailable(f"no route to {endpoint.address}: {error}") from error
        ifindex = zone or (found.ifindex if found else None)
        through = rtnetlink.one_link(link, ifindex) if ifindex else None
    if through is None or through.mtu is None:
        raise Unavailable(f"{endpoint.address}: the route names no interface")
    # The length field of the IP header has an end, too: a loopback interface is larger.
    largest = min(through.mtu, _LARGEST[endpoint.family_name])
    return Route(shown(through.name), largest, found.mtu if found else None)


class _Path:
    """The measurement of one path.

    :ivar sent: probes so far.
    """

    def __init__(self, endpoint: Endpoint, route: Route, params: dict[str, Any], deadline: Deadline) -> None:
        self.endpoint = endpoint
        self.route = route
        self.sent = 0
        self._params = params
        self._deadline = deadline

    def by_datagrams(self) -> dict[str, Any]:
        """By the wanted kind of probe; by the other one where the destination does not answer that."""
        methods = ["udp", "icmp"] if self._params["method"] == "udp" else ["icmp", "udp"]
        asked: list[Rounds] = []
        try:
            for method in methods:
                try:
                    sender = self._sender(method)
                except Unavailable:
                    continue
                rounds = self._rounds(sender)
                asked.append(rounds)
                if self._counted(rounds, rounds.reached):
                    return {"method": method, **self._measured(rounds, ALL_THE_WAY, None)}
            return self._by_hops(asked)
        except TimeUp:
            return {"why": self._late("before the destination answered anything")}
        except Circle as error:
            return {"verdict": NOT_REACHED, "why": f"packets go round in a circle through {error}"}
        finally:
            for rounds in asked:
                rounds.sender.close()

    def _sender(self, method: str) -> Sender:
        if method == "icmp":
            return Echo(self.endpoint, True)
        port = self._params["port"] if self._params["method"] == "udp" else None
        return Udp(self.endpoint, port, True)

    def _rounds(self, sender: Sender) -> Rounds:
        return Rounds(sender, self._params["probes"], self._params["timeout"], self._deadline)

    def _counted(self, rounds: Rounds, work: Callable[..., Any], *arguments: Any) -> Any:
        before = rounds.sent
        try:
            return work(*arguments)
        finally:
            self.sent += rounds.sent - before

    def _by_hops(self, asked: list[Rounds]) -> dict[str, Any]:
        """What can be known where the destination answers nothing: how far large packets come."""
        rounds = asked[0]
        ways = self._counted(rounds, rounds.hops, self._params["max_hops"])
        # A router looks for a host for seconds before it says that there is none.
        refusal = next(filter(None, (each.refused() for each in asked)), None)
        if refusal is not None:
            return {"verdict": NOT_REACHED, "why": f"{refusal.address or 'this host'} says: {refusal.what}"}
        if not ways:
            return {"verdict": NOT_REACHED, "why": "nothing answers, neither the destination nor any hop before it"}
        far = ways[-1]
        until = f"hop {len(ways)} ({far.address if far else 'unknown'})"
        found = self._measured(rounds, len(ways), ways)
        if found["verdict"] == CLEAN:
            mtu = found["path_mtu"]
            found.update(
                verdict=NOT_REACHED,
                mss_advice=None,
                why=f"the destination answers nothing; packets of {mtu} bytes come as far as {until}",
            )
        elif found["why"]:
            found["why"] += f"; the destination answers nothing, so this is the path as far as {until}"
        return {**found, "reached": False}

    def _measured(self, rounds: Rounds, hops: int, ways: list[Answer | None] | None) -> dict[str, Any]:
        search = Search(lambda size, sure: rounds.arrives(size, hops, sure), rounds.small, self.route.interface_mtu)
        found: dict[str, Any] = self._counted(rounds, self._judged, search, rounds, ways, ways is None)
        return found

    def _judged(
        self, search: Search, rounds: Rounds, ways: list[Answer | None] | None, reached: bool
    ) -> dict[str, Any]:
        """Run *search*, then find the hop that decides."""
        cut = None
        try:
            search.run()
        except TimeUp:
            cut = self._late(f"while it was between {search.good} and {self.route.interface_mtu} bytes")
        except Silent:
            cut = "the destination stopped answering, also small packets"
        narrow = None
        if search.refused and cut is None:
            size = search.vanished or min(search.refused)
            try:
                narrow = rounds.narrow(size, rounds.hops(self._params["max_hops"]) if ways is None else ways, reached)
            except TimeUp:
                cut = self._late("while the hop was looked for")
            except Circle:
                narrow = None  # the destination answers all the same
        return self._result(search, narrow, rounds.small, cut)

    def _result(
        self, search: Search, narrow: Narrow | None, low: int, cut: str | None, teller: str | None = None
    ) -> dict[str, Any]:
        told, vanished = search.told, search.vanished
        verdict: str | None
        reason: str | None
        mtu = search.good if search.good > low or cut is None else None
        if vanished is not None:
            verdict = BLACK_HOLE
            behind = f" behind hop {narrow.number} ({narrow.address or 'this host'})" if narrow else ""
            reason = f"packets of {vanished} bytes vanish{behind} without an ICMP error, while small ones arrive"
        elif told is not None:
            verdict = REDUCED
            reason = f"{teller or told.address or 'this host'} says that packets of more than {mtu} bytes do not fit"
        else:
            verdict, reason = CLEAN if cut is None else None, None
        hop = None
        if narrow is not None:
            hop = {**narrow._asdict(), "mtu": told.mtu if told and told.mtu and vanished is None else search.good}
        return {
            "path_mtu": mtu,
            "verdict": verdict,
            "why": "; ".join(filter(None, (reason, cut))) or None,
            "hop": hop,
            "reached": True,
            "mss_advice": self._mss(mtu, verdict) if mtu else None,
        }

    def _mss(self, mtu: int, verdict: str | None) -> dict[str, Any]:
        sizes: dict[str, Any] = {name: mtu - headers for name, headers in _TCP_HEADERS.items()}
        name, family = ("tcp6", "ipv6") if self.endpoint.ipv6 else ("tcp4", "ipv4")
        rule = f"meta nfproto {family} tcp flags syn tcp option maxseg size set {sizes[name]}"
        # On the router before the narrow link, or in "output" and "input" of the host itself.
        sizes["clamp"] = f"nft add rule inet filter forward {rule}" if verdict in (REDUCED, BLACK_HOLE) else None
        return sizes

    def _late(self, what: str) -> str:
        return f"the time limit of {self._params['time_limit']:g} s came {what}"

    def by_tcp(self) -> dict[str, Any]:
        """By real connections to a port, each of which carries one packet."""
        port = self._params["port"] or PORT
        try:
            with self._connection(port, None) as first:
                whole, known = first.carries, first.path_mtu
        except TimeUp:
            return {"why": self._late("before there was a connection")}
        found: dict[str, Any] = {"cached_mtu": self.route.cached_mtu}
        if self._params["send_data"]:
            search = Search(lambda size, _sure: self._arrives(port, size), smallest(self.endpoint), whole)
            cut = None
            try:
                search.run()
            except TimeUp:
                cut = self._late(f"while it was between {search.good} and {whole} bytes")
            found.update(self._result(search, self._udp_narrow(search, cut), smallest(self.endpoint), cut, "a router"))
        else:
            found.update(path_mtu=whole, verdict=CLEAN, reached=True, mss_advice=self._mss(whole, CLEAN))
        if found["verdict"] == CLEAN and whole < self.route.interface_mtu:
            if known <= whole:
                reason = f"the kernel knows already that larger packets than {known} bytes do not fit"
            else:
                reason = f"the peer, or a router that clamps it, announces an MSS for packets of {whole} bytes"
            found.update(verdict=REDUCED, why=reason, mss_advice=self._mss(whole, REDUCED))
        return found

    def _connection(self, port: int, size: int | None) -> Connection:
        self.sent += 1
        return Connection(self.endpoint, port, size, self._deadline)

    def _arrives(self, port: int, size: int) -> Literal[True] | TooBig | None:
        with self._connection(port, size) as made:
            if made.carries < size:  # learnt from what came before
                return TooBig(made.carries, None)
            self.sent += 1
            return made.deliver(self._params["timeout"], self._deadline)

    def _udp_narrow(self, search: Search, cut: str | None) -> Narrow | None:
        """The kernel keeps to itself who has refused a TCP segment: the hop is found by UDP."""
        if not search.refused or cut is not None:
            return None
        with Udp(self.endpoint, None, True) as sender:
            rounds = self._rounds(sender)
            try:
                ways = self._counted(rounds, rounds.hops, self._params["max_hops"])
                found: Narrow | None = self._counted(
                    rounds, rounds.narrow, search.vanished or min(search.refused), ways, False
                )
            except (TimeUp, Circle, OSError):
                return None
            return found
