# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways in which Ansible is run: fact modules of a play, a fact cache, limits, batches, jobs in the background."""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any

import pytest

from tests.project.support import Run

HOSTS = ("web1", "web2", "web3")


class Place:
    """A folder with an inventory of three hosts, all of them this machine."""

    def __init__(self, run: Run, path: pathlib.Path) -> None:
        self._run, self.path = run, path
        connection = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        hosts = {"web": {"hosts": dict.fromkeys(HOSTS), "vars": connection}}
        (path / "hosts.json").write_text(json.dumps({"all": {"children": hosts}}))

    def play(self, *plays: dict[str, Any], arguments: tuple[str, ...] = (), **env: str) -> str:
        """Run a playbook of *plays*; what it printed."""
        (self.path / "site.json").write_text(
            json.dumps([{"hosts": "all", "gather_facts": False, **each} for each in plays])
        )
        return self._playbook("site.json", *arguments, **env)

    def audit(self, *arguments: str, **env: str) -> dict[str, Any]:
        """Run the collection's playbook; the report that it wrote here."""
        self._playbook("nettriage.linux.audit", "-e", "audit_interval=0.1", *arguments, **env)
        written: dict[str, Any] = json.loads((self.path / "nettriage-report" / "report.json").read_text())
        return written

    def _playbook(self, *words: str, **env: str) -> str:
        done = self._run("ansible-playbook", "-i", "hosts.json", *words, cwd=self.path, check=True, **env)
        return done.stdout + done.stderr


@pytest.fixture
def place(run: Run, tmp_path: pathlib.Path) -> Place:
    return Place(run, tmp_path)


def facts_of(host: str = "inventory_hostname") -> str:
    return f"hostvars[{host}].ansible_facts.nettriage"


def check(*conditions: str) -> dict[str, Any]:
    return {"name": "Check", "ansible.builtin.assert": {"that": list(conditions)}}


def test_as_a_fact_module_of_the_play_with_defaults_of_the_group(place: Place) -> None:
    """``ansible_facts_modules`` runs it beside Ansible's own; options come from ``module_defaults``."""
    place.play(
        {
            "gather_facts": True,
            "module_defaults": {
                "group/nettriage.linux.all": {"procfs": "/proc"},
                "nettriage.linux.health_facts": {"gather_subset": ["tcp"], "interval": 0.3},
            },
            "vars": {
                "ansible_facts_modules": ["ansible.legacy.setup", "nettriage.linux.health_facts"],
                # Side by side, ansible-core ends each as soon as it has begun, unless the play has a gather_timeout.
                "ansible_facts_parallel": False,
            },
            "tasks": [
                check(
                    f"{facts_of()}.keys() | sort == ['meta', 'tcp']",
                    f"{facts_of()}.meta.interval_s >= 0.3",
                    "ansible_facts.system == 'Linux'",
                )
            ],
        },
        arguments=("-l", "web1"),
    )


def test_defaults_of_the_group_reach_it_as_a_fact_module(place: Place) -> None:
    said = place.play(
        {
            "gather_facts": True,
            "gather_timeout": 200,
            "module_defaults": {"group/nettriage.linux.all": {"interval": 0.2, "procfs": str(place.path)}},
            "vars": {"ansible_facts_modules": ["nettriage.linux.health_facts"]},
            "tasks": [check(f"{facts_of()}.meta.interval_s is not none", f"not {facts_of()}.meta.live")],
        },
        arguments=("-l", "web1"),
    )
    assert "failed=0" in said


def test_facts_in_a_cache_serve_a_later_run_and_no_report(place: Place) -> None:
    """A later run judges cached facts where it is told to; an audit looks for itself."""
    cache = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(place.path / "cache")}
    for as_json in (False, True):
        task = {"name": "Gather", "nettriage.linux.health_facts": {"gather_subset": ["sysctl"], "as_json": as_json}}
        place.play({"tasks": [task]}, arguments=(), **cache)
        place.play({"tasks": [check(f"({facts_of()} | nettriage.linux.findings) is sequence")]}, arguments=(), **cache)
    # Three hosts in the cache; only one is looked at.
    report = place.audit("-l", "web1", **cache)
    assert list(report["hosts"]) == ["web1"] and "sockets" in report["hosts"]["web1"]["facts"]
    silent = place.audit("-l", "web2", "-e", f"audit_procfs={place.path}", **cache)
    assert list(silent["hosts"]) == ["web2"] and silent["hosts"]["web2"]["facts"]["meta"]["live"] is False


def test_a_limit_leaves_the_others_out(place: Place) -> None:
    assert set(place.audit()["hosts"]) == set(HOSTS)
    report = place.audit("-l", "web2,web3")
    assert set(report["hosts"]) == {"web2", "web3"}
    assert report["fleet"]["changes"]["vanished"] == ["web1"]


def test_batches_end_in_one_report_that_is_compared_with_the_run_before(place: Place) -> None:
    before = place.audit("-l", "web1,web2")
    directory = place.path / "nettriage-report"
    role = {"ansible.builtin.import_role": {"name": "nettriage.linux.audit"}}
    variables = {"audit_interval": 0.1, "audit_report_dir": str(directory)}
    said = place.play({"serial": 1, "vars": variables, "tasks": [role]})
    report = json.loads((directory / "report.json").read_text())
    assert set(report["hosts"]) == set(HOSTS) and said.count("With the batches before") == 2
    changes = report["fleet"]["changes"]
    assert changes["since"] == before["generated"] and changes["appeared"] == ["web3"]


def test_the_first_run_in_batches_has_nothing_to_compare_with(place: Place) -> None:
    role = {"ansible.builtin.import_role": {"name": "nettriage.linux.audit"}}
    place.play({"serial": 1, "vars": {"audit_interval": 0.1}, "tasks": [role]})
    report = json.loads((place.path / "nettriage-report" / "report.json").read_text())
    assert report["fleet"]["changes"]["since"] is None and "no report" in report["fleet"]["changes"]["why"]


@pytest.mark.parametrize("poll", [0, 1])
def test_as_a_job_in_the_background(place: Place, poll: int) -> None:
    """``async``: whoever waits, in the end the facts are there."""
    job = {
        "name": "Gather",
        "nettriage.linux.health_facts": {"gather_subset": ["tcp"], "interval": 0.2},
        "async": 60,
        "poll": poll,
        "register": "job",
    }
    wait = {
        "name": "Wait",
        "ansible.builtin.async_status": {"jid": "{{ job.ansible_job_id }}"},
        "register": "done",
        "until": "done is finished",
        "retries": 60,
        "delay": 1,
    }
    found = "done" if poll == 0 else "job"
    tasks = [job, *([wait] if poll == 0 else []), check(f"{found}.ansible_facts.nettriage.meta.interval_s >= 0.2")]
    place.play({"tasks": tasks})
