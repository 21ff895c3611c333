# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is published is complete, holds nothing else, and works where only it is."""

from __future__ import annotations

import json
import pathlib
import tarfile

import pytest

from tests.project.support import Run
from tests.tools.checkout import files

SHIPPED = ("plugins/", "roles/", "playbooks/", "meta/", "docs/", "changelogs/", "LICENSES/", "tests/sanity/")
SHIPPED_FILES = ("README.md", "LICENSE", "CHANGELOG.md", "requirements.txt")
OWN = {"MANIFEST.json", "FILES.json"}


def members(archive: pathlib.Path) -> set[str]:
    with tarfile.open(archive) as tar:
        return {member.name for member in tar.getmembers() if member.isfile()}


def test_everything_that_runs_is_in_the_archive(archive: pathlib.Path) -> None:
    wanted = {name for name in files() if name.startswith(SHIPPED) or name in SHIPPED_FILES}
    assert wanted - members(archive) == set()


def test_nothing_else_is_in_the_archive(archive: pathlib.Path) -> None:
    others = {name for name in members(archive) - OWN if not name.startswith(SHIPPED) and name not in SHIPPED_FILES}
    assert others == set()


def test_the_installed_archive_audits_this_host(run: Run, installed: pathlib.Path, tmp_path: pathlib.Path) -> None:
    done = run(
        "ansible-playbook",
        *("-i", "localhost,", "-c", "local", "-e", "ansible_python_interpreter={{ ansible_playbook_python }}"),
        *("-e", "audit_interval=0.2", "nettriage.linux.audit"),
        cwd=tmp_path,
        ANSIBLE_COLLECTIONS_PATH=str(installed),
    )
    written = {path.name for path in (tmp_path / "nettriage-report").iterdir()}
    assert written == {"report.html", "report.json", "report.md"}
    host = json.loads((tmp_path / "nettriage-report" / "report.json").read_text())["hosts"]["localhost"]
    assert host["verdict"] in ("ok", "warning", "critical"), host
    assert host["facts"]["sockets"]["available"] is True
    assert "localhost" in done.stdout


@pytest.mark.parametrize("kind", ["module", "filter", "role"])
def test_the_installed_archive_is_documented(run: Run, installed: pathlib.Path, kind: str) -> None:
    done = run("ansible-doc", "-t", kind, "--list", "nettriage.linux", ANSIBLE_COLLECTIONS_PATH=str(installed))
    assert "nettriage.linux." in done.stdout
