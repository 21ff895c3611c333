# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the facts are about: which kernel, seen with which privileges, when. Private to this collection."""

from __future__ import annotations

import os
import sys
import time
from typing import NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Facts, Window
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, number, read_text, shown
from ansible_collections.nettriage.linux.plugins.module_utils.version import VERSION

SCHEMA = 1

# A kernel release has at most 64 characters, a boot id 36.
_MAX_LINE = 255

# Bits of CapEff: include/uapi/linux/capability.h.
_CAPABILITIES = {"dac_read_search": 2, "net_admin": 12, "net_raw": 13, "sys_ptrace": 19, "sys_admin": 21}
# What it takes to see every socket, its memory and its owner.
_SEES_ALL = ("net_admin", "sys_ptrace", "dac_read_search")

# Parts of init's cgroup path, by the runtime that writes them.
_CGROUP_MARKS = (
    ("kubepods", "kubernetes"),
    ("libpod", "podman"),
    ("docker", "docker"),
    ("containerd", "containerd"),
    ("lxc.payload", "lxc"),
    ("/lxc/", "lxc"),
    ("machine-", "systemd-nspawn"),
)


class Sample(NamedTuple):
    """When the samples of this round began."""

    at: float


def sample(host: Host) -> Sample:
    return Sample(time.time())


def facts(host: Host, before: Sample | None, now: Sample, window: Window) -> Facts:
    held = capabilities(host)
    return {
        "schema": SCHEMA,
        "collection_version": VERSION,
        "kernel": _kernel(host),
        "python": ".".join(map(str, sys.version_info[:3])),
        "privileged": None if held is None else all(held[name] for name in _SEES_ALL),
        "capabilities": held or dict.fromkeys(_CAPABILITIES),
        "netns": host.netns,
        "boot_id": _line(host.proc("sys/kernel/random/boot_id")),
        "uptime_s": _uptime_s(host),
        "cpus": _cpus(host),
        "memory_bytes": _memory_bytes(host),
        "container": container(host),
        "sampled_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now.at)),
        "interval_s": None if window.seconds is None else round(window.seconds, 3),
        "live": host.live,
    }


def start() -> float:
    """The moment that :func:`closing` counts from."""
    return time.monotonic()


def closing(names: list[str], started: float) -> Facts:
    """What is known only when all is done: the subsets, and how long they took."""
    return {"duration_ms": round((time.monotonic() - started) * 1000, 1), "subsets": names}


def capabilities(host: Host) -> dict[str, bool] | None:
    """Which of the capabilities that matter here are effective; ``None`` for recorded files."""
    if not host.live:
        return None
    effective = int(_field(host.proc("self/status"), "CapEff:") or "0", 16)
    return {name: bool(effective >> bit & 1) for name, bit in _CAPABILITIES.items()}


def container(host: Host) -> str | None:
    """The runtime of the container that the host is, as systemd-detect-virt(1) finds it, or ``None``.

    Outside tells differ by privilege: only root sees the environment of init.
    """
    if "microsoft" in (_kernel(host) or "").lower():
        return "wsl"
    for entry in _text(host.proc("1/environ")).split("\0"):
        if entry.startswith("container="):
            return shown(entry[len("container=") :]) or "other"
    if host.live:
        root = "/" if host.procfs == "/proc" else host.proc("1", "root")
        named = _line(os.path.join(root, "run/systemd/container"))
        if named:
            return named
        for mark, runtime in ((".dockerenv", "docker"), ("run/.containerenv", "podman")):
            if os.path.exists(os.path.join(root, mark)):
                return runtime
    cgroup = _text(host.proc("1/cgroup"))
    for mark, runtime in _CGROUP_MARKS:
        if mark in cgroup:
            return runtime
    return None


def _kernel(host: Host) -> str | None:
    recorded = _line(host.proc("sys/kernel/osrelease"))
    if recorded is None:
        words = _text(host.proc("version")).split()  # Linux version 6.1.0-44-amd64 (...)
        recorded = shown(words[2]) if len(words) > 2 else None
    return recorded if recorded or not host.live else os.uname().release


def _uptime_s(host: Host) -> float | None:
    text = _text(host.proc("uptime")).partition(" ")[0]
    try:
        return float(text) if number(text.replace(".", "", 1)) >= 0 else None
    except ValueError:
        return None


def _cpus(host: Host) -> int | None:
    """CPUs that are online; :file:`stat` lists no others."""
    lines = _text(host.proc("stat")).split("\n")
    return sum(line.startswith("cpu") and line[3:4].isdigit() for line in lines) or None


def _memory_bytes(host: Host) -> int | None:
    value = _field(host.proc("meminfo"), "MemTotal:")
    return int(value) * 1024 if value and value.isascii() and value.isdigit() else None


def _text(path: str) -> str:
    try:
        return read_text(path)
    except Unavailable:
        return ""


def _line(path: str) -> str | None:
    return shown(_text(path).strip())[:_MAX_LINE] or None


def _field(path: str, name: str) -> str | None:
    for line in _text(path).split("\n")[:-1]:
        if line.startswith(name):
            return (line[len(name) :].split() or [""])[0]
    return None
