# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs on recorded files, with what may happen in between; real faults are in the lab."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.collect import baseline
from ansible_collections.nettriage.linux.plugins.module_utils.collect.health import health
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

FIXTURE = Path(__file__).parents[3] / "fixtures/6.18"


class Recorded:
    """A host's files, which a test may change between two runs."""

    def __init__(self, root: Path) -> None:
        self.root, self.kept = root, root / "kept"
        shutil.copytree(FIXTURE, root / "host")
        self.proc = root / "host/proc"
        (self.proc / "sys/kernel/random").mkdir(parents=True, exist_ok=True)
        (self.proc / "sys/kernel/random/boot_id").write_text("0a-1b\n")
        self.up(1000)

    def up(self, seconds: int) -> None:
        (self.proc / "uptime").write_text(f"{seconds}.25 1.00\n")

    def change(self, name: str, pattern: str, replacement: Callable[[Any], str]) -> None:
        path = self.proc / name
        text, count = re.subn(pattern, replacement, path.read_text(), count=1, flags=re.MULTILINE)
        assert count == 1
        path.write_text(text)

    def raised(self, group: str, counter: str, by: int, name: str = "net/snmp") -> None:
        """Count *counter* up."""
        lines = (self.proc / name).read_text().splitlines()
        at = next(index for index, line in enumerate(lines) if line.startswith(f"{group}:"))
        place = lines[at].split().index(counter)
        words = lines[at + 1].split()
        words[place] = str(int(words[place]) + by)
        lines[at + 1] = " ".join(words)
        (self.proc / name).write_text("\n".join(lines) + "\n")

    def look(self, check: bool = False, **options: Any) -> dict[str, Any]:
        host = Host(str(self.proc), str(self.root / "host"))
        params = {"gather_subset": ["all"], "interval": 0, "top": 10, "as_json": False, "baseline": str(self.kept)}
        found = health(host, {**params, "check_mode": check, **options})["ansible_facts"]["nettriage"]
        since = found.get("since")
        assert since is None or isinstance(since, dict)
        return since or {}

    def file(self) -> Path:
        (name,) = os.listdir(self.kept)
        return self.kept / name


@pytest.fixture
def host(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path)


def test_the_first_run_leaves_one_and_the_second_compares(host: Recorded) -> None:
    assert host.look() == {"available": False, "why": "baseline: no run has left its counters yet", "limited": []}
    host.up(12520)
    host.raised("Ip", "OutNoRoutes", 7)
    host.raised("TcpExt", "ListenOverflows", 3, "net/netstat")
    since = host.look()
    assert since["available"] is True and since["limited"] == []
    assert since["seconds"] == 11520
    assert since["tcp"]["delta"] == {"Ip": {"OutNoRoutes": 7}, "TcpExt": {"ListenOverflows": 3}}
    assert since["tcp"]["derived"]["retransmitted_segments"] == 0
    assert since["nic"] == {"interfaces": []}
    host.up(12530)
    assert host.look()["tcp"]["delta"] == {}


def test_nothing_is_kept_that_was_not_asked_for(host: Recorded) -> None:
    assert host.look(baseline=False) == {} and host.look(baseline="no") == {}
    assert not host.kept.exists()


def test_check_mode_leaves_nothing(host: Recorded) -> None:
    assert host.look(check=True)["why"] == f"baseline: {host.kept} does not exist"
    assert not host.kept.exists()
    host.look()
    before = host.file().read_bytes()
    host.up(2000)
    assert host.look(check=True)["seconds"] == 1000
    assert host.file().read_bytes() == before


def test_after_a_boot_nothing_is_compared(host: Recorded) -> None:
    host.look()
    (host.proc / "sys/kernel/random/boot_id").write_text("2c-3d\n")
    host.up(5000)
    assert host.look()["why"] == "baseline: the host was booted since the last run"
    host.up(5001)
    assert host.look()["available"] is True


def test_without_a_boot_id_nothing_is_kept(host: Recorded) -> None:
    (host.proc / "sys/kernel/random/boot_id").unlink()
    assert "nothing tells this boot from another" in host.look()["why"]
    assert os.listdir(host.kept) == [] if host.kept.exists() else True


def test_a_clock_that_stands_is_no_window(host: Recorded) -> None:
    host.look()
    assert "clock since boot" in host.look()["why"]


def test_counters_that_went_back_are_said(host: Recorded) -> None:
    host.raised("Tcp", "OutRsts", 100)
    host.raised("Tcp", "InErrs", 5)
    host.look()
    host.up(2000)
    host.raised("Tcp", "OutRsts", -100)
    host.raised("Tcp", "InErrs", 1)
    since = host.look()
    assert since["limited"] == ["tcp: 1 counters were reset or have wrapped, such as Tcp.OutRsts"]
    assert since["tcp"]["delta"] == {"Tcp": {"OutRsts": None, "InErrs": 1}}


def test_interfaces_that_came_or_began_anew_are_said(host: Recorded) -> None:
    host.look()
    host.up(2000)
    kept = json.loads(host.file().read_text())
    first, second, *__ = kept["parts"]["nic"].values()
    first["name"] = b"other".hex()
    second["counters"] = {name: value + 10 for name, value in second["counters"].items()}
    host.file().write_text(json.dumps(kept))
    came, anew = host.look()["limited"]
    assert "were not there in the last run" in came and "began anew" in anew


def test_connection_tracking_that_was_loaded_anew_is_said(host: Recorded) -> None:
    host.look()
    host.up(2000)
    kept = json.loads(host.file().read_text())
    stats = kept["parts"]["conntrack"]["stats"]
    next(iter(stats.values()))["drop"] = 12345
    host.file().write_text(json.dumps(kept))
    since = host.look()
    assert since["conntrack"] == {"delta": None}
    assert since["limited"] == ["conntrack: its counters began anew since the last run"]


def test_another_view_and_another_namespace_have_files_of_their_own(host: Recorded, tmp_path: Path) -> None:
    host.look()
    shutil.copytree(host.proc, tmp_path / "elsewhere/proc")
    other = Host(str(tmp_path / "elsewhere/proc"), "/sys")
    assert baseline._name(baseline._identity(other)) != host.file().name
    here = baseline._identity(Host())
    assert here.netns == os.stat("/proc/self/ns/net").st_ino
    assert baseline._name(here) != baseline._name(here._replace(netns=1))


def test_a_namespace_that_got_the_number_of_another(host: Recorded) -> None:
    host.look()
    host.up(2000)
    kept = json.loads(host.file().read_text())
    kept["cookie"] = 77
    host.file().write_text(json.dumps(kept))
    assert "another network namespace" in host.look()["why"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"format": 1}', "\0" * 100, '{"format": 1, "parts": {}}', "[" * 5000],
)
def test_a_damaged_file_is_no_baseline(host: Recorded, text: str) -> None:
    host.look()
    host.up(2000)
    host.file().write_text(text)
    assert host.look()["why"] == "baseline: what the last run has left is damaged"
    host.up(3000)
    assert host.look()["available"] is True


def test_another_format_is_no_baseline(host: Recorded) -> None:
    host.look()
    host.up(2000)
    kept = json.loads(host.file().read_text())
    host.file().write_text(json.dumps({**kept, "format": 99}))
    assert host.look()["why"] == "baseline: what the last run has left has format 99, and this release has 1"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_costs_one_part_at_most(host: Recorded, data: st.DataObject) -> None:
    if not host.kept.exists():
        host.look()
    kept = json.loads(host.file().read_text())
    kept.update(uptime_s=1.0, boot_id="0a-1b")
    part = data.draw(st.sampled_from(sorted(kept["parts"])))
    where: Any = kept["parts"]
    key: Any = part
    while isinstance(where[key], dict) and where[key] and data.draw(st.booleans()):
        where = where[key]
        key = data.draw(st.sampled_from(sorted(where)))
    where[key] = data.draw(_JSON)
    host.file().write_text(json.dumps(kept))
    since = host.look()
    assert since["available"] is True
    assert {"tcp", "nic", "conntrack", "sockets", "routes"} - since.keys() <= {part}


def test_a_directory_of_somebody_elses_is_refused_and_the_facts_are_there(host: Recorded) -> None:
    host.kept.mkdir(0o777)
    host.kept.chmod(0o777)
    since = host.look()
    assert since["available"] is False and "0777" in since["why"]
    assert os.listdir(host.kept) == []


@pytest.mark.parametrize("option", ["relative/path", "maybe", 7, "/nul\0byte"])
def test_options_that_cannot_be_used(option: Any) -> None:
    with pytest.raises(BadOption, match="give true, false, or the absolute path of a directory"):
        baseline.wanted(option)


def test_where_it_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert baseline.wanted(True) == baseline.wanted("yes") == "/run/nettriage"
    assert baseline.wanted("/var/lib/x/") == "/var/lib/x"
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert baseline.wanted(True) == f"{tmp_path}/nettriage"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    with pytest.raises(Unavailable, match="name a directory"):
        baseline.wanted(True)
