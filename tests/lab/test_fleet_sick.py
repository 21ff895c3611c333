# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts over ssh, some of which are dead, slow, or vanish in the middle: the audit ends, and tells of all of them."""

from __future__ import annotations

import json
import pathlib

import pytest

from ansible_collections.nettriage.linux.tests.bench.fleet.playbooks import run
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab
from ansible_collections.nettriage.linux.tests.lab.targets import SSHD, Targets

TIMEOUT_S = 15
# What ssh and the report take, on a machine that is busy.
BESIDE_S = 60


@pytest.mark.skipif(SSHD is None, reason="needs openssh-server")
def test_the_others_are_reported_in_bounded_time(lab: Lab, tmp_path: pathlib.Path) -> None:
    targets = Targets(lab, str(tmp_path), 5)
    try:
        dead, slow, dying, *well = targets.hosts
        targets.dead(dead)
        targets.slow(slow, 3)
        targets.dies(dying)
        (tmp_path / "hosts.json").write_text(json.dumps(targets.inventory(audit_timeout=TIMEOUT_S)))
        taken, said = run(str(tmp_path), "hosts.json", "nettriage.linux.audit", 5, within=targets.within, fails=True)
    finally:
        targets.close()
    hosts = json.loads((tmp_path / "nettriage-report" / "report.json").read_text())["hosts"]
    assert {name for name, row in hosts.items() if row["verdict"] == "unreachable"} == {dead, dying}, said
    assert all(hosts[name]["facts"]["sockets"]["available"] for name in (slow, *well))
    assert "timed out" in hosts[dead]["error"].lower()
    assert str(TIMEOUT_S) in hosts[dying]["error"]
    assert taken.wall < TIMEOUT_S + BESIDE_S
