# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tuning all the way: the real playbooks on a namespace with a real fault, and the way back."""

from __future__ import annotations

import json
import pathlib
from typing import Any, Iterator

import pytest

from ansible_collections.nettriage.linux.tests.lab.netlab import Lab
from ansible_collections.nettriage.linux.tests.lab.tuning import Tuner

CAPACITY = 200


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
    yield Tuner(tmp_path, client), backend


def test_exhausted_ports_are_cured_and_the_cure_can_be_taken_back(exhausted: tuple[Tuner, str]) -> None:
    """Check mode shows and changes nothing; the real run cures; a second one changes nothing; rollback is exact."""
    tune, backend = exhausted
    before = tune.values()

    looked = tune("tune", "--check", "--diff")
    assert looked.returncode == 0, looked.text
    assert "net.ipv4.ip_local_port_range: 40001 40200 -> 10240 65535" in looked.text
    assert tune.values() == before

    done = tune("tune")
    assert done.returncode == 0, done.text
    assert done.changed() >= 1
    assert tune.values()["net.ipv4.ip_local_port_range"].split() == ["10240", "65535"]
    assert tune.values()["net.ipv4.tcp_tw_reuse"] == "1"
    said = tune.hosts[0].start("client", "again", "close", CAPACITY, backend, ready=False).hear()
    assert said["connected"] == CAPACITY and not said["errors"]

    again = tune("tune")
    assert again.returncode == 0, again.text
    assert again.changed() == 0

    back = tune("rollback")
    assert back.returncode == 0, back.text
    assert tune.values() == before
    assert tune("rollback").changed() == 0


def test_a_saved_plan_is_carried_out_unless_the_host_has_moved(exhausted: tuple[Tuner, str]) -> None:
    tune, __ = exhausted
    plan = tune.directory / "plan.json"
    saved = tune("tune", "--check", tune_plan_file=str(plan))
    assert saved.returncode == 0, saved.text
    rows = json.loads(plan.read_text())["hosts"][tune.hosts[0].label]
    assert "net.ipv4.tcp_tw_reuse" in [row["key"] for row in rows]

    tune.hosts[0].sysctl("net.ipv4.tcp_tw_reuse", 2)
    moved = tune("tune", tune_plan_file=str(plan))
    assert moved.returncode != 0
    assert "the host has moved since its plan was saved" in moved.text
    tune.hosts[0].sysctl("net.ipv4.tcp_tw_reuse", 0)

    done = tune("tune", tune_plan_file=str(plan))
    assert done.returncode == 0, done.text
    assert tune.values()["net.ipv4.tcp_tw_reuse"] == "1"


def test_a_listener_limited_by_somaxconn(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Raised, the restart named, cured after the restart; an own smaller backlog is refused."""
    client, server, link = lab.pair()
    server.sysctl("net.core.somaxconn", 8)
    where = f"{link.addresses[1]}:8001"
    listener = server.start("listener", "queued", where, 128)
    backend = server.start("backend", "lively", "serve", f"{link.addresses[1]}:8002")
    client.start("client", "crowd", "hold", 9, where)
    lively = client.start("client", "visitors", "churn", 5, f"{link.addresses[1]}:8002")
    tune = Tuner(tmp_path, server)
    done = tune("tune")
    assert done.returncode == 0, done.text
    assert f"after a restart of queued (pid {listener.pid})" in done.text
    assert tune.values()["net.core.somaxconn"] == "4096"
    assert server.ss("-tl sport = :8001")[0].split()[2] == "8"
    for actor in (lively, backend, listener):
        actor.stop()
    server.start("listener", "queued", where, 128)
    assert server.ss("-tl sport = :8001")[0].split()[2] == "128"


def test_asked_for_by_name_and_by_key(lab: Lab, tmp_path: pathlib.Path) -> None:
    tune = Tuner(tmp_path, lab.namespace("asked"))
    done = tune("tune", tune_remedies=["fin_timeout"], tune_settings={"net/ipv4/tcp_keepalive_time": 600})
    assert done.returncode == 0, done.text
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
        (
            {"tune_confirm_timeout": 3, "tune_interval": 30},
            "tune_confirm_timeout: 3 s end before the effect is measured",
        ),
    ],
)
def test_what_cannot_be_done_changes_nothing(
    lab: Lab, tmp_path: pathlib.Path, variables: dict[str, Any], says: str
) -> None:
    tune = Tuner(tmp_path, lab.namespace("wrong"))
    before = tune.values()
    # A plan file is not read but written in check mode.
    modes: list[list[str]] = [[]] if "tune_plan_file" in variables else [["--check"], []]
    for arguments in modes:
        run = tune("tune", *arguments, **variables)
        assert run.returncode != 0
        assert says in run.text
        assert "Traceback" not in run.text
    assert tune.values() == before
