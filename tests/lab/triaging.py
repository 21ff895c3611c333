# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the real playbooks that look from one host at another, on namespaces of the lab."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

from ansible_collections.nettriage.linux.tests.lab import demo
from ansible_collections.nettriage.linux.tests.lab.netlab import Namespace

COLUMNS = 80
_TIMEOUT_S = 120


class Run:
    """What a playbook said and wrote.

    :ivar shown: the terminal, without the lines of Ansible itself.
    :ivar report: the JSON document.
    """

    def __init__(self, output: str, directory: pathlib.Path, name: str) -> None:
        self.output = output
        self.directory = directory / "nettriage-report"
        self.report: dict[str, Any] = json.loads((self.directory / f"{name}.json").read_text())
        begin = re.search(r"^\d+ (?:pair|host)", output, re.MULTILINE)
        assert begin is not None, output
        self.shown = re.split(r"\n(?:ok: |fatal: |\[ERROR\])", output[begin.start() :])[0]

    def pair(self, source: str | None = None, destination: str | None = None) -> dict[str, Any]:
        """The only pair of the report, or the one between these two."""
        found = [
            row
            for row in self.report["pairs"]
            if source in (None, row["source"]) and destination in (None, row["destination"])
        ]
        assert len(found) == 1, [f"{row['source']} -> {row['destination']}" for row in self.report["pairs"]]
        row: dict[str, Any] = found[0]
        return row


def run(
    playbook: str,
    directory: pathlib.Path,
    hosts: dict[Namespace, list[str]],
    *,
    groups: dict[str, list[str]] | None = None,
    fails: str | None = None,
    **variables: Any,
) -> Run:
    """Run ``nettriage.linux.PLAYBOOK`` on *hosts*, each with the addresses by which others reach it.

    :param groups: groups of the inventory, by name.
    :param fails: what it says when it fails, as it has to.
    :raises AssertionError: it failed, or did not.
    """
    inventory = {
        host.label: {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            f"{playbook}_netns": host.name,
            f"{playbook}_address": addresses,
        }
        for host, addresses in hosts.items()
    }
    children: dict[str, Any] = {
        name: {"hosts": {member: {} for member in members}} for name, members in (groups or {}).items()
    }
    (directory / "inventory.json").write_text(json.dumps({"all": {"hosts": inventory, "children": children}}))
    program = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
    done = subprocess.run(
        [program, f"nettriage.linux.{playbook}", "-i", "inventory.json", "-f", "12", "-e", json.dumps(variables)],
        env={**os.environ, **demo.QUIET, "COLUMNS": str(COLUMNS)},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
        cwd=directory,
    )
    output = done.stdout + done.stderr
    assert (done.returncode == 0) is (fails is None) and (fails or "") in output, output
    made = Run(output, directory, playbook)
    # Paths and commands are there to be copied.
    exempt = ("Report: ", "  next, on ")
    assert [line for line in made.shown.splitlines() if len(line) > COLUMNS and not line.startswith(exempt)] == []
    return made
