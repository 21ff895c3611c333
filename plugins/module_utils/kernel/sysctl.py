# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel parameters below ``/proc/sys``: names, values, whether they can be written. Private to this collection.

Sources: sysctl(8), sysctl.d(5), ``fs/proc/proc_sysctl.c``.
"""

from __future__ import annotations

import errno
import functools
import os

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import (
    BadOption,
    Unavailable,
    why,
)
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

# 65536 ports, each by itself, are 400 KiB of text.
_USUAL_SIZE, _LARGEST_SIZE = 1 << 14, 1 << 20
_SWAP = str.maketrans("./", "/.")
_ACCEPTED = "a key such as net.core.somaxconn or net/ipv4/conf/bond0.101/rp_filter"


@functools.lru_cache(maxsize=512)  # the same keys are read in many namespaces
def relative_path(key: str) -> str:
    """The path of *key* below ``/proc/sys``.

    The first separator decides, as in sysctl.d(5): after a dot, dots separate and slashes stand for dots inside a
    name (``net.ipv4.conf.bond0/101.rp_filter``); after a slash, both are what they are in the path.

    :raises BadOption: *key* cannot be a key.
    """
    dot, slash = key.find("."), key.find("/")
    path = key.translate(_SWAP) if dot >= 0 and (slash < 0 or dot < slash) else key
    parts = path.split("/")
    if len(parts) < 2 or any(part in ("", ".", "..") for part in parts) or "\0" in key:
        raise BadOption("key", key, _ACCEPTED)
    return path


def canonical(key: str) -> str:
    """*key* in the form with dots, so that two spellings of one key are equal.

    :raises BadOption: *key* cannot be a key.
    """
    return relative_path(key).translate(_SWAP)


def path(host: Host, key: str) -> str:
    """Where *key* lies.

    :raises BadOption: *key* cannot be a key.
    """
    return host.proc("sys", relative_path(key))


def exists(host: Host, key: str) -> bool:
    """Whether this kernel, in this network namespace, has *key*."""
    return os.path.isfile(path(host, key))


def read(host: Host, key: str) -> str | None:
    """The value with single spaces for the kernel's tabs; ``None`` where there is no such key.

    :raises BadOption: *key* cannot be a key.
    :raises Unavailable: it may not be read.
    """
    try:
        return normal(_read(path(host, key)))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise Unavailable(why(error, path(host, key))) from error


def _read(file: str) -> str:
    """The value in one read: what the kernel has once given in part, it does not continue."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(descriptor, _USUAL_SIZE)
        if len(data) == _USUAL_SIZE:  # a list of many ports
            os.lseek(descriptor, 0, os.SEEK_SET)
            data = os.read(descriptor, _LARGEST_SIZE)
    finally:
        os.close(descriptor)
    return data.decode("utf-8", "surrogateescape")


def normal(value: str) -> str:
    """*value* with each run of white space as one space: how two values are compared."""
    return " ".join(value.split())


def not_writable(host: Host, key: str) -> str | None:
    """Why *key* cannot be written; ``None`` where it can.

    The kernel is asked by opening the file for writing, and nothing is written: the mode alone knows neither of a
    read-only mount nor of a security module, and root does not override the mode of a sysctl.

    :raises BadOption: *key* cannot be a key.
    """
    if not host.live:
        return f"{host.procfs} holds recorded files"
    try:
        descriptor = os.open(path(host, key), os.O_WRONLY | os.O_CLOEXEC)
    except OSError as error:
        return why(error, key)
    os.close(descriptor)
    return None
