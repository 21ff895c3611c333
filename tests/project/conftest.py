# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The project as its users get it.

``run``       runs a command, by default in the checkout, with the programs of this Python's environment first
``fresh``     a copy of the checkout without anything that is not in git
``archive``   the collection as ``ansible-galaxy collection build`` makes it
``installed`` the folder above ``ansible_collections`` into which the archive was installed
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from tests.project.support import Run
from tests.tools.checkout import COLLECTIONS, ROOT, copy

PROGRAMS = os.path.dirname(os.path.abspath(sys.executable))


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a command; *env* is added to the environment."""
    home = str(tmp_path_factory.mktemp("ansible"))

    def command(*words: str, cwd: str | pathlib.Path = ROOT, check: bool = True, **env: str) -> Any:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={
                **os.environ,
                "PATH": PROGRAMS + os.pathsep + os.environ["PATH"],
                "LC_ALL": "C.UTF-8",
                "NO_COLOR": "1",
                "ANSIBLE_HOME": home,
                "ANSIBLE_COLLECTIONS_PATH": COLLECTIONS,
                **env,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert not check or done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    return command


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A fresh copy of the checkout, with an inventory of two hosts, both of them this machine."""
    place = tmp_path_factory.mktemp("fresh") / "linux"
    copy(str(place))
    local = f"ansible_connection: local, ansible_python_interpreter: '{sys.executable}'"
    (place / "hosts.yml").write_text(f"web: {{hosts: {{web1: , web2: }}, vars: {{{local}}}}}\n")
    return place


@pytest.fixture(scope="session")
def archive(run: Run, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The archive that gets published."""
    place = tmp_path_factory.mktemp("archive")
    copy(str(place / "linux"))
    run("ansible-galaxy", "collection", "build", "--output-path", str(place), cwd=place / "linux")
    (built,) = place.glob("nettriage-linux-*.tar.gz")
    return built


@pytest.fixture(scope="session")
def installed(run: Run, archive: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A place with only the installed archive."""
    place = tmp_path_factory.mktemp("installed")
    run("ansible-galaxy", "collection", "install", str(archive), "-p", str(place), ANSIBLE_COLLECTIONS_PATH=str(place))
    return place
