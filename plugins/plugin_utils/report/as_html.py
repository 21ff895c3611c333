# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""report.html: one self-contained page. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Fleet


def pieces(fleet: Fleet, title: str) -> Iterator[str]:
    yield "<!doctype html>"
