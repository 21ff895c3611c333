# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names the C library asks for, and in which order. Private to this collection.

Source: glibc ``resolv/res_query.c`` (``__res_context_search``).
"""

from __future__ import annotations

# What makes the library go on with the next candidate; anything else but an answer ends its search.
GO_ON = ("nxdomain", "nodata", "servfail")


def candidates(name: str, search: list[str], ndots: int) -> list[str]:
    """The complete names, without the dot at the end, that *name* is tried as, in order."""
    bare = name.rstrip(".") or "."
    dots = name.count(".")
    if name.endswith("."):
        return [bare]
    as_it_stands = dots >= ndots
    found = [bare] if as_it_stands else []
    for domain in search:
        suffix = domain.strip(".")
        # The root on the list is asked for though the name was asked for as it stands before.
        found.append(f"{bare}.{suffix}" if suffix else bare)
        as_it_stands = as_it_stands or not suffix
    return found if as_it_stands else [*found, bare]
