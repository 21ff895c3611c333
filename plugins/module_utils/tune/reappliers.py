# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who sets sysctls after the files of sysctl.d were read: tuned, ufw, scripts. Private to this collection.

Sources: tuned(8), tuned-profiles(7), ufw-framework(8), NetworkManager-dispatcher(8), interfaces(5).
"""

from __future__ import annotations

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sysctl
from ansible_collections.nettriage.linux.plugins.module_utils.tune.persistence import (
    Assignment,
    Boot,
    Entries,
    decide,
    parse,
    put,
)

_TUNED = ("/etc/tuned", "/etc/tuned/profiles", "/usr/lib/tuned", "/usr/lib/tuned/profiles")
_TUNED_DEPTH = 10
# Scripts that run when an interface comes up, or late at boot: whoever names a key there sets it after everybody else.
_SCRIPTS = (
    ("NetworkManager", "/etc/NetworkManager/dispatcher.d"),
    ("NetworkManager", "/usr/lib/NetworkManager/dispatcher.d"),
    ("ifupdown", "/etc/network/interfaces"),
    ("ifupdown", "/etc/network/interfaces.d"),
    ("ifupdown", "/etc/network/if-pre-up.d"),
    ("ifupdown", "/etc/network/if-up.d"),
    ("rc.local", "/etc/rc.local"),
    ("rc.local", "/etc/rc.d/rc.local"),
)


class Late:
    """What is set after the tools have run."""

    def __init__(self, boot: Boot) -> None:
        self._boot = boot
        self._services = [self._tuned(), self._ufw()]
        self._scripts = self._script_lines()

    def of(self, path: str) -> list[Assignment]:
        """The lines that decide the key at *path*; one of a script has no value."""
        found = [line for line in (decide(entries, path) for entries in self._services) if line is not None]
        dotted = sysctl.canonical(path)
        for line in self._scripts:
            if _names(line.path, path) or _names(line.path, dotted):
                return [*found, line._replace(path=path)]
        return found

    def _tuned(self) -> Entries:
        """What the active tuned profile sets, unless tuned gives way to sysctl.d as it does by default."""
        main = dict(self._ini("/etc/tuned/tuned-main.conf").get("", []))
        gives_way = main.get("reapply_sysctl", "1").lower() in ("1", "true", "yes")
        if gives_way and self._boot.exists("/etc/tuned/tuned-main.conf"):
            return {}
        entries: Entries = {}
        for profile in self._boot.text("/etc/tuned/active_profile").split():
            self._tuned_profile(profile, entries, _TUNED_DEPTH)
        return entries

    def _tuned_profile(self, profile: str, entries: Entries, depth: int) -> None:
        if not depth or "/" in profile:
            return
        file = next(
            (f"{d}/{profile}/tuned.conf" for d in _TUNED if self._boot.exists(f"{d}/{profile}/tuned.conf")), None
        )
        if file is None:
            return
        sections = self._ini(file)
        for name, value in sections.get("main", []):
            if name == "include":
                for included in value.replace(",", " ").split():
                    self._tuned_profile(included, entries, depth - 1)
        text = self._boot.text(file).split("\n")
        for section, options in sections.items():
            if dict(options).get("type", section) != "sysctl":
                continue
            for name, value in options:
                if name in ("type", "enabled", "replace", "devices"):
                    continue
                line = next((n for n, t in enumerate(text, 1) if t.partition("=")[0].strip() == name), 0)
                for found in parse(f"{name}={value}", file, "tuned"):
                    put(entries, found._replace(line=line))

    def _ini(self, file: str) -> dict[str, list[tuple[str, str]]]:
        sections: dict[str, list[tuple[str, str]]] = {}
        section = ""
        for line in self._boot.text(file).split("\n"):
            line = line.strip()
            if line.startswith("[") and "]" in line:
                section = line[1 : line.index("]")]
            elif line and line[0] not in "#;" and "=" in line:
                name, __, value = line.partition("=")
                sections.setdefault(section, []).append((name.strip(), value.split(" #")[0].strip().strip("\"'")))
        return sections

    def _ufw(self) -> Entries:
        """What ufw sets when it starts."""
        options = dict(self._ini("/etc/default/ufw").get("", []))
        state = dict(self._ini("/etc/ufw/ufw.conf").get("", []))
        file = options.get("IPT_SYSCTL", "")
        entries: Entries = {}
        if file and state.get("ENABLED", "yes").lower() == "yes":
            for line in parse(self._boot.text(file), file, "ufw"):
                put(entries, line)
        return entries

    def _script_lines(self) -> list[Assignment]:
        """Lines of scripts that may name a key; ``path`` is the line itself."""
        found: list[Assignment] = []
        for by, path in _SCRIPTS:
            files = [f"{path}/{name}" for name in sorted(self._boot.list(path))] or [path]
            for file in files:
                for number, line in enumerate(self._boot.text(file).split("\n"), 1):
                    if ("net." in line or "net/" in line or "sysctl" in line) and not line.lstrip().startswith("#"):
                        found.append(Assignment(line, None, file, number, by))
        return found


def _names(line: str, key: str) -> bool:
    """Whether *key* is in *line* as a whole word."""
    start = line.find(key)
    while start >= 0:
        before, after = line[start - 1 : start], line[start + len(key) : start + len(key) + 1]
        if not (before.isalnum() or before in ("_", ".", "-")) and not (after.isalnum() or after in ("_", "/", "-")):
            return True
        start = line.find(key, start + 1)
    return False
