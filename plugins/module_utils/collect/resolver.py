# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the C library asks for names: resolv.conf as glibc reads it. Private to this collection.

Sources: resolv.conf(5), glibc ``resolv/res_init.c``. ``RES_OPTIONS`` and ``LOCALDOMAIN`` live in each process's own
environment and are not seen here.
"""

from __future__ import annotations

import os
import socket
from typing import Any, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Facts, Window
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, read_text, shown

_USED_NAMESERVERS = 3  # MAXNS
_DEFAULT_NAMESERVER = "127.0.0.1"
# Our name, the default and the highest value that counts (RES_MAXNDOTS, RES_MAXRETRANS, RES_MAXRETRY).
_NUMBERS = {"ndots": ("ndots", 1, 15), "timeout": ("timeout_s", 5, 30), "attempts": ("attempts", 2, 5)}
_FLAGS = {
    "rotate": "rotate",
    "single-request": "single_request",
    "single-request-reopen": "single_request_reopen",
    "edns0": "edns0",
    "trust-ad": "trust_ad",
    "use-vc": "use_vc",
    "no-aaaa": "no_aaaa",
}
_FILE = "resolv.conf"
_NETNS = "/etc/netns/"
_MAX_LINKS = 8


class Sample(NamedTuple):
    """What was found.

    :ivar text: the file's content; ``None`` where there is no file.
    :ivar hostname: of the host that the file belongs to; ``None`` where it is not known.
    """

    path: str
    text: str | None
    hostname: str | None
    limited: list[str]


class Configuration(NamedTuple):
    """What resolv.conf says, after glibc's own limits; ``search`` is ``None`` where it names no domain."""

    nameservers: list[str]
    search: list[str] | None
    options: dict[str, Any]
    damage: list[str]


def sample(host: Host) -> Sample:
    """:raises Unavailable: the file is there and may not be read, or there is none among recorded files."""
    limited: list[str] = []
    directory, root = _place(host, limited)
    candidates = [directory]
    if _NETNS in directory:
        # ip-netns(8) overlays single files: what a namespace does not have of its own is the host's.
        candidates.append(os.path.join(root, "etc"))
    path = ""
    for candidate in candidates:
        path = _follow(os.path.join(candidate, _FILE), root)
        try:
            return Sample(path, read_text(path), _hostname(host, root), limited)
        except Unavailable as error:
            if not isinstance(error.__cause__, (FileNotFoundError, NotADirectoryError)):
                raise
    if not host.live:
        raise Unavailable(f"{path} was not recorded")
    return Sample(path, None, _hostname(host, root), limited)


def facts(host: Host, before: Sample | None, now: Sample, window: Window) -> Facts:
    found = parse(now.text or "")
    limited = now.limited + found.damage
    if now.text is None:
        limited.append(f"{now.path} does not exist: the C library asks {_DEFAULT_NAMESERVER}")
    search = found.search
    if search is None:
        # Without domain or search it is what follows the first dot of the host's own name.
        domain = (now.hostname or "").partition(".")[2]
        search = [domain] if domain else []
    return {
        "available": True,
        "limited": limited,
        "path": shown(now.path),
        "nameservers": found.nameservers[:_USED_NAMESERVERS] or [_DEFAULT_NAMESERVER],
        "nameservers_ignored": found.nameservers[_USED_NAMESERVERS:],
        "search": search,
        "options": found.options,
        "queries_per_short_name": queries_per_short_name(search, found.options),
    }


def queries_per_short_name(search: list[str], options: dict[str, Any]) -> int:
    """How many queries a name without a dot costs that exists in no search domain.

    Each name is asked for A and AAAA: in each search domain, and as it stands. With ``ndots:0`` it is tried as it
    stands first, and then it costs as much where it does not exist.
    """
    names = len(search) + ("." not in search)
    return names * (1 if options["no_aaaa"] else 2)


def parse(text: str) -> Configuration:
    """resolv.conf as glibc takes it: a keyword begins its line, the last of ``domain`` and ``search`` wins."""
    nameservers: list[str] = []
    search: list[str] | None = None
    options: dict[str, Any] = {name: default for name, default, __ in _NUMBERS.values()}
    options.update(dict.fromkeys(_FLAGS.values(), False))
    damage: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        keyword, rest = _split_keyword(line)
        if keyword == "nameserver":
            address = _address(rest)
            if address:
                nameservers.append(address)
            else:
                damage.append(f"line {number}: no address after nameserver")
        elif keyword == "domain":
            search = [shown(word) for word in rest.split()[:1]] or search
        elif keyword == "search":
            search = [shown(word) for word in rest.split()] or search
        elif keyword == "options":
            for word in rest.split():
                _take_option(options, word)
    return Configuration(nameservers, search, options, damage)


def _split_keyword(line: str) -> tuple[str, str]:
    """A keyword has to begin the line and to be followed by a space or tab."""
    for keyword in ("nameserver", "domain", "search", "options"):
        if line.startswith(keyword) and line[len(keyword) : len(keyword) + 1] in (" ", "\t"):
            return keyword, line[len(keyword) :]
    return "", ""


def _address(rest: str) -> str | None:
    """The canonical form of the address that begins *rest*, with its IPv6 zone; ``None`` where there is none."""
    word = rest.lstrip(" \t")
    for end in ";# \t":
        word = word.partition(end)[0]
    address, percent, zone = word.partition("%")
    try:
        if ":" in address:
            return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, address)) + shown(percent + zone)
        # glibc takes the short forms of inet_aton(3) too, but nothing after the address.
        # ("192.0.2.1\r" of a DOS file is none).
        return (
            None if percent or not word.isascii() or word != word.strip() else socket.inet_ntoa(socket.inet_aton(word))
        )
    except (OSError, ValueError):
        return None


def _take_option(options: dict[str, Any], word: str) -> None:
    name, colon, value = word.partition(":")
    if colon and name in _NUMBERS:
        field, __, highest = _NUMBERS[name]
        options[field] = min(_atoi(value), highest)
    elif word in _FLAGS:
        options[_FLAGS[word]] = True


def _atoi(text: str) -> int:
    """As atoi(3): the digits at the beginning, 0 where there are none."""
    digits = ""
    for character in text[:9]:
        if character not in "0123456789":
            break
        digits += character
    return int(digits or "0")


def _place(host: Host, limited: list[str]) -> tuple[str, str]:
    """The configuration directory of whoever is asked about, and the root that its symbolic links refer to."""
    directory = host.etc
    if host.live and directory == "/etc":
        if host.netns is not None:
            limited.append(f"who lives in netns {shown(host.netns)} is not known, so this is the host's own {_FILE}")
        elif host.procfs != "/proc" and _same_network(host):
            # A container that sees the host's proc and shares its network: the host's names are meant, not its own.
            directory = host.proc("1", "root", "etc")
    at = directory.find(_NETNS)
    root = directory[:at] if at >= 0 else directory.rpartition("/etc")[0]
    return directory, root or "/"


def _same_network(host: Host) -> bool:
    try:
        return os.stat(host.proc("self/ns/net")).st_ino == os.stat(host.proc("1/ns/net")).st_ino
    except OSError:
        return False


def _follow(path: str, root: str) -> str:
    """*path* with symbolic links of its last part resolved below *root*, where another mount namespace put them."""
    for __ in range(_MAX_LINKS):
        try:
            target = os.readlink(path)
        except OSError:
            break
        path = root.rstrip("/") + target if target.startswith("/") else os.path.join(os.path.dirname(path), target)
    return path


def _hostname(host: Host, root: str) -> str | None:
    if host.live and root != "/":
        return None  # procfs shows the reader's own name, not that of another UTS namespace.
    try:
        return shown(read_text(host.proc("sys/kernel/hostname")).strip())
    except Unavailable:
        return None
