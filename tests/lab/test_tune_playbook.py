# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tuning all the way: the real playbooks on a namespace with a real fault, and the way back."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
from typing import Any, Iterator

import pytest

from ansible_collections.nettriage.linux.tests.lab import demo
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, Namespace, wait_until

CAPACITY = 200
KEYS = (
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_tw_reuse",
    "net.core.somaxconn",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
)


class Tuner:
    """Runs the playbooks on one namespace, with a state directory of its own."""

    def __init__(self, host: Namespace, directory: pathlib.Path) -> None:
        self.host = host
        self.directory = directory
        self.state = directory / "state"

    def __call__(self, playbook: str, *arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        role = playbook.split(".")[-1]
        given = {
            f"{role}_netns": self.host.name,
            f"{role}_state_dir": str(self.state),
            **variables,
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
        }
        if role == "tune":
            given.setdefault("tune_interval", 1)
        program = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
        return subprocess.run(
            [program, f"nettriage.linux.{playbook}", "-i", f"{self.host.label},", "-e", json.dumps(given), *arguments],
            env={**os.environ, **demo.QUIET, "COLUMNS": "100"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=self.directory,
        )

    def values(self) -> dict[str, str]:
        return {key: self.host.sysctl(key) for key in KEYS}


def recap(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """The counts of the only host."""
    (line,) = (line for line in done.stdout.splitlines() if re.search(r"ok=\d+ +changed=\d+", line))
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", line)}


@pytest.fixture
def exhausted(lab: Lab, tmp_path: pathlib.Path) -> Iterator[tuple[Tuner, str]]:
    """A client with all ports to one backend in TIME_WAIT, and that backend."""
    client, server, link = lab.pair()
    client.sysctl("net.ipv4.ip_local_port_range", "40001 40200")
    client.sysctl("net.ipv4.tcp_tw_reuse", 0)
    client.sysctl("net.ipv4.tcp_rfc1337", 1)
    server.start("backend", "backend", "serve", "0.0.0.0:8001")
    backend = f"{link.addresses[1]}:8001"
    said = client.start("client", "greedy", "close", CAPACITY + 1, backend, ready=False).hear()
    assert set(said["errors"]) == {"EADDRNOTAVAIL"}
    yield Tuner(client, tmp_path), backend


def test_exhausted_ports_are_cured_and_the_cure_can_be_taken_back(exhausted: tuple[Tuner, str]) -> None:
    """Check mode shows and changes nothing; the real run cures; a second one changes nothing; rollback is exact."""
    tune, backend = exhausted
    before = tune.values()

    looked = tune("tune", "--check", "--diff")
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert "net.ipv4.ip_local_port_range: 40001 40200 -> 10240 65535" in looked.stdout
    assert tune.values() == before

    done = tune("tune")
    assert done.returncode == 0, done.stdout + done.stderr
    assert recap(done)["changed"] >= 1
    assert tune.values()["net.ipv4.ip_local_port_range"].split() == ["10240", "65535"]
    assert tune.values()["net.ipv4.tcp_tw_reuse"] == "1"
    said = tune.host.start("client", "again", "close", CAPACITY, backend, ready=False).hear()
    assert said["connected"] == CAPACITY and not said["errors"]

    again = tune("tune")
    assert again.returncode == 0, again.stdout + again.stderr
    assert recap(again)["changed"] == 0

    back = tune("rollback")
    assert back.returncode == 0, back.stdout + back.stderr
    assert tune.values() == before
    assert recap(tune("rollback"))["changed"] == 0


def test_a_saved_plan_is_carried_out_unless_the_host_has_moved(exhausted: tuple[Tuner, str]) -> None:
    tune, __ = exhausted
    plan = tune.directory / "plan.json"
    saved = tune("tune", "--check", tune_plan_file=str(plan))
    assert saved.returncode == 0, saved.stdout + saved.stderr
    rows = json.loads(plan.read_text())["hosts"][tune.host.label]
    assert "net.ipv4.tcp_tw_reuse" in [row["key"] for row in rows]

    tune.host.sysctl("net.ipv4.tcp_tw_reuse", 2)
    moved = tune("tune", tune_plan_file=str(plan))
    assert moved.returncode != 0
    assert "the host has moved since its plan was saved" in moved.stdout
    tune.host.sysctl("net.ipv4.tcp_tw_reuse", 0)

    done = tune("tune", tune_plan_file=str(plan))
    assert done.returncode == 0, done.stdout + done.stderr
    assert tune.values()["net.ipv4.tcp_tw_reuse"] == "1"


def test_an_idle_host_is_left_alone(lab: Lab, tmp_path: pathlib.Path) -> None:
    tune = Tuner(lab.namespace("idle"), tmp_path)
    before = tune.values()
    done = tune("tune")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing to change" in done.stdout
    assert recap(done)["changed"] == 0
    assert tune.values() == before
    assert not tune.state.exists()


def test_a_leak_is_refused_with_its_owner(lab: Lab, tmp_path: pathlib.Path) -> None:
    client, server, link = lab.pair()
    server.start("backend", "leaver", "leave", "0.0.0.0:8001")
    leaker = client.start("client", "leaker", "hold", 80, f"{link.addresses[1]}:8001")
    wait_until(lambda: len(client.ss("-t state close-wait")) == 80, "the peer has closed")
    tune = Tuner(client, tmp_path)
    before = tune.values()
    done = tune("tune")
    assert done.returncode == 0, done.stdout + done.stderr
    told = " ".join(done.stdout.split())
    assert "no setting cures tcp.close_wait_leak" in told
    assert str(leaker.pid) in told
    assert tune.values() == before


def test_a_listener_limited_by_somaxconn(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Raised, the restart named, cured after the restart; an own smaller backlog is refused."""
    client, server, link = lab.pair()
    server.sysctl("net.core.somaxconn", 8)
    where = f"{link.addresses[1]}:8001"
    listener = server.start("listener", "queued", where, 128)
    backend = server.start("backend", "lively", "serve", f"{link.addresses[1]}:8002")
    client.start("client", "crowd", "hold", 9, where)
    lively = client.start("client", "visitors", "churn", 5, f"{link.addresses[1]}:8002")
    tune = Tuner(server, tmp_path)
    done = tune("tune")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"after a restart of queued (pid {listener.pid})" in done.stdout
    assert tune.values()["net.core.somaxconn"] == "4096"
    assert server.ss("-tl sport = :8001")[0].split()[2] == "8"
    for actor in (lively, backend, listener):
        actor.stop()
    server.start("listener", "queued", where, 128)
    assert server.ss("-tl sport = :8001")[0].split()[2] == "128"


def test_asked_for_by_name_and_by_key(lab: Lab, tmp_path: pathlib.Path) -> None:
    tune = Tuner(lab.namespace("asked"), tmp_path)
    done = tune("tune", tune_remedies=["fin_timeout"], tune_settings={"net/ipv4/tcp_keepalive_time": 600})
    assert done.returncode == 0, done.stdout + done.stderr
    assert tune.values()["net.ipv4.tcp_keepalive_time"] == "600"
    # Its guard holds it back: there are no orphans.
    assert tune.values()["net.ipv4.tcp_fin_timeout"] == "60"


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"tune_remedies": ["magic"]}, "'magic' is not a remedy"),
        ({"tune_settings": {"net.core.nothing": 1}}, "net.core.nothing"),
        ({"tune_settings": {"net.ipv4.tcp_keepalive_time": 0}}, "net.ipv4.tcp_keepalive_time"),
        ({"tune_plan_file": "/nonexistent/plan.json"}, "/nonexistent/plan.json"),
    ],
)
def test_what_cannot_be_done_changes_nothing(
    lab: Lab, tmp_path: pathlib.Path, variables: dict[str, Any], says: str
) -> None:
    tune = Tuner(lab.namespace("wrong"), tmp_path)
    before = tune.values()
    done = tune("tune", **variables)
    assert done.returncode != 0
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert tune.values() == before
