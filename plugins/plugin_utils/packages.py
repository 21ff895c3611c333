# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python packages that the controller has to have beside ansible-core. Private to this collection.

The rooms that use them can be imported without them. Whoever opens a door to these rooms, a filter or an action plugin,
asks for ``MISSING`` first and says it in one sentence.
"""

from __future__ import annotations

from importlib import import_module

MISSING: str | None = None
try:
    for name in ("jmespath", "netaddr"):
        import_module(name)
except ImportError as error:
    MISSING = error.name
