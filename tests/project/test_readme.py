# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of the README and of the guides is executed.

A comment before each block says how: ``run`` its commands in a fresh copy of the checkout, ``check`` them there
without changing anything, ``look`` from host to host with them, ``play`` it as a playbook, put it into ``group_vars``
of an audit or of a ``tune`` in check mode, ``sample`` of the terminal that the lab compares with the real thing, or
``not run`` and why.
"""

from __future__ import annotations

import os
import pathlib
import re
import textwrap
from typing import NamedTuple

import pytest

from tests.project.support import FILTERS, MODULES, PLAYBOOKS, ROLES, Run, read
from tests.tools.checkout import ROOT, files

_BLOCK = re.compile(
    r"(?:<!-- (?P<how>[a-z_ ]+)(?::[^>]*)? -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S
)
_GUIDE = re.compile(
    r"(?:^\.\. tested: (?P<how>[a-z_ ]+)(?::.*)?\n\n)?"
    r"^\.\. code-block:: (?P<language>\w+)\n\n(?P<text>(?:(?: {3}.*)?\n)+)",
    re.M,
)
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
_REPOSITORY = "https://github.com/nettriage/nettriage.linux"


class Block(NamedTuple):
    how: str | None
    language: str
    text: str


GUIDES = sorted(name for name in files() if re.match(r"docs/docsite/rst/guide_\w+\.rst\Z", name))
BLOCKS = [Block(found["how"], found["language"], found["text"]) for found in _BLOCK.finditer(read("README.md"))]
BLOCKS += [
    Block(found["how"], found["language"], textwrap.dedent(found["text"]).strip() + "\n")
    for guide in GUIDES
    for found in _GUIDE.finditer(read(guide))
]


def blocks(how: str) -> list[str]:
    return [block.text for block in BLOCKS if block.how == how]


def test_every_block_says_how_it_is_tested() -> None:
    ways = {"run", "check", "look", "play", "group_vars", "tune", "sample", "triage sample", "not run"}
    assert {block.how for block in BLOCKS} <= ways
    assert blocks("run")
    assert blocks("play")
    assert blocks("group_vars")


@pytest.mark.parametrize("commands", blocks("run"))
def test_the_commands_run(run: Run, fresh: pathlib.Path, tmp_path: pathlib.Path, commands: str) -> None:
    local = commands.replace(f"git+{_REPOSITORY}", f"git+file://{fresh}")
    installed = {} if local == commands else {"ANSIBLE_COLLECTIONS_PATH": str(tmp_path)}
    done = run("bash", "-euc", local, cwd=fresh, check=False, **installed)
    assert done.returncode == 0 or "fail_on=critical" in done.stdout + done.stderr, done.stdout + done.stderr
    assert (fresh / "nettriage-report" / "report.html").is_file()
    assert "nettriage-report/report.html" in done.stdout
    assert "WARNING" not in done.stdout + done.stderr, done.stdout + done.stderr


@pytest.mark.parametrize("commands", blocks("check"))
def test_the_commands_show_a_plan(run: Run, fresh: pathlib.Path, commands: str) -> None:
    done = run("bash", "-euc", commands, cwd=fresh)
    assert "nothing to change" in done.stdout or "planned" in done.stdout
    assert (fresh / "plan.json").is_file()


@pytest.mark.parametrize("commands", blocks("look"))
def test_the_commands_look_from_host_to_host(run: Run, fresh: pathlib.Path, commands: str) -> None:
    """Both hosts of the inventory are this machine, each reached by the loopback."""
    (fresh / "look.json").write_text('{"triage_address": "127.0.0.1", "mesh_address": "127.0.0.1"}')
    wrapped = 'ansible-playbook() { command ansible-playbook "$@" -e @look.json; }\n'
    done = run("bash", "-euc", wrapped + commands, cwd=fresh)
    (report,) = set(re.findall(r"^Report: (\S+)", done.stdout, re.M))
    assert "failed=0" in done.stdout and pathlib.Path(report).is_file()
    assert "could not be looked at" not in done.stdout


def test_a_second_make_audit_installs_nothing(run: Run, fresh: pathlib.Path) -> None:
    run("make", "audit", cwd=fresh)
    stamp = (fresh / ".venv" / ".installed").stat().st_mtime_ns
    done = run("make", "audit", cwd=fresh)
    assert (fresh / ".venv" / ".installed").stat().st_mtime_ns == stamp
    assert "Making .venv" not in done.stdout


@pytest.mark.parametrize("playbook", blocks("play"))
def test_the_playbook_runs(run: Run, fresh: pathlib.Path, tmp_path: pathlib.Path, playbook: str) -> None:
    (tmp_path / "site.yml").write_text(playbook)
    done = run("ansible-playbook", "-i", str(fresh / "hosts.yml"), "site.yml", cwd=tmp_path, check=False)
    # A host with a critical finding is what it is there to stop at.
    assert done.returncode == 0 or "Assertion failed" in done.stdout, done.stdout + done.stderr
    assert "ok=2" in done.stdout or "Assertion failed" in done.stdout


@pytest.mark.parametrize("variables", blocks("group_vars"))
def test_the_variables_are_accepted(run: Run, fresh: pathlib.Path, tmp_path: pathlib.Path, variables: str) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text(variables)
    (tmp_path / "hosts.yml").write_text((fresh / "hosts.yml").read_text())
    done = run("ansible-playbook", "-i", "hosts.yml", "nettriage.linux.audit", cwd=tmp_path)
    assert "0 unreachable" in done.stdout or "unreachable " not in done.stdout, done.stdout
    if "audit_rules" not in variables:
        return
    for rule in re.findall(r"^ +- id: (\S+)\n(?: +\w.*\n)*? +when: ", variables, re.M):
        wrong = re.sub(r"( when: .*)", r"\1 ?", variables)
        (tmp_path / "group_vars" / "all.yml").write_text(wrong)
        done = run("ansible-playbook", "-i", "hosts.yml", "nettriage.linux.audit", cwd=tmp_path, check=False)
        assert done.returncode != 0
        assert rule in done.stdout + done.stderr


@pytest.mark.parametrize("variables", blocks("tune"))
def test_the_variables_plan_something(run: Run, fresh: pathlib.Path, tmp_path: pathlib.Path, variables: str) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text(variables)
    (tmp_path / "hosts.yml").write_text((fresh / "hosts.yml").read_text())
    done = run("ansible-playbook", "-i", "hosts.yml", "nettriage.linux.tune", "--check", "--diff", cwd=tmp_path)
    for key in re.findall(r"^  (net\.[\w.]+): ", variables, re.M):
        assert key in done.stdout


def test_the_tables_name_everything_that_is_there() -> None:
    rows = set(re.findall(r"^\| `([a-z_]+)` \|", read("README.md").partition("### What is in the collection")[2], re.M))
    assert rows == set(MODULES) | set(FILTERS) | set(ROLES) | set(PLAYBOOKS)


def test_the_limits_that_are_overridden_exist() -> None:
    limits = read("plugins/plugin_utils/rules/limits.yml")
    for variables in blocks("group_vars"):
        for name in re.findall(r"^  ([a-z_]+): [\d.]+$", variables, re.M):
            assert f"\n{name}: " in limits


@pytest.mark.parametrize("document", [name for name in files() if name.endswith(".md")])
def test_links_lead_somewhere(document: str) -> None:
    folder = os.path.join(ROOT, os.path.dirname(document))
    broken = [link for link in _LINK.findall(read(document)) if not os.path.exists(os.path.join(folder, link))]
    assert broken == []
