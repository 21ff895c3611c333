# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetches what tests/page/package-lock.json names, by its checksums, into .cache/npm.

Does nothing where it is there already. No package runs a script of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

from tests.tools.checkout import CACHE, ROOT

PLACE = os.path.join(CACHE, "npm")
ATTEMPTS = 3
_FILES = ("package.json", "package-lock.json")
_COMMAND = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def current() -> bool:
    """Whether what is there was made from the files as they are."""
    try:
        return all(_read(os.path.join(PLACE, name)) == _read(_source(name)) for name in (*_FILES, "installed"))
    except FileNotFoundError:
        return False


def _source(name: str) -> str:
    return os.path.join(ROOT, "tests", "page", "package-lock.json" if name == "installed" else name)


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def main() -> int:
    if current():
        return 0
    os.makedirs(PLACE, exist_ok=True)
    for name in _FILES:
        shutil.copyfile(_source(name), os.path.join(PLACE, name))
    for attempt in range(1, ATTEMPTS + 1):
        if subprocess.run(_COMMAND, cwd=PLACE, check=False).returncode == 0:
            shutil.copyfile(_source("installed"), os.path.join(PLACE, "installed"))
            return 0
        if attempt < ATTEMPTS:
            time.sleep(5 * attempt)
    return 1


if __name__ == "__main__":
    sys.exit(main())
