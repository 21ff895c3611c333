# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists that name the parts of the collection name all of them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from ansible_collections.nettriage.linux.plugins.module_utils.version import VERSION
from tests.project.support import FILTERS, MODULES, ROLES, Run, names, read
from tests.tools.check import CORES
from tests.tools.checkout import files

# Modules that ask a host: all but those whose action plugins need no connection, by themselves or as reports on pairs.
ON_THE_CONTROLLER = ("_requires_connection = False", "class ActionModule(PairReport):")
ASKING = {
    name
    for name in MODULES
    if name not in names("plugins/action/")
    or not any(sign in read(f"plugins/action/{name}.py") for sign in ON_THE_CONTROLLER)
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [("module", name) for name in MODULES]
    + [("filter", name) for name in FILTERS]
    + [("role", name) for name in ROLES],
)
def test_ansible_doc_shows_it(run: Run, kind: str, name: str) -> None:
    done = run("ansible-doc", "-t", kind, "--json", f"nettriage.linux.{name}")
    shown: dict[str, Any] = json.loads(done.stdout)[f"nettriage.linux.{name}"]
    if kind == "role":
        assert shown["entry_points"]["main"]["options"]
    else:
        assert shown["doc"]["short_description"]
        assert shown["examples"].strip()
        assert shown["return"] or name in names("plugins/action/")


def test_the_action_group_has_every_module_that_asks_a_host() -> None:
    """Those that work on the controller, and metrics_textfile, share no option with the others."""
    group = yaml.safe_load(read("meta/runtime.yml"))["action_groups"]["all"]
    assert sorted(group) == sorted(ASKING - {"metrics_textfile"})


def test_every_module_has_an_integration_target() -> None:
    covered = {name.split("/")[3] for name in files() if name.startswith("tests/integration/targets/")}
    assert ASKING - covered == set()


def test_the_version_is_the_same_everywhere() -> None:
    galaxy = yaml.safe_load(read("galaxy.yml"))
    assert galaxy["version"] == VERSION
    assert len(galaxy["tags"]) <= 20


def test_the_lowest_ansible_core_is_the_same_everywhere() -> None:
    lowest = min(CORES)
    assert yaml.safe_load(read("meta/runtime.yml"))["requires_ansible"] == f">={lowest}.0"
    assert f"ansible-core>={lowest}.0\n" in read("requirements.txt")
    assert f"ansible-core {lowest} or later" in read("README.md")


def test_ci_runs_the_test_command_of_the_readme() -> None:
    (command,) = re.findall(r"## Testing\n.*?```shell\n(.*?)\n```", read("README.md"), re.DOTALL)
    assert read(".ci/run").splitlines()[-1] == f"exec {command}"


def test_the_execution_environment_has_what_the_controller_needs() -> None:
    environment = yaml.safe_load(read("meta/execution-environment.yml"))
    assert environment["dependencies"]["python"] == "requirements.txt"
