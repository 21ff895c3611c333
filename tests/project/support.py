# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the project share."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
from typing import Protocol

from tests.tools.checkout import ROOT, files


class Run(Protocol):
    def __call__(
        self, *command: str, cwd: str | pathlib.Path = ROOT, check: bool = True, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run *command* with *env* added to the environment; with *check* it has to succeed."""


def read(name: str) -> str:
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def names(folder: str) -> list[str]:
    """The plugins in a folder of plugins/, or the roles."""
    found = {name[len(folder) :].split("/")[0] for name in files() if name.startswith(folder)}
    return sorted(name[:-3] if name.endswith(".py") else name for name in found)


MODULES = names("plugins/modules/")
FILTERS = names("plugins/filter/")
ROLES = names("roles/")
PLAYBOOKS = sorted(os.path.basename(name)[:-4] for name in files() if re.fullmatch(r"playbooks/[a-z]+\.yml", name))
