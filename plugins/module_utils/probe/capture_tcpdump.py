# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets by tcpdump, for filters that only it can compile. Private to this collection.

It writes pcap to a pipe: limits, file and summary are ours. It is started without a shell, and ended in every case.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
import select
import signal
import socket
import subprocess
import time
from typing import Any, Iterator

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable, why
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.packet_socket import ANY, Frame
from ansible_collections.nettriage.linux.plugins.module_utils.probe import capture_pcap
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_filter import PROTOCOLS, Network, Wanted
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_packets import dissect

PLACES = ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin")
HEADER_SNAPLEN = 256  # more than any headers; what is payload is cut off before it is kept
_BUFFER_KIB = 16 << 10
_PATIENCE_S = 3.0
_START_S = 10.0
_READ_BYTES = 1 << 16
_COUNT = re.compile(
    r"^(\d+) packets? (captured|received by filter|dropped by kernel|dropped by interface)", re.MULTILINE
)


def find() -> str | None:
    """Where tcpdump is; ``None`` where it is not."""
    candidates = (os.path.join(place, "tcpdump") for place in PLACES)
    return next((path for path in candidates if os.access(path, os.X_OK)), None)


class Tcpdump:
    """The same interface as a packet ring's. A context manager.

    :param snaplen: how many bytes to take of a packet; 0 for its headers.
    :param seconds: how long the capture is going to last.
    :ivar link_type: of the frames.
    :ivar trouble: what was not as it should have been.
    :raises BadOption: tcpdump does not understand the filter.
    :raises Unavailable: there is no tcpdump, or it may not capture.
    """

    def __init__(self, interface: str, expression: str, snaplen: int, max_packets: int, seconds: float) -> None:
        program = find()
        if program is None:
            raise Unavailable(f"tcpdump is in none of {', '.join(PLACES)}; hosts, ports and protocols do without it")
        self._headers_only = not snaplen
        self._seen_twice = interface in ("lo", ANY)  # sent and received by the loopback: tcpdump ignores one of them
        self._ended = False
        self._errors = ""
        self._parser = capture_pcap.Parser()
        self.trouble: str | None = None
        arguments = ["-i", interface, "-s", str(snaplen or HEADER_SNAPLEN), "-c", str(max_packets), "-w", "-"]
        # Without -U nothing tells that it has begun, until a block of packets is full.
        arguments += ["-n", "-U", "-B", str(_BUFFER_KIB), "--immediate-mode", "--", expression]
        try:
            # The module's run_command waits until the end, and here packets are read while they come.
            self._process = subprocess.Popen(  # pylint: disable=ansible-bad-function
                [program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,  # a few lines, which fit into the pipe
                env={"PATH": os.defpath, "LC_ALL": "C"},
                # It survives exec, so tcpdump ends even where this process is killed and no packet comes.
                preexec_fn=functools.partial(signal.alarm, math.ceil(seconds + _START_S + 2 * _PATIENCE_S)),
            )
        except OSError as error:
            raise Unavailable(why(error, program)) from error
        # Pipes, which Popen only has where it is told so.
        self._output: Any = self._process.stdout
        self._complaints: Any = self._process.stderr
        try:
            self.link_type = self._begin(expression)
        except BaseException:
            self.close()
            raise

    def _begin(self, expression: str) -> int:
        """Until the header has come, which is when it captures."""
        end = time.monotonic() + _START_S
        self._early: list[Frame] = []
        while self._parser.link_type is None and not self._ended and time.monotonic() < end:
            self._early += self._read(end)
        if self._parser.link_type is not None:
            return self._parser.link_type
        self._end()
        said = self._said()
        if "permission" in said.lower() or "not permitted" in said.lower():
            raise Unavailable("capturing packets needs CAP_NET_RAW")
        if any(word in said for word in ("syntax error", "expression", "unknown", "illegal", "invalid", "parse")):
            raise BadOption("filter", expression, f"an expression as in pcap-filter(7) ({said})")
        raise Unavailable(f"tcpdump: {said or 'it did not begin to capture'}")

    def frames(self, seconds: float) -> Iterator[Frame]:
        """What arrives within *seconds*."""
        end = time.monotonic() + seconds
        yield from map(self._cut, self._early)
        while not self._ended and time.monotonic() < end:
            yield from map(self._cut, self._read(end))
        # It writes what it has, says how many packets were dropped, and ends.
        self._signal(signal.SIGINT)
        end = time.monotonic() + _PATIENCE_S
        while not self._ended and time.monotonic() < end:
            yield from map(self._cut, self._read(end))

    def _read(self, end: float) -> list[Frame]:
        descriptor = self._output.fileno()
        ready, __, __ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
        block = os.read(descriptor, _READ_BYTES) if ready else b""
        self._ended = bool(ready) and not block
        return list(self._parser.feed(block))

    def _cut(self, frame: Frame) -> Frame:
        if not self._headers_only:
            return frame
        return frame._replace(data=frame.data[: dissect(self.link_type, frame).headers])

    def statistics(self) -> tuple[int, int | None]:
        """How many packets passed the filter, and how many were dropped; ends the capture.

        What tcpdump did not get to say is ``None``.
        """
        self._end()
        counts = {what: int(number) for number, what in _COUNT.findall(self._said(whole=True))}
        captured, dropped = counts.get("captured", 0), counts.get("dropped by kernel")
        received = counts.get("received by filter", captured)
        if not self._seen_twice and (unread := received - (dropped or 0) - captured) > 0:
            self.trouble = f"{unread} packets were still unread when tcpdump was interrupted"
        return received, dropped

    def _said(self, whole: bool = False) -> str:
        """What went wrong, in its last line; or all that it said."""
        self._errors += self._complaints.read().decode("ascii", "replace")
        text = self._errors
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return text if whole else (lines[-1][:200] if lines else "").replace("tcpdump: ", "", 1)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def _end(self) -> None:
        """Wait for it a while, then kill it."""
        self._output.close()
        self._signal(signal.SIGINT)
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def __enter__(self) -> Tcpdump:
        return self

    def __exit__(self, *__: object) -> None:
        self.close()


def expressed(want: Wanted) -> str:
    """*want* in the language of pcap-filter(7), which cannot say that errors about it are wanted as well."""
    names = {number: name for name, number in PROTOCOLS.items()}
    parts = [
        [f"{'net' if host.prefix < len(host.address) * 8 else 'host'} {_written(host)}" for host in want.hosts],
        [f"port {port}" for port in want.ports],
        [{"icmpv6": "icmp6"}.get(names[number], names[number]) for number in want.protocols],
    ]
    return " and ".join(f"({' or '.join(each)})" for each in parts if each)


def _written(host: Network) -> str:
    family = socket.AF_INET if len(host.address) == 4 else socket.AF_INET6
    address = socket.inet_ntop(family, host.address)
    return address if host.prefix == len(host.address) * 8 else f"{address}/{host.prefix}"
