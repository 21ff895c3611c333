# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Protocol counters, socket memory and the receive path of the CPUs. Private to this collection."""

from __future__ import annotations

from typing import Any, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Facts, Window
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import proc_net
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, read_int, read_text
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.proc_net import Deltas, Softnet, Table

_MAX_CPU_DIGITS = 6
_SOFTNET_COUNTERS = ("processed", "dropped", "squeezed", "received_rps", "flow_limit")


class Sample(NamedTuple):
    """One reading of everything.

    :ivar tcp_mem: pages: low, pressure, high; ``None`` in a namespace, where the kernel does not show them.
    """

    counters: Table
    sockstat: Table
    softnet: list[Softnet]
    tcp_mem: list[int] | None
    udp_mem: list[int] | None
    max_orphans: int | None
    limited: list[str]


def sample(host: Host) -> Sample:
    """:raises Unavailable: neither ``snmp`` nor ``netstat`` can be read."""
    limited: list[str] = []
    # All are read before any is parsed: what is compared should be of one moment.
    texts = {name: _read(host, name, limited) for name in ("netstat", "snmp", "snmp6", "sockstat", "sockstat6")}
    softnet_text = _read(host, "softnet_stat", limited)
    if texts["snmp"] is None and texts["netstat"] is None:
        raise Unavailable("; ".join(limited))
    counters: Table = {}
    for name, parse in (
        ("snmp", proc_net.paired_lines),
        ("netstat", proc_net.paired_lines),
        ("snmp6", proc_net.snmp6),
    ):
        counters.update(_parsed(name, texts[name], parse, limited))
    sockets: Table = {}
    for name in ("sockstat", "sockstat6"):
        sockets.update(_parsed(name, texts[name], proc_net.sockstat, limited))
    softnet: list[Softnet] = []
    if softnet_text is not None:
        softnet, damage = proc_net.softnet_stat(softnet_text)
        limited += [f"softnet_stat: {sentence}" for sentence in damage]
        softnet = _numbered(host, softnet)
    ipv4 = host.proc("sys/net/ipv4")
    return Sample(
        counters,
        sockets,
        softnet,
        _pages(ipv4 + "/tcp_mem"),
        _pages(ipv4 + "/udp_mem"),
        read_int(ipv4 + "/tcp_max_orphans"),
        limited,
    )


def facts(host: Host, before: Sample | None, now: Sample, window: Window) -> Facts:
    delta = proc_net.deltas(before.counters, now.counters) if before else None
    limited = list(now.limited)
    if now.tcp_mem is None and host.live:
        limited.append("tcp_mem: the kernel shows it in its first network namespace only, so no memory ratio is known")
    return {
        "available": True,
        "limited": limited,
        "counters": now.counters,
        "delta": delta,
        "rates": proc_net.rates(delta, window.seconds) if delta and window.seconds else None,
        "derived": derived(delta, window.seconds, now),
        "sockstat": now.sockstat,
        "softnet": softnet(before.softnet if before else None, now.softnet, window) if now.softnet else None,
    }


def derived(delta: Deltas | None, seconds: float | None, now: Sample) -> Facts:
    """The ratios that rules compare: ``None`` where a counter does not exist or the divisor is 0."""

    def change(group: str, name: str) -> int | None:
        return None if delta is None else delta.get(group, {}).get(name)

    retransmitted, syn_retransmits = change("Tcp", "RetransSegs"), change("TcpExt", "TCPSynRetrans")
    data_sent = change("TcpExt", "TCPOrigDataSent")
    # The two files are not read in one moment, so that the difference could be just below zero.
    data_retransmitted = (
        None if retransmitted is None or syn_retransmits is None else max(0, retransmitted - syn_retransmits)
    )
    tcp, udp = now.sockstat.get("TCP", {}), now.sockstat.get("UDP", {})
    pressure = now.tcp_mem[1] if now.tcp_mem else None
    return {
        "retransmit_ratio": ratio(data_retransmitted, data_sent),
        "retransmitted_segments": data_retransmitted,
        "data_segments_sent": data_sent,
        "syn_retransmits_per_s": proc_net.per_second(syn_retransmits, seconds),
        "spurious_ratio": ratio(change("TcpExt", "TCPDSACKRecv"), retransmitted),
        "spurious_rto_ratio": ratio(change("TcpExt", "TCPSpuriousRTOs"), change("TcpExt", "TCPTimeouts")),
        "out_of_order_ratio": ratio(change("TcpExt", "TCPOFOQueue"), change("Tcp", "InSegs")),
        "syncookie_return_ratio": ratio(change("TcpExt", "SyncookiesRecv"), change("TcpExt", "SyncookiesSent")),
        "memory_ratio": ratio(tcp.get("mem"), pressure),
        "memory_pages": tcp.get("mem"),
        "memory_pressure_pages": pressure,
        "orphan_ratio": ratio(tcp.get("orphan"), now.max_orphans),
        "resets_sent_per_s": proc_net.per_second(change("Tcp", "OutRsts"), seconds),
        "attempt_fails_per_s": proc_net.per_second(change("Tcp", "AttemptFails"), seconds),
        # UDP knows no pressure: it may take udp_mem[0] and no more (__sk_mem_raise_allocated).
        "udp_memory_ratio": ratio(udp.get("mem"), now.udp_mem[0] if now.udp_mem else None),
    }


def softnet(before: list[Softnet] | None, now: list[Softnet], window: Window) -> Facts:
    """Sums over the CPUs, and the CPUs that dropped or ran out of budget most."""
    first = {row.cpu: row for row in before or []}
    changes = {row.cpu: _softnet_change(first.get(row.cpu), row) for row in now} if before else {}
    delta = {name: _total([row[name] for row in changes.values()]) for name in _SOFTNET_COUNTERS} if before else None
    worst = [{"cpu": row.cpu, **(changes.get(row.cpu) or row._asdict())} for row in now]
    worst.sort(key=lambda row: (row["dropped"] or 0, row["squeezed"] or 0), reverse=True)
    return {
        "cpus": len(now),
        "counters": {name: _total([getattr(row, name) for row in now]) for name in _SOFTNET_COUNTERS},
        "delta": delta,
        "rates": {n: proc_net.per_second(d, window.seconds) for n, d in delta.items()} if delta else None,
        "worst_cpus": [
            {name: row[name] for name in ("cpu", "dropped", "squeezed")}
            for row in worst[: window.top]
            if row["dropped"] or row["squeezed"]
        ],
    }


def ratio(part: int | None, whole: int | None) -> float | None:
    """*part* ÷ *whole*; ``None`` where either is unknown or *whole* is 0."""
    return None if part is None or not whole else round(part / whole, 6)


def _softnet_change(before: Softnet | None, now: Softnet) -> dict[str, int | None]:
    return {
        name: proc_net.wrapped_u32(getattr(before, name), getattr(now, name)) if before else None
        for name in _SOFTNET_COUNTERS
    }


def _total(values: list[int | None]) -> int | None:
    """The sum of what is known; ``None`` where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _numbered(host: Host, rows: list[Softnet]) -> list[Softnet]:
    """*rows* with CPU numbers: where the kernel prints none, they are the CPUs online in their order."""
    if not rows or rows[0].cpu is not None:
        return rows
    try:
        lines = read_text(host.proc("stat")).split("\n")
    except Unavailable:
        lines = []
    names = [line.split(" ", 1)[0][3:] for line in lines if line.startswith("cpu")]
    online = [int(name) for name in names if name.isascii() and name.isdigit() and len(name) <= _MAX_CPU_DIGITS]
    if len(online) != len(rows):
        online = list(range(len(rows)))
    return [row._replace(cpu=cpu) for row, cpu in zip(rows, online)]


def _read(host: Host, name: str, limited: list[str]) -> str | None:
    try:
        return read_text(host.net(name))
    except Unavailable as error:
        if name == "snmp6":
            limited.append(f"IPv6 counters: {error}; IPv6 is disabled")
        elif name != "sockstat6":
            limited.append(str(error))
        return None


def _parsed(name: str, text: str | None, parse: Any, limited: list[str]) -> Table:
    if text is None:
        return {}
    table: Table
    table, damage = parse(text)
    limited += [f"{name}: {sentence}" for sentence in damage]
    return table


def _pages(path: str) -> list[int] | None:
    try:
        values = [int(word) for word in read_text(path).split()]
    except (Unavailable, ValueError):
        return None
    return values if len(values) == 3 else None
