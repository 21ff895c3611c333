# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit with targets, URLs and names: one run of the real playbook, each host with its own in the inventory."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import sys
from typing import Any, Iterator

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import evaluate
from ansible_collections.nettriage.linux.tests.lab import demo
from ansible_collections.nettriage.linux.tests.lab.auditing import Audit
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, LabError, Namespace, command, says
from ansible_collections.nettriage.linux.tests.lab.probing import TOO_BIG, Chain
from ansible_collections.nettriage.linux.tests.lab.services import etc_of

_MTU = 1400
_NAMES_MS, _TLS_MS = 400, 1500
_TIMEOUT_S, _HOLE_S = 20, 8
# What the probes send is sent after the second sample; its end may be somewhat late on a busy machine.
_TOLERANCE_S = 3
_NOBODY = 65534
_SILENT = "10.77.99.9"
_HOST = "web.lab"
# Everything that probes of a host that is well must not bring up.
_PROBED = ("path.", "dns.", "http.", "tls.")
_COLLECT = f"""
import encodings.idna, ipaddress, json, os, sys  # the interpreter may lie where nobody else may read
from ansible_collections.nettriage.linux.plugins.module_utils.collect import flows, sockets_connections
from ansible_collections.nettriage.linux.plugins.module_utils.probe import dns_probe, http_probe, path, pmtu
from ansible_collections.nettriage.linux.plugins.module_utils.probe.subsets import probed_health
from ansible_collections.nettriage.linux.plugins.module_utils.target import open_target
params = json.load(sys.stdin)
host = open_target(params)
os.setgroups([])
os.setgid({_NOBODY})
os.setuid({_NOBODY})
json.dump(probed_health(host, params)["ansible_facts"]["nettriage"], sys.stdout)
"""


class Site:
    """A host, a router, and a server with a name server and web servers, IPv4 and IPv6.

    :ivar audited: the host.
    :ivar own: its variables in the inventory.
    """

    def __init__(self, lab: Lab, label: str, certificate: dict[str, str], sick: bool) -> None:
        self.chain = Chain(lab, label, f"router{label}", f"server{label}")
        self.audited, server = self.chain.client, self.chain.server
        address, address6 = self.targets = self.chain.targets
        zone = {"records": {_HOST: [address, address6]}, "delay_ms": _NAMES_MS if sick else 0}
        server.start("nameserver", "named", f"{address}:53", json.dumps(zone))
        spec = {**certificate, "tls_ms": _TLS_MS if sick else 0}
        for where in (f"{address}:443", f"[{address6}]:443"):
            server.start("webserver", "httpd", where, json.dumps(spec))
        if sick:
            self.chain.narrow(1, _MTU)
            self.chain.filter(1, "output", *TOO_BIG)
        self.resolv_conf = f"nameserver {address}\n"
        self.own = {
            "audit_netns": self.audited.name,
            "audit_targets": list(self.targets),
            "audit_urls": [f"https://{_HOST}/"],
            "audit_names": [_HOST],
        }


def _certificate(directory: pathlib.Path) -> dict[str, str]:
    """One that a host trusts that has it in its store."""
    made = {"certificate": str(directory / "certificate.pem"), "key": str(directory / "key.pem")}
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "400"]
    words += ["-subj", f"/CN={_HOST}", "-addext", f"subjectAltName=DNS:{_HOST}"]
    command("openssl", *words, "-keyout", made["key"], "-out", made["certificate"])
    return made


@pytest.fixture(scope="module")
def sites(shared_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Site]]:
    """One with a fault in each part, and its healthy twin."""
    certificate = _certificate(tmp_path_factory.mktemp("certificate"))
    with contextlib.ExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setenv("SSL_CERT_FILE", certificate["certificate"])
        made = {name: Site(shared_lab, name, certificate, name == "sick") for name in ("sick", "twin")}
        for site in made.values():
            stack.enter_context(etc_of(site.audited, resolv_conf=site.resolv_conf))
        yield made


@pytest.fixture(scope="module")
def report(
    sites: dict[str, Site], shared_lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """What one run over both, and over a host whose target is a silent hole, wrote and said."""
    lost, neighbour, link = shared_lab.pair("lost", "neighbour")
    lost.ip(f"route add default via {link.addresses[1]}")
    neighbour.filter("prerouting", f"ip daddr {_SILENT} drop")
    with etc_of(lost, resolv_conf=f"nameserver {_SILENT}\n"):
        own: dict[str, dict[str, Any]] = {name: site.own for name, site in sites.items()}
        own["lost"] = {
            "audit_netns": lost.name,
            "audit_probe_timeout": _HOLE_S,
            "audit_targets": [_SILENT],
            "audit_urls": [f"http://{_SILENT}/"],
            "audit_names": ["db.lab"],
        }
        everyone = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "audit_probe_timeout": _TIMEOUT_S,
        }
        inventory = json.dumps({"all": {"hosts": own, "vars": everyone}})
        directory = tmp_path_factory.mktemp("report")
        done = demo.playbook(inventory, str(directory), capture=True)
        assert done.returncode == 0, done.stdout + done.stderr
        written: dict[str, Any] = json.loads((directory / "report.json").read_text())
        yield {**written, "terminal": done.stdout, "page": (directory / "report.html").read_text()}
    for namespace in (sites["sick"].audited, sites["twin"].audited, lost):
        # The kernel keeps TIME_WAIT; whatever else there were would be ours.
        for kind in ("-tan exclude time-wait", "-uan", "-wan"):
            assert namespace.ss(kind) == []


def _audit(report: dict[str, Any], host: str) -> Audit:
    return Audit(report["hosts"][host]["facts"], report["hosts"][host]["findings"])


def test_each_culprit_is_named(sites: dict[str, Site], report: dict[str, Any]) -> None:
    sick = _audit(report, "sick")
    for ipv6, target in enumerate(sites["sick"].targets):
        router = sites["sick"].chain.address(1, bool(ipv6))
        finding = sick.names("path.mtu_black_hole", target, router)
        assert finding["evidence"]["path_mtu_found_bytes"] == _MTU
        assert finding["title"] in report["page"]
    server = sites["sick"].targets[0]
    slow = sick.one("dns.slow", server)
    assert slow["severity"] == "critical" and slow["evidence"]["latency_ms"]["median"] >= _NAMES_MS
    handshake = sick.one("http.slow_phase", _HOST, "TLS handshake")
    assert handshake["evidence"]["slowest"]["phases_ms"]["tls"] >= _TLS_MS
    sick.silent("path.loss", "tls.untrusted", "dns.unreachable", "http.unreachable")
    assert report["hosts"]["sick"]["verdict"] == "critical"


def test_the_healthy_twin_is_silent(report: dict[str, Any]) -> None:
    twin = _audit(report, "twin")
    assert [each for each in twin.ids() if each.startswith(_PROBED)] == [], twin.findings
    for part in ("path", "pmtu", "http", "dns"):
        assert twin.facts[part]["available"] is True and twin.facts[part]["limited"] == []
    assert [path["verdict"] for path in twin.facts["pmtu"]["paths"]] == ["clean"] * 2
    assert [path["lost"] for path in twin.facts["path"]["paths"]] == [0] * 2
    assert {row["tls"]["verified"] for row in twin.facts["http"]["urls"][0]["addresses"]} == {True}


def test_the_probes_are_not_the_hosts_own_trouble(report: dict[str, Any]) -> None:
    """A silent target leaves SYNs sent again and lost lookups behind, which no counter of the audit has met."""
    lost = _audit(report, "lost")
    assert {each for each in lost.ids() if not each.startswith(_PROBED)} == set(), lost.findings
    assert lost.facts["tcp"]["delta"]["TcpExt"].get("TCPSynRetrans", 0) == 0


def test_a_silent_hole_is_named_in_time(report: dict[str, Any]) -> None:
    lost = _audit(report, "lost")
    for finding_id in ("path.unreachable", "http.unreachable", "dns.unreachable"):
        lost.one(finding_id, _SILENT)
    meta = lost.facts["meta"]
    assert meta["duration_ms"] / 1000 < meta["interval_s"] + _HOLE_S + _TOLERANCE_S
    assert set(meta["subsets"]) >= {"path", "pmtu", "http", "dns"}


def _unprivileged(namespace: Namespace, **options: Any) -> Audit:
    params = {
        **{"netns": namespace.name, "procfs": "/proc", "sysfs": "/sys", "interval": 0, "top": 10, "as_json": False},
        **{"gather_subset": ["!all"], "targets": [], "urls": [], "names": [], "probe_timeout": 30, **options},
    }
    trusted = {name: value for name, value in os.environ.items() if name == "SSL_CERT_FILE"}
    facts = says(_COLLECT, params, 60, trusted)
    return Audit(facts, evaluate(facts))


def test_without_privilege(sites: dict[str, Site]) -> None:
    """Everything is found as well; that echo requests are not to be had is said."""
    site = sites["sick"]
    url = f"https://[{site.targets[1]}]/"
    seen = _unprivileged(site.audited, targets=list(site.targets), urls=[url], gather_subset=["!all", "dns"])
    assert list(seen.facts) == ["meta", "path", "pmtu", "http", "dns"]
    assert "CAP_NET_RAW" in seen.facts["path"]["limited"][0]
    for target in site.targets:
        seen.names("path.mtu_black_hole", target)
    seen.silent("path.loss", "path.unreachable")
    seen.one("dns.slow", site.targets[0])
    seen.one("tls.untrusted", site.targets[1])  # the certificate is for the name


def test_what_cannot_be_probed_is_refused(sites: dict[str, Site]) -> None:
    host = sites["twin"].audited
    for options, sentence in (
        ({"urls": ["ftp://web.lab/"]}, "urls: 'ftp://web.lab/' is not accepted"),
        ({"names": ["192.0.2.1"]}, "names: '192.0.2.1' is not accepted"),
        ({"targets": [" "]}, "targets: ' ' is not accepted"),
        ({"targets": ["web.lab"], "probe_timeout": 0.5}, "probe_timeout: 0.5 is not accepted"),
        ({"gather_subset": ["pmtu"]}, "gather_subset: 'pmtu' is not accepted; give something in targets"),
    ):
        with pytest.raises(LabError, match=sentence.replace("(", r"\(")):
            _unprivileged(host, **options)
