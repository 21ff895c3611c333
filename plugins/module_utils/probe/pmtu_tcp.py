# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real TCP connection carries in one packet. Private to this collection.

Sources: tcp(7) TCP_MAXSEG and TCP_INFO, RFC 6691.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from typing import Any, Literal

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import tcp_info
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline
from ansible_collections.nettriage.linux.plugins.module_utils.probe.pmtu_search import TimeUp, TooBig
from ansible_collections.nettriage.linux.plugins.module_utils.probe.targets import Endpoint

_LEAST_MSS = 88  # TCP_MIN_MSS
_TIMESTAMPS, _TIMESTAMP_BYTES = 1, 12
_CONNECT_S = 3.2  # a SYN is repeated after one second and after three
_STEP_S = 0.02
_RESENT = 2


def headers(endpoint: Endpoint) -> int:
    """Bytes of the IP and TCP headers without options."""
    return 60 if endpoint.ipv6 else 40


def smallest(endpoint: Endpoint) -> int:
    """The smallest packet to which a connection's segments can be limited."""
    return headers(endpoint) + _LEAST_MSS


class Connection:
    """One connection whose segments are made to be packets of at most *size* bytes.

    :ivar carries: the size of its largest packets, in bytes.
    :ivar path_mtu: what the kernel takes for the path's.

    :raises Unavailable: it cannot be made.
    :raises TimeUp: the time limit is reached.
    """

    def __init__(self, endpoint: Endpoint, port: int, size: int | None, deadline: Deadline) -> None:
        if deadline.over:
            raise TimeUp
        self._headers = headers(endpoint)
        self._socket = socket.socket(endpoint.family, socket.SOCK_STREAM)
        try:
            self._connect(endpoint.at(port), size, deadline)
        except BaseException:
            self._socket.close()
            raise
        self.carries, self.path_mtu = self._sizes()

    def _connect(self, where: tuple[Any, ...], size: int | None, deadline: Deadline) -> None:
        made = self._socket
        made.setblocking(False)
        # Nothing of it stays behind, not even TIME_WAIT.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if size is not None:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, min(size - self._headers, 32767))
        code = made.connect_ex(where)
        if code == errno.EINPROGRESS:
            poll = select.poll()
            poll.register(made, select.POLLOUT)
            ready = poll.poll(deadline.left(_CONNECT_S) * 1000)
            code = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if ready else errno.ETIMEDOUT
        if code:
            raise Unavailable(f"port {where[1]}: {os.strerror(code).lower()}; method tcp needs a port that is open")

    def _info(self) -> dict[str, int | None]:
        return tcp_info.parse(self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256))

    def _sizes(self) -> tuple[int, int]:
        info = self._info()
        options = _TIMESTAMP_BYTES if (info["options"] or 0) & _TIMESTAMPS else 0
        return (info["snd_mss"] or 0) + options + self._headers, info["pmtu"] or 0

    def deliver(self, wait_s: float, deadline: Deadline) -> Literal[True] | TooBig | None:
        """Send one full packet of empty lines: ``True`` where the peer's kernel acknowledges it.

        It has vanished where that does not happen within *wait_s*, and the segment was sent three times.

        :raises Unavailable: the peer ends the connection at once.
        :raises TimeUp: the time limit is reached.
        """
        segment = self._info()["snd_mss"] or 0
        try:
            self._socket.send(b"\r\n" * (segment // 2) + b"\n" * (segment % 2))
        except OSError as error:
            raise Unavailable(f"the peer ends connections before it takes anything: {error.strerror}") from error
        poll = select.poll()
        poll.register(self._socket, select.POLLHUP)
        end = deadline.within(wait_s)
        while True:
            closed = poll.poll(_STEP_S * 1000)
            info = self._info()
            carries, path_mtu = self._sizes()
            if path_mtu < self.path_mtu:
                return TooBig(path_mtu, None)
            if closed or not info["unacked"]:
                # With tcp_mtu_probing the kernel itself tries a smaller size after a while.
                return True if carries >= self.carries or closed else None
            if end.over and (info["retransmits"] or 0) >= _RESENT:
                return None
            if deadline.over:
                raise TimeUp
            time.sleep(_STEP_S)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
