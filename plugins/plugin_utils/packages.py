# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python packages that the controller has to have beside ansible-core. Private to this collection.

The rooms that use them can be imported without them. Whoever opens a door to these rooms, a filter or an action plugin,
asks for ``MISSING`` first and says it in one sentence.
"""

from __future__ import annotations

try:
    import jmespath  # noqa: F401
    import netaddr  # noqa: F401
except ImportError as error:
    MISSING: str | None = error.name
else:
    MISSING = None
