# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every network namespace of the host in one run, both samples of all within one interval. Private to this collection.

This process goes into one namespace after the other and comes back in every case. Who owns the sockets is asked once
for all of them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from _thread import get_native_id
from typing import Iterator

from ansible_collections.nettriage.linux.plugins.module_utils.collect import (
    everywhere_rows,
    sockets,
    sockets_sample,
    sysctls,
)
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import (
    DAMAGE,
    Facts,
    Subset,
    Taken,
    Window,
    first,
    second,
    unavailable,
)
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_owners import Owners
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import (
    namespace_list,
    namespaces,
    processes,
)
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable, why
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import ALL_NAMESPACES, Host, Neighbour, shown
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.namespace_list import Namespace

# So many namespaces are looked into, those with most processes first, and for no longer than this.
MAX_NAMESPACES = 256
DEADLINE_S = 30.0
# Connections of which tcp_info is asked for, in all namespaces besides the own one together, and in each at least.
_DETAILS, _FEWEST_DETAILS = 20_000, 200
_WAYS = 3
_SHOWN = 10


class Gone(Exception):
    """The namespace is no longer there."""


class View:
    """One namespace, and what was seen of it.

    :ivar host: as it is seen from there.
    :ivar namespace: ``None`` for the own one.
    :ivar closed: it may not be entered, so that only the files of one of its processes are read.
    :ivar files: what tells these files from those of another namespace.
    :ivar facts: ``None`` until it was looked at to the end.
    """

    def __init__(self, host: Host, namespace: Namespace | None = None) -> None:
        self.host = host
        self.namespace = namespace
        self.closed = False
        self.files: int | None = None
        self.before: dict[str, Taken] = {}
        self.facts: Facts | None = None

    @property
    def other(self) -> Namespace:
        """The namespace, where it is another one.

        :raises LookupError: it is the own one.
        """
        if self.namespace is None:
            raise LookupError("the own namespace is looked at without entering it")
        return self.namespace


def gather(host: Host, subsets: dict[str, Subset], interval: float, top: int) -> Facts:
    """Facts of *subsets* of the own namespace, and of all others under ``namespaces``.

    :raises BadOption: only recorded files can be read.
    :raises Unavailable: this is not the main thread, whose namespace ``/proc/net`` shows.
    """
    if not host.live:
        raise BadOption(
            "netns", ALL_NAMESPACES, f"no namespace where procfs is {host.procfs}, a directory of recorded files"
        )
    if get_native_id() != os.getpid():
        raise Unavailable("netns all: it has to be looked for from the main thread of the module")
    started = time.monotonic()
    found = namespace_list.others(host)
    views = [View(_seen_from(host, each), each) for each in found[:MAX_NAMESPACES]]
    run = _Run(host, subsets, views, top)
    run.look(interval, started)
    own = run.own.facts or {}
    everywhere_rows.settings(host, own, views)
    own["namespaces"] = everywhere_rows.facts(host, own, views, len(found), run.limited, top)
    return own


def _seen_from(host: Host, namespace: Namespace) -> Host:
    etc = host.etc
    if namespace.pids:
        etc = host.proc(str(namespace.pids[0]), "root", "etc")
    elif namespace.names:
        with contextlib.suppress(BadOption):
            etc = namespaces.locate(host, namespace.names[0])[1]
    return Host(host.procfs, host.sysfs, etc, name(namespace))


def name(namespace: Namespace) -> str:
    """What the option ``netns`` takes for it."""
    return namespace.names[0] if namespace.names else f"pid:{namespace.pids[0]}"


class _Run:
    """Goes round twice.

    :ivar limited: what was not seen, and why.
    """

    def __init__(self, host: Host, subsets: dict[str, Subset], views: list[View], top: int) -> None:
        self.own = View(host)
        self._host, self._views, self._top = host, views, top
        self._sockets = _Sockets(subsets.get("sockets", sockets), max(_FEWEST_DETAILS, _DETAILS // max(1, len(views))))
        replaced: dict[str, Subset] = {"sockets": self._sockets, "sysctl": _Sysctls()}
        self._subsets: dict[str, Subset] = {key: replaced.get(key, subset) for key, subset in subsets.items()}
        self._inner = {key: subset for key, subset in self._subsets.items() if key != "meta"}
        self.limited: list[str] = []

    def look(self, interval: float, started: float) -> None:
        """Fill the views."""
        home = os.open(self._host.proc("self", "ns", "net"), os.O_RDONLY | os.O_CLOEXEC)
        try:
            if interval > 0:
                begun = time.monotonic()
                self.own.before = first(self._host, self._subsets)
                self._round(home, started, begin=True)
                self._sockets.hold(self._host)
                time.sleep(max(0.0, interval - (time.monotonic() - begun)))
            self.own.facts = second(self._host, self._subsets, self.own.before, self._top)
            self._round(home, started if interval <= 0 else float("inf"), begin=False)
        finally:
            os.close(home)
        self._sockets.name_owners(self._host)

    def _round(self, home: int, started: float, begin: bool) -> None:
        gone, late = [], 0
        for view in list(self._views):
            if time.monotonic() - started > DEADLINE_S:
                late += 1
                self._views.remove(view)
                continue
            try:
                self._visit(view, home, begin)
            except Gone:
                gone.append(shown(str(view.host.netns)))
                self._views.remove(view)
        if gone:
            self.limited.append(f"{len(gone)} vanished while they were looked at: {', '.join(gone[:_SHOWN])}")
        if late:
            self.limited.append(f"{late} were not looked at, for that would have taken more than {DEADLINE_S:.0f} s")

    def _visit(self, view: View, home: int, begin: bool) -> None:
        if not view.closed:
            try:
                with _inside(self._host, view, home):
                    self._sample(view, self._inner, begin)
                return
            except Unavailable:
                view.closed = True
        if not view.other.pids:
            view.facts = {}
            return
        view.host = Neighbour(self._host, view.other.pids[0])
        try:
            files = os.stat(view.host.net("dev")).st_ino
        except OSError as error:
            raise Gone from error
        if view.files not in (None, files):
            raise Gone
        view.files = files
        self._sample(view, {key: subset for key, subset in self._inner.items() if key == "tcp"}, begin)

    def _sample(self, view: View, subsets: dict[str, Subset], begin: bool) -> None:
        if begin:
            view.before = first(view.host, subsets)
        else:
            view.facts = second(view.host, subsets, view.before, everywhere_rows.inner_top(self._top))


@contextlib.contextmanager
def _inside(host: Host, view: View, home: int) -> Iterator[None]:
    """This thread is in the namespace of *view* within the block.

    :raises Unavailable: it may not be entered.
    :raises Gone: it is no longer there.
    """
    descriptor = _opened(host, view)
    try:
        namespaces.switch(descriptor, host)
    except OSError as error:
        raise Unavailable(why(error, str(view.host.netns))) from error
    finally:
        os.close(descriptor)
    try:
        yield
    finally:
        namespaces.switch(home, host)


def _opened(host: Host, view: View) -> int:
    """The namespace's file, by whichever way still leads to this very namespace."""
    namespace = view.other
    if namespace.inode is None:
        raise Unavailable("hidden")
    ways = [host.proc(str(pid), "ns", "net") for pid in namespace.pids[:_WAYS]]
    for each in namespace.names[:_WAYS]:
        with contextlib.suppress(BadOption):
            ways.append(namespaces.locate(host, each)[0])
    denied = False
    for way in ways:
        try:
            # Whatever has been put there meanwhile must neither block nor become ours.
            descriptor = os.open(way, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            denied |= error.errno in (errno.EACCES, errno.EPERM)
            continue
        if os.fstat(descriptor).st_ino == namespace.inode:
            return descriptor
        os.close(descriptor)
    if denied:
        raise Unavailable("hidden")
    raise Gone


class _Sysctls:
    """The subset ``sysctl``; what differs elsewhere is known from elsewhere."""

    def __init__(self) -> None:
        # Of the others only what a namespace has of its own: the first one tells which keys those are.
        self._keys: list[str] | None = None

    def baseline(self, host: Host) -> None:
        """Nothing here is counted."""

    def sample(self, host: Host) -> sysctls.Sample:
        if host.netns is not None:
            now = sysctls.values_only(host, sysctls.KEYS if self._keys is None else self._keys)
            if self._keys is None:
                self._keys = [key for key, value in now.values.items() if value is not None and key.startswith("net.")]
            return now
        now = sysctls.values_only(host)
        return now._replace(tuned=sysctls.tuned(host, now.limited, elsewhere=False))

    def facts(self, host: Host, before: None, now: sysctls.Sample, window: Window) -> Facts:
        return sysctls.facts(host, before, now, window)


class _Sockets:
    """The subset ``sockets`` of all namespaces, with their owners looked up together.

    :param own: the subset, for the own namespace.
    :param most_details: of how many connections of another namespace tcp_info is asked for.
    """

    def __init__(self, own: Subset, most_details: int) -> None:
        self._own, self._most_details = own, most_details
        self._first: list[sockets_sample.Sample] = []
        self._looked: list[tuple[sockets.Looked, Facts]] = []

    def baseline(self, host: Host) -> sockets_sample.Sample:
        self._first.append(self._take(host, True))
        return self._first[-1]

    def sample(self, host: Host) -> sockets_sample.Sample:
        return self._take(host, False)

    def _take(self, host: Host, light: bool) -> sockets_sample.Sample:
        if host.netns is None:
            sample: sockets_sample.Sample = sockets_sample.take(host, True) if light else self._own.sample(host)
            return sample
        # A dump walks the sockets of all namespaces: where there are none it would be in vain.
        there = sockets_sample.expected(host)
        if not (there.live or there.time_wait or there.udp):
            return sockets_sample.nothing(host)
        return sockets_sample.take(host, light, self._most_details)

    def facts(
        self, host: Host, before: sockets_sample.Sample | None, now: sockets_sample.Sample, window: Window
    ) -> Facts:
        found: Facts = {}
        self._looked.append((sockets.Looked(host, before, now, window), found))
        return found

    def hold(self, host: Host) -> None:
        """Who holds what is in CLOSE_WAIT at the first look."""
        wanted = {inode for sample in self._first for inode in sample.census.close_wait}
        held = processes.holders(host, wanted).pids if wanted else {}
        for sample in self._first:
            sample.holders.update({inode: held[inode] for inode in sample.census.close_wait if inode in held})

    def name_owners(self, host: Host) -> None:
        """Fill the facts that :meth:`facts` has promised."""
        wanted: set[int] = set()
        shared: set[int] = set()
        for looked, __ in self._looked:
            wanted |= looked.wanted
            shared |= looked.shared
        held = processes.holders(host, wanted, shared)
        for looked, found in self._looked:
            try:
                owners = Owners(host, looked.wanted, looked.shared, looked.groups, held)
                found.update(looked.facts(owners))
            except DAMAGE as error:
                found.update(unavailable(why(error, "sockets")))
