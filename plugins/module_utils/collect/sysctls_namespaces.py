# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces of running processes in which keys have other values than here. Private to this collection.

A process's keys can be read from inside its namespace only, so a child goes there: this process never leaves its own.
Sources: setns(2), network_namespaces(7), ``net_ctl_permissions()`` and ``sysctl_net.c`` of the kernel.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import time
from typing import Any, Iterable, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import (
    namespace_list,
    namespaces,
    processes,
    sysctl,
)
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

# What belongs to a namespace and says how well its connections fare. Left out on purpose: what a container is right to
# have of its own, such as forwarding, reserved ports or the keys of an interface.
_TCP = """
    congestion_control fin_timeout keepalive_intvl keepalive_probes keepalive_time max_syn_backlog max_tw_buckets
    mtu_probing notsent_lowat rmem sack slow_start_after_idle syn_retries synack_retries syncookies timestamps tw_reuse
    window_scaling wmem"""
KEYS = {"net.core.somaxconn", "net.ipv4.ip_local_port_range", *(f"net.ipv4.tcp_{name}" for name in _TCP.split())}
DEADLINE_S = 1.0
MAX_NAMESPACES = 256
_SHOWN = 3
_BLOCK = 65536


class Differing(NamedTuple):
    """Namespaces with other values, those with most of them first, and what could not be seen."""

    rows: list[dict[str, Any]]
    limited: list[str]


def differing(host: Host, keys: Iterable[str], deadline_s: float = DEADLINE_S) -> Differing:
    """Where one of *keys* has another value than in the namespace of this process.

    Namespaces with nothing but a loopback interface are left out: services are locked into those.
    """
    end = time.monotonic() + deadline_s
    here = {key: _value(host, key) for key in keys if key in KEYS}
    here = {key: value for key, value in here.items() if value is not None}
    if not here:
        return Differing([], [])
    found, hidden = namespace_list.inhabited(host, end)
    found.pop(namespace_list.own(host) or 0, None)
    limited = []
    if hidden:
        limited.append(f"namespaces: those of {len(hidden)} processes are shown to CAP_SYS_PTRACE only")
    wanted = [pids[0] for pids in found.values()][:MAX_NAMESPACES]
    answers = _ask(host, wanted, sorted(here), end)
    denied = sum(answer == "denied" for answer in answers.values())
    if denied:
        limited.append(f"namespaces: {denied} of {len(found)} were not entered, which needs CAP_SYS_ADMIN")
    missed = len(found) - len(answers)
    if missed:
        bounds = f"at most {MAX_NAMESPACES}, within {deadline_s:g} s"
        limited.append(f"namespaces: {missed} of {len(found)} were not looked at ({bounds})")
    rows = []
    for pids in found.values():
        there = answers.get(pids[0])
        if isinstance(there, dict):
            other = {key: there[key] for key in here if there.get(key) not in (None, here[key])}
            if other:
                rows.append((pids, {key: {"host": here[key], "here": value} for key, value in other.items()}))
    rows.sort(key=lambda row: (-len(row[1]), -len(row[0]), row[0]))
    return Differing([row(host, f"pid:{pids[0]}", pids, other) for pids, other in rows], limited)


def row(host: Host, netns: str, pids: list[int], other: dict[str, Any]) -> dict[str, Any]:
    """One namespace in which *other* keys have other values, as the facts have it."""
    named = [processes.describe(host, pid)._asdict() for pid in pids[:_SHOWN]]
    return {
        "netns": netns,
        "container": next((process["container"] for process in named if process["container"]), None),
        "unit": next((process["unit"] for process in named if process["unit"]), None),
        "processes": named,
        "processes_total": len(pids),
        "differing": other,
    }


def _ask(host: Host, pids: list[int], keys: list[str], end: float) -> dict[int, Any]:
    """What a child found in the namespace of each of *pids*: values by key, ``null`` or ``"denied"``."""
    if not pids:
        return {}
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(receiving)
            for pid in pids:
                os.write(sending, json.dumps([pid, _visit(host, pid, keys)]).encode("ascii") + b"\n")
            code = 0
        finally:
            os._exit(code)  # nothing of the parent's may run twice
    os.close(sending)
    try:
        text = _received(receiving, end)
    finally:
        os.close(receiving)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return dict(json.loads(line) for line in text.split(b"\n")[:-1])


def _received(descriptor: int, end: float) -> bytes:
    text = b""
    while select.select([descriptor], [], [], max(0.0, end - time.monotonic()))[0]:
        block = os.read(descriptor, _BLOCK)
        if not block:
            break
        text += block
    return text


def _visit(host: Host, pid: int, keys: list[str]) -> dict[str, str | None] | str | None:
    """The child's part for one namespace."""
    try:
        descriptor = os.open(host.proc(str(pid), "ns", "net"), os.O_RDONLY | os.O_CLOEXEC)
        try:
            namespaces.switch(descriptor, host)
        finally:
            os.close(descriptor)
        with open(host.net("dev"), "rb") as file:
            if len(file.readlines()) <= 3:  # two lines of headings, and lo
                return None
    except OSError as error:
        return "denied" if error.errno in (errno.EPERM, errno.EACCES) else None
    return {key: _value(host, key) for key in keys}


def _value(host: Host, key: str) -> str | None:
    try:
        return sysctl.read(host, key)
    except Unavailable:
        return None
