# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gets the collections that only tests use out of the package ``ansible``, which pip can have where Galaxy is not.

    python -m tests.tools.third_party

Run by the Python of an environment whose ansible-core they are for. Puts them below .cache/collections: the connection
to containers and the modules that make them, and the usual sysctl module that ours is compared with. Installing the
whole package takes a minute and 30,000 files; these are some hundred.
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile

from tests.tools.checkout import CACHE
from tests.tools.environment import ATTEMPTS

DIRECTORY = os.path.join(CACHE, "collections")
PACKAGE = "ansible>=11"
WANTED = ("ansible_collections/ansible/posix/", "ansible_collections/containers/podman/")
_STAMP = ".unpacked"


def download(directory: str) -> str:
    """Have pip download the package into *directory*; the path of the wheel.

    :raises subprocess.CalledProcessError: it could not, in three attempts.
    """
    words = ["download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", PACKAGE]
    for attempt in range(ATTEMPTS):
        time.sleep(5 * attempt)
        try:
            subprocess.run([sys.executable, "-m", "pip", *words, "--dest", directory], check=True)
            break
        except subprocess.CalledProcessError:
            if attempt == ATTEMPTS - 1:
                raise
    return glob.glob(os.path.join(directory, "ansible-*.whl"))[0]


def unpack(wheel: str) -> int:
    """Put what is wanted of *wheel* in place; how many files that were."""
    partial = f"{DIRECTORY}.{os.getpid()}.partial"
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith(WANTED) and "/tests/" not in name]
        archive.extractall(partial, names)
    with open(os.path.join(partial, _STAMP), "w", encoding="utf-8") as file:
        file.write(_fingerprint())
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    os.rename(partial, DIRECTORY)
    return len(names)


def _fingerprint() -> str:
    return f"{PACKAGE} {' '.join(WANTED)} {sys.version_info[0]}.{sys.version_info[1]}\n"


def main() -> int:
    """Do nothing where they are there already."""
    try:
        with open(os.path.join(DIRECTORY, _STAMP), encoding="utf-8") as file:
            if file.read() == _fingerprint():
                return 0
    except FileNotFoundError:
        pass
    with tempfile.TemporaryDirectory() as directory:
        wheel = download(directory)
        print(f"{unpack(wheel)} files of {os.path.basename(wheel)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
