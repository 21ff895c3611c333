# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the reference of rules, limits and remedies from the rules and remedies themselves.

    python -m tests.tools.reference [--check]

With ``--check`` nothing is written, and it leaves with 1 where a page is not what it should be.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from typing import Any

import yaml

from ansible_collections.nettriage.linux.plugins.plugin_utils.catalogue import Catalogue, Rule
from ansible_collections.nettriage.linux.plugins.plugin_utils.policy import Policy
from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.catalogue import REMEDIES
from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.model import Case, Remedy
from ansible_collections.nettriage.linux.tests.tools.checkout import ROOT

PAGES = os.path.join(ROOT, "docs", "docsite", "rst")
_RULES = os.path.join(ROOT, "plugins", "plugin_utils", "rules")
_LABEL = "ansible_collections.nettriage.linux.docsite"
_HEAD = """..
  SPDX-FileCopyrightText: nettriage maintainers
  SPDX-License-Identifier: GPL-3.0-or-later

.. Written by python -m tests.tools.reference. Change the rules or remedies, not this page.

.. _{label}:

{title}
{line}

"""
_PLACEHOLDER = re.compile(r"\{([^{}]*(?:`[^`]*`[^{}]*)*)\}")
_NAME = re.compile(r"[\w.]*?(\w+)(?:\|\w+)?\Z")
_SPECIAL = re.compile(r"([\\*`_|])")
_LIMIT = re.compile(r"(?P<name>\w+): (?P<value>[\d.]+)(?: # (?P<about>.*))?\Z")


def text(value: str) -> str:
    """*value* as reStructuredText; what is filled in later is emphasised by its name, or is an ellipsis."""
    parts, at = [], 0
    joined = " ".join(value.split())
    for found in _PLACEHOLDER.finditer(joined):
        # Emphasis has to stand alone: where it does not, an escaped space that is not shown parts it.
        before, after = joined[: found.start()][-1:], joined[found.end() :][:1]
        parts += [
            _SPECIAL.sub(r"\\\1", joined[at : found.start()]),
            "\\ " if before.strip() else "",
            f"*{_named(found[1])}*",
            "\\ " if after.strip() else "",
        ]
        at = found.end()
    return "".join([*parts, _SPECIAL.sub(r"\\\1", joined[at:])])


def _named(expression: str) -> str:
    name = _NAME.match(expression)
    return name[1] if name else "…"


def _command(value: str) -> str:
    """A command line, with names in capitals for what is filled in later."""
    return "``" + _PLACEHOLDER.sub(lambda found: _named(found[1]).upper(), " ".join(value.split())) + "``"


def _heading(title: str, mark: str) -> list[str]:
    return [title, mark * len(title), ""]


def _texts(value: Any, key: str = "text") -> list[str]:
    entries = value if isinstance(value, list) else [value]
    return [text(entry[key] if isinstance(entry, dict) else entry) for entry in entries if entry]


def _listed(label: str, texts: list[str]) -> Iterator[str]:
    if len(texts) == 1:
        yield f":{label}: {texts[0]}"
    elif texts:
        yield f":{label}:"
        yield from (f"  - {each}" for each in texts)


def _code(expression: Any) -> str:
    return "``" + " ".join(str(expression).split()) + "``"


def _rule(rule: Rule) -> Iterator[str]:
    data = rule.data
    yield from (f".. _{_LABEL}.rule_{rule.id.replace('.', '_')}:", "")
    yield from _heading(rule.id, "~")
    yield f":Layer: {rule.layer}"
    if rule.for_each is not None:
        yield f":For each: {_code(data['for_each'])}"
    when = data["when"] if isinstance(data["when"], dict) else {data["severity"]: data["when"]}
    for severity, condition in when.items():
        yield f":{severity.capitalize()}: {_code(condition)}"
    yield from _listed("Says", _texts(data["title"]))
    yield from _listed("Because", _texts(data.get("cause")))
    yield from _listed("Do", _texts(data.get("advice")))
    remedies = [entry["text"] if isinstance(entry, dict) else entry for entry in data.get("remedies") or []]
    if remedies:
        yield ":Remedies: " + ", ".join(f":ref:`{name} <{_LABEL}.remedy_{name}>`" for name in dict.fromkeys(remedies))
    refused = [f"{entry['remedy']}: {text(entry['why'])}" for entry in data.get("refused") or []]
    yield from _listed("Does not help", refused)
    if rule.limits:
        yield ":Limits: " + ", ".join(_code(name) for name in rule.limits)
    if data.get("command"):
        given = data["command"] if isinstance(data["command"], list) else [data["command"]]
        yield from _listed("See it", [_command(row["text"] if isinstance(row, dict) else row) for row in given])
    if data.get("refs"):
        yield ":References: " + text(", ".join(data["refs"]))
    yield ""


def rules() -> str:
    """The page of all rules, an area of the catalogue after the other, and their limits."""
    by_id = {rule.id: rule for rule in Catalogue({}, []).rules}
    lines = [
        "Every rule of the collection, by the file in which it stands below ``plugins/plugin_utils/rules``. The",
        "conditions are JMESPath over the facts of a host, one row of them (``item``) and the limits. A word in",
        "*italics* stands for what was found on the host. Where a rule can say several things, the facts decide.",
        "",
        ".. contents::",
        "   :local:",
        "   :depth: 1",
        "",
    ]
    for name in sorted(os.listdir(_RULES)):
        if not name.endswith(".yml") or name == "limits.yml":
            continue
        with open(os.path.join(_RULES, name), encoding="utf-8") as file:
            ids = [row["id"] for row in yaml.safe_load(file)]
        lines += _heading(name, "-")
        for each in ids:
            lines += _rule(by_id[each])
    return _page("reference_rules", "The rules", [*lines, *_limits()])


def _limits() -> Iterator[str]:
    yield from (f".. _{_LABEL}.limits:", "")
    yield from _heading("Limits", "-")
    yield "Each can be set by its name in ``audit_limits``. [M] was measured, [S] is what the kernel's source or its"
    yield "documentation says, [H] is a heuristic of ours."
    yield from ("", ".. list-table::", "   :header-rows: 1", "", "   * - limit", "     - default", "     - means")
    with open(os.path.join(_RULES, "limits.yml"), encoding="utf-8") as file:
        for line in file:
            found = _LIMIT.match(line.strip())
            if found:
                yield f"   * - ``{found['name']}``"
                yield f"     - {found['value']}"
                yield f"     - {text(found['about'] or '')}"
    yield ""


def _remedy(remedy: Remedy) -> Iterator[str]:
    yield from (f".. _{_LABEL}.remedy_{remedy.name}:", "")
    yield from _heading(remedy.name, "-")
    yield from (text(remedy.propose.__doc__ or ""), "")
    yield ":Sets: " + ", ".join(_code(key) for key in remedy.keys)
    yield f":Risk: {remedy.risk}"
    cures = ", ".join(f":ref:`{each} <{_LABEL}.rule_{each.replace('.', '_')}>`" for each in remedy.cures)
    yield f":Evidence: {cures or 'none; it is applied only where it is asked for'}"
    guards = remedy.propose(Case({}, [], Policy())).guards
    yield from _listed("Guards", [text(guard.name) for guard in guards])
    yield ""


def remedies() -> str:
    """The page of all remedies."""
    lines = [
        "What the role ``tune`` may set, each with the findings that are evidence for it and the guards that have to",
        "hold. With ``tune_remedies: auto`` a remedy is planned only on evidence; where it is asked for by name, its",
        "guards have to hold all the same.",
        "",
    ]
    for remedy in REMEDIES.values():
        lines += _remedy(remedy)
    return _page("reference_remedies", "The remedies", lines)


def _page(name: str, title: str, lines: list[str]) -> str:
    head = _HEAD.format(label=f"{_LABEL}.{name}", title=title, line="=" * len(title))
    return head + "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Write the pages, or say which of them is not what it should be."""
    stale = []
    for name, page in (("reference_rules.rst", rules()), ("reference_remedies.rst", remedies())):
        path = os.path.join(PAGES, name)
        if sys.argv[1:] == ["--check"]:
            with open(path, encoding="utf-8") as file:
                stale += [name] if file.read() != page else []
        else:
            with open(path, "w", encoding="utf-8") as file:
                file.write(page)
    if stale:
        print(f"{', '.join(stale)}: the rules or remedies have changed since: python -m tests.tools.reference")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
