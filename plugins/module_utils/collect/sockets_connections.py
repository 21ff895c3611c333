# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single TCP sockets on request, with all that the kernel tells of each. Private to this collection."""

from __future__ import annotations

import socket
import sys
from typing import Any, Callable, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.collect import sockets
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Facts, gather
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_census import normal
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_owners import Owners
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_sample import Source, open_source
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_tables import ratio
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import tcp_info
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import Batch
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.processes import sockets_of

MAX_LIMIT = 100_000
_EXTENSIONS = (diag.INFO, diag.SKMEMINFO, diag.CONGESTION)
_TIMERS = {
    diag.TIMER_RETRANSMIT: "retransmit",
    diag.TIMER_KEEPALIVE: "keepalive",
    diag.TIMER_TIME_WAIT: "time_wait",
    diag.TIMER_PROBE: "probe",
}
# The kernel keeps no tcp_info for these.
_BARE = (diag.TIME_WAIT, diag.SYN_RECV, diag.LISTEN)
# TCPI_OPT_*
_OPTIONS = {1: "timestamps", 2: "sack", 4: "window_scaling", 8: "ecn", 16: "ecn_seen", 32: "syn_data"}
_LOW_FIRST = sys.byteorder == "little"
_FILTERS = ("states", "address", "port", "process")


class Wanted(NamedTuple):
    """Which sockets are asked for; ``None`` where it does not matter.

    :ivar states: a mask.
    :ivar address: whether a local or peer address (4 or 16 bytes) is one of those that are wanted.
    """

    states: int
    address: Callable[[bytes], bool] | None
    port: int | None
    process: str | None


def socket_facts(host: Host, params: dict[str, Any]) -> Facts:
    """The result of the module of this name."""
    rows = params["connections"] or any(params[name] is not None for name in _FILTERS)
    wanted = _wanted(params)
    found = gather(host, {"sockets": sockets}, params["interval"], params["top"])["sockets"]
    if rows and found["available"]:
        try:
            found.update(connections(host, wanted, params["limit"]))
        except Unavailable as error:
            found["limited"] = [*found["limited"], f"connections: {error}"]
    return {"ansible_facts": {"nettriage_sockets": found}}


def _wanted(params: dict[str, Any]) -> Wanted:
    port = params["port"]
    if port is not None and not 1 <= port <= 65535:
        raise BadOption("port", port, "a port from 1 to 65535")
    if not 1 <= params["limit"] <= MAX_LIMIT:
        raise BadOption("limit", params["limit"], f"a number of rows from 1 to {MAX_LIMIT}")
    address = params["address"]
    return Wanted(
        _states(params["states"]), _matcher(address) if address is not None else None, port, params["process"]
    )


def _states(names: list[str] | None) -> int:
    """The mask of the states *names*, as the kernel, ss or netstat write them."""
    if names is None:
        return diag.ALL_STATES
    mask = 0
    for given in names:
        name = given.lower().replace("-", "_")
        if name == "all":
            return diag.ALL_STATES
        if name not in diag.STATES:
            raise BadOption("states", given, f"any of all, {', '.join(diag.STATES)}")
        mask |= 1 << diag.STATES[name]
        if name == "close":
            mask |= 1 << diag.BOUND_INACTIVE
    return mask


def _matcher(prefix: str) -> Callable[[bytes], bool]:
    """A test for the addresses in *prefix*; an IPv4-mapped one is one of IPv4."""
    import ipaddress  # dear to load, and seldom needed

    try:
        network = ipaddress.ip_network(prefix, strict=False)
    except ValueError as error:
        accepted = "an IPv4 or IPv6 address or prefix, such as 192.0.2.0/24 or 2001:db8::/32"
        raise BadOption("address", prefix, accepted) from error
    first, size, length = network.network_address.packed, network.max_prefixlen // 8, network.prefixlen
    if size == 16 and length >= 96 and first.startswith(diag.MAPPED):
        first, size, length = first[12:], 4, length - 96
    shift = 8 * size - length
    start = int.from_bytes(first, "big") >> shift
    return lambda raw: len(raw) == size and int.from_bytes(raw, "big") >> shift == start


def connections(host: Host, wanted: Wanted, limit: int) -> Facts:
    """``connections``, at most *limit* in the order of the kernel's table, and ``connections_total``.

    :raises Unavailable: sockets cannot be asked for.
    """
    inodes = sockets_of(host, wanted.process) if wanted.process is not None else None
    source, __ = open_source(host)
    bare = not isinstance(source, diag.SockDiag)
    try:
        total, messages = _matching(source, wanted, inodes, limit)
        if isinstance(source, diag.SockDiag):
            messages = [
                message if message[diag.STATE] in _BARE else source.exact(message, _EXTENSIONS) or message
                for message in messages
            ]
    finally:
        source.close()
    found = [one for message in messages for one in diag.rows(Batch(message, len(message), len(message)))]
    groups = {one.inode: one.cgroup or 0 for one in found}
    shared = {one.inode for one in found if one.state == diag.LISTEN and one.inode}
    owners = Owners(host, groups.keys() - shared - {0}, shared, groups)
    return {"connections": [_row(one, owners, bare) for one in found], "connections_total": total}


def _matching(source: Source, wanted: Wanted, inodes: set[int] | None, limit: int) -> tuple[int, list[bytes]]:
    """How many sockets are wanted, and the messages of the first *limit*."""
    total = 0
    messages: list[bytes] = []
    for mask, extensions in ((diag.LISTENING, (diag.SKMEMINFO,)), (diag.CONNECTED, ())):
        if not wanted.states & mask:
            continue
        for data, length, stride in source.tcp(wanted.states & mask, extensions):
            chosen = [at for at in range(0, length, stride) if _is_wanted(data, at, wanted, inodes)]
            total += len(chosen)
            messages += [bytes(data[at : at + stride]) for at in chosen[: max(0, limit - len(messages))]]
    return total, messages


def _is_wanted(data: bytes | bytearray, at: int, wanted: Wanted, inodes: set[int] | None) -> bool:
    if wanted.port is not None:
        port = wanted.port.to_bytes(2, "big")
        ports = data[at + diag.SOURCE_PORT : at + diag.SOURCE]
        if port not in (ports[:2], ports[2:]):
            return False
    if inodes is not None:
        inode = int.from_bytes(data[at + diag.INODE : at + diag.MESSAGE_SIZE], sys.byteorder)
        if inode not in inodes:
            return False
    if wanted.address is None:
        return True
    family = data[at + diag.FAMILY]
    return any(
        wanted.address(normal(family, bytes(data[at + start : at + start + 16])))
        for start in (diag.SOURCE, diag.DESTINATION)
    )


def _row(one: diag.Socket, owners: Owners, bare: bool) -> Facts:
    info = one.attributes.get(diag.INFO)
    congestion = one.attributes.get(diag.CONGESTION)
    listens = one.state == diag.LISTEN
    return {
        "state": diag.STATE_NAMES.get(one.state),
        "local_address": diag.address(one.family, one.source),
        "local_port": one.port,
        "peer_address": None if listens else diag.address(one.family, one.destination),
        "peer_port": None if listens else one.peer_port,
        "interface": _interface(one.interface),
        "receive_queue_bytes": None if listens else one.receive_queue,
        "send_queue_bytes": None if listens else one.send_queue,
        "accept_queue": one.receive_queue if listens else None,
        "backlog": one.send_queue if listens and not bare else None,
        "timer": _TIMERS.get(one.timer),
        "timer_expires_ms": one.expires_ms if one.timer else None,
        "timer_retransmits": one.retransmits,
        "uid": one.uid if one.inode else None,
        "inode": one.inode or None,
        "processes": owners.of([one.inode]),
        "receive_buffer_bytes": one.receive_buffer,
        "send_buffer_bytes": one.send_buffer,
        "drops": one.drops,
        "congestion_control": congestion.partition(b"\0")[0].decode("ascii", "replace") if congestion else None,
        "tcp_info": _details(tcp_info.parse(info)) if info else None,
    }


def _details(info: dict[str, int | None]) -> dict[str, Any]:
    busy = info["busy_time_us"]
    return {
        "rtt_ms": _ms(info["rtt_us"]),
        "rtt_variation_ms": _ms(info["rttvar_us"]),
        "min_rtt_ms": _ms(info["min_rtt_us"]),
        "receive_rtt_ms": _ms(info["rcv_rtt_us"]),
        "retransmit_timeout_ms": _ms(info["rto_us"]),
        "backoff": info["backoff"],
        "mss": info["snd_mss"],
        "receive_mss": info["rcv_mss"],
        "advertised_mss": info["advmss"],
        "options": _options(info["options"]),
        "send_window_scale": _nibble(info["window_scales"], _LOW_FIRST),
        "receive_window_scale": _nibble(info["window_scales"], not _LOW_FIRST),
        "path_mtu": info["pmtu"],
        "congestion_window": info["snd_cwnd"],
        "slow_start_threshold": info["snd_ssthresh"],
        "unacked": info["unacked"],
        "sacked": info["sacked"],
        "lost": info["lost"],
        "retransmitted_unacked": info["retrans"],
        "retransmitted_total": info["total_retrans"],
        "reordering": info["reordering"],
        "reordering_seen": info["reord_seen"],
        "spurious_retransmits": info["dsack_dups"],
        "out_of_order_segments": info["rcv_ooopack"],
        "pacing_mbps": _mbps(info["pacing_rate"]),
        "delivery_mbps": _mbps(info["delivery_rate"]),
        "delivery_app_limited": _delivery_app_limited(info),
        "delivered_segments": info["delivered"],
        "delivered_ce_segments": info["delivered_ce"],
        "bytes_sent": info["bytes_sent"],
        "bytes_retransmitted": info["bytes_retrans"],
        "bytes_acked": info["bytes_acked"],
        "bytes_received": info["bytes_received"],
        "bytes_not_sent": info["notsent_bytes"],
        "segments_out": info["segs_out"],
        "segments_in": info["segs_in"],
        "data_segments_out": info["data_segs_out"],
        "data_segments_in": info["data_segs_in"],
        "busy_ms": _ms(busy),
        "rwnd_limited_share": None if busy is None else ratio(info["rwnd_limited_us"] or 0, busy),
        "sndbuf_limited_share": None if busy is None else ratio(info["sndbuf_limited_us"] or 0, busy),
        "send_window_bytes": info["snd_wnd"],
        "receive_window_bytes": info["rcv_wnd"],
        "receive_space_bytes": info["rcv_space"],
        "last_sent_ms": info["last_data_sent_ms"],
        "last_received_ms": info["last_data_recv_ms"],
        "last_ack_received_ms": info["last_ack_recv_ms"],
    }


def _options(bits: int | None) -> list[str] | None:
    return None if bits is None else [name for bit, name in _OPTIONS.items() if bits & bit]


def _nibble(scales: int | None, low: bool) -> int | None:
    """One of two bit fields of four bits, of which C puts the first one low where bytes are little-endian."""
    return None if scales is None else scales & 15 if low else scales >> 4


def _delivery_app_limited(info: dict[str, int | None]) -> bool | None:
    """Whether the delivery rate was measured while the program sent less than it could; as old as the rate itself."""
    flags = info["flags"]
    return None if flags is None or info["delivery_rate"] is None else bool(flags & (1 if _LOW_FIRST else 128))


def _ms(microseconds: int | None) -> float | None:
    return None if microseconds is None else round(microseconds / 1000, 3)


def _mbps(bytes_per_s: int | None) -> float | None:
    return None if bytes_per_s is None else round(bytes_per_s * 8e-6, 3)


def _interface(index: int) -> str | None:
    """The name of the interface that a socket is bound to."""
    try:
        return socket.if_indextoname(index) if index else None
    except OSError:
        return str(index)
