# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage to any one recorded file costs at most its own subset and breaks nothing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.collect import conntrack, meta, resolver, sysctls, tcp
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Subset, gather
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

FIXTURES = os.path.join(os.path.dirname(__file__), "../../../fixtures")
SUBSETS: dict[str, Subset] = {"meta": meta, "tcp": tcp, "conntrack": conntrack, "sysctl": sysctls, "resolver": resolver}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("recorded")
    shutil.copytree(os.path.join(FIXTURES, "5.14"), root / "5.14")
    top = (root / "5.14/etc", root / "5.14/proc/net", root / "5.14/proc/sys")
    found = [path for directory in top for path in directory.rglob("*") if path.is_file()]
    return sorted([*found, *(path for path in (root / "5.14/proc").iterdir() if path.is_file())])


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_to_one_file(files: list[Path], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(files))
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:at] + data.draw(st.binary(max_size=40)))
    proc = str(path).partition("/5.14/")[0] + "/5.14/proc"
    try:
        found = gather(Host(proc, FIXTURES), SUBSETS, 0, 5)
    finally:
        path.write_bytes(whole)
    assert list(found) == list(SUBSETS)
    for name, subset in found.items():
        if name != "meta":
            assert subset["available"] or subset["why"]
    json.dumps(found, allow_nan=False, ensure_ascii=False).encode("utf-8")
