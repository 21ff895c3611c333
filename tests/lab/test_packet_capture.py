# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""packet_capture: its files as tcpdump reads them, its summary beside what was really done, its limits, and its end."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import time
from collections import Counter
from typing import Any, Iterator

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import bpf
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_filter import program, wanted
from ansible_collections.nettriage.linux.tests.lab.auditing import Audit
from ansible_collections.nettriage.linux.tests.lab.capturing import (
    Capture,
    captures,
    checksums,
    connect,
    flood,
    frames,
    inject,
    printed,
    running,
    tcpdump,
)
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, LabError, Namespace, wait_until
from ansible_collections.nettriage.linux.tests.lab.probing import Chain, judged
from ansible_collections.nettriage.linux.tests.unit.packets import (
    CLIENT,
    CLIENT6,
    ROUTER,
    SERVER,
    SERVER6,
    ethernet,
    execute,
    icmp,
    ip,
    tcp,
    udp,
)

_WHOLE = 0x40000
_SYN_S = 2.5  # so long a SYN and its first retransmission take


def _judged(result: dict[str, Any]) -> Audit:
    return judged("capture", result)


def _ping(namespace: Namespace, address: str, *arguments: str) -> None:
    namespace.run("ping", "-n", "-c", "3", "-i", "0.05", "-W", "2", *arguments, address)


def test_the_file_is_what_tcpdump_captures_at_the_same_time(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Packet by packet, by their checksums, whole; the same packets without their payload; and the same counts."""
    client, server, link = lab.pair()
    server.start("backend", "web", "serve", f"{link.addresses[1]}:80", f"[{link.addresses6[1]}]:80")
    interface, whole, headers, theirs = link.interfaces[0], "whole.pcap", "headers.pcap", tmp_path / "tcpdump.pcap"
    hosts = [link.addresses[1], link.addresses6[1], SERVER]  # what goes on beside that, such as MLD, has its own time
    named = " or ".join(f"host {host}" for host in hosts)
    with tcpdump(client, theirs, "-i", interface, f"((ip or ip6) and ({named})) or (vlan and host {SERVER})"):
        begun = [
            Capture(client, interface=interface, hosts=hosts, path=str(tmp_path / name), snaplen=snaplen, duration=2.0)
            for name, snaplen in ((whole, _WHOLE), (headers, 0))
        ]
        for addresses in (link.addresses, link.addresses6):
            _ping(client, addresses[1], "-s", "3000")  # in fragments
            made = connect(client, addresses[1], 80)
            assert made is not None
            with made:
                made.sendall(b"SECRET" * 5000)
        inject(server, link.interfaces[1], *[ethernet(ip(SERVER, CLIENT, 17, udp(1, 2, b"SECRET")), 7)] * 3)
        first, second = (capture.result() for capture in begun)
    assert checksums(tmp_path / whole) == checksums(theirs)
    assert first["packets"] == second["packets"] == first["received"] == len(printed(tmp_path / whole))
    assert (first["dropped"], first["link_type"], first["truncated_by"]) == (0, "EN10MB", "duration")
    assert first["size_bytes"] == (tmp_path / whole).stat().st_size
    assert first["bytes"] == sum(frame.length for frame in frames(theirs))
    # What is missing in the one without payload is at the end of packets, and all of the payload.
    ours, cut = frames(tmp_path / whole), frames(tmp_path / headers)
    assert [frame.length for frame in cut] == [frame.length for frame in ours]
    assert all(one.data.startswith(other.data) for one, other in zip(ours, cut))
    assert b"SECRET" in (tmp_path / whole).read_bytes() and b"SECRET" not in (tmp_path / headers).read_bytes()
    assert len(printed(tmp_path / headers, "vlan 7")) == len(printed(theirs, "vlan 7")) == 3
    for name in ("protocols", "connections", "resets", "retransmits", "fragments"):
        assert first["summary"][name] == second["summary"][name]
    # The summary counts as tcpdump's filters do.
    protocols = first["summary"]["protocols"]
    for name, expression in (("tcp", "tcp"), ("udp", "udp or (vlan and udp)")):
        assert protocols[name] == len(printed(theirs, expression))
    assert first["summary"]["fragments"]["packets"] == len(printed(theirs, "ip[6:2] & 0x3fff != 0 or ip6 proto 44"))
    assert first["summary"]["handshakes"]["completed"] == 2
    assert _judged(first).findings == []


def _programs() -> list[tuple[Any, str]]:
    return [
        (wanted([SERVER], [], []), f"host {SERVER}"),
        (wanted([], [443], []), "port 443"),
        (wanted([], [], ["udp", "icmp"]), "udp or icmp"),
        (wanted(["2001:db8::/120"], [53, 443], ["tcp", "udp"]), "net 2001:db8::/120 and (port 53 or port 443)"),
        (wanted(["192.0.2.8/30", SERVER6], [443], ["tcp"]), f"(net 192.0.2.8/30 or host {SERVER6}) and tcp port 443"),
    ]


def _packets() -> list[bytes]:
    made = []
    for one, other in ((CLIENT, SERVER), (ROUTER, CLIENT), (CLIENT6, SERVER6), (CLIENT6, "2001:db8:1::1")):
        for ports in ((50000, 443), (443, 50000), (53, 9)):
            made.append(ip(one, other, 6, tcp(*ports, payload=b"payload")))
            made.append(ip(one, other, 17, udp(*ports, b"payload")))
        made.append(ip(one, other, 58 if ":" in one else 1, icmp(128 if ":" in one else 8, 0)))
    return made


def test_filters_decide_as_those_that_tcpdump_compiles() -> None:
    """The programs themselves, ours and libpcap's, run on the same packets."""
    for want, expression in _programs():
        text = subprocess.run(
            ["tcpdump", "-ddd", "-y", "EN10MB", "-i", "lo", expression],
            capture_output=True, text=True, check=True, timeout=20,
        ).stdout  # fmt: skip
        theirs = [bpf.Instruction(*map(int, line.split())) for line in text.splitlines()[1:]]
        ours = program(want, 14, 0)
        verdicts = Counter()  # type: Counter[bool]
        for packet in _packets():
            kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
            taken = bool(execute(ours, ethernet(packet), kind))
            assert taken is bool(execute(theirs, ethernet(packet), kind)), (expression, packet.hex())
            verdicts[taken] += 1
        assert verdicts[True] and verdicts[False]


def test_the_kernel_runs_them_alike(lab: Lab) -> None:
    """What is let through on a real interface is what the programs say, and nothing gets in before the filter."""
    client, server, link = lab.pair()
    for host, addresses in ((client, (CLIENT, CLIENT6)), (server, (SERVER, SERVER6))):
        interface = link.interfaces[host is server]
        host.ip(f"address add {addresses[0]}/24 dev {interface}")
        host.ip(f"address add {addresses[1]}/64 dev {interface} nodad")
    for target in (SERVER, SERVER6):
        _ping(client, target)
    interface = link.interfaces[1]
    server.start("backend", "web", "serve", f"{SERVER}:443", f"[{SERVER6}]:443")
    wants: list[dict[str, Any]] = [
        {"hosts": [SERVER], "ports": [443], "protocols": ["tcp"]},
        {"hosts": [CLIENT6], "ports": [9]},
        {"protocols": ["icmp"], "hosts": ["192.0.2.0/24"]},
        {"ports": [9], "protocols": ["udp"]},
        {"ports": [9], "protocols": ["udp"], "interface": "any"},
    ]
    running_ = captures(server, *({"interface": interface, "duration": 2.5, **want} for want in wants))
    for target in (SERVER, SERVER6):
        made = connect(client, target, 443)
        assert made is not None
        made.close()
        connect(client, target, 9)
        _ping(client, target)
    flood(client, SERVER, 2, 10)
    seen = [capture.result()["summary"] for capture in running_]
    protocols = [each["protocols"] for each in seen]
    assert set(protocols[0]) == {"tcp"} and seen[0]["connections"] == 1
    assert protocols[1] == {"tcp": 2} and seen[1]["resets"]["refused"] == 1
    # Six echoes, and what was said about the datagrams.
    assert protocols[2] == {"icmp": 6 + seen[2]["unreachable"]["packets"]}
    # Errors about what is wanted come along, without being asked for.
    for each in seen[3:]:
        assert each["protocols"]["udp"] == 2 and each["protocols"]["icmp"] == each["unreachable"]["packets"] >= 1
        assert each["unreachable"]["senders"][0] == {
            "sender": SERVER, "what": "port unreachable", "destination": SERVER, "port": 9, "protocol": "udp",
            "packets": each["unreachable"]["packets"],
        }  # fmt: skip


@pytest.mark.parametrize("six", [False, True])
def test_unanswered_refused_and_well(lab: Lab, six: bool) -> None:
    client, server, link = lab.pair()
    address = (link.addresses6 if six else link.addresses)[1]
    where = f"[{address}]" if six else address
    server.start("backend", "web", "serve", f"{where}:80")
    server.filter("input", "tcp dport 81 drop")
    capture = Capture(client, duration=_SYN_S)
    assert connect(client, address, 81, 0.1) is None  # gives up before the retransmission: its SYN is a second old then
    silent = [client.start("dialer", "waits", 2, 0, f"{where}:81")]
    for __ in range(3):
        assert connect(client, address, 82) is None
    made = connect(client, address, 80)
    assert made is not None
    with made:
        made.sendall(b"x" * 1000)
    result = capture.result()
    summary = result["summary"]
    (lost,) = summary["syn_unanswered"]["destinations"]
    assert (lost["address"], lost["port"], lost["connections"]) == (address, 81, 3)
    assert lost["syns"] >= 5 and summary["syn_unanswered"]["syn_retransmits"] >= 2
    assert summary["resets"]["refused_by"] == [{"address": address, "port": 82, "connections": 3}]
    assert summary["handshakes"]["completed"] == 1 and summary["retransmits"]["retransmits"] == 0
    audit = _judged(result)
    assert audit.names("capture.syn_unanswered", address, "81")["severity"] == "critical"
    audit.names("capture.resets", address, "82")
    audit.silent("capture.retransmits", "capture.zero_window", "capture.too_big", "capture.lost")
    assert silent


@pytest.fixture
def one_processor() -> Iterator[None]:
    """What is started runs on one of them: each has a queue of its own behind a veth, and two overtake each other."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("one_processor")
def test_loss_is_seen_from_both_ends_as_the_kernel_counts_it(lab: Lab) -> None:
    client, server, link = lab.pair()
    for host, interface in zip((client, server), link.interfaces):
        host.run("ethtool", "-K", interface, "tso", "off", "gso", "off", "gro", "off")
    server.start("backend", "sink", "serve", f"{link.addresses[1]}:80")
    server.filter("input", "tcp dport 80 tcp flags & syn == 0 meta length > 500 numgen random mod 100 < 5 drop")
    begun = [
        Capture(host, interface=interface, duration=3.0) for host, interface in zip((client, server), link.interfaces)
    ]
    before = client.counter("TcpRetransSegs")
    client.start("transfer", "upload", 3 << 20, f"{link.addresses[1]}:80", ready=False).hear()
    repeated = client.counter("TcpRetransSegs") - before
    near, far = (capture.result() for capture in begun)
    assert repeated > 20
    for result in (near, far):  # the loss is behind both places: the filter stands behind the interface
        (path,) = result["summary"]["retransmits"]["paths"]
        assert (path["source"], path["destination"], path["service_port"]) == (*link.addresses, 80)
        assert path["retransmits"] == pytest.approx(repeated, abs=2)
        assert path["duplicate_acks"] > 0 and path["out_of_order"] == 0
        _judged(result).names("capture.retransmits", link.addresses[1])
    # A healthy twin on the same cable.
    capture = Capture(client, interface=link.interfaces[0], duration=1.0)
    server.run("nft", "flush", "ruleset")
    client.start("transfer", "again", 3 << 20, f"{link.addresses[1]}:80", ready=False).hear()
    well = capture.result()
    assert well["summary"]["retransmits"]["retransmits"] == 0 and well["summary"]["retransmits"]["segments"] > 1000
    assert _judged(well).findings == []


def test_what_was_lost_before_the_capture_fills_gaps(lab: Lab) -> None:
    """Behind a router that loses packets, each is seen once, and yet known for sent again."""
    client, router, server, link = lab.routed()
    # Many small packets, or none of them might be among the lost ones.
    client.run("ethtool", "-K", link.interfaces[0], "tso", "off", "gso", "off")
    router.filter("forward", f"ip daddr {link.addresses[1]} meta length > 500 numgen random mod 100 < 5 drop")
    server.start("backend", "sink", "serve", f"{link.addresses[1]}:80")
    capture = Capture(server, interface=link.interfaces[1], duration=2.0)
    before = client.counter("TcpRetransSegs")
    client.start("transfer", "upload", 1 << 20, f"{link.addresses[1]}:80", ready=False).hear()
    assert client.counter("TcpRetransSegs") > before
    (path,) = capture.result()["summary"]["retransmits"]["paths"]
    assert path["retransmits"] > 0 and path["destination"] == link.addresses[1]


def test_a_reader_that_does_not_read(lab: Lab) -> None:
    client, server, link = lab.pair()
    server.start("backend", "asleep", "hold", f"{link.addresses[1]}:80")
    server.start("backend", "awake", "serve", f"{link.addresses[1]}:81")
    capture = Capture(client, duration=2.0)
    for port in (80, 81):
        client.start("sender", f"to-{port}", 1, 1 << 20, 20, f"{link.addresses[1]}:{port}")
    wait_until(lambda: "timer:(persist" in "".join(client.ss("-tno dport = :80")), "the window is closed")
    result = capture.result()
    (row,) = result["summary"]["zero_windows"]["receivers"]
    assert (row["address"], row["role"], row["peer"], row["service_port"]) == (
        link.addresses[1],
        "server",
        link.addresses[0],
        80,
    )
    assert 100 < row["closed_ms"] <= 2100 and result["summary"]["retransmits"]["window_probes"] > 0
    audit = _judged(result)
    assert "buffers" in [each["remedy"] for each in audit.names("capture.zero_window", link.addresses[1])["refused"]]
    audit.silent("capture.retransmits", "capture.resets")


def test_a_narrow_router_is_named_with_its_mtu(lab: Lab) -> None:
    chain = Chain(lab, "client", "ra", "rb", "server")
    chain.narrow(1, 1400)
    chain.server.start("backend", "web", "serve", "0.0.0.0:443", f"[{chain.targets[1]}]:443")
    # Only the server's packets are asked for: what routers say about them comes along.
    capture = Capture(chain.client, duration=1.5, hosts=list(chain.targets))
    for target in chain.targets:
        made = connect(chain.client, target, 443)
        assert made is not None
        with made:
            made.sendall(bytes(100_000))
    result = capture.result()
    routers = {row["router"]: row for row in result["summary"]["too_big"]["routers"]}
    assert set(routers) == {chain.address(1), chain.address(1, True)}
    for ipv6, target in enumerate(chain.targets):
        row = routers[chain.address(1, bool(ipv6))]
        assert (row["mtu"], row["destination"], row["destination_port"], row["protocol"]) == (1400, target, 443, "tcp")
        assert _judged(result).names("capture.too_big", target)["severity"] == "info"


def test_what_the_kernel_dropped_is_counted(lab: Lab) -> None:
    """A capture that is held up loses packets, and knows how many."""
    client, __, link = lab.pair()
    capture = Capture(client, interface=link.interfaces[0], snaplen=_WHOLE, protocols=["udp"], duration=3.0)
    capture.signal(signal.SIGSTOP)
    flood(client, link.addresses[1], 20_000, 1400)
    capture.signal(signal.SIGCONT)
    result = capture.result()
    assert 0 < result["dropped"] < result["received"] and result["packets"] + result["dropped"] == result["received"]
    assert result["received"] == pytest.approx(20_000, rel=0.02)
    assert _judged(result).names("capture.lost")["evidence"]["dropped"] == result["dropped"]


@pytest.mark.parametrize("engine", ["af_packet", "tcpdump"])
def test_limits_are_kept(lab: Lab, tmp_path: pathlib.Path, engine: str) -> None:
    client, __, link = lab.pair()
    client.start("datagrams", "noise", 20, 100, "0.0.0.0", f"{link.addresses[1]}:9")
    common: dict[str, Any] = {"interface": link.interfaces[0], "engine": engine, "duration": 20.0}
    begun = [
        Capture(client, **common, max_packets=50, path=str(tmp_path / "packets.pcap")),
        Capture(client, **common, max_bytes=5000, path=str(tmp_path / "bytes.pcap")),
        Capture(client, **{**common, "duration": 0.5}),
    ]
    packets, size, duration = (capture.result() for capture in begun)
    assert (packets["truncated_by"], packets["packets"]) == ("packets", 50)
    assert len(printed(tmp_path / "packets.pcap")) == 50
    assert size["truncated_by"] == "bytes" and 4800 < (tmp_path / "bytes.pcap").stat().st_size <= 5000
    assert len(printed(tmp_path / "bytes.pcap")) == size["packets"]
    assert duration["truncated_by"] == "duration" and 0.5 <= duration["duration_s"] < 5
    assert duration["packets"] > 0 and duration["path"] is None
    assert {packets["duration_s"] < 20, size["duration_s"] < 20} == {True}
    assert running("tcpdump", client) == []


def test_a_ring_holds_the_last_packets(lab: Lab, tmp_path: pathlib.Path) -> None:
    client, __, link = lab.pair()
    path, limit = tmp_path / "ring.pcap", 1 << 20
    capture = Capture(
        client,
        interface=link.interfaces[0],
        protocols=["udp"],
        duration=2.5,
        path=str(path),
        max_bytes=limit,
        ring=True,
    )
    flood(client, link.addresses[1], 1, 11)
    flood(client, link.addresses[1], 20_000, 100)
    flood(client, link.addresses[1], 1, 12)
    result = capture.result()
    kept = frames(path)
    assert result["packets"] == pytest.approx(20_002, abs=20) and result["truncated_by"] == "duration"
    assert 0 < result["overwritten"] == result["packets"] - len(kept) and len(printed(path)) == len(kept)
    assert limit // 4 < path.stat().st_size == result["size_bytes"] <= limit * 2 // 3
    assert result["summary"]["protocols"] == {"udp": len(kept)}
    sizes = [frame.length - 42 for frame in kept]
    assert 11 not in sizes and 12 in sizes
    assert [frame.at_ns for frame in kept] == sorted(frame.at_ns for frame in kept)
    assert os.listdir(tmp_path) == ["ring.pcap"]


def test_tcpdump_as_the_engine(lab: Lab, tmp_path: pathlib.Path) -> None:
    """The same packets, without payload, and the same summary as ours; an expression that only it understands."""
    client, server, link = lab.pair()
    server.start("backend", "web", "serve", f"{link.addresses[1]}:80")
    interface = link.interfaces[0]
    options: list[dict[str, Any]] = [
        {"hosts": [link.addresses[1]], "ports": [80], "engine": engine, "path": str(tmp_path / f"{engine}.pcap")}
        for engine in ("af_packet", "tcpdump")
    ]
    options.append({"filter": "tcp[tcpflags] & tcp-syn != 0"})
    begun = captures(client, *({"interface": interface, "duration": 2.5, **each} for each in options))
    made = connect(client, link.addresses[1], 80)
    assert made is not None
    with made:
        made.sendall(b"SECRET" * 50)
    ours, theirs, syns = (capture.result() for capture in begun)
    assert checksums(tmp_path / "af_packet.pcap") == checksums(tmp_path / "tcpdump.pcap")
    assert b"SECRET" not in (tmp_path / "tcpdump.pcap").read_bytes()
    for name in ("connections", "resets", "protocols", "syn_unanswered"):
        assert ours["summary"][name] == theirs["summary"][name]
    assert (theirs["engine"], theirs["dropped"], theirs["packets"]) == ("tcpdump", 0, ours["packets"])
    assert (syns["engine"], syns["packets"], syns["filter"]) == ("tcpdump", 2, "tcp[tcpflags] & tcp-syn != 0")
    with pytest.raises(LabError, match=r"filter: 'tcp prot 80' is not accepted; give an expression as in pcap-filter"):
        Capture(client, ready=False, filter="tcp prot 80").result()
    assert running("tcpdump", client) == []


@pytest.mark.parametrize("engine", ["af_packet", "tcpdump"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_leaves_nothing(lab: Lab, tmp_path: pathlib.Path, engine: str, number: signal.Signals) -> None:
    client, __, link = lab.pair()
    client.start("datagrams", "noise", 20, 100, "0.0.0.0", f"{link.addresses[1]}:9")
    capture = Capture(client, engine=engine, duration=600.0, path=str(tmp_path / "a.pcap"))
    wait_until(lambda: len(_open_files(capture.pid, tmp_path)) == 1, "its file is open")
    capture.signal(number)
    with pytest.raises(LabError) as stopped:
        capture.result()
    if number != signal.SIGKILL:
        assert str(stopped.value) == f"the capture was stopped by {number.name}; nothing of it was kept"
    assert os.listdir(tmp_path) == []
    # tcpdump ends with its reader, or by its own alarm where no packet comes.
    wait_until(lambda: not running("tcpdump", client), "tcpdump has ended", 20)


def _open_files(pid: int, folder: pathlib.Path) -> list[str]:
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            path = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue
        if path.startswith(f"{folder}/"):
            found.append(path)
    return found


def test_what_lacks_is_one_sentence(lab: Lab, tmp_path: pathlib.Path) -> None:
    client = lab.namespace("client")
    for engine in ("af_packet", "tcpdump"):
        with pytest.raises(LabError, match=r"\Acapturing packets needs CAP_NET_RAW\Z"):
            Capture(client, nobody=True, ready=False, engine=engine).result()
    with pytest.raises(LabError, match=r"\Ainterface: 'eth7' is not accepted; give any, or one of lo\Z"):
        Capture(client, ready=False, interface="eth7").result()
    interface = lab.connect(client, lab.namespace("other")).interfaces[0]
    client.ip(f"link set {interface} down")
    down = Capture(client, interface=interface, duration=0.2).result()
    assert down["limited"] == [f"interface {interface} is down"] and down["packets"] == 0


def test_an_interface_that_goes_away_ends_no_capture_early_and_wastes_no_time(lab: Lab) -> None:
    client, __, link = lab.pair()
    capture = Capture(client, interface=link.interfaces[0], duration=1.5)
    client.ip(f"link del {link.interfaces[0]}")
    started = time.monotonic()
    result = capture.result()
    assert result["limited"] and "during the capture" in result["limited"][0]
    assert time.monotonic() - started < 10
