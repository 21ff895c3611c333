# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the checkout is, and copies of it."""

from __future__ import annotations

import os
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.path.join(ROOT, ".cache")
COLLECTIONS = os.path.join(ROOT, ".collections")


def files() -> list[str]:
    """The files that git knows or would know, by their paths from the root."""
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(name for name in listing.stdout.split("\0") if name and os.path.isfile(os.path.join(ROOT, name)))


def copy(destination: str) -> None:
    """Put these files into *destination*, as a git repository of its own with one commit."""
    shutil.rmtree(destination, ignore_errors=True)
    for name in files():
        place = os.path.join(destination, name)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        shutil.copy2(os.path.join(ROOT, name), place)
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
    for words in (["init", "--quiet"], ["add", "--all"], [*identity, "commit", "--quiet", "--message", "copy"]):
        subprocess.run(["git", "-c", "safe.directory=*", *words], cwd=destination, check=True)
