# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks made of namespaces, in which faults stand for real.

A :class:`Lab` owns everything that it makes: namespaces named ``nt-lab-PID-START-SERIAL-LABEL``, the virtual cables
between them and the processes in them. :meth:`Lab.close` removes all of it, whatever happened before. What a run
that was killed left behind is removed by :func:`sweep`, which knows dead runs by the pid and start time in the name.
Nothing of the host's own network is touched: cables are made inside the namespaces.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from typing import Any, Callable, Iterator, Mapping

ACTORS = "ansible_collections.nettriage.linux.tests.lab.actors"
TOOLS = ("ip", "nft", "ss", "nstat", "tc", "conntrack")
_RUN_NETNS = "/run/netns"
_PREFIX = "nt-lab"
_NAME = re.compile(_PREFIX + r"-(\d+)-(\d+)-\d+-[a-z0-9]+\Z")
_CLONE_NEWNET = 0x40000000
_COMMAND_TIMEOUT_S = 20.0
_POLL_S = 0.01
_RULE = """
table inet lab {{
    chain {hook} {{
        type {kind} hook {hook} priority 0;
        {rule}
    }}
}}
"""
_serial = itertools.count()


class LabError(Exception):
    """The lab could not be built as wanted; the message holds what the failing program said."""


def wait_until(condition: Callable[[], object], what: str, deadline_s: float = 10.0) -> None:
    """Return as soon as *condition* holds.

    :param what: what is waited for, for the message.
    :raises LabError: it did not hold within *deadline_s* seconds.
    """
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"not within {deadline_s:g} s: {what}")
        time.sleep(_POLL_S)


def command(*argv: str, stdin: str | None = None) -> str:
    """Run one program on the host and return what it printed.

    :raises LabError: it failed; the message is what it said.
    """
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def environment() -> dict[str, str]:
    """The environment of a Python program of the lab: it finds the collection where this process does."""
    return {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def says(program: str, given: Any, timeout_s: float = 30.0, variables: Mapping[str, str] | None = None) -> Any:
    """What *program*, in a Python of its own, prints as JSON when *given* is its input as JSON.

    :param variables: more of its environment.
    :raises LabError: it ended with an error.
    """
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**environment(), **(variables or {})},
    )
    if done.returncode:
        raise LabError(done.stderr.strip())
    return json.loads(done.stdout)


def missing(tools: tuple[str, ...] = TOOLS) -> str | None:
    """Why no lab can be built on this machine; ``None`` where it can."""
    if os.geteuid() != 0:
        return "the lab builds network namespaces: run it as root"
    absent = [tool for tool in tools if shutil.which(tool) is None]
    if absent:
        return f"the lab needs {', '.join(absent)}: install iproute2, nftables and conntrack"
    name = f"{_PREFIX}-{os.getpid()}-{_started_at(os.getpid())}-{next(_serial)}-try"
    try:
        command("ip", "netns", "add", name)
        command("ip", "netns", "del", name)
    except (LabError, OSError) as error:
        return f"the lab cannot be built here: {error}"
    return None


def sweep(own: bool = False) -> list[str]:
    """Remove the namespaces, with their processes, of runs that are gone; return their names.

    :param own: those of this very process as well.
    """
    removed = []
    for name in _namespaces():
        found = _NAME.match(name)
        if found is None:
            continue
        pid, started = int(found[1]), int(found[2])
        if _started_at(pid) != started or (own and pid == os.getpid()):
            _remove(name)
            removed.append(name)
    return removed


def _namespaces() -> list[str]:
    try:
        return os.listdir(_RUN_NETNS)
    except FileNotFoundError:
        return []


def _started_at(pid: int) -> int | None:
    """When *pid* started, in clock ticks since boot (field 22 of proc_pid_stat(5)); tells it from a later namesake."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except OSError:
        return None


def _remove(name: str) -> None:
    """End what runs in namespace *name*, then delete it."""
    with contextlib.suppress(LabError):
        for pid in command("ip", "netns", "pids", name).split():
            if int(pid) != os.getpid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
    with contextlib.suppress(LabError):
        command("ip", "netns", "del", name)


def _setns(descriptor: int) -> None:
    """setns(2) for the calling thread; the standard library has it only since Python 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Actor:
    """A real program of ``tests/lab/actors`` that runs in a namespace.

    Each line that it prints is one JSON object; the first says that it stands as wanted. It ends with this process
    at the latest (``PR_SET_PDEATHSIG``).
    """

    def __init__(self, argv: list[str], name: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        )
        self.pid = self._process.pid
        self._pending = b""

    def hear(self, deadline_s: float = 60.0) -> dict[str, Any]:
        """The next object that the actor prints.

        :raises LabError: it ended, or printed nothing in time.
        """
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        end = time.monotonic() + deadline_s
        while b"\n" not in self._pending:
            ready, __, __ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise LabError(f"{self.name}: said nothing for {deadline_s:g} s")
            block = os.read(descriptor, 65536)
            if not block:
                raise LabError(f"{self.name}: ended: {self._last_words()}")
            self._pending += block
        line, _newline, self._pending = self._pending.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        return said

    def _last_words(self) -> str:
        assert self._process.stderr is not None
        self._process.wait(_COMMAND_TIMEOUT_S)
        return self._process.stderr.read().decode(errors="replace").strip()

    def stop(self) -> None:
        """End the process and wait for it."""
        self._process.kill()
        self._process.wait(_COMMAND_TIMEOUT_S)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


class Namespace:
    """One network namespace: a host of the lab.

    :ivar name: as ``ip netns`` knows it.
    :ivar label: the short name that the test gave it.
    :ivar ipv6: whether this kernel has IPv6.
    """

    def __init__(self, lab: Lab, name: str, label: str) -> None:
        self.lab = lab
        self.name = name
        self.label = label
        self.ipv6 = os.path.exists("/proc/sys/net/ipv6")

    @property
    def path(self) -> str:
        return os.path.join(_RUN_NETNS, self.name)

    def run(self, *argv: str, stdin: str | None = None) -> str:
        """Run a program in this namespace and return what it printed.

        :raises LabError: it failed.
        """
        return command("ip", "netns", "exec", self.name, *argv, stdin=stdin)

    def ip(self, arguments: str) -> str:
        """Run ``ip ARGUMENTS`` in this namespace; the arguments are split at spaces."""
        return command("ip", "-n", self.name, *arguments.split())

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread is in this namespace within the block: sockets made there stay in it."""
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            there = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _setns(there)
            finally:
                os.close(there)
            try:
                yield
            finally:
                _setns(here)
        finally:
            os.close(here)

    def sysctl(self, key: str, value: object | None = None) -> str:
        """The value of *key* (``net.ipv4.ip_forward``) in this namespace, after writing *value* where one is given."""
        path = "/proc/sys/" + key.replace(".", "/")
        with self.entered():
            if value is not None:
                descriptor = os.open(path, os.O_WRONLY)
                try:
                    os.write(descriptor, str(value).encode())
                finally:
                    os.close(descriptor)
            with open(path) as file:
                return " ".join(file.read().split())

    def filter(self, hook: str, rule: str, kind: str = "filter") -> None:
        """Add one nftables rule to the chain at *hook* (``input``, ``forward``, ``output``) of this namespace.

        :param kind: the chain's type; ``route`` looks the route up again after a changed mark.
        """
        self.run("nft", "-f", "-", stdin=_RULE.format(hook=hook, kind=kind, rule=rule))

    def counter(self, name: str) -> int:
        """An absolute counter of this namespace as ``nstat`` names it (``TcpExtListenDrops``)."""
        table = json.loads(self.run("nstat", "-azsj"))["kernel"]
        return int(table[name])

    def ss(self, arguments: str) -> list[str]:
        """The lines that ``ss -H -n ARGUMENTS`` prints in this namespace."""
        return self.run("ss", "-H", "-n", *arguments.split()).splitlines()

    def start(self, program: str, *arguments: object, ready: bool = True) -> Actor:
        """Start ``tests/lab/actors/PROGRAM.py`` here; return once it says that it stands."""
        actor = Actor(
            [
                *("ip", "netns", "exec", self.name, sys.executable, "-S"),
                *("-m", f"{ACTORS}.{program}"),
                *map(str, arguments),
            ],
            f"{program} in {self.label}",
        )
        self.lab.own(actor)
        if ready:
            actor.hear()
        return actor


class Link:
    """A virtual cable between two namespaces: the interface names and the addresses of its two ends.

    :ivar addresses: IPv4.
    :ivar addresses6: IPv6.
    """

    def __init__(self, interfaces: tuple[str, str], addresses: tuple[str, str], addresses6: tuple[str, str]) -> None:
        self.interfaces = interfaces
        self.addresses = addresses
        self.addresses6 = addresses6


class Lab:
    """Builds namespaces, cables and processes, and removes them at :meth:`close`. Also a context manager."""

    def __init__(self) -> None:
        self.namespaces: list[Namespace] = []
        self._actors: list[Actor] = []
        self._subnets = itertools.count(1)

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *__: object) -> None:
        self.close()

    def own(self, actor: Actor) -> None:
        """Have *actor* ended with this lab."""
        self._actors.append(actor)

    def namespace(self, label: str) -> Namespace:
        """A new namespace with its loopback up."""
        name = f"{_PREFIX}-{os.getpid()}-{_started_at(os.getpid())}-{next(_serial)}-{label}"
        if not _NAME.match(name):
            raise LabError(f"label: {label!r} is not accepted; give lower-case letters and digits")
        made = Namespace(self, name, label)
        # Listed before it is made: what an interrupt leaves half done is removed as well.
        self.namespaces.append(made)
        command("ip", "netns", "add", name)
        made.ip("link set lo up")
        return made

    def connect(self, left: Namespace, right: Namespace) -> Link:
        """A veth pair, up, between two namespaces: ``.1`` at *left*, ``.2`` at *right*, and likewise in IPv6."""
        serial, ends = self._ends(left, right)
        command(
            *("ip", "link", "add", ends[0], "netns", left.name, "type", "veth"),
            *("peer", "name", ends[1], "netns", right.name),
        )
        return self._addressed(left, right, serial, ends)

    def line(
        self,
        left: Namespace,
        right: Namespace,
        delay_ms: float,
        *,
        loss: float = 0.0,
        rate_mbps: float = 0.0,
        queue_ms: float = 200.0,
    ) -> Link:
        """The same over a long line: each packet arrives *delay_ms* later, so a round trip takes twice as long.

        :param loss: share of packets that vanish, each way.
        :param rate_mbps: what it carries each way; 0 is as much as comes.
        :param queue_ms: with a rate, how long packets wait in front of the line before more of them are dropped.
        """
        serial, ends = self._ends(left, right)
        left.start("delay", "line", ends[0], right.path, ends[1], delay_ms, loss, rate_mbps, queue_ms)
        for host, interface in ((left, ends[0]), (right, ends[1])):
            host.ip(f"link set {interface} txqueuelen 10000")  # what is lost is lost on the line
        return self._addressed(left, right, serial, ends)

    def _ends(self, left: Namespace, right: Namespace) -> tuple[int, tuple[str, str]]:
        serial = next(self._subnets)
        return serial, (f"to-{right.label[:7]}-{serial}", f"to-{left.label[:7]}-{serial}")

    def _addressed(self, left: Namespace, right: Namespace, serial: int, ends: tuple[str, str]) -> Link:
        net, net6 = f"10.77.{serial}", f"fd77:{serial}::"
        for host, interface, number in ((left, ends[0], 1), (right, ends[1], 2)):
            host.ip(f"address add {net}.{number}/24 dev {interface}")
            if host.ipv6:
                host.ip(f"address add {net6}{number}/64 dev {interface} nodad")
            host.ip(f"link set {interface} up")
        return Link(ends, (f"{net}.1", f"{net}.2"), (f"{net6}1", f"{net6}2"))

    def pair(self, left: str = "client", right: str = "server") -> tuple[Namespace, Namespace, Link]:
        """Two hosts on one cable."""
        one, other = self.namespace(left), self.namespace(right)
        return one, other, self.connect(one, other)

    def routed(self, left: str = "client", right: str = "server") -> tuple[Namespace, Namespace, Namespace, Link]:
        """Two hosts with a router between them, each with a default route to it: (left, router, right, ends).

        The returned link holds the outer interfaces and addresses: the left host's and the right host's.
        """
        one, router, other = self.namespace(left), self.namespace("router"), self.namespace(right)
        router.sysctl("net.ipv4.ip_forward", 1)
        near, far = self.connect(one, router), self.connect(router, other)
        one.ip(f"route add default via {near.addresses[1]}")
        other.ip(f"route add default via {far.addresses[0]}")
        ends = (near.interfaces[0], far.interfaces[1])
        addresses6 = (near.addresses6[0], far.addresses6[1])
        return one, router, other, Link(ends, (near.addresses[0], far.addresses[1]), addresses6)

    def close(self) -> None:
        """End the processes, then remove the namespaces and with them every cable."""
        while self._actors:
            self._actors.pop().stop()
        while self.namespaces:
            _remove(self.namespaces.pop().name)
