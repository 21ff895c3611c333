# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Web servers and ports with every kind of trouble, beside curl and nc's own way of asking."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from functools import partial
from typing import Any

import pytest

from ansible_collections.nettriage.linux.tests.lab.netlab import Actor, Lab, command, wait_until
from ansible_collections.nettriage.linux.tests.lab.services import etc_of, ids, probe

_ABSENT = [tool for tool in ("openssl", "curl") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(
    bool(_ABSENT) and not os.environ.get("CI"), reason=f"these tests need {' and '.join(_ABSENT)}"
)
_TIMES = ("time_namelookup", "time_connect", "time_appconnect", "time_starttransfer", "time_total")
_TOLERANCE_MS = 40
_PORTS_ONLY: dict[str, Any] = {
    "urls": [],
    "method": "GET",
    "headers": None,
    "validate_certs": True,
    "ca_path": None,
    "max_bytes": 0,
}


class World:
    """A client, a server on one cable, and certificates."""

    def __init__(self, lab: Lab, directory: str) -> None:
        self.client, self.server, self.link = lab.pair()
        self.address, self.address6 = self.link.addresses[1], self.link.addresses6[1]
        # The first packet to a new neighbour waits for its address: that is not what is measured here.
        for address in (self.address, self.address6):
            wait_until(partial(self._answers, address), "a neighbour that answers")
        self._directory = directory
        self._port = 8000
        self.authority = self.path("ca.pem")
        words = [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "400",
            "-subj",
            "/CN=lab",
        ]
        command("openssl", *words, "-keyout", self.path("ca.key"), "-out", self.authority)

    def _answers(self, address: str) -> bool:
        argv = ["ip", "netns", "exec", self.client.name, "ping", "-c", "1", "-W", "1", address]
        return subprocess.run(argv, stdout=subprocess.DEVNULL, check=False).returncode == 0

    def path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    def certificate(
        self, name: str, days: tuple[int, int], names: str = "DNS:web.lab", signed: bool = True
    ) -> dict[str, str]:
        """A certificate that is valid from and until so many days from now, by the lab's authority or by itself."""
        base = self.path(name)
        os.makedirs(base)
        key, request, made, config = (os.path.join(base, each) for each in ("key", "request", "certificate", "config"))
        words = ["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/C=XX/O=Lab/CN=web.lab"]
        command("openssl", *words, "-keyout", key, "-out", request)
        files = {
            "index.txt": "",
            "serial": "1000\n",
            "extensions": f"subjectAltName={names},IP:{self.address},IP:{self.address6}\n",
            "config": f"[ca]\ndefault_ca = lab\n[lab]\ndatabase = {base}/index.txt\nserial = {base}/serial\n"
            f"new_certs_dir = {base}\ndefault_md = sha256\npolicy = any\n"
            "[any]\ncommonName = supplied\norganizationName = optional\ncountryName = optional\n",
        }
        for file_name, content in files.items():
            with open(os.path.join(base, file_name), "w", encoding="ascii") as file:
                file.write(content)
        # Of all of OpenSSL's commands only ca can state when a certificate begins to be valid.
        begin, end = (time.strftime("%y%m%d%H%M%SZ", time.gmtime(time.time() + day * 86400)) for day in days)
        by = ("-cert", self.authority, "-keyfile", self.path("ca.key")) if signed else ("-selfsign", "-keyfile", key)
        command(
            *("openssl", "ca", "-batch", "-notext", "-config", config, "-in", request, "-out", made, *by),
            *("-startdate", begin, "-enddate", end, "-extfile", os.path.join(base, "extensions")),
        )
        return {"certificate": made, "key": key}

    def serve(self, ipv6: bool = False, **spec: Any) -> tuple[str, Actor]:
        """A web server; returns the URL and the actor."""
        self._port += 1
        where = f"{f'[{self.address6}]' if ipv6 else self.address}:{self._port}"
        actor = self.server.start("webserver", "httpd", where, json.dumps(spec))
        return f"{'https' if 'certificate' in spec else 'http'}://{where}/", actor

    def probe(self, **options: Any) -> dict[str, Any]:
        params = {
            "urls": [],
            "targets": [],
            "method": "GET",
            "headers": None,
            "validate_certs": True,
            "ca_path": self.authority,
            "count": 3,
            "timeout": 3.0,
            "deadline": 20.0,
            "max_bytes": 1 << 20,
            **options,
        }
        return probe("http_probe", self.client, **params)

    def url(self, url: str, **options: Any) -> dict[str, Any]:
        """The row of one URL."""
        (row,) = self.probe(urls=[url], **options)["urls"]
        assert isinstance(row, dict)
        return row

    def curl(self, url: str, *words: str) -> dict[str, float]:
        """The phases in milliseconds as curl measures them."""
        form = " ".join(f"%{{{name}}}" for name in _TIMES)
        line = self.client.run("curl", "-so", "/dev/null", "--cacert", self.authority, *words, "-w", form, url)
        lookup, connect, secure, first, total = (float(word) * 1000 for word in line.split())
        return {
            "lookup": lookup,
            "connect": connect - lookup,
            "tls": secure - connect if secure else 0.0,
            "first_byte": first - max(secure, connect),
            "transfer": total - first,
        }


@pytest.fixture(scope="module")
def world(shared_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(shared_lab, str(tmp_path_factory.mktemp("certificates")))


@pytest.fixture(scope="module")
def good(world: World) -> dict[str, str]:
    """A certificate that nothing is wrong with."""
    return world.certificate("good", (-1, 300))


@pytest.mark.parametrize("ipv6", [False, True])
@pytest.mark.parametrize(
    ("slow", "phase"),
    [({"tls_ms": 250}, "tls"), ({"first_byte_ms": 250}, "first_byte"), ({"transfer_ms": 250}, "transfer"), ({}, "")],
)
def test_the_slow_phase_is_curl_s(
    world: World, good: dict[str, str], slow: dict[str, int], phase: str, ipv6: bool
) -> None:
    url, __ = world.serve(ipv6, **good, **slow)
    row = world.url(url)
    (place,) = row["addresses"]
    theirs = [world.curl(url) for __ in range(2)]
    for name in ("connect", "tls", "first_byte", "transfer"):
        ms = min(each[name] for each in theirs)
        assert place["phases"][f"{name}_ms"]["min"] == pytest.approx(ms, abs=_TOLERANCE_MS), name
    assert place["total_ms"]["min"] == pytest.approx(min(sum(each.values()) for each in theirs), abs=_TOLERANCE_MS)
    assert place["outcome"] == row["outcome"] == "ok" and place["outcomes"] == {"ok": 3}
    assert place["family"] == ("ipv6" if ipv6 else "ipv4")
    assert (place["status"], place["http_version"], place["body_bytes"], place["body_whole"]) == (
        200,
        "1.1",
        1000,
        True,
    )
    assert sum(place["shares"].values()) == pytest.approx(1, abs=0.001)
    assert place["phases"]["lookup_ms"] is None
    if phase:
        assert place["slow_phase"] == row["slowest"]["phase"] == phase
        assert place["shares"][phase] > 0.5
        found = ids(http={"urls": [row]})
        assert found == [], "250 ms are not slow"
    tls = place["tls"]
    assert tls["verified"] is True and tls["problem"] is None
    assert (tls["version"], tls["alpn"]) == ("TLSv1.3", "http/1.1")
    assert "CN=web.lab" in tls["certificate"]["subject"]
    assert tls["certificate"]["issuer"] == "CN=lab"
    assert tls["certificate"]["days_left"] == pytest.approx(300, abs=0.1)
    assert world.address in tls["certificate"]["names"] and tls["certificate"]["key"] == "RSA 2048"


def test_a_slow_application(world: World) -> None:
    url, __ = world.serve(first_byte_ms=1200)
    found = world.probe(urls=[url], count=1)
    assert found["urls"][0]["slowest"]["phase"] == "first_byte"
    assert ids(http=found) == ["http.slow_phase"]


@pytest.mark.parametrize(
    ("name", "days", "options", "code", "findings"),
    [
        ("expired", (-30, -2), {}, 10, ["tls.certificate_expired"]),
        ("future", (5, 300), {}, 9, ["tls.untrusted"]),
        ("mismatch", (-1, 300), {"names": "DNS:other.lab"}, 62, ["tls.untrusted"]),
        ("selfsigned", (-1, 300), {"signed": False}, 18, ["tls.untrusted"]),
        ("soon", (-1, 20), {}, None, ["tls.certificate_expiring"]),
        ("verysoon", (-1, 3), {}, None, ["tls.certificate_expiring"]),
        ("healthy", (-1, 300), {}, None, []),
    ],
)
def test_certificates(
    world: World, name: str, days: tuple[int, int], options: dict[str, Any], code: int | None, findings: list[str]
) -> None:
    """Each is described, whatever is wrong with it, and the request goes on without the user's headers."""
    made = world.certificate(name, days, **options)
    url, actor = world.serve(False, **made)
    port = url.split(":")[2].strip("/")
    named = f"https://web.lab:{port}/"
    with etc_of(world.client, hosts=f"{world.address} web.lab\n", nsswitch_conf="hosts: files\n"):
        found = world.probe(urls=[named], headers={"X-Token": "secret-value"}, count=2)
    (place,) = found["urls"][0]["addresses"]
    tls = place["tls"]
    assert place["outcome"] == "ok" and place["status"] == 200
    assert tls["problem_code"] == code
    assert tls["verified"] is (code is None)
    assert tls["certificate"]["days_left"] == pytest.approx(days[1], abs=0.1)
    assert place["headers_withheld"] is (code is not None)
    heard = [actor.hear()["headers"] for __ in range(2)]
    assert [headers.get("X-Token") for headers in heard] == [None if code else "secret-value"] * 2
    assert heard[0]["Host"] == f"web.lab:{port}"
    assert found["urls"][0]["lookup"]["addresses"] == [world.address]
    assert place["phases"]["lookup_ms"] is not None
    shown = command(
        "openssl", "x509", "-in", made["certificate"], "-noout", "-serial", "-enddate", "-dateopt", "iso_8601"
    )
    serial, end = (line.partition("=")[2] for line in shown.split("\n")[:2])
    assert int(tls["certificate"]["serial"], 16) == int(serial, 16)
    assert tls["certificate"]["not_after"] == end.replace(" ", "T")
    assert ids(http=found) == findings
    # curl takes the certificate if, and only if, we do.
    with etc_of(world.client, hosts=f"{world.address} web.lab\n"):
        argv = [
            "ip",
            "netns",
            "exec",
            world.client.name,
            "curl",
            "-so",
            "/dev/null",
            "--cacert",
            world.authority,
            named,
        ]
        done = subprocess.run(argv, check=False)
    assert (done.returncode == 0) is tls["verified"]


def test_certificates_are_not_checked_on_request(world: World) -> None:
    url, actor = world.serve(False, **world.certificate("unchecked", (-9, -2)))
    row = world.url(url, validate_certs=False, headers={"X-Token": "secret-value"}, count=1)
    (place,) = row["addresses"]
    assert place["tls"]["verified"] is None and place["tls"]["certificate"]["days_left"] < 0
    assert actor.hear()["headers"]["X-Token"] == "secret-value"


def test_a_server_without_tls_on_the_port(world: World) -> None:
    url, __ = world.serve(behaviour="plain_tls")
    found = world.probe(urls=[url.replace("http:", "https:")], count=1)
    (place,) = found["urls"][0]["addresses"]
    assert (place["outcome"], place["failed_phase"], place["error"]) == ("tls_failed", "tls", "wrong version number")
    assert ids(http=found) == ["tls.handshake_failed"]


def test_a_handshake_that_never_ends(world: World) -> None:
    url, __ = world.serve(behaviour="silent")
    started = time.monotonic()
    found = world.probe(urls=[url.replace("http:", "https:")], timeout=0.5)
    assert time.monotonic() - started < 3
    (place,) = found["urls"][0]["addresses"]
    assert (place["outcome"], place["failed_phase"], place["runs"]) == ("timeout", "tls", 2)
    assert ids(http=found) == ["tls.handshake_failed"]


@pytest.mark.parametrize(
    ("behaviour", "outcome", "phase"),
    [
        ("reset", "reset", "first_byte"),
        ("close", "closed", "first_byte"),
        ("garbage", "damaged_answer", "first_byte"),
        ("silent", "timeout", "first_byte"),
        ("short", "closed", "transfer"),
        ("drip", "timeout", "transfer"),
        ("chunked", "ok", None),
        ("normal", "ok", None),
    ],
)
def test_how_an_answer_fails(world: World, behaviour: str, outcome: str, phase: str | None) -> None:
    url, __ = world.serve(behaviour=behaviour)
    found = world.probe(urls=[url], timeout=1.0, count=2)
    (place,) = found["urls"][0]["addresses"]
    assert (place["outcome"], place["failed_phase"]) == (outcome, phase)
    assert ids(http=found) == ([] if outcome == "ok" else ["http.unreachable"])
    if outcome == "ok":
        assert place["body_bytes"] == 1000 and place["body_whole"] is True


def test_redirects_are_told_and_not_followed(world: World) -> None:
    url, actor = world.serve(status="302 Found", headers=["Location: http://192.0.2.1/login"])
    (place,) = world.url(url, count=1)["addresses"]
    assert (place["status"], place["location"]) == (302, "http://192.0.2.1/login")
    assert actor.hear()["request"] == "GET / HTTP/1.1"


def test_an_error_of_the_service(world: World) -> None:
    url, __ = world.serve(status="503 Service Unavailable")
    found = world.probe(urls=[url])
    assert found["urls"][0]["addresses"][0]["statuses"] == {"503": 3}
    assert ids(http=found) == ["http.error_status"]


def test_bodies_are_read_up_to_the_bound(world: World) -> None:
    url, actor = world.serve(body=5_000_000)
    (place,) = world.url(url, count=1, max_bytes=100_000)["addresses"]
    assert (place["outcome"], place["body_bytes"], place["body_whole"]) == ("ok", 100_000, False)
    (place,) = world.url(url, count=1, method="HEAD")["addresses"]
    assert (place["outcome"], place["body_bytes"], place["body_whole"]) == ("ok", 0, True)
    assert [actor.hear()["request"].split()[0] for __ in range(2)] == ["GET", "HEAD"]


def test_ports_as_a_connection_finds_them(lab: Lab) -> None:
    """Open, refused, filtered, prohibited by a firewall that says so, without a way: in both families."""
    client, server, link = lab.pair()
    server.run("nft", "-f", "-", stdin=_FIREWALL)
    server.start("listener", "service", "[::]:5432", 16)
    wanted = {5432: "ok", 5433: "refused", 5434: "filtered", 5435: "prohibited"}
    targets, expected = [], []
    for address in (link.addresses[1], link.addresses6[1]):
        for port, outcome in wanted.items():
            targets.append(f"[{address}]:{port}" if ":" in address else f"{address}:{port}")
            # ICMP says "administratively prohibited" in both families; for IPv4 the kernel calls it unreachable.
            expected.append("unreachable" if outcome == "prohibited" and ":" not in address else outcome)
    targets += ["203.0.113.1:80", "[2001:db8:9::1]:80"]
    expected += ["unreachable", "unreachable"]
    started = time.monotonic()
    found = probe("http_probe", client, targets=targets, count=2, timeout=1.5, deadline=10.0, **_PORTS_ONLY)
    assert time.monotonic() - started < 6
    assert [row["outcome"] for row in found["targets"]] == expected
    assert [row["target"] for row in found["targets"]] == targets
    filtered = found["targets"][2]["addresses"][0]
    assert filtered["runs"] == 1 and filtered["connect_ms"] is None
    assert found["targets"][0]["addresses"][0]["connect_ms"]["median"] < 100
    assert ids(http={"urls": [], "targets": [row for row in found["targets"] if row["outcome"] == "ok"]}) == []
    assert ids(http=found) == ["http.unreachable"] * 8


_FIREWALL = """
table inet lab {
    chain input {
        type filter hook input priority 0;
        tcp dport 5434 drop
        tcp dport 5435 reject with icmpx admin-prohibited
    }
}
"""


def test_a_host_without_a_local_port_left(lab: Lab) -> None:
    client, server, link = lab.pair()
    client.sysctl("net.ipv4.ip_local_port_range", "40000 40007")
    server.start("backend", "backend", "serve", "0.0.0.0:8001", "0.0.0.0:8002")
    full, other = f"{link.addresses[1]}:8001", f"{link.addresses[1]}:8002"
    client.start("dialer", "dialer", 8, 0, full)
    wait_until(lambda: len(client.ss("-tan state established")) == 8, "connections that take the ports")
    found = probe("http_probe", client, targets=[full, other], count=1, timeout=2.0, deadline=10.0, **_PORTS_ONLY)
    assert [row["outcome"] for row in found["targets"]] == ["local_ports_exhausted", "ok"]
    assert ids(http=found) == ["http.unreachable"]


def test_a_name_with_one_family_that_works(world: World) -> None:
    """The service listens on IPv4 only, and the name has both."""
    url, __ = world.serve()
    port = url.split(":")[2].strip("/")
    hosts = f"{world.address} both.lab\n{world.address6} both.lab\n"
    with etc_of(world.client, hosts=hosts, nsswitch_conf="hosts: files\n"):
        found = world.probe(urls=[f"http://both.lab:{port}/"], targets=["nowhere.lab:80"], count=2)
    row = found["urls"][0]
    assert row["outcome"] == "partial" and row["addresses_ok"] == 1
    assert {place["family"]: place["outcome"] for place in row["addresses"]} == {"ipv4": "ok", "ipv6": "refused"}
    assert found["targets"][0]["outcome"] == "lookup_failed"
    assert found["targets"][0]["lookup"]["error_code"] in ("EAI_NONAME", "EAI_NODATA")
    assert ids(http=found) == ["http.unreachable", "http.unreachable"]


def test_the_deadline_is_kept(world: World) -> None:
    urls = [world.serve(behaviour="drip")[0] for __ in range(3)]
    started = time.monotonic()
    found = world.probe(urls=urls, count=20, timeout=10.0, deadline=1.5)
    assert time.monotonic() - started < 3
    assert found["duration_ms"] < 2000
    assert any("time was over" in sentence for sentence in found["limited"])
