# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.probe.dns_search import candidates

SEARCH = ["a.example", "b.example."]


@pytest.mark.parametrize(
    ("name", "search", "ndots", "expected"),
    [
        ("db", SEARCH, 1, ["db.a.example", "db.b.example", "db"]),
        ("db.x", SEARCH, 1, ["db.x", "db.x.a.example", "db.x.b.example"]),
        ("db.x", SEARCH, 2, ["db.x.a.example", "db.x.b.example", "db.x"]),
        ("db.", SEARCH, 5, ["db"]),
        ("db.x.", SEARCH, 5, ["db.x"]),
        ("db", [], 1, ["db"]),
        ("db", SEARCH, 0, ["db", "db.a.example", "db.b.example"]),
        ("db", ["."], 1, ["db"]),
        ("db", [".", "a.example"], 1, ["db", "db.a.example"]),
        ("db.x", ["."], 1, ["db.x", "db.x"]),
        ("db", [".a.example"], 1, ["db.a.example", "db"]),
    ],
)
def test_the_order_of_the_c_library(name: str, search: list[str], ndots: int, expected: list[str]) -> None:
    assert candidates(name, search, ndots) == expected
