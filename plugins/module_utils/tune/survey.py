# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for beside what is there: every reason to refuse, found before anything is written.

Private to this collection.
"""

from __future__ import annotations

import errno
import os
from typing import Any, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sysctl
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.tune import modules_load, undo, values
from ansible_collections.nettriage.linux.plugins.module_utils.tune.undo import Trouble

# What would be read there as a pattern, a remark or the end of the key; an interface name may hold any of it.
_UNWRITTEN = frozenset("=*?[]\\#;!")
_INTERFACES = (("net", "ipv4", "conf"), ("net", "ipv6", "conf"), ("net", "ipv4", "neigh"), ("net", "ipv6", "neigh"))
# What the kernel changes along with a key, so that giving back the key alone would not give back everything.
# Sources: inet_forward_change(), addrconf_fixup_forwarding(), tcp_set_default_congestion_control().
_IPV4_FORWARDING = ("net/ipv4/ip_forward", "net/ipv4/conf/*/forwarding", "net/ipv4/conf/all/accept_redirects")
_FOLLOWERS = {
    values.CONGESTION_CONTROL: ("net/ipv4/tcp_allowed_congestion_control",),
    "net.ipv4.ip_forward": _IPV4_FORWARDING,
    "net.ipv4.conf.all.forwarding": _IPV4_FORWARDING,
    "net.ipv6.conf.all.forwarding": ("net/ipv6/conf/*/forwarding",),
    "net.ipv6.conf.all.disable_ipv6": ("net/ipv6/conf/*/disable_ipv6",),
}


class Setting:
    """One key of a transaction.

    :ivar key: its form with dots; ``path`` lies below ``/proc/sys``.
    :ivar before: what the kernel holds, to the byte; ``None`` where it has no such key.
    :ivar after: what it shall hold; ``None`` where the present value stays.
    :ivar unwritable: why it cannot be written, ``None`` where it can.
    :ivar origin: what it held before the first transaction of ours.
    """

    def __init__(self, key: str, path: str) -> None:
        self.key = key
        self.path = path
        self.before: str | None = None
        self.after: str | None = None
        self.unwritable: str | None = None
        self.origin: str | None = None
        self.persist: str | None = None

    @property
    def changes(self) -> bool:
        """Whether the kernel has to be told."""
        return self.before is not None and self.after is not None and not values.same(self.key, self.before, self.after)

    def entry(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return {"key": self.key, "path": self.path, "before": self.before, "after": self.after, "origin": self.origin}


class Now(NamedTuple):
    """The kernel as it is, or as it would be once leftovers are undone (*restored*, by path)."""

    host: Host
    restored: dict[str, str]

    def read(self, path: str) -> str | None:
        """What is at *path* below ``/proc/sys``; ``None`` where there is no such key.

        :raises OSError: it cannot be read.
        """
        if path in self.restored:
            return self.restored[path]
        try:
            return undo.read_value(self.host.proc("sys", path))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            raise


def resolved(name: str) -> tuple[str, str]:
    """Key and path of *name*, in either form; an interface name may have its dots written plainly.

    :raises BadOption: it cannot be a key.
    """
    path = sysctl.relative_path(name)
    parts = path.split("/")
    if len(parts) > 5 and tuple(parts[:3]) in _INTERFACES:
        parts[3:-1] = [".".join(parts[3:-1])]
        path = "/".join(parts)
    return sysctl.canonical(path), path


def named(names: list[str], option: str) -> tuple[dict[str, Setting], dict[str, str]]:
    """A setting for each of *names*, and for each key the name that the user has given it.

    :raises Trouble: a name cannot be a key, or two names are one key.
    """
    settings: dict[str, Setting] = {}
    given: dict[str, str] = {}
    for name in names:
        try:
            key, path = resolved(str(name))
        except BadOption as error:
            raise Trouble(f"{option}: {error}") from error
        if not _UNWRITTEN.isdisjoint(key) or not key.isprintable():
            raise Trouble(f"{option}: {name!r} cannot be written in a file of sysctl.d")
        if key in given:
            raise Trouble(f"{option}: {given[key]!r} and {name!r} are the same key")
        given[key] = str(name)
        settings[key] = Setting(key, path)
    return settings, given


def look(now: Now, settings: dict[str, Setting]) -> list[tuple[str, str]]:
    """Read every key, and ask the kernel whether it can be written.

    :return: what is wrong, as (key, sentence).
    """
    problems: list[tuple[str, str]] = []
    for key, setting in settings.items():
        try:
            setting.before = now.read(setting.path)
        except OSError as error:
            problems.append((key, f"cannot be read, so it could not be restored: {undo.reason(error)}"))
            continue
        if setting.before is None:
            problems.append((key, "does not exist " + _absent(now.host, key)))
        else:
            why = sysctl.not_writable(now.host, setting.path)
            setting.unwritable = None if why is None else why.rpartition(": ")[2]
    return problems


def _absent(host: Host, key: str) -> str:
    module = modules_load.module_of(key, "")
    if module in ("nf_conntrack", "br_netfilter") and not os.path.isdir(host.sys("module", module)):
        return f"before the kernel module {module} is loaded"
    if os.path.isdir(host.proc("sys", "net", "ipv4")):
        return "in this network namespace of this kernel"
    return f"below {host.proc('sys')}"


def judge(
    now: Now, settings: dict[str, Setting], wanted: dict[str, Any], raised: set[str] | None
) -> list[tuple[str, str]]:
    """Set what each key shall hold.

    :param wanted: the user's value of each key.
    :param raised: the keys that may only be raised; ``None``: all of them.
    :return: what is wrong, as (key, sentence).
    """
    problems: list[tuple[str, str]] = []
    final: dict[str, str] = {}
    for key, setting in settings.items():
        try:
            text = values.text_of(key, wanted[key])
        except ValueError as error:
            problems.append((key, str(error)))
            continue
        if setting.before is None:
            continue
        current = undo.normal(setting.before)
        try:
            values.check(key, text, current)
            if raised is not None and key in raised and not values.can_be_raised(key, current):
                raise ValueError("raise_only means nothing for a value that is no number")
            setting.after = values.target(key, current, text, raised is None or key in raised)
            values.check(key, setting.after, current)
            _check_algorithm(now, key, setting.after, current)
        except ValueError as error:
            problems.append((key, str(error)))
            continue
        setting.persist = final[key] = setting.after
        if setting.changes and setting.unwritable:
            problems.append((key, f"cannot be written: {setting.unwritable}"))
    for key in list(final):
        for other in values.depends_on(key):
            if other not in final:
                final[other] = undo.normal(now.read("/".join(other.split("."))) or "")
    problems.extend(values.check_together(final, {key: final[key] for key in settings if key in final}))
    return problems


def _check_algorithm(now: Now, key: str, wanted: str, current: str) -> None:
    """:raises ValueError: this kernel, or this network namespace, has no such congestion control."""
    if key != values.CONGESTION_CONTROL or wanted == current:
        return
    available = (now.read("net/ipv4/tcp_available_congestion_control") or "").split()
    allowed = (now.read("net/ipv4/tcp_allowed_congestion_control") or "").split()
    # Only the first namespace may take what is not allowed, and has modules loaded for it.
    first = sysctl.not_writable(now.host, "net/ipv4/tcp_allowed_congestion_control") is None
    if wanted in allowed or (first and wanted in available):
        return
    if first and modules_load.known(f"tcp_{wanted}", "modules.dep"):
        return
    offered = available if first else allowed
    raise ValueError(f"{wanted!r} is not offered here; there are: {', '.join(offered)}")


def ordered(settings: list[Setting]) -> list[Setting]:
    """In the order in which the kernel accepts them: keys that set others first, and the port range where it fits."""
    found = {setting.key: setting for setting in settings}
    start, ports = found.get(values.UNPRIVILEGED), found.get(values.PORT_RANGE)
    ranks = dict.fromkeys(_FOLLOWERS, 0)
    if start is not None and ports is not None:
        new, low = values.integers(start.after or ""), values.integers(ports.before or "")
        # Each may be written only while the range begins at or above the first unprivileged port.
        ranks[start.key if new and low and new[0] <= low[0] else ports.key] = 0
    return sorted(settings, key=lambda setting: ranks.get(setting.key, 1))


def followers(now: Now, changing: list[Setting]) -> list[dict[str, Any]]:
    """Journal entries for what the kernel changes along with *changing*."""
    if not any(setting.key in _FOLLOWERS for setting in changing):
        return []
    import glob  # few transactions need it

    root = now.host.proc("sys")
    taken = {setting.path for setting in changing}
    entries: list[dict[str, Any]] = []
    for setting in changing:
        for pattern in _FOLLOWERS.get(setting.key, ()):
            for file in sorted(glob.glob(os.path.join(glob.escape(root), pattern))):
                path = os.path.relpath(file, root)
                before = now.read(path)
                if path not in taken and before is not None:
                    taken.add(path)
                    entries.append({"key": sysctl.canonical(path), "path": path, "before": before, "after": None})
    return entries
