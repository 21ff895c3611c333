# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report on disk. Private to this collection."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Fleet
from ansible_collections.nettriage.linux.plugins.plugin_utils.report import (
    as_html,
    as_json,
    as_junit,
    as_markdown,
    as_prometheus,
    as_sarif,
)

FORMATS: dict[str, tuple[str, Callable[[Fleet, str], Iterator[str]]]] = {
    "html": ("report.html", as_html.pieces),
    "markdown": ("report.md", as_markdown.lines),
    "json": ("report.json", as_json.lines),
    "junit": ("report.xml", as_junit.lines),
    "sarif": ("report.sarif", as_sarif.lines),
    "prometheus": ("report.prom", as_prometheus.lines),
}


def write(fleet: Fleet, title: str, directory: str, formats: Sequence[str]) -> list[str]:
    """Write *formats* of the report into *directory* and return their paths.

    A reader sees the former report or the new one, never half of one. It holds addresses and process names,
    so others than owner and group cannot read it.

    :raises OSError: the directory cannot be written.
    """
    wanted = (made for name, made in FORMATS.items() if name in formats)
    return put(directory, ((file_name, make(fleet, title)) for file_name, make in wanted))


def put(directory: str, files: Iterable[tuple[str, Iterable[str]]]) -> list[str]:
    """Write *files*, each a name and its pieces, one after the other into *directory* and return their paths.

    :raises OSError: the directory cannot be written.
    """
    os.makedirs(directory, mode=0o750, exist_ok=True)
    paths = []
    for name, pieces in files:
        paths.append(os.path.join(directory, name))
        replace(paths[-1], pieces)
    return paths


def replace(path: str, pieces: Iterable[str]) -> None:
    """Put *pieces* in the place of the file *path*, at once.

    :raises OSError: it cannot be written; what was there is still there.
    """
    temporary = f"{path}.{secrets.token_hex(4)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(pieces)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
