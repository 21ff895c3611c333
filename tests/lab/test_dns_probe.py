# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Name servers with every kind of trouble, beside dig and the C library itself."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from functools import partial
from typing import Any, Iterator

import pytest

from ansible_collections.nettriage.linux.tests.lab.netlab import Actor, Lab, LabError, wait_until
from ansible_collections.nettriage.linux.tests.lab.services import etc_of, ids, probe

pytestmark = pytest.mark.skipif(
    shutil.which("dig") is None and not os.environ.get("CI"), reason="these tests need dig, of bind9-dnsutils"
)
RECORDS = {
    "db.corp.example": ["192.0.2.1", "2001:db8::1"],
    "www.example": ["-> web.example"],
    "web.example": ["192.0.2.2", "192.0.2.3", "2001:db8::2"],
    "only4.example": ["192.0.2.4"],
    "pinned.example": ["192.0.2.5"],
}


class World:
    """A client, a server on one cable, and name servers on it."""

    def __init__(self, lab: Lab) -> None:
        self.client, self.server, self.link = lab.pair()
        # The first packet to a new neighbour waits for its address: that is not what is measured here.
        for address in (self.link.addresses[1], self.link.addresses6[1]):
            wait_until(partial(self.answers, address), "a neighbour that answers")
        self.port = 5300

    def answers(self, address: str) -> bool:
        argv = ["ip", "netns", "exec", self.client.name, "ping", "-c", "1", "-W", "1", address]
        return subprocess.run(argv, stdout=subprocess.DEVNULL, check=False).returncode == 0

    def serve(self, port: int | None = None, ipv6: bool = False, **zone: Any) -> tuple[str, Actor]:
        """A name server; returns the text for ``servers`` and the actor."""
        self.port += 1
        number = port or self.port
        address = f"[{self.link.addresses6[1]}]" if ipv6 else self.link.addresses[1]
        where = f"{address}:{number}"
        return where, self.server.start("nameserver", "named", where, json.dumps({"records": RECORDS, **zone}))

    def probe(self, *names: str, servers: list[str] | None = None, **options: Any) -> dict[str, Any]:
        params = {
            "names": list(names),
            "servers": servers or [],
            "protocols": ["udp", "tcp"],
            "count": 4,
            "timeout": 0.5,
            "deadline": 20.0,
            "getaddrinfo": False,
            **options,
        }
        return probe("dns_probe", self.client, **params)


@pytest.fixture(scope="module")
def world(shared_lab: Lab) -> World:
    return World(shared_lab)


def dig(world: World, where: str, *words: str) -> str:
    address, __, port = where.rpartition(":")
    return world.client.run("dig", "+tries=1", "+noedns", f"@{address.strip('[]')}", "-p", port, *words)


def dig_ms(text: str) -> float:
    found = re.search(r"Query time: (\d+) usec", text)
    assert found
    return int(found[1]) / 1000


@pytest.mark.parametrize("ipv6", [False, True])
def test_a_healthy_server_and_its_slow_twin(world: World, ipv6: bool) -> None:
    fast, __ = world.serve(ipv6=ipv6)
    slow, __ = world.serve(ipv6=ipv6, delay_ms=150)
    found = world.probe("www.example", servers=[fast, slow])
    healthy, sick = found["servers"]
    for row, where in ((healthy, fast), (sick, slow)):
        assert row["reachable"] and row["udp"]["sent"] == row["udp"]["answered"] == 8
        assert row["tcp"]["answered"] == 8 and row["udp"]["rcodes"] == {"noerror": 8}
        theirs = dig_ms(dig(world, where, "-u", "www.example"))
        assert row["udp"]["latency_ms"]["min"] == pytest.approx(theirs, abs=15)
        assert row["tcp"]["latency_ms"]["min"] == pytest.approx(theirs, abs=15)
        assert row["pairs"] == {"sent": 5, "complete": 5, "one_lost": 0, "both_lost": 0, "lost": {}}
    assert ids(dns={**found, "servers": [healthy]}) == []
    assert ids(dns={**found, "servers": [sick]}) == ["dns.slow"]
    (name,) = found["names"]
    assert name["outcome"] == "found" and name["aliases"] == ["web.example"] and name["ttl_s"] == 60
    a, aaaa = (dig(world, fast, "+short", "www.example", rtype).split()[1:] for rtype in ("A", "AAAA"))
    assert name["addresses"] == a + aaaa
    assert name["by_server"] == []


def test_a_server_that_never_answers(world: World) -> None:
    where, __ = world.serve(behaviour="silent")
    with pytest.raises(LabError, match="dig"):
        dig(world, where, "+timeout=1", "www.example")
    started = time.monotonic()
    found = world.probe("www.example", "db.corp.example", servers=[where])
    assert time.monotonic() - started < 5
    (row,) = found["servers"]
    assert row["reachable"] is False
    assert row["udp"]["answered"] == 0 and row["udp"]["timeouts"] == row["udp"]["sent"] == 5
    assert row["tcp"]["timeouts"] == row["tcp"]["sent"] == 1
    assert found["names"][0]["outcome"] == "timeout" and found["names"][0]["addresses"] == []
    assert ids(dns=found) == ["dns.unreachable"]


def test_a_port_where_nobody_listens(world: World) -> None:
    where = f"{world.link.addresses[1]}:99"
    (row,) = world.probe(servers=[where], count=1)["servers"]
    assert row["reachable"] is False
    assert row["udp"]["errors"] == {"refused": 1} and row["tcp"]["errors"] == {"refused": 1}


@pytest.mark.parametrize(("address", "kind"), [("203.0.113.1", "unreachable"), ("2001:db8:9::1", "unreachable")])
def test_a_server_without_a_way_to_it(world: World, address: str, kind: str) -> None:
    found = world.probe("www.example", servers=[address], count=1)
    (row,) = found["servers"]
    assert row["udp"]["errors"] == {kind: row["udp"]["sent"]} and row["tcp"]["errors"] == {kind: row["tcp"]["sent"]}
    assert ids(dns=found) == ["dns.unreachable"]


@pytest.mark.parametrize("behaviour", ["servfail", "refused"])
def test_a_server_that_fails(world: World, behaviour: str) -> None:
    where, __ = world.serve(behaviour=behaviour)
    assert f"status: {behaviour.upper()}" in dig(world, where, "www.example")
    found = world.probe("www.example", servers=[where])
    assert found["servers"][0]["udp"]["rcodes"] == {behaviour: 8}
    assert found["names"][0]["outcome"] == behaviour
    assert ids(dns=found) == ["dns.server_failure"]


def test_answers_that_do_not_fit_into_a_datagram(world: World) -> None:
    where, __ = world.serve(behaviour="truncate")
    assert "flags: qr tc" in dig(world, where, "+ignore", "www.example")
    found = world.probe("www.example", servers=[where])
    (row,) = found["servers"]
    assert row["udp"]["truncated"] == 8
    assert row["truncated_retries"] == {"sent": 2, "answered": 2}
    assert len(found["names"][0]["addresses"]) == 3
    assert ids(dns=found) == []

    world.server.filter("input", f"tcp dport {world.port} drop")
    found = world.probe("www.example", servers=[where])
    assert found["servers"][0]["truncated_retries"]["answered"] == 0
    assert found["names"][0]["outcome"] == "timeout"
    assert ids(dns=found) == ["dns.tcp_unreachable"]


def test_the_second_question_from_one_port_is_lost(world: World) -> None:
    """What a race in connection tracking looks like: single questions are answered, pairs are not."""
    where, __ = world.serve(behaviour="second_lost")
    found = world.probe("www.example", servers=[where])
    (row,) = found["servers"]
    assert row["udp"]["timeouts"] == 0 and row["udp"]["answered"] == 8
    assert row["pairs"]["one_lost"] == row["pairs"]["sent"] == 5
    assert row["pairs"]["lost"] == {"AAAA": 5}
    assert ids(dns=found) == ["dns.pair_lost"]


def test_wrong_answers_are_not_taken(world: World) -> None:
    where, __ = world.serve(behaviour="wrong")
    (row,) = world.probe("www.example", servers=[where], protocols=["udp"])["servers"]
    assert row["udp"]["answered"] == 8 and row["udp"]["wrong"] >= 8 and row["tcp"] is None


def test_damaged_answers_are_no_answers(world: World) -> None:
    where, __ = world.serve(behaviour="garbage")
    (row,) = world.probe("www.example", servers=[where], protocols=["udp"])["servers"]
    assert row["reachable"] is False and row["udp"]["wrong"] > 0 and row["udp"]["answered"] == 0


def test_late_answers_are_told_from_none(world: World) -> None:
    where, __ = world.serve(delay_ms=600)
    found = world.probe("www.example", servers=[where], timeout=0.4)
    (row,) = found["servers"]
    assert row["udp"]["answered"] == 0 and row["udp"]["late"] > 0
    assert row["udp"]["late_ms"]["min"] == pytest.approx(600, abs=60)
    assert row["reachable"] is True
    assert "dns.slow" in ids(dns=found) and "dns.unreachable" not in ids(dns=found)


def test_the_deadline_is_kept(world: World) -> None:
    slow, __ = world.serve(delay_ms=400)
    silent, __ = world.serve(behaviour="silent")
    started = time.monotonic()
    found = world.probe("www.example", servers=[slow, silent], count=50, deadline=2.0, timeout=1.0)
    assert time.monotonic() - started < 3
    assert found["duration_ms"] < 2300
    assert found["servers"][0]["udp"]["answered"] > 0
    assert any("time was over" in sentence for sentence in found["limited"])


@pytest.fixture
def resolving(world: World) -> Iterator[tuple[World, Actor]]:
    """The client's own resolv.conf, with a search list, and the first of its servers."""
    actors = [world.serve(53, ipv6=ipv6)[1] for ipv6 in (False, True)]
    lines = [
        f"nameserver {world.link.addresses[1]}",
        f"nameserver {world.link.addresses6[1]}",
        "nameserver 192.0.2.253",
        "nameserver 192.0.2.254",
        "search a.example b.example corp.example",
        "options ndots:3 timeout:1 attempts:1",
    ]
    files = {"resolv_conf": "\n".join(lines) + "\n", "hosts": "192.0.2.99 pinned.example\n"}
    with etc_of(world.client, **files, nsswitch_conf="hosts: files dns\n"):
        yield world, actors[0]
    for actor in actors:
        actor.stop()


def _asked(actor: Actor) -> list[tuple[str, int]]:
    """What was asked until now: the actor tells a last name."""
    asked: list[tuple[str, int]] = []
    while True:
        line = actor.hear()
        if line["asked"] == "end":
            return asked
        asked.append((line["asked"], line["type"]))


@pytest.mark.parametrize("name", ["db", "db.", "db.corp", "db.corp.example", "a.b.c.d", "nowhere.example"])
def test_candidates_are_what_the_c_library_asks_for(resolving: tuple[World, Actor], name: str) -> None:
    world, actor = resolving
    world.probe(name, count=1, protocols=["udp"])
    dig(world, f"{world.link.addresses[1]}:53", "end")
    _asked(actor)

    subprocess.run(
        [
            "ip",
            "netns",
            "exec",
            world.client.name,
            "python3",
            "-c",
            f"import socket; socket.getaddrinfo({name!r}, None)",
        ],
        stderr=subprocess.DEVNULL,
        check=False,
    )
    dig(world, f"{world.link.addresses[1]}:53", "end")
    theirs = _asked(actor)
    (found,) = world.probe(name, count=1, protocols=["udp"])["names"]
    tried = [each["name"] for each in found["candidates"] if each["outcome"] is not None]
    assert list(dict.fromkeys(each for each, __ in theirs)) == tried
    assert len(theirs) == (found["queries_needed"] or found["queries_if_missing"])
    dig(world, f"{world.link.addresses[1]}:53", "end")
    _asked(actor)


def test_a_search_list_that_multiplies_queries(resolving: tuple[World, Actor]) -> None:
    world, __ = resolving
    found = world.probe("db", "only4.example", "pinned.example", getaddrinfo=True, timeout=0.3)
    assert found["resolver"]["nameservers"] == [world.link.addresses[1], world.link.addresses6[1], "192.0.2.253"]
    assert [row["ignored"] for row in found["servers"]] == [False, False, False, True]
    assert [row["reachable"] for row in found["servers"]] == [True, True, False, False]
    short, four, pinned = found["names"]
    assert [each["name"] for each in short["candidates"]] == [
        "db.a.example", "db.b.example", "db.corp.example", "db",
    ]  # fmt: skip
    assert [each["outcome"] for each in short["candidates"]] == ["nxdomain", "nxdomain", "found", None]
    assert short["resolved_as"] == "db.corp.example"
    assert (short["queries_needed"], short["queries_if_missing"]) == (6, 8)
    assert sorted(short["addresses"]) == sorted(short["getaddrinfo"]["addresses"]) == ["192.0.2.1", "2001:db8::1"]
    assert short["getaddrinfo"]["runs"] == 4 and short["getaddrinfo"]["differs"] is False
    assert four["addresses"] == four["getaddrinfo"]["addresses"] == ["192.0.2.4"]
    assert pinned["hosts_file"] == pinned["getaddrinfo"]["addresses"] == ["192.0.2.99"]
    assert pinned["addresses"] == ["192.0.2.5"] and pinned["getaddrinfo"]["differs"] is True
    assert ids(dns=found) == ["dns.unreachable", "dns.lookup_differs"]


def test_the_c_library_waits_for_a_dead_server(world: World) -> None:
    """The first server is silent: raw questions time out, and every lookup takes the resolver's timeout longer."""
    __, live = world.serve(53, ipv6=True)
    world.server.ip(f"address add 10.99.0.1/32 dev {world.link.interfaces[1]}")
    world.client.ip(f"route add 10.99.0.1/32 via {world.link.addresses[1]}")
    dead = world.server.start("nameserver", "dead", "10.99.0.1:53", json.dumps({"behaviour": "silent"}))
    text = f"nameserver 10.99.0.1\nnameserver {world.link.addresses6[1]}\noptions timeout:1\n"
    with etc_of(world.client, resolv_conf=text, nsswitch_conf="hosts: dns\n"):
        found = world.probe("web.example", getaddrinfo=True, count=2)
    for actor in (dead, live):
        actor.stop()
    (name,) = found["names"]
    assert name["server"] == world.link.addresses6[1] and name["outcome"] == "found"
    library = name["getaddrinfo"]
    assert library["waited"] == 2 and library["latency_ms"]["min"] >= 1000
    assert sorted(library["addresses"]) == sorted(name["addresses"])
    assert ids(dns=found) == ["dns.unreachable", "dns.lookup_waits"]


def test_getaddrinfo_is_ended_with_the_deadline(world: World) -> None:
    dead = world.server.start("nameserver", "dead", f"{world.link.addresses[1]}:53", '{"behaviour": "silent"}')
    text = f"nameserver {world.link.addresses[1]}\noptions timeout:30\n"
    with etc_of(world.client, resolv_conf=text, nsswitch_conf="hosts: dns\n"):
        started = time.monotonic()
        found = world.probe("web.example", getaddrinfo=True, deadline=4.0)
        assert time.monotonic() - started < 6
    dead.stop()
    assert found["duration_ms"] < 4500
    library = found["names"][0]["getaddrinfo"]
    assert library["timed_out"] is True and library["runs"] == 0 and library["waited"] == 1


def test_servers_that_do_not_agree(world: World) -> None:
    one, __ = world.serve()
    other, __ = world.serve(records={})
    found = world.probe("www.example", servers=[one, other])
    (name,) = found["names"]
    assert [row["outcome"] for row in name["by_server"]] == ["found", "nxdomain"]
    assert ids(dns=found) == ["dns.servers_disagree"]
