# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who explains the bad pairs of a mesh."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.mesh import as_terminal, files
from ansible_collections.nettriage.linux.plugins.plugin_utils.mesh.culprits import culprits
from ansible_collections.nettriage.linux.plugins.plugin_utils.mesh.matrix import Cell, Mesh
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import width

HOSTS = ("a", "b", "c", "d", "e")
Bad = Callable[[str, str], str | None]


def mesh(bad: Bad, hosts: Iterable[str] = HOSTS, groups: dict[str, str] | None = None, down: str = "") -> Mesh:
    """A mesh in which *bad* tells the verdict on a pair, if it has one; hosts of one letter."""
    names = list(hosts)
    cells = []
    for source in names:
        for destination in names:
            if source == destination or source in down:
                continue
            verdict = "unreachable" if destination in down else bad(source, destination) or "ok"
            loss = {"ok": 0.0, "unreachable": None}.get(verdict, 0.3)
            cells.append(
                Cell(
                    source,
                    destination,
                    f"10.0.0.{names.index(destination)}",
                    "ipv4",
                    verdict,
                    loss,
                    3,
                    10,
                    0.4,
                    0.9,
                    1500,
                )
            )
    members = {name: frozenset(text) for name, text in (groups or {}).items()}
    errors = dict.fromkeys(down, "no route to host")
    cells.sort(key=lambda cell: cell.rank)
    return Mesh("now", "1", names, errors, cells, len(names) * (len(names) - 1), members)


def kinds(made: Mesh) -> list[tuple[str, str]]:
    return [(each.kind, "".join(each.subject)) for each in culprits(made)]


@pytest.mark.parametrize(
    ("bad", "found"),
    [
        (lambda one, other: None, []),
        (lambda one, other: "critical" if "c" in (one, other) else None, [("host", "c")]),
        (lambda one, other: "warning" if other == "c" else None, [("inbound", "c")]),
        (lambda one, other: "critical" if one == "c" else None, [("outbound", "c")]),
        (lambda one, other: "critical" if {one, other} == {"a", "b"} else None, [("pair", "ab")]),
        (lambda one, other: "critical" if (one, other) == ("a", "b") else None, [("asymmetric", "ab")]),
        (
            lambda one, other: "critical" if {"b", "c"} & {one, other} else None,
            [("host", "b"), ("host", "c")],
        ),
    ],
)
def test_hosts_and_pairs(bad: Bad, found: list[tuple[str, str]]) -> None:
    assert sorted(kinds(mesh(bad))) == sorted(found)


def test_each_bad_pair_is_in_one_explanation() -> None:
    made = mesh(lambda one, other: "critical" if "c" in (one, other) or (one, other) == ("a", "b") else None, down="e")
    explained = [pair for culprit in culprits(made) for pair in culprit.pairs]
    assert sorted(explained) == sorted(pair for pair, cell in made.pairs.items() if cell.bad)
    assert kinds(made) == [("host", "c"), ("host_down", "e"), ("asymmetric", "ab")]


def test_who_answers_nobody_is_not_laid_upon_a_lossy_one() -> None:
    def bad(one: str, other: str) -> str | None:
        return "unreachable" if "e" in (one, other) else "critical" if "c" in (one, other) else None

    silent, lossy = sorted(culprits(mesh(bad)), key=lambda each: -len(each.pairs))
    assert (silent.subject, len(silent.pairs)) == (["e"], 8) and "reaches none of its 4 peers" in silent.title
    assert (lossy.subject, len(lossy.pairs)) == (["c"], 6) and "30 % lost" in lossy.title


def test_racks() -> None:
    """A border, an inside, or two groups between which it is bad."""

    def across(one: str, other: str) -> str | None:
        return "critical" if (one in "ab") != (other in "ab") else None

    def within(one: str, other: str) -> str | None:
        return "critical" if one in "ab" and other in "ab" else None

    def between(one: str, other: str) -> str | None:
        return "critical" if {one, other} in ({"a", "c"}, {"a", "d"}, {"b", "c"}, {"b", "d"}) else None

    groups = {"left": "ab", "right": "cd"}
    assert kinds(mesh(across, groups=groups)) == [("group", "left")]
    assert kinds(mesh(within, groups=groups)) == [("group", "left")]
    assert kinds(mesh(between, groups=groups)) == [("between_groups", "leftright")]
    assert {kind for kind, __ in kinds(mesh(between))} == {"pair"}


def test_a_pair_of_hosts_blames_neither() -> None:
    assert kinds(mesh(lambda one, other: "critical", "ab")) == [("pair", "ab")]


@pytest.mark.parametrize("number", [3, 30, 120])
def test_what_is_shown_and_written(number: int) -> None:
    """A small mesh is a matrix, a large one its worst pairs; never wider than the terminal; the page needs nothing."""
    names = [chr(0x4E00 + each) + "<b>" for each in range(number)]
    made = mesh(lambda one, other: "critical" if one == names[1] else None, names)
    found = culprits(made)
    shown = [line for line, __ in as_terminal.table(made, found, 80, 40)]
    assert max(map(width, shown)) <= 80 and len(shown) <= 46
    assert (as_terminal.KEY[:40] in "\n".join(shown)) == (number == 3)
    page = "".join(files.page(made, found, "Mesh"))
    assert "<b>" not in page.replace('<b class="b', "") and "<script" not in page
    assert json.loads("".join(files.document(made, found, "Mesh")))["pairs"] == number * (number - 1)
    assert f"{number * (number - 1) - 250} more" in "".join(files.markdown(made, found, "m")) or number == 3
