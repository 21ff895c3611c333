# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage to any one recorded file costs at most its own part, and breaks neither the facts nor what is made of them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.collect.health import SUBSETS, health
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

if sys.version_info >= (3, 11):
    from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import evaluate
else:  # rules are the controller's part

    def evaluate(facts: Any) -> list[dict[str, Any]]:
        return []


FIXTURES = os.path.join(os.path.dirname(__file__), "../../../fixtures")
KERNELS = sorted(name for name in os.listdir(FIXTURES) if os.path.isdir(os.path.join(FIXTURES, name, "proc")))
# Numbers that only Python reads, numbers without end, bytes that are no text, a file of another system.
DAMAGE = (
    lambda whole: b"",
    lambda whole: whole[: len(whole) // 2],
    lambda whole: whole.replace(b"1", "\u0663".encode()).replace(b"0", b"1_0"),
    lambda whole: b"9" * 100_000,
    lambda whole: whole.replace(b"\n", b" " + b"7" * 50_000 + b"\n", 1),
    lambda whole: bytes(range(256)) * 4,
    lambda whole: whole.replace(b"\n", b"\r\n"),
    lambda whole: whole + b"\0" * 20,
    lambda whole: whole.replace(b" ", b" -"),
)


def files_of(root: Path) -> list[Path]:
    """All that was recorded; of the two dozen statistics of an interface, each a file of one number, only one."""
    found = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(path for path in found if path.parent.name != "statistics" or path.name == "rx_bytes")


@pytest.fixture(scope="module", params=KERNELS)
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recorded") / str(request.param)
    shutil.copytree(os.path.join(FIXTURES, request.param), root, symlinks=True)
    (root / "sys").mkdir(exist_ok=True)
    return root


def look(root: Path) -> dict[str, Any]:
    """The facts from two samples, after all that is done with them."""
    params = {"interval": 0.0001, "top": 5, "gather_subset": ["all"], "as_json": False}
    found: dict[str, Any] = health(Host(str(root / "proc"), str(root / "sys")), params)["ansible_facts"]["nettriage"]
    assert set(found) == {"meta", *SUBSETS}
    for name in SUBSETS:
        assert found[name]["available"] or found[name]["why"], name
    json.dumps(found, allow_nan=False, ensure_ascii=False).encode("utf-8")
    evaluate(found)
    return found


def test_each_file_damaged_in_each_way(recorded: Path) -> None:
    for path in files_of(recorded):
        whole = path.read_bytes()
        try:
            for damage in DAMAGE:
                path.write_bytes(damage(whole))
                look(recorded)
        finally:
            path.write_bytes(whole)


def test_each_file_missing(recorded: Path) -> None:
    for path in files_of(recorded):
        whole = path.read_bytes()
        path.unlink()
        try:
            look(recorded)
        finally:
            path.write_bytes(whole)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_damage_anywhere(recorded: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(files_of(recorded)))
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:at] + data.draw(st.binary(max_size=40)))
    try:
        look(recorded)
    finally:
        path.write_bytes(whole)
