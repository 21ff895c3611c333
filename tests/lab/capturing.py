# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures in a namespace, while the test makes traffic there, and tcpdump beside them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import pathlib
import signal
import socket
import subprocess
import sys
from collections import Counter
from typing import Any, Iterator

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.packet_socket import Frame
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_pcap import Parser
from ansible_collections.nettriage.linux.tests.lab.netlab import LabError, Namespace, environment, wait_until

_TIMEOUT_S = 60.0
_NOBODY = 65534
# The way of the module below its main().
_CAPTURE = """
import json, os, subprocess, sys  # the library of this very Python may be closed to others
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture import packet_capture
from ansible_collections.nettriage.linux.plugins.module_utils.target import open_target
nobody, params = json.load(sys.stdin)
host = open_target(params)
if nobody:
    os.setgroups([])
    os.setgid(nobody)
    os.setuid(nobody)
try:
    json.dump(packet_capture(host, params), sys.stdout)
except (BadOption, Unavailable) as error:
    sys.exit(str(error))
"""
_PARAMS: dict[str, Any] = {
    "procfs": "/proc", "sysfs": "/sys", "interface": "any", "duration": 1.0, "max_packets": 1_000_000,
    "max_bytes": 64 << 20, "snaplen": 0, "ring": False, "path": None,
    "hosts": [], "ports": [], "protocols": [], "filter": None,
    "engine": "auto", "top": 10,
}  # fmt: skip


class Capture:
    """A capture that runs from when this is made.

    :ivar pid: of its process.
    """

    def __init__(self, namespace: Namespace, nobody: bool = False, ready: bool = True, **options: Any) -> None:
        """:param nobody: as a user without any privilege.
        :param ready: return once it captures.
        """
        self._namespace, self._before = namespace, _packet_sockets(namespace)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CAPTURE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self.pid = self._process.pid
        assert self._process.stdin is not None
        params = {**_PARAMS, "netns": namespace.name, **options}
        self._process.stdin.write(json.dumps([_NOBODY if nobody else 0, params]))
        self._process.stdin.close()
        self._process.stdin = None
        if ready:
            self.stands()

    def stands(self) -> None:
        """Return once it captures, or has ended."""
        wait_until(
            lambda: self._process.poll() is not None or _packet_sockets(self._namespace) - self._before,
            "a capture stands",
            _TIMEOUT_S,
        )

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def result(self) -> dict[str, Any]:
        """What it returned, once it has ended.

        :raises LabError: it failed; the message is its sentence.
        """
        try:
            out, err = self._process.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise
        if self._process.returncode:
            raise LabError(err.strip())
        found: dict[str, Any] = json.loads(out)
        return found


def captures(namespace: Namespace, *options: dict[str, Any]) -> list[Capture]:
    """Several at once; all of them stand."""
    begun = [Capture(namespace, ready=False, **each) for each in options]
    wait_until(lambda: len(_packet_sockets(namespace)) >= len(begun), "all captures stand", _TIMEOUT_S)
    return begun


def _packet_sockets(namespace: Namespace) -> set[str]:
    """The inodes of those that belong to an interface, or to any: their protocol is set."""
    with namespace.entered(), open("/proc/thread-self/net/packet") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    return {row[8] for row in rows if row[3] != "0000"}


@contextlib.contextmanager
def tcpdump(namespace: Namespace, path: pathlib.Path, *arguments: str) -> Iterator[None]:
    """The real one beside it, which writes to *path* until the block ends."""
    before = _packet_sockets(namespace)
    process = subprocess.Popen(
        [
            *("ip", "netns", "exec", namespace.name, "tcpdump", "-Z", "root", "-U", "--immediate-mode", "-n"),
            *("-w", str(path), *arguments),
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _packet_sockets(namespace) - before, "tcpdump stands", _TIMEOUT_S)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_TIMEOUT_S)


def frames(path: pathlib.Path | str) -> list[Frame]:
    return list(Parser().feed(pathlib.Path(path).read_bytes()))


def checksums(path: pathlib.Path | str) -> Counter[str]:
    """Of the packets in a file."""
    return Counter(hashlib.sha256(frame.data).hexdigest() for frame in frames(path))


def printed(path: pathlib.Path | str, *arguments: str) -> list[str]:
    """The lines that tcpdump prints of a file."""
    done = subprocess.run(
        ["tcpdump", "-n", "-r", str(path), *arguments], capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
    )
    return done.stdout.splitlines()


def connect(namespace: Namespace, address: str, port: int, timeout_s: float = 5.0) -> socket.socket | None:
    """A connection from *namespace*; ``None`` where it was refused or nobody answered."""
    with namespace.entered():
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    made.settimeout(timeout_s)
    try:
        made.connect((address, port))
    except OSError:
        made.close()
        return None
    return made


def flood(namespace: Namespace, address: str, count: int, size: int) -> None:
    """*count* datagrams of *size* bytes to a port where nobody listens."""
    with namespace.entered():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender:
        for __ in range(count):
            with contextlib.suppress(OSError):  # a full queue, or what the far end says about it
                sender.sendto(bytes(size), (address, 9))


def inject(namespace: Namespace, interface: str, *packets: bytes) -> None:
    """Put *packets*, each with its Ethernet header, on the wire behind *interface*."""
    with namespace.entered():
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with made:
        made.bind((interface, 0))
        for packet in packets:
            made.send(packet)


def running(command: str, namespace: Namespace) -> list[int]:
    """The pids of programs of this name that live in *namespace*."""
    found = []
    for pid in namespace.run("ip", "netns", "pids", namespace.name).split():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as file:
            if file.read().strip() == command:
                found.append(int(pid))
    return found
