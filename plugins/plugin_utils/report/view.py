# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few facts of a host that the page shows. Private to this collection."""

from __future__ import annotations

from typing import Any


def view_of(facts: dict[str, Any], rows: int) -> dict[str, Any]:
    return {}
