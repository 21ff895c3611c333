# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes virtual environments, and finds the Python interpreters for them.

    environment.py DIRECTORY [--python 3.11+|PATH] REQUIREMENT_FILE|PACKAGE...

Does nothing where the environment already has what is asked for. Needs only a Python 3.8 and its standard library.
"""

from __future__ import annotations

import argparse
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import time

VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
ATTEMPTS = 3
_STAMP = ".installed"


class EnvironmentTrouble(Exception):
    """One sentence that says what is missing and how to get it."""


def number(version: str) -> tuple[int, ...]:
    """``3.10`` as ``(3, 10)``, to compare."""
    return tuple(int(part) for part in version.split("."))


def interpreters() -> dict[str, str]:
    """Every usable CPython by its minor version: the running one, those on PATH, pyenv's and uv's."""
    found = {"{}.{}".format(*sys.version_info[:2]): os.path.realpath(sys.executable)}
    home = os.path.expanduser("~")
    pyenv = os.environ.get("PYENV_ROOT", os.path.join(home, ".pyenv"))
    for version in VERSIONS:
        places = [shutil.which(f"python{version}") or ""]
        places += sorted(glob.glob(f"{pyenv}/versions/{version}.*/bin/python"), reverse=True)
        places += sorted(glob.glob(f"{home}/.local/share/uv/python/cpython-{version}.*/bin/python3"), reverse=True)
        for place in places:
            if version not in found and place and _version(place) == version:
                found[version] = place
    return {version: found[version] for version in VERSIONS if version in found}


def _version(python: str) -> str | None:
    """What *python* says it is; ``None`` where it does not run (pyenv's shims exist for versions that do not)."""
    script = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", script], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def choose(wanted: str) -> str:
    """The interpreter for *wanted*: a path as it is, ``3.11+`` the running one or else the newest from there.

    :raises EnvironmentTrouble: there is none.
    """
    if os.sep in wanted:
        return wanted
    lowest = number(wanted.rstrip("+"))
    running = "{}.{}".format(*sys.version_info[:2])
    if number(running) >= lowest:
        return sys.executable
    for version, python in reversed(list(interpreters().items())):
        if number(version) >= lowest:
            return python
    raise EnvironmentTrouble(
        f"Python {wanted.rstrip('+')} or later is needed and not here; this is Python {running}. "
        "On Debian 12 and later: apt-get install python3"
    )


def make(directory: str, python: str, requirements: list[str]) -> None:
    """Have an environment of *python* in *directory* with *requirements* (files and package names) installed.

    :raises EnvironmentTrouble: it cannot be made, or pip failed three times.
    """
    wanted = _fingerprint(python, requirements)
    stamp = os.path.join(directory, _STAMP)
    if os.path.exists(stamp):
        with open(stamp, encoding="utf-8") as file:
            if file.read() == wanted:
                os.utime(stamp)
                return
    shutil.rmtree(directory, ignore_errors=True)
    pip = _create(directory, python)
    options: list[str] = []
    for requirement in requirements:
        options += ["-r", requirement] if os.path.isfile(requirement) else [requirement]
    install = [*pip, "install", "--quiet", "--disable-pip-version-check", *options]
    for attempt in range(ATTEMPTS):
        time.sleep(5 * attempt)
        done = subprocess.run(install, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode == 0:
            break
    else:
        raise EnvironmentTrouble(f"{done.stdout}pip could not install {' '.join(requirements)} in {ATTEMPTS} attempts.")
    with open(stamp, "w", encoding="utf-8") as file:
        file.write(wanted)


def _fingerprint(python: str, requirements: list[str]) -> str:
    """Changes whenever the interpreter or a requirement does."""
    digest = hashlib.sha256()
    for requirement in requirements:
        if os.path.isfile(requirement):
            with open(requirement, "rb") as file:
                digest.update(file.read())
        else:
            digest.update(requirement.encode())
    return f"{os.path.realpath(python)} {_version(python)} {digest.hexdigest()}\n"


def _create(directory: str, python: str) -> list[str]:
    """Make the environment; returns how pip is called for it.

    Debian splits ensurepip off into python3-venv; an installed pip or virtualenv does as well.
    """

    def works(*command: str) -> bool:
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            return False

    inside = os.path.join(directory, "bin", "python")
    if works(python, "-c", "import ensurepip, venv") and works(python, "-m", "venv", directory):
        return [inside, "-m", "pip"]
    shutil.rmtree(directory, ignore_errors=True)
    if works(python, "-m", "virtualenv", directory) or works("virtualenv", "--quiet", "--python", python, directory):
        return [inside, "-m", "pip"]
    shutil.rmtree(directory, ignore_errors=True)
    # pip 22.3 and later install into another environment.
    outside = [python, "-m", "pip", "--python", inside]
    if works(python, "-m", "venv", "--without-pip", directory) and works(*outside, "list"):
        return outside
    shutil.rmtree(directory, ignore_errors=True)
    raise EnvironmentTrouble(
        f"{python} can make no virtual environment: neither venv with ensurepip, nor virtualenv, nor pip is there. "
        "On Debian and Ubuntu: apt-get install python3-venv"
    )


def main() -> int:
    """Make the environment that the command line asks for."""
    parser = argparse.ArgumentParser(description="Make a virtual environment.")
    parser.add_argument("directory")
    parser.add_argument("requirements", nargs="+", help="requirement files or packages")
    parser.add_argument("--python", default="3.11+", help="a path, or the lowest version as 3.11+")
    options = parser.parse_args()
    try:
        make(options.directory, choose(options.python), options.requirements)
    except EnvironmentTrouble as trouble:
        print(trouble, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
