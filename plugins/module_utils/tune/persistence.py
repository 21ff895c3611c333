# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file wins for a sysctl at the next boot. Private to this collection.

Sources: sysctl.d(5), sysctl(8), tuned(8), ufw-framework(8); systemd-sysctl 252 and ``sysctl --system`` of procps 4.0.2
were tried wherever their manuals are silent, and are compared with this in the lab.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Dict, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sysctl
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.tune import values

DIRECTORIES = (
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
)
SYSTEMD = "systemd-sysctl"
PROCPS = "procps"
_CONF = "/etc/sysctl.conf"
if TYPE_CHECKING:
    from ansible_collections.nettriage.linux.plugins.module_utils.tune.reappliers import Late

# Where those set keys who come after the tools, see reappliers.py.
LATE = (
    "/etc/tuned/active_profile",
    "/etc/ufw/sysctl.conf",
    "/etc/default/ufw",
    "/etc/NetworkManager/dispatcher.d",
    "/usr/lib/NetworkManager/dispatcher.d",
    "/etc/network/interfaces",
    "/etc/network/interfaces.d",
    "/etc/network/if-pre-up.d",
    "/etc/network/if-up.d",
    "/etc/rc.local",
    "/etc/rc.d/rc.local",
)
_GLOB = frozenset("*?[")


class Assignment(NamedTuple):
    """One line that names a key.

    :ivar path: the key below ``/proc/sys``, possibly a pattern.
    :ivar value: ``None`` where the line keeps others from setting the key.
    """

    path: str
    value: str | None
    file: str
    line: int
    by: str

    def shown(self) -> dict[str, object]:
        """As the result of the module has it."""
        value = None if self.value is None else _printable(self.value)
        return {"file": _printable(self.file), "line": self.line or None, "value": value, "by": self.by}

    def place(self) -> str:
        """For a sentence: where, and what it says."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        return _printable(f"{where} ({self.by}{'' if self.value is None else ': ' + self.value})")


Entries = Dict[str, Assignment]


def _printable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def parse(text: str, file: str, by: str) -> list[Assignment]:
    """The assignments and exclusions of a file in the format of sysctl.d(5); the tools skip other lines too."""
    found: list[Assignment] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        name, equals, value = line.partition("=")
        name = name.strip()
        if name.startswith("-"):
            name = name[1:].strip() if by == SYSTEMD else name[1:]
        elif not equals:
            continue
        try:
            path = sysctl.relative_path(name)
        except BadOption:
            continue
        found.append(Assignment(path, " ".join(value.split()) if equals else None, file, number, by))
    return found


class Boot:
    """What the configuration below *root* sets at the next boot.

    :param root: where the file system to look at is mounted; empty for the running one.
    :param overlay: texts of files that are about to be written; ``None`` for one about to be removed.

    :attr:`at_boot` is the tool that sets the keys at boot, :data:`SYSTEMD` or :data:`PROCPS`.
    """

    def __init__(self, root: str = "", overlay: dict[str, str | None] | None = None) -> None:
        self._root = root
        self._overlay = {self._real(path): text for path, text in (overlay or {}).items()}
        # Which of the two sets the keys at boot; the other one is run by hand.
        systemd = self.exists("/run/systemd/system") or not self.exists("/usr/sbin/sysctl", "/sbin/sysctl")
        self.at_boot = SYSTEMD if systemd else PROCPS
        self._late: Late | None = None
        self._tools = {by: self._tool(by) for by in ((SYSTEMD, PROCPS) if systemd else (PROCPS, SYSTEMD))}

    def winner(self, key: str, by: str) -> Assignment | None:
        """The line that decides *key* under *by*, ``systemd-sysctl`` or ``procps``; ``None`` where no file names it."""
        return decide(self._tools[by][1], sysctl.relative_path(key))

    def overriding(self, key: str, file: str) -> list[Assignment]:
        """Who keeps *file* from deciding *key*, the tool that runs at boot first.

        A line of somebody else with the same value is in this list too.
        """
        path = sysctl.relative_path(key)
        own = self._real(file)
        found: list[Assignment] = []
        for by, (names, entries) in self._tools.items():
            name = os.path.basename(file)
            masking = names.get(name)
            winner = decide(entries, path)
            if winner is not None and self._real(winner.file) != own:
                found.append(winner)
            elif winner is None and masking is not None and self._real(masking) != own and self.is_read(file):
                found.append(Assignment(path, None, masking, 0, by))
        if self._late is None and self.exists(*LATE):
            from ansible_collections.nettriage.linux.plugins.module_utils.tune.reappliers import Late

            self._late = Late(self)
        return found + self._late.of(path) if self._late is not None else found

    def is_read(self, file: str) -> bool:
        """Whether a tool reads *file* at boot, if nothing masks it."""
        directory, name = os.path.split(file)
        return file == _CONF or (directory in DIRECTORIES and name.endswith(".conf"))

    def _tool(self, by: str) -> tuple[dict[str, str], Entries]:
        names: dict[str, str] = {}
        for directory in DIRECTORIES:
            virtual = [
                os.path.basename(path) for path in self._overlay if os.path.dirname(path) == self._real(directory)
            ]
            for name in {*self.list(directory), *virtual}:
                hidden = by == SYSTEMD and name.startswith(".")  # procps reads hidden files too
                if name.endswith(".conf") and not hidden:
                    path = f"{directory}/{name}"
                    if self._overlay.get(self._real(path), "") is not None:
                        names.setdefault(name, path)
        files = [names[name] for name in sorted(names, key=os.fsencode)]
        if by == PROCPS:
            files.append(_CONF)
        entries: Entries = {}
        for file in files:
            for line in parse(self.text(file), file, by):
                put(entries, line)
        return names, entries

    def _real(self, path: str) -> str:
        return os.path.realpath(self._root + path)

    def exists(self, *paths: str) -> bool:
        return any(os.path.exists(self._root + path) for path in paths)

    def list(self, directory: str) -> list[str]:
        try:
            return os.listdir(self._root + directory)
        except OSError:
            return []

    def text(self, path: str) -> str:
        """The text of *path*; empty where there is none to be read."""
        real = self._real(path)
        if real in self._overlay:
            return self._overlay[real] or ""
        try:
            with open(real, "rb") as file:
                return file.read(1 << 20).decode("utf-8", "surrogateescape") if os.path.isfile(real) else ""
        except OSError:
            return ""


def put(entries: Entries, line: Assignment) -> None:
    """Add *line* as the tools do: the last value counts, from its own place; the same value again keeps its place."""
    present = entries.get(line.path)
    if line.value is None and line.by != SYSTEMD and present is not None and present.value is not None:
        return  # procps: an exclusion concerns patterns only
    if present is None or present.value != line.value or line.value is None:
        entries.pop(line.path, None)
        entries[line.path] = line
    else:
        entries[line.path] = line


def decide(entries: Entries, path: str) -> Assignment | None:
    exact = entries.get(path)
    if exact is not None:
        return exact
    winner: Assignment | None = None
    for pattern, line in entries.items():
        if _GLOB.intersection(pattern) and line.value is not None and _matches(path, pattern):
            winner = line
    return winner


def _matches(path: str, pattern: str) -> bool:
    """glob(7): no wildcard stands for a slash."""
    parts, patterns = path.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def agrees(key: str, line: Assignment, value: str) -> bool:
    """Whether *line* leaves *key* at *value*."""
    if line.value is None:
        return False
    if line.by == "tuned" and line.value[:1] in "<>" and line.value[:1]:
        wanted, bound = values.integers(value), values.integers(line.value[1:])
        if wanted is None or bound is None:
            return False
        return all(w >= b if line.value[0] == ">" else w <= b for w, b in zip(wanted, bound))
    # The kernel reads as many words as it wants: what follows them, such as a remark, is not looked at.
    return values.same(key, " ".join(line.value.split()[: max(1, len(value.split()))]), value)
