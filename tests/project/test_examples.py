# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples in the documentation of every module and filter run as they stand.

Each set is a play of its own, in a network namespace and behind mounts that end with it, in which the names of the
examples exist: groups of the inventory, namespaces, an interface, a process. Needs root.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys
from typing import Any

import pytest
import yaml

from tests.project.support import FILTERS, MODULES, Run

# What an example takes for granted: facts, and what the tasks before it have registered.
_LOOK = {"nettriage.linux.health_facts": {"interval": 0.2}}
_GATHER = [{**_LOOK, "register": "before"}, {**_LOOK, "register": "after"}]
_PLAN = {"nettriage.linux.tune_plan": {"facts": "{{ before.ansible_facts.nettriage }}"}, "register": "tuning"}
_SEEN = {"interval": 0.2, "time_limit": 10}
_BEFORE: dict[str, list[dict[str, Any]]] = {
    "tune_report": [*_GATHER, _PLAN],
    "tune_verify": [*_GATHER, _PLAN],
    "mesh_report": [
        {
            "nettriage.linux.peer_look": {
                **_SEEN, "sources": "storage", "destinations": "storage", "address_variable": "mesh_address",
            },
            "register": "seen",
        }
    ],
    "triage_report": [
        {
            "nettriage.linux.peer_look": {
                **_SEEN, "sources": "web", "destinations": "db", "address_variable": "triage_address", "port": 5432,
            },
            "register": "seen",
        }
    ],
}  # fmt: skip
# Sets the scene, then becomes the playbook. Whatever it mounts, makes and starts is gone with its namespaces.
_SCENE = """
set -eu
ip link set lo up
ip link add bond0.101 type veth peer name peer0
ip link add eth0 type veth peer name peer1
mount -t tmpfs scene /run/netns
mount -t tmpfs scene /var/lib
mount -t tmpfs scene /var/tmp
mount -t tmpfs scene /srv
mount -t tmpfs scene /etc/sysctl.d
mkdir -p /var/lib/prometheus/node-exporter
ip netns add blue
sleep 600 &
echo "$!" >"$1"
shift
exec "$@"
"""


def _examples(run: Run, kind: str, name: str) -> list[dict[str, Any]]:
    done = run("ansible-doc", "-t", kind, "--json", f"nettriage.linux.{name}")
    examples: list[dict[str, Any]] = yaml.safe_load(json.loads(done.stdout)[f"nettriage.linux.{name}"]["examples"])
    return examples


@pytest.mark.parametrize(
    ("kind", "name"), [("module", name) for name in MODULES] + [("filter", name) for name in FILTERS]
)
def test_they_run(run: Run, tmp_path: pathlib.Path, kind: str, name: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("makes namespaces and mounts: run it as root")
    tasks = _examples(run, kind, name)
    assert tasks
    before = _BEFORE.get(name, _GATHER if kind == "filter" or name == "tune_plan" else [])
    local = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "mesh_address": "127.0.0.1",
        "triage_address": "127.0.0.1",
    }
    groups = {group: {"hosts": {"one": None}} for group in ("web", "db", "storage")}
    hosts = {"all": {"hosts": {"one": None}, "vars": local, "children": groups}}
    (tmp_path / "hosts.json").write_text(json.dumps(hosts))
    play = {"hosts": "one", "gather_facts": False, "tasks": [*before, *tasks]}
    text = json.dumps([play]).replace("pid:4711", "pid:{{ lookup('ansible.builtin.file', 'pid') }}")
    (tmp_path / "site.json").write_text(text)
    playbook = ["ansible-playbook", "-i", "hosts.json", "site.json"]
    scene = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", _SCENE, "scene", "pid"]
    done = run(*scene, *playbook, cwd=tmp_path, check=False)
    # What is asserted in an example is true or not; that it can be asked is what counts here.
    assert done.returncode == 0 or "Assertion failed" in done.stdout, done.stdout + done.stderr
    assert "failed=0" in done.stdout or "Assertion failed" in done.stdout
