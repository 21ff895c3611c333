# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Under ansible-runner, as AWX runs it, and in an execution environment as ansible-builder would make it."""

from __future__ import annotations

import json
import pathlib
import sys

import pytest

from tests.project.support import Run
from tests.tools.checkout import COLLECTIONS

pytest.importorskip("ansible_runner", reason="needs what tests/requirements-project.txt names")


@pytest.fixture
def private(tmp_path: pathlib.Path) -> pathlib.Path:
    """A private data directory of two hosts, one of which cannot be reached."""
    for name in ("env", "inventory", "project"):
        (tmp_path / name).mkdir()
    (tmp_path / "project" / "audit.yml").write_text("- import_playbook: nettriage.linux.audit\n")
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    gone = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    hosts = {"here": local, "gone": gone}
    (tmp_path / "inventory" / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    (tmp_path / "env" / "envvars").write_text(json.dumps({"ANSIBLE_COLLECTIONS_PATH": COLLECTIONS}))
    (tmp_path / "env" / "extravars").write_text(json.dumps({"audit_interval": 0.1}))
    return tmp_path


def test_ansible_runner_runs_the_audit(run: Run, private: pathlib.Path) -> None:
    done = run("ansible-runner", "run", str(private), "-p", "audit.yml", "--ident", "one")
    assert (private / "artifacts" / "one" / "rc").read_text() == "0"
    assert (private / "artifacts" / "one" / "status").read_text() == "successful"
    report = json.loads((private / "project" / "nettriage-report" / "report.json").read_text())
    assert report["hosts"]["gone"]["verdict"] == "unreachable" and report["hosts"]["here"]["verdict"] != "unreachable"
    assert "2 hosts: " in done.stdout
    events = [json.loads(path.read_text()) for path in (private / "artifacts" / "one" / "job_events").glob("*.json")]
    results = [each["event_data"]["res"] for each in events if each["event"] == "runner_on_ok"]
    (outcome,) = (result for result in results if "verdicts" in result)
    assert outcome["verdicts"]["unreachable"] == 1 and sum(outcome["verdicts"].values()) == 2


def test_ansible_runner_sees_a_gate_fail(run: Run, private: pathlib.Path) -> None:
    command = ("ansible-runner", "run", str(private), "-p", "audit.yml", "--ident", "one")
    done = run(*command, "--cmdline=-e audit_fail_on=critical", check=False)
    assert done.returncode != 0 and (private / "artifacts" / "one" / "status").read_text() == "failed"
    assert "fail_on=critical: 1 unreachable" in done.stdout


def test_the_execution_environment_can_be_built(run: Run, installed: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """What ansible-builder reads from the installed archive is what the controller's side imports, and can be had."""
    run("ansible-builder", "introspect", str(installed), "--write-pip", "pip.txt", cwd=tmp_path)
    wanted = (tmp_path / "pip.txt").read_text()
    assert "jmespath" in wanted and "netaddr" in wanted
    place = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "--quiet", "--target", str(place), "-r", "pip.txt", cwd=tmp_path)
    assert (place / "jmespath").is_dir() and (place / "netaddr").is_dir()


def test_ansible_builder_makes_its_build_context(run: Run, archive: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """With the archive as the only collection and a base image of the user's."""
    definition = {
        "version": 3,
        "images": {"base_image": {"name": "localhost/base:latest"}},
        "dependencies": {
            "galaxy": {"collections": [{"name": str(archive), "type": "file"}]},
            "ansible_core": {"package_pip": "ansible-core"},
            "ansible_runner": {"package_pip": "ansible-runner"},
        },
    }
    (tmp_path / "execution-environment.yml").write_text(json.dumps(definition))
    run("ansible-builder", "create", cwd=tmp_path)
    assert "localhost/base:latest" in (tmp_path / "context" / "Containerfile").read_text()
