# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.tune import dropin, persistence
from ansible_collections.nettriage.linux.plugins.module_utils.tune.persistence import PROCPS, SYSTEMD, Boot

KEY = "net.ipv4.tcp_fin_timeout"
OWN = "/etc/sysctl.d/90-nettriage.conf"


def put(root: Path, path: str, text: str) -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def wins(root: Path, by: str, key: str = KEY) -> tuple[str, int, str | None] | None:
    found = Boot(str(root)).winner(key, by)
    return None if found is None else (found.file, found.line, found.value)


def both(root: Path, key: str = KEY) -> tuple[str, int, str | None] | None:
    found = wins(root, SYSTEMD, key)
    assert found == wins(root, PROCPS, key)
    return found


def test_base_names_decide_across_directories(tmp_path: Path) -> None:
    put(tmp_path, "/etc/sysctl.d/20-b.conf", f"{KEY}=20\n")
    put(tmp_path, "/usr/lib/sysctl.d/30-a.conf", f"\n{KEY} = 30\n")
    put(tmp_path, "/run/sysctl.d/25-z.conf", f"{KEY}=25\n")
    put(tmp_path, "/usr/local/lib/sysctl.d/9-z.conf.bak", f"{KEY}=1\n")
    assert both(tmp_path) == ("/usr/lib/sysctl.d/30-a.conf", 2, "30")


def test_one_name_in_two_directories_masks_the_lower_one(tmp_path: Path) -> None:
    put(tmp_path, "/usr/lib/sysctl.d/30-a.conf", f"{KEY}=30\n")
    put(tmp_path, "/etc/sysctl.d/30-a.conf", "# nothing\n")
    assert both(tmp_path) is None


def test_a_link_to_nowhere_masks_too(tmp_path: Path) -> None:
    put(tmp_path, "/usr/lib/sysctl.d/30-a.conf", f"{KEY}=30\n")
    (tmp_path / "etc/sysctl.d").mkdir(parents=True)
    (tmp_path / "etc/sysctl.d/30-a.conf").symlink_to("/dev/null")
    assert both(tmp_path) is None


def test_the_last_line_wins(tmp_path: Path) -> None:
    put(
        tmp_path,
        "/etc/sysctl.d/a.conf",
        f"{KEY}=1\nnet/ipv4/tcp_fin_timeout=2\n-{KEY} = 3\n#{KEY}=4\n;{KEY}=5\n{KEY}\n",
    )
    assert wins(tmp_path, PROCPS) == ("/etc/sysctl.d/a.conf", 3, "3")
    put(tmp_path, "/etc/sysctl.d/a.conf", f" {KEY}\t=\t1 2\t3  \n")
    assert both(tmp_path) == ("/etc/sysctl.d/a.conf", 1, "1 2 3")


def test_sysctl_conf_is_read_last_by_procps_alone(tmp_path: Path) -> None:
    put(tmp_path, "/etc/sysctl.d/99-z.conf", f"{KEY}=1\n")
    put(tmp_path, "/etc/sysctl.conf", f"{KEY}=2\n")
    assert wins(tmp_path, SYSTEMD) == ("/etc/sysctl.d/99-z.conf", 1, "1")
    assert wins(tmp_path, PROCPS) == ("/etc/sysctl.conf", 1, "2")


def test_a_pattern_never_beats_a_key(tmp_path: Path) -> None:
    key = "net.ipv4.conf.bond0/101.rp_filter"
    put(tmp_path, "/etc/sysctl.d/a.conf", "net.ipv4.conf.*.rp_filter=1\nnet.ipv4.conf.bond?/101.rp_filter=2\n")
    assert both(tmp_path, key) == ("/etc/sysctl.d/a.conf", 2, "2")
    put(tmp_path, "/etc/sysctl.d/0.conf", f"{key}=0\n")
    assert both(tmp_path, key) == ("/etc/sysctl.d/0.conf", 1, "0")
    assert both(tmp_path, "net.ipv4.conf.eth0.arp_ignore") is None


def test_an_exclusion_keeps_patterns_away(tmp_path: Path) -> None:
    key = "net.ipv4.conf.eth0.rp_filter"
    put(tmp_path, "/etc/sysctl.d/a.conf", f"-{key}\n")
    put(tmp_path, "/etc/sysctl.d/b.conf", "net.ipv4.conf.*.rp_filter=1\n")
    assert both(tmp_path, key) == ("/etc/sysctl.d/a.conf", 1, None)
    put(tmp_path, "/etc/sysctl.d/0.conf", f"{key} = 2\n")
    assert wins(tmp_path, SYSTEMD, key) == ("/etc/sysctl.d/a.conf", 1, None)
    assert wins(tmp_path, PROCPS, key) == ("/etc/sysctl.d/0.conf", 1, "2")


def overriding(root: Path, value: str = "30", key: str = KEY) -> list[dict[str, object]]:
    boot = Boot(str(root), {OWN: f"{key} = {value}\n"})
    return [line.shown() for line in boot.overriding(key, OWN) if not persistence.agrees(key, line, value)]


def test_who_overrides_us(tmp_path: Path) -> None:
    assert overriding(tmp_path) == []
    put(tmp_path, "/etc/sysctl.d/99-hardening.conf", f"{KEY}=30 # the same\n")
    assert overriding(tmp_path) == []
    put(tmp_path, "/etc/sysctl.d/99-hardening.conf", f"\n{KEY}=15\n")
    assert overriding(tmp_path)[0] == {
        "file": "/etc/sysctl.d/99-hardening.conf",
        "line": 2,
        "value": "15",
        "by": "systemd-sysctl",
    }
    put(tmp_path, "/etc/sysctl.d/10-other.conf", f"{KEY}=15\n")
    put(tmp_path, "/etc/sysctl.d/99-hardening.conf", "")
    assert overriding(tmp_path) == []


def test_which_tool_comes_first_depends_on_the_host(tmp_path: Path) -> None:
    put(tmp_path, "/etc/sysctl.conf", f"{KEY}=2\n")
    assert overriding(tmp_path) == [{"file": "/etc/sysctl.conf", "line": 1, "value": "2", "by": PROCPS}]
    put(tmp_path, "/etc/sysctl.d/99-z.conf", f"{KEY}=3\n")
    assert overriding(tmp_path)[0]["by"] == SYSTEMD
    put(tmp_path, "/usr/sbin/sysctl", "")
    assert overriding(tmp_path)[0] == {"file": "/etc/sysctl.conf", "line": 1, "value": "2", "by": PROCPS}
    put(tmp_path, "/run/systemd/system/x", "")
    assert overriding(tmp_path)[0]["by"] == SYSTEMD


def test_our_own_file_may_be_masked(tmp_path: Path) -> None:
    own = "/usr/lib/sysctl.d/90-nettriage.conf"
    put(tmp_path, OWN, "")
    found = Boot(str(tmp_path), {own: f"{KEY}=30\n"}).overriding(KEY, own)
    assert found[0].shown() == {"file": OWN, "line": None, "value": None, "by": SYSTEMD}


def test_tuned_overrides_only_where_it_does_not_give_way(tmp_path: Path) -> None:
    put(tmp_path, "/etc/tuned/active_profile", "mine\n")
    put(
        tmp_path,
        "/etc/tuned/mine/tuned.conf",
        "[main]\nsummary=x\ninclude=base\n\n[sysctl]\nnet.core.somaxconn=>2048\n",
    )
    put(tmp_path, "/usr/lib/tuned/base/tuned.conf", f"[my]\ntype=sysctl\n{KEY}=10\n[main]\ninclude=mine\n")
    put(tmp_path, "/usr/lib/tuned/mine/tuned.conf", f"[sysctl]\n{KEY}=11\n")
    assert overriding(tmp_path) == [{"file": "/usr/lib/tuned/base/tuned.conf", "line": 3, "value": "10", "by": "tuned"}]
    assert overriding(tmp_path, "4096", "net.core.somaxconn") == []
    assert overriding(tmp_path, "1024", "net.core.somaxconn")[0]["value"] == ">2048"
    put(tmp_path, "/etc/tuned/tuned-main.conf", "# x\nreapply_sysctl = 0\n")
    assert overriding(tmp_path)[0]["by"] == "tuned"
    put(tmp_path, "/etc/tuned/tuned-main.conf", "daemon = 1\nreapply_sysctl = 1\n")
    assert overriding(tmp_path) == []


def test_ufw_overrides_where_it_is_enabled(tmp_path: Path) -> None:
    put(tmp_path, "/etc/default/ufw", "IPV6=yes\nIPT_SYSCTL=/etc/ufw/sysctl.conf\n")
    put(tmp_path, "/etc/ufw/sysctl.conf", "# x\nnet/ipv4/tcp_fin_timeout=10\n")
    put(tmp_path, "/etc/ufw/ufw.conf", "ENABLED=yes\n")
    assert overriding(tmp_path) == [{"file": "/etc/ufw/sysctl.conf", "line": 2, "value": "10", "by": "ufw"}]
    put(tmp_path, "/etc/ufw/ufw.conf", "ENABLED=no\n")
    assert overriding(tmp_path) == []
    put(tmp_path, "/etc/ufw/ufw.conf", "ENABLED=yes\n")
    put(tmp_path, "/etc/default/ufw", "#IPT_SYSCTL=/etc/ufw/sysctl.conf\n")
    assert overriding(tmp_path) == []


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("sysctl -w net.ipv4.tcp_fin_timeout=10", True),
        ("echo 10 > /proc/sys/net/ipv4/tcp_fin_timeout", True),
        ("# sysctl -w net.ipv4.tcp_fin_timeout=10", False),
        ("sysctl -w net.ipv4.tcp_fin_timeout_x=10", False),
        ("sysctl -w x.net.ipv4.tcp_fin_timeout=10", False),
    ],
)
def test_scripts_that_name_a_key(tmp_path: Path, line: str, named: bool) -> None:
    put(tmp_path, "/etc/NetworkManager/dispatcher.d/50-x", f"#!/bin/sh\n{line}\n")
    expected = {"file": "/etc/NetworkManager/dispatcher.d/50-x", "line": 2, "value": None, "by": "NetworkManager"}
    assert overriding(tmp_path) == ([expected] if named else [])


@given(st.text(), st.sampled_from([SYSTEMD, PROCPS]))
def test_any_text_is_parsed(text: str, by: str) -> None:
    for line in persistence.parse(text, "x", by):
        assert 1 <= line.line <= text.count("\n") + 1 and "/" in line.path


LINES = st.lists(
    st.sampled_from(
        [
            "# a",
            "",
            "; b",
            f"{KEY} = 1",
            "net/ipv4/tcp_fin_timeout=2",
            "kernel.pid_max=7",
            "-a.b",
            "rubbish",
            "a.b = c=d",
        ]
    )
)
WANTED = st.dictionaries(st.sampled_from([KEY, "a.b", "c.d"]), st.sampled_from(["1", "2", "3 4", ""]))


@given(LINES, WANTED, st.sets(st.sampled_from(["kernel.pid_max", "a.b"])))
def test_the_drop_in_ends_up_with_what_is_wanted_and_settles(
    lines: list[str], wanted: dict[str, str], dropped: set[str]
) -> None:
    text = "\n".join(lines)
    dropped -= set(wanted)
    new = dropin.updated(text, wanted, dropped, "7")
    assigned = dropin.assigned(new or "")
    assert {key: assigned[key] for key in wanted} == wanted
    assert not dropped.intersection(assigned)
    others = {key: value for key, value in dropin.assigned(text).items() if key not in wanted and key not in dropped}
    assert {key: value for key, value in assigned.items() if key not in wanted} == others
    for line in ("# a", "; b", "rubbish"):
        assert (new or "").split("\n").count(line) == lines.count(line)
    assert dropin.updated(new, wanted, dropped, "8") == new
