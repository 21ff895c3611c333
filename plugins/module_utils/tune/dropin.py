# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of our own file in sysctl.d. Private to this collection."""

from __future__ import annotations

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sysctl
from ansible_collections.nettriage.linux.plugins.module_utils.tune import persistence, values

_LINES = ("# Written by nettriage.linux.sysctl_transaction", "# It alone changes this file and takes it back.")


def header(transaction: str) -> str:
    """The first lines of a file that *transaction* writes."""
    return f"{_LINES[0]}, transaction {transaction}.\n{_LINES[1]}\n"


def assigned(text: str) -> dict[str, str]:
    """The keys that *text* sets, with the value that counts: the last one."""
    return {
        sysctl.canonical(line.path): line.value
        for line in persistence.parse(text, "", persistence.SYSTEMD)
        if line.value is not None
    }


def updated(text: str | None, wanted: dict[str, str], dropped: set[str], transaction: str) -> str | None:
    """*text* with the keys of *wanted* set once each and those of *dropped* gone; other lines stay as they are.

    :param text: what the file holds now; ``None`` where there is none.
    :return: the same text where nothing has to change, ``None`` where no key is left.
    """
    present = assigned(text or "")
    counts: dict[str, int] = {}
    lines = (text or "").split("\n")
    keys = [_key(line) for line in lines]
    for key in keys:
        if key is not None:
            counts[key] = counts.get(key, 0) + 1
    settled = all(
        key in present and values.same(key, present[key], value) and counts[key] == 1 for key, value in wanted.items()
    )
    if settled and not dropped.intersection(counts):
        return text
    kept: list[str] = []
    written: set[str] = set()
    for key, line in reversed(list(zip(keys, lines))):
        if key in wanted:
            if key not in written:
                written.add(key)
                kept.append(f"{key} = {wanted[key]}".rstrip())
        elif key not in dropped:
            kept.append(line)
    kept.reverse()
    kept += [f"{key} = {value}".rstrip() for key, value in wanted.items() if key not in written]
    body = "\n".join(line for line in kept if not line.startswith(_LINES)).strip("\n")
    return f"{header(transaction)}{body}\n" if body else None


def _key(line: str) -> str | None:
    found = persistence.parse(line, "", persistence.SYSTEMD)
    return sysctl.canonical(found[0].path) if found and found[0].value is not None else None
