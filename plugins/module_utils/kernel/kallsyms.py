# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel function at an address. Private to this collection.

Sources: proc_kallsyms(5), ``kptr_restrict`` in ``Documentation/admin-guide/sysctl/kernel.rst``.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Collection, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable, why
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

_TEXT = b"tTwW"


class Function(NamedTuple):
    """A function of the kernel, and the module that it belongs to; ``None`` for the kernel itself."""

    name: str
    module: str | None


def functions(host: Host, addresses: Collection[int]) -> dict[int, Function]:
    """The functions at these *addresses*, as far as they are known.

    :raises Unavailable: the kernel hides addresses from this user.
    """
    wanted = sorted(addresses)
    best: list[tuple[int, bytes]] = [(0, b"")] * len(wanted)
    seen = False
    try:
        with open(host.proc("kallsyms"), "rb") as file:
            # One pass over some 200 000 lines; those of modules are not in order.
            for line in file:
                digits, __, rest = line.partition(b" ")
                if rest[:1] not in _TEXT:
                    continue
                at = int(digits, 16)
                seen = seen or at > 0
                index = bisect_left(wanted, at)
                if index < len(wanted) and at > best[index][0]:
                    best[index] = (at, rest)
    except (OSError, ValueError) as error:
        raise Unavailable(why(error, "/proc/kallsyms")) from error
    if not seen:
        raise Unavailable("the kernel hides the addresses of its functions (kernel.kptr_restrict)")
    found = {}
    nearest = (0, b"")
    for address, candidate in zip(wanted, best):
        nearest = max(nearest, candidate)
        if nearest[0]:
            found[address] = _function(nearest[1])
    return found


def _function(rest: bytes) -> Function:
    """``T name`` or ``t name<TAB>[module]``."""
    name, __, module = rest[2:].decode("ascii", "replace").strip().partition("\t")
    return Function(name, module.strip("[]") or None)
