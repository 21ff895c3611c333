# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which settings of our own files lose at the next boot, and to whom. Private to this collection."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import read_text, shown
from ansible_collections.nettriage.linux.plugins.module_utils.tune import dropin, persistence


def settings(root: str, files: list[str]) -> dict[str, tuple[str, str]]:
    """What *files* set: each key with its value and the last file that names it.

    :param root: where their file system is mounted; empty for the running one.
    """
    found: dict[str, tuple[str, str]] = {}
    for file in sorted(files, key=os.path.basename):
        try:
            text = read_text(root + file)
        except Unavailable:  # removed meanwhile
            continue
        found.update({key: (value, file) for key, value in dropin.assigned(text).items()})
    return found


def overridden(root: str, wanted: dict[str, tuple[str, str]]) -> list[dict[str, Any]]:
    """A row for each line of somebody else that leaves a key of *wanted* at another value, those of the boot first."""
    boot = persistence.Boot(root)
    rows: list[dict[str, Any]] = []
    for key, (value, file) in wanted.items():
        places: set[tuple[str, int]] = set()
        for line in boot.overriding(key, file):
            place = (line.file, line.line)
            # Two tools may read the same line: the one that runs at boot comes first.
            if place not in places and not persistence.agrees(key, line, value):
                places.add(place)
                told = line.shown()
                told["other_value"] = told.pop("value")
                at_boot = line.by not in (persistence.SYSTEMD, persistence.PROCPS) or line.by == boot.at_boot
                rows.append({"key": shown(key), "value": shown(value), **told, "at_boot": at_boot})
    return sorted(rows, key=lambda row: not row["at_boot"])
