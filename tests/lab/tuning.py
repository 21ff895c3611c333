# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the real playbooks that tune, on namespaces of the lab."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

from ansible_collections.nettriage.linux.tests.lab import demo
from ansible_collections.nettriage.linux.tests.lab.netlab import Actor, Namespace

KEYS = (
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_wmem",
)
_TIMEOUT_S = 120


class Tuner:
    """The playbooks ``tune`` and ``rollback`` on some namespaces, each with a state directory of its own.

    :ivar directory: where all of it lies, and the playbooks run.
    :ivar within: a program with its arguments that starts the playbooks, such as ``unshare``.
    """

    def __init__(self, directory: pathlib.Path, *hosts: Namespace) -> None:
        self.directory = directory
        self.hosts = hosts
        self.within: tuple[str, ...] = ()
        (directory / "inventory.json").write_text(
            json.dumps({"all": {"hosts": {host.label: self._variables(host) for host in hosts}}})
        )

    def _variables(self, host: Namespace) -> dict[str, Any]:
        own = {"netns": host.name, "state_dir": str(self.state(host))}
        return {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "tune_interval": 0.5,
            **{f"{role}_{name}": value for role in ("tune", "rollback") for name, value in own.items()},
        }

    def state(self, host: Namespace | None = None) -> pathlib.Path:
        """The state directory of *host*, or of the only one."""
        return self.directory / f"state-{(host or self.hosts[0]).label}"

    def start(self, playbook: str, *arguments: str, **variables: Any) -> subprocess.Popen[str]:
        """Begin a playbook, in a process group of its own."""
        program = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
        given = ["-i", "inventory.json", "-e", json.dumps(variables), *arguments]
        return subprocess.Popen(
            [*self.within, program, f"nettriage.linux.{playbook}", *given],
            env={**os.environ, **demo.QUIET, "COLUMNS": "100"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.directory,
            start_new_session=True,
        )

    def __call__(self, playbook: str, *arguments: str, **variables: Any) -> Run:
        """Run a playbook to its end."""
        return finished(self.start(playbook, *arguments, **variables))

    def tuned(self, *arguments: str, **variables: Any) -> Run:
        """Tune all hosts at once, which must succeed."""
        run = self("tune", *arguments, **{"tune_serial": "100%", **variables})
        assert run.returncode == 0, run.text
        return run

    def values(self, host: Namespace | None = None) -> dict[str, str]:
        """What *host*, or the only one, holds of all that these tests set."""
        return {key: (host or self.hosts[0]).sysctl(key) for key in KEYS}

    def journals(self, host: Namespace | None = None) -> list[dict[str, Any]]:
        """The journals of *host*, or of the only one, oldest first."""
        return [json.loads(path.read_text()) for path in sorted(self.state(host).glob("0*.json"))]


class Run:
    """A playbook that has ended.

    :ivar text: what it printed.
    :ivar words: the same in one line, so that a sentence can be looked for wherever it was broken.
    """

    def __init__(self, returncode: int, text: str) -> None:
        self.returncode = returncode
        self.text = text
        self.words = " ".join(text.split())

    def counts(self) -> dict[str, dict[str, int]]:
        """What the recap says about each host."""
        lines = re.findall(r"^(\w+) +: (ok=\d+ .*)$", self.text, re.MULTILINE)
        return {host: {name: int(n) for name, n in re.findall(r"(\w+)=(\d+)", rest)} for host, rest in lines}

    def changed(self) -> int:
        """How many tasks changed something, on all hosts."""
        return sum(counts["changed"] for counts in self.counts().values())

    def plan(self) -> list[str]:
        """The lines of the table of plans."""
        begin, end = self.text.find("Show the plan"), self.text.find("TASK [nettriage.linux.tune : Apply")
        return self.text[begin : end if end > 0 else None].splitlines()[1:]


def finished(process: subprocess.Popen[str]) -> Run:
    """Wait for a playbook."""
    try:
        text, __ = process.communicate(timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Run(process.returncode, text)


def mbps(host: Namespace, where: str, size_bytes: int) -> float:
    """The throughput of one transfer of *size_bytes* from *host* to a new connection at *where*."""
    actor: Actor = host.start("transfer", "transfer", size_bytes, where, ready=False)
    said = actor.hear()
    return float(said["mbps"])
