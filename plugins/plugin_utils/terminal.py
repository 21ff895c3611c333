# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How wide the terminal is. Private to this collection."""

from __future__ import annotations

import os

_STDOUT = 1


def _ask() -> int | None:
    try:
        # The last column stays free: a terminal may break the line after it.
        return os.get_terminal_size(_STDOUT).columns - 1
    except OSError:
        return None


# Asked for while this file is loaded. ansible-core's main process does that, and its workers have no terminal.
_COLUMNS = _ask()


def columns(otherwise: int) -> int:
    """The columns of the terminal, *otherwise* where there is none: ansible-core's Display never tells less than 79."""
    return _COLUMNS if _COLUMNS is not None and _COLUMNS > 0 else otherwise
