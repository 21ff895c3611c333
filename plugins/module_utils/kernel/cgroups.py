# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a control group's path says of its processes: systemd unit and container. Private to this collection.

Sources: cgroups(7), systemd.unit(5), CGROUP_DELEGATION.md of systemd, the naming of docker, podman, containerd,
cri-o, Kubernetes and LXC.
"""

from __future__ import annotations

import os
from typing import Collection, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

_UNIT_SUFFIXES = (".service", ".scope")
_HEX = frozenset("0123456789abcdef")
_ID_LENGTH = 64
_UID = _HEX | frozenset("-_")
# Where a runtime's own process lives that watches over a container, but is not in it.
_MONITORS = ("libpod-conmon-", "crio-conmon-")
_MAX_DIRECTORIES = 20000


class Group(NamedTuple):
    """Who a control group belongs to."""

    unit: str | None
    container: str | None


NOBODY = Group(None, None)


def of_text(text: str) -> Group:
    """The group that the lines of ``/proc/PID/cgroup`` name.

    The unified hierarchy and systemd's own know the unit; with version 1 the container may stand in any other.
    """
    paths = {}
    for line in text.splitlines():
        __, __, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if separator:
            paths[controllers] = path
    unit = container = None
    # Most telling first: version 2, then systemd's hierarchy of version 1, then the others.
    for controllers in sorted(paths, key=lambda name: (name != "", name != "name=systemd", name)):
        group = of_path(paths[controllers])
        if controllers in ("", "name=systemd"):
            unit = unit or group.unit
        container = container or group.container
    return Group(unit, container)


def of_path(path: str) -> Group:
    """The innermost unit and container that a control group's path names."""
    unit = container = None
    if path.endswith(" (deleted)"):
        path = path[: -len(" (deleted)")]
    parts = path.split("/")
    for index, part in enumerate(parts):
        # systemd puts "_" before a name that would look like a file of the kernel's.
        name = part[1:] if part.startswith("_") else part
        if name.endswith(_UNIT_SUFFIXES) and name not in _UNIT_SUFFIXES:
            unit = name
        container = _container(name, parts[index - 1] if index else "") or container
    return Group(unit, container)


def pod_of_text(text: str) -> str | None:
    """The uid of the Kubernetes pod that the lines of ``/proc/PID/cgroup`` name.

    It is ``podUID`` below a directory of the kubelet, or ``kubepods-QOS-podUID.slice`` with ``_`` for ``-``.
    """
    for part in text.replace("\n", "/").split("/"):
        name = part[: -len(".slice")] if part.endswith(".slice") else part
        head, pod, uid = name.rpartition("pod")
        if pod and uid and (not head or head.startswith("kubepods")) and _UID.issuperset(uid):
            return uid.replace("_", "-")
    return None


def _container(name: str, parent: str) -> str | None:
    if name.startswith(_MONITORS):
        return None
    if name.endswith(".scope"):
        name = name[: -len(".scope")]
        if name.startswith("machine-"):
            return _unescape(name[len("machine-") :])
    elif name.startswith("systemd-nspawn@") and name.endswith(".service"):
        return _unescape(name[len("systemd-nspawn@") : -len(".service")])
    # docker-ID, cri-containerd-ID, crio-ID, libpod-ID, SLICE:cri-containerd:ID or the bare ID.
    tail = name[-_ID_LENGTH:]
    if len(tail) == _ID_LENGTH and _HEX.issuperset(tail) and name[-_ID_LENGTH - 1 : -_ID_LENGTH] in ("", "-", ":"):
        return tail
    if name.startswith("lxc.payload."):
        return name[len("lxc.payload.") :] or None
    if parent in ("lxc", "lxc.payload"):
        return name or None
    task, dash, number = name.partition("-")
    if dash and number.isdigit() and len(task) == 32 and _HEX.issuperset(task):  # ECS on Fargate
        return name
    return None


def _unescape(name: str) -> str:
    r"""systemd's escapes (``\x2d``) undone; what is no escape stays."""
    head, *rest = name.split("\\x")
    out = bytearray(head, "utf-8", "surrogateescape")
    for piece in rest:
        try:
            out.append(int(piece[:2], 16))
            out += piece[2:].encode("utf-8", "surrogateescape")
        except ValueError:
            out += b"\\x" + piece.encode("utf-8", "surrogateescape")
    return out.decode("utf-8", "replace")


def by_id(host: Host, wanted: Collection[int]) -> dict[int, Group]:
    """The groups whose ids are *wanted*: a group's id is the inode of its directory in the unified hierarchy."""
    found: dict[int, Group] = {}
    missing = set(wanted)
    for root in (host.sys("fs", "cgroup"), host.sys("fs", "cgroup", "unified")):
        if missing and os.path.exists(os.path.join(root, "cgroup.controllers")):
            waiting, seen = [(root, "")], 0
            while waiting and missing and seen < _MAX_DIRECTORIES:
                directory, path = waiting.pop()
                seen += 1
                try:
                    with os.scandir(directory) as entries:
                        below = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
                except OSError:
                    continue
                for entry in below:
                    inner = f"{path}/{entry.name}"
                    if entry.inode() in missing:
                        missing.discard(entry.inode())
                        found[entry.inode()] = of_path(inner)
                    waiting.append((entry.path, inner))
    return found
