# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How make audit comes to its environment on machines that lack something."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests.tools import environment

# A Python that cannot do what its refused words ask for, as Debian's without python3-venv.
_WRAPPER = """#!/bin/sh
for word in "$@"; do
  case "$word" in {refused}) exit 1 ;; esac
done
exec {python} "$@"
"""


def crippled(place: pathlib.Path, *refused: str) -> str:
    wrapper = place / "python3"
    wrapper.write_text(_WRAPPER.format(refused="|".join(refused), python=sys.executable))
    wrapper.chmod(0o755)
    return str(wrapper)


@pytest.fixture(autouse=True)
def no_virtualenv(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on PATH but what the wrapper itself needs."""
    monkeypatch.setenv("PATH", os.defpath)


def runs(directory: pathlib.Path) -> bool:
    return subprocess.run([str(directory / "bin" / "python"), "-c", "import pip"], check=False).returncode == 0


def test_with_ensurepip(tmp_path: pathlib.Path) -> None:
    environment.make(str(tmp_path / "made"), sys.executable, ["pip"])
    assert runs(tmp_path / "made")


def test_without_ensurepip_the_installed_pip_does_it(tmp_path: pathlib.Path) -> None:
    python = crippled(tmp_path, "import\\ ensurepip*", "virtualenv")
    environment.make(str(tmp_path / "made"), python, ["pip"])
    assert runs(tmp_path / "made")


def test_without_anything_it_says_what_to_install(tmp_path: pathlib.Path) -> None:
    python = crippled(tmp_path, "import\\ ensurepip*", "virtualenv", "pip")
    with pytest.raises(environment.EnvironmentTrouble, match="apt-get install python3-venv"):
        environment.make(str(tmp_path / "made"), python, ["pip"])
    assert not (tmp_path / "made").exists()


def test_it_is_made_again_only_when_the_requirements_change(tmp_path: pathlib.Path) -> None:
    made, requirements = tmp_path / "made", tmp_path / "requirements.txt"
    requirements.write_text("pip\n")
    environment.make(str(made), sys.executable, [str(requirements)])
    (made / "mine").touch()
    environment.make(str(made), sys.executable, [str(requirements)])
    assert (made / "mine").exists()
    requirements.write_text("pip>=1\n")
    environment.make(str(made), sys.executable, [str(requirements)])
    assert not (made / "mine").exists()


def test_pip_is_tried_again_and_its_words_are_passed_on(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(environment, "time", SimpleNamespace(sleep=pauses.append))
    with pytest.raises(environment.EnvironmentTrouble, match=r"(?s)nothing-like-this.*in 3 attempts"):
        environment.make(str(tmp_path / "made"), sys.executable, [f"{tmp_path}/nothing-like-this.whl"])
    assert pauses == [0, 5, 10]
    assert not (tmp_path / "made" / ".installed").exists()


def test_a_python_that_is_new_enough_is_chosen() -> None:
    assert environment.choose("3.8+") == sys.executable
    assert environment.choose("/some/python") == "/some/python"
    with pytest.raises(environment.EnvironmentTrouble, match=r"Python 3\.99 or later is needed"):
        environment.choose("3.99+")
