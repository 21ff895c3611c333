# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded capture, its file and its summary. Private to this collection.

With a file, packets are written while they come and looked at afterwards: writing one costs less than looking at it,
so less is lost. Without, they are looked at while they come, and nothing but sums is kept.
"""

from __future__ import annotations

import contextlib
import signal
import time
from typing import Any, Iterator

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.packet_socket import (
    RING_BYTES,
    Frame,
    PacketRing,
    interface,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe import capture_pcap
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_file import CaptureFile
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_filter import (
    ETHERNET_HEADER,
    Wanted,
    program,
    wanted,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_packets import (
    ETHERNET,
    LINK_TYPES,
    SLL2,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_summary import Summary
from ansible_collections.nettriage.linux.plugins.module_utils.probe.targets import within

ENGINES = ("auto", "af_packet", "tcpdump")
MAX_DURATION_S = 3600.0
MAX_PACKETS = 100_000_000
MIN_BYTES, MIN_RING_BYTES, MAX_BYTES = 4096, 1 << 20, 1 << 40
_READ_BYTES = 1 << 18
_STOPPED_BY = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class _AfPacket(PacketRing):
    """A packet ring with the link type of its frames."""

    def __init__(self, name: str, want: Wanted, snaplen: int) -> None:
        taken = interface(name)
        self.link_type = ETHERNET if taken.ethernet else SLL2
        super().__init__(taken, program(want, ETHERNET_HEADER if taken.ethernet else 0, snaplen), RING_BYTES)


def packet_capture(host: Host, params: dict[str, Any], check_mode: bool = False) -> dict[str, Any]:
    """What the module of the same name returns.

    :param check_mode: no file is written.
    :raises BadOption: an option cannot be used.
    :raises Unavailable: capturing is not possible here, or was stopped by a signal.
    """
    host.require_live("packet_capture")
    want = _checked(params)
    path = None if check_mode else params["path"]
    with _interruptible(), contextlib.ExitStack() as stack:
        # The file first: where there is no place for it, nothing is captured.
        file = stack.enter_context(CaptureFile(path, params["max_bytes"], params["ring"])) if path else None
        engine, name = _engine(params, want)
        source = stack.enter_context(engine)
        return _capture(source, name, file, params)


def _checked(params: dict[str, Any]) -> Wanted:
    within("duration", params["duration"], 0.1, MAX_DURATION_S, "seconds")
    within("max_bytes", params["max_bytes"], MIN_BYTES, MAX_BYTES, "bytes")
    if params["ring"]:
        if params["path"] is None:
            raise BadOption("ring", True, "false, or a path as well: without a file there is nothing to overwrite")
        within("max_bytes", params["max_bytes"], MIN_RING_BYTES, MAX_BYTES, "with ring, bytes")
    within("max_packets", params["max_packets"], 1, MAX_PACKETS, "a number of packets")
    within("snaplen", params["snaplen"], 0, capture_pcap.MAX_SNAPLEN, "bytes")
    within("top", params["top"], 1, 1000, "a number of rows")
    want = wanted(params["hosts"], params["ports"], params["protocols"])
    if params["filter"] is not None:
        if want != Wanted():
            raise BadOption("filter", params["filter"], "either a filter, or hosts, ports and protocols")
        if params["engine"] == "af_packet":
            raise BadOption("engine", "af_packet", "tcpdump or auto: only tcpdump can compile a filter expression")
        if not params["filter"].isprintable():
            raise BadOption("filter", params["filter"], "an expression as in pcap-filter(7)")
    return want


def _engine(params: dict[str, Any], want: Wanted) -> tuple[Any, str]:
    expression = params["filter"]
    if params["engine"] == "tcpdump" or (params["engine"] == "auto" and expression is not None):
        from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_tcpdump import Tcpdump, expressed

        interface(params["interface"])
        expression = expressed(want) if expression is None else expression
        return Tcpdump(
            params["interface"], expression, params["snaplen"], params["max_packets"] + 1, params["duration"]
        ), "tcpdump"
    return _AfPacket(params["interface"], want, params["snaplen"]), "af_packet"


def _capture(source: Any, engine: str, file: CaptureFile | None, params: dict[str, Any]) -> dict[str, Any]:
    started_ns, started = time.time_ns(), time.monotonic()
    summary = Summary(source.link_type)
    if file is not None:
        file.begin(capture_pcap.header(source.link_type, params["snaplen"]))
    packets = size = 0
    newer = older = 0  # how many packets the two parts of a ring hold
    size_file = capture_pcap.HEADER_BYTES
    truncated_by: str | None = "duration"
    for frame in source.frames(params["duration"]):
        if packets >= params["max_packets"]:
            truncated_by = "packets"
            break
        size_file += capture_pcap.RECORD_BYTES + len(frame.data)
        if file is None:
            if size_file > params["max_bytes"]:
                truncated_by = "bytes"
                break
            summary.see(frame)
        else:
            record = capture_pcap.record(frame)
            if len(record) > file.room():
                if params["ring"]:
                    file.turn()
                    newer, older = 0, newer
                if len(record) > file.room():
                    truncated_by = "bytes"
                    break
            file.write(record)
            newer += 1
        packets += 1
        size += frame.length
    duration_s = time.monotonic() - started
    received, dropped = source.statistics()
    if truncated_by == "duration" and duration_s < params["duration"]:
        truncated_by = None  # it ended by itself, as where the interface went away
    if file is not None:
        for frame in _reread(file):
            summary.see(frame)
    told = summary.result(params["top"], min(duration_s, params["duration"]))
    if file is not None:
        file.keep()
    return {
        "changed": file is not None,
        "available": True,
        "why": None,
        "limited": [*([source.trouble] if source.trouble else []), *summary.limited()],
        "netns": params["netns"],
        "interface": params["interface"],
        "engine": engine,
        "link_type": LINK_TYPES.get(source.link_type, str(source.link_type)),
        "filter": _told(params),
        "snaplen": params["snaplen"],
        "started": started_ns // 1_000_000_000,
        "duration_s": round(duration_s, 3),
        "truncated_by": truncated_by,
        "packets": packets,
        "overwritten": packets - newer - older if file else 0,
        "bytes": size,
        "received": received,
        "dropped": dropped,
        "drop_ratio": round(dropped / received, 6) if received and dropped is not None else None,
        "path": file.path if file else None,
        "size_bytes": file.size if file else None,
        "summary": told,
    }


def _reread(file: CaptureFile) -> Iterator[Frame]:
    parser, stream = capture_pcap.Parser(), file.reread()
    while block := stream.read(_READ_BYTES):
        yield from parser.feed(block)


def _told(params: dict[str, Any]) -> str | None:
    """The filter in words; ``None`` where everything was taken."""
    if params["filter"] is not None:
        return str(params["filter"])
    told = [f"{name} {', '.join(map(str, params[name]))}" for name in ("hosts", "ports", "protocols") if params[name]]
    return "; ".join(told) or None


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """A signal that asks the process to end is an exception within the block, so that everything is cleaned up."""

    def stop(number: int, __: object) -> None:
        for each in _STOPPED_BY:
            signal.signal(each, signal.SIG_IGN)  # the first is enough
        raise Unavailable(f"the capture was stopped by {signal.Signals(number).name}; nothing of it was kept")

    before = {number: signal.signal(number, stop) for number in _STOPPED_BY}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
