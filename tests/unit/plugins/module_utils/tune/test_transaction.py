# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a transaction does, refuses and gives back, on a host made of files."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import stat
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.tune import journal as journals
from ansible_collections.nettriage.linux.plugins.module_utils.tune import undo
from ansible_collections.nettriage.linux.plugins.module_utils.tune.options import request_of
from ansible_collections.nettriage.linux.plugins.module_utils.tune.run import Refused


def test_values_and_file_are_made_true_and_a_second_run_changes_nothing(tree: Any) -> None:
    wanted = {"net.core.somaxconn": 8192, "net/ipv4/tcp_rmem": "4096  131072 16777216"}
    result = tree.run(wanted)
    assert result["changed"]
    assert tree.get("net.core.somaxconn") == "8192\n"
    assert tree.get("net.ipv4.tcp_rmem") == "4096 131072 16777216\n"
    assert result["settings"]["net.ipv4.tcp_rmem"] == {
        "before": "4096 131072 6291456",
        "after": "4096 131072 16777216",
        "persisted": True,
        "exists": True,
        "writable": True,
        "overridden_by": None,
        "why": None,
    }
    lines = tree.file.read_text().splitlines()
    assert lines[0].startswith("# Written by nettriage.linux.sysctl_transaction, transaction ")
    assert result["transaction"] in lines[0]
    assert lines[2:] == ["net.core.somaxconn = 8192", "net.ipv4.tcp_rmem = 4096 131072 16777216"]
    assert stat.S_IMODE(tree.file.stat().st_mode) == 0o644
    assert stat.S_IMODE(tree.state.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in tree.journals()] == [0o600]

    again = tree.run(wanted)
    assert not again["changed"] and again["transaction"] is None and again["diff"] == []
    assert again["settings"]["net.core.somaxconn"]["persisted"]
    assert len(tree.journals()) == 1


def test_tabs_and_spaces_are_the_same_value(tree: Any) -> None:
    tree.file.write_text("net.ipv4.tcp_rmem=4096 131072\t6291456\n")
    before = tree.shown()
    assert not tree.run({"net.ipv4.tcp_rmem": "4096 131072 6291456"})["changed"]
    assert tree.shown() == before


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"net.core.nothing": 1}, "net.core.nothing: does not exist"),
        ({"net.core.somaxconn": True}, "a YAML boolean is not a sysctl value"),
        ({"net.core.somaxconn": "yes"}, "'yes' is not one number"),
        ({"net.core.somaxconn": None}, "None is not a number"),
        ({"net.core.somaxconn": 1.5}, "1.5 is not a number"),
        ({"net.core.somaxconn": 0}, "'0' is out of range: 1 to 2147483647 is accepted"),
        ({"net.core.somaxconn": -1}, "out of range"),
        ({"net.core.somaxconn": "128 5"}, "'128 5' is not one number"),
        ({"net.core.somaxconn": "1\nkernel.core_pattern = x"}, "must not hold line breaks"),
        ({"net.ipv4.tcp_fin_timeout": 0}, "out of range"),
        ({"net.ipv4.tcp_tw_reuse": 3}, "0 to 2 is accepted"),
        ({"net.ipv4.tcp_rmem": "4096 6291456 131072"}, "must not descend"),
        ({"net.ipv4.tcp_rmem": "4096 131072"}, "is not 3 numbers"),
        ({"net.ipv4.ip_local_port_range": "60000 50000"}, "the first port must be lower"),
        (
            {"net.ipv4.ip_local_port_range": "500 60000"},
            "may not begin below net.ipv4.ip_unprivileged_port_start, 1024",
        ),
        ({"net.ipv4.ip_unprivileged_port_start": 40001}, "may not begin below"),
        ({"net.ipv4.ip_local_reserved_ports": "80,x"}, "'x' is neither a port"),
        ({"net.ipv4.ip_local_reserved_ports": "70000"}, "neither a port"),
        ({"net.ipv4.tcp_congestion_control": "bbr"}, "'bbr' is not offered here; there are: reno, cubic"),
        ({"net.ipv4.tcp_congestion_control": "reno cubic"}, "it takes one word"),
        ({"net.ipv4.neigh.default.gc_thresh3": 256}, "must not descend"),
        ({"net.core.somaxconn": 1, "net/core/somaxconn": 1}, "are the same key"),
        ({"net.ipv4.conf.bond0.101.rp_filter": 1, "net/ipv4/conf/bond0.101/rp_filter": 2}, "are the same key"),
        ({"somaxconn": 1}, "'somaxconn' is not accepted"),
        ({"net/core/../../../etc/passwd": 1}, "is not accepted"),
        ({"net.ipv4.conf.*.rp_filter": 1}, "cannot be written in a file"),
        ({"net.ipv4": 1}, "cannot be read"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_nonsense_is_refused_before_anything_is_written(
    tree: Any, wanted: dict[str, Any], said: str, check: bool
) -> None:
    before = tree.shown()
    with pytest.raises(Refused, match=re.escape(said)):
        tree.run({"net.ipv4.tcp_tw_reuse": 1, **wanted}, check=check)
    assert tree.shown() == before
    assert tree.journals() == []


def test_every_problem_is_named_at_once(tree: Any) -> None:
    with pytest.raises(Refused) as refused:
        tree.run({"net.core.somaxconn": 0, "net.core.nothing": 1, "net.core.rmem_max": 300000})
    assert "net.core.somaxconn" in str(refused.value) and "net.core.nothing" in str(refused.value)
    shown = refused.value.settings
    assert shown["net.core.nothing"]["exists"] is False
    assert shown["net.core.rmem_max"]["before"] == shown["net.core.rmem_max"]["after"] == "212992"


def test_an_interface_with_dots_in_every_spelling(tree: Any) -> None:
    for spelling in (
        "net.ipv4.conf.bond0/101.rp_filter",
        "net/ipv4/conf/bond0.101/rp_filter",
        "net.ipv4.conf.bond0.101.rp_filter",
    ):
        result = tree.run({spelling: 2})
        assert tree.get("net.ipv4.conf.bond0/101.rp_filter") == "2\n"
        assert list(result["settings"]) == ["net.ipv4.conf.bond0/101.rp_filter"]
    assert tree.file.read_text().endswith("\nnet.ipv4.conf.bond0/101.rp_filter = 2\n")


def test_a_key_that_cannot_be_written_is_refused_only_where_it_has_to_be(
    tree: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def read_only(path: Any, flags: int, *args: Any, **options: Any) -> int:
        if str(path).endswith("rmem_max") and flags & os.O_WRONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return real(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", read_only)
    for check in (True, False):
        with pytest.raises(Refused, match=r"^net\.core\.rmem_max: cannot be written: Read-only file system$"):
            tree.run({"net.core.rmem_max": 300000, "net.core.somaxconn": 8192}, check=check)
    assert tree.get("net.core.somaxconn") == "4096\n"
    setting = tree.run({"net.core.rmem_max": 212992})["settings"]["net.core.rmem_max"]
    assert setting["writable"] is False and setting["persisted"] and "Read-only" in setting["why"]


def test_raise_only_for_all_for_some_and_for_nonsense(tree: Any) -> None:
    wanted = {"net.core.somaxconn": 128, "net.ipv4.tcp_rmem": "8192 65536 16777216", "net.ipv4.tcp_tw_reuse": 1}
    result = tree.run(wanted, raise_only=["net/core/somaxconn", "net.ipv4.tcp_rmem"])
    assert tree.get("net.core.somaxconn") == "4096\n"
    assert tree.get("net.ipv4.tcp_rmem") == "8192 131072 16777216\n"
    assert tree.get("net.ipv4.tcp_tw_reuse") == "1\n"
    assert "net.core.somaxconn = 4096" in tree.file.read_text()
    assert result["settings"]["net.core.somaxconn"]["after"] == "4096"
    assert not tree.run(wanted, raise_only=["net.core.somaxconn", "net.ipv4.tcp_rmem"])["changed"]
    tree.run({"net.ipv4.tcp_fin_timeout": 30, "net.ipv4.ip_local_port_range": "40000 64999"}, raise_only=True)
    assert tree.get("net.ipv4.tcp_fin_timeout") == "60\n"
    assert tree.get("net.ipv4.ip_local_port_range") == "32768 64999\n"
    with pytest.raises(Refused, match="is not among the keys"):
        tree.run(wanted, raise_only=["net.core.rmem_max"])
    with pytest.raises(Refused, match="raise_only means nothing"):
        tree.run({"net.ipv4.tcp_congestion_control": "reno"}, raise_only=["net.ipv4.tcp_congestion_control"])


def test_raising_may_not_end_in_descending_numbers(tree: Any) -> None:
    tree.path("net.ipv4.tcp_rmem").write_text("4096 9000000 8000000\n")
    with pytest.raises(Refused, match="must not descend"):
        tree.run({"net.ipv4.tcp_rmem": "4096 131072 8500000"}, raise_only=True)


def test_reserved_ports_are_joined_and_an_empty_text_clears_them(tree: Any) -> None:
    tree.path("net.ipv4.ip_local_reserved_ports").write_text("8080,9000-9002\n")
    tree.run({"net.ipv4.ip_local_reserved_ports": [9003, "10000-10001"]})
    assert tree.get("net.ipv4.ip_local_reserved_ports") == "8080,9000-9003,10000-10001\n"
    assert not tree.run({"net.ipv4.ip_local_reserved_ports": "9001,8080"})["changed"]
    tree.run({"net.ipv4.ip_local_reserved_ports": ""})
    assert tree.get("net.ipv4.ip_local_reserved_ports") == "\n"
    tree.run(state="rolled_back")
    assert tree.get("net.ipv4.ip_local_reserved_ports") == "8080,9000-9003,10000-10001\n"


def test_ports_of_equal_parity_are_allowed_with_a_warning(tree: Any) -> None:
    assert "same parity" in tree.run({"net.ipv4.ip_local_port_range": "10000 65000"})["warnings"][-2]


def test_the_port_range_and_its_lower_bound_may_move_together(tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    real = undo.write_value

    def noting(path: str, text: str) -> None:
        written.append(path.rpartition("/")[2])
        real(path, text)

    monkeypatch.setattr(undo, "write_value", noting)
    tree.run({"net.ipv4.ip_local_port_range": "500 60001", "net.ipv4.ip_unprivileged_port_start": 80})
    assert written == ["ip_unprivileged_port_start", "ip_local_port_range"]
    written.clear()
    tree.run({"net.ipv4.ip_unprivileged_port_start": 2000, "net.ipv4.ip_local_port_range": "3000 60001"})
    assert written == ["ip_local_port_range", "ip_unprivileged_port_start"]
    written.clear()
    tree.run(state="rolled_back")
    assert written == ["ip_unprivileged_port_start", "ip_local_port_range"]


def test_what_the_kernel_changes_along_with_a_key_comes_back_too(tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.path("net.ipv4.tcp_available_congestion_control").write_text("reno cubic bbr\n")
    real = undo.write_value

    def as_the_kernel_does(path: str, text: str) -> None:
        real(path, text)
        if path.endswith("tcp_congestion_control") and "bbr" in text:
            tree.path("net.ipv4.tcp_allowed_congestion_control").write_text("reno cubic bbr\n")

    monkeypatch.setattr(undo, "write_value", as_the_kernel_does)
    before = tree.shown()
    tree.run({"net.ipv4.tcp_congestion_control": "bbr"})
    tree.run(state="rolled_back")
    assert tree.shown() == before


def test_check_mode_says_the_same_and_does_nothing(tree: Any) -> None:
    tree.file.write_text("net.ipv4.tcp_tw_reuse = 1\n")
    before = tree.shown()
    wanted = {"net.core.somaxconn": 8192, "net.ipv4.ip_local_reserved_ports": "8080"}
    would = tree.run(wanted, check=True)
    assert tree.shown() == before and not tree.state.exists()
    did = tree.run(wanted)
    assert would["transaction"] is None

    def plain(result: Any) -> str:
        return re.sub(r"transaction \S+\.\n", "", json.dumps({**result, "transaction": None}))

    assert re.sub(r"\d{8}T\d{6}Z", "", plain(would)) == re.sub(r"\d{8}T\d{6}Z", "", plain(did))
    assert [block["before_header"] for block in did["diff"]] == ["kernel", str(tree.file)]
    assert not tree.run(wanted, check=True)["changed"]


def test_check_mode_after_a_killed_run_speaks_of_what_will_be(tree: Any) -> None:
    tree.run({"net.core.somaxconn": 8192})
    path = tree.journals()[0]
    journal = json.loads(path.read_text())
    path.write_text(json.dumps({**journal, "state": "writing"}))
    before = tree.shown()
    would = tree.run({"net.core.somaxconn": 8192}, check=True)
    assert tree.shown() == before
    assert would["undone"] == [journal["id"]]
    assert would["settings"]["net.core.somaxconn"]["before"] == "4096"
    did = tree.run({"net.core.somaxconn": 8192})
    assert did["undone"] == [journal["id"]] and did["settings"]["net.core.somaxconn"]["before"] == "4096"
    assert any("unfinished" in warning for warning in did["warnings"])


def test_the_kernel_rejects_a_value_in_the_middle(tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = undo.write_value

    def rejecting(path: str, text: str) -> None:
        if path.endswith("tcp_fin_timeout") and text == "30\n":
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(path, text)

    monkeypatch.setattr(undo, "write_value", rejecting)
    before = tree.shown()
    with pytest.raises(Refused) as refused:
        tree.run({"net.core.somaxconn": 8192, "net.ipv4.tcp_fin_timeout": 30, "net.ipv4.tcp_tw_reuse": 1})
    assert str(refused.value) == (
        "net.ipv4.tcp_fin_timeout: the kernel rejects '30': Invalid argument; everything is undone"
    )
    assert tree.shown() == before


def test_a_key_vanishes_in_the_middle(tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = undo.write_value

    def vanishing(path: str, text: str) -> None:
        if path.endswith("101/rp_filter"):
            os.unlink(path)
        real(path, text)

    monkeypatch.setattr(undo, "write_value", vanishing)
    with pytest.raises(Refused, match="No such file or directory; everything is undone"):
        tree.run({"net.core.somaxconn": 8192, "net/ipv4/conf/bond0.101/rp_filter": 2})
    assert tree.get("net.core.somaxconn") == "4096\n"
    assert not tree.file.exists()


def test_a_value_that_the_kernel_does_not_keep(tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = undo.write_value
    monkeypatch.setattr(undo, "write_value", lambda path, text: real(path, "4000\n" if text == "8192\n" else text))
    with pytest.raises(Refused, match="holds '4000' where '8192' was written; everything is undone"):
        tree.run({"net.core.somaxconn": 8192})
    assert tree.get("net.core.somaxconn") == "4096\n"


def test_what_cannot_be_undone_is_said_and_undone_later(tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = undo.write_value

    def stubborn(path: str, text: str) -> None:
        if path.endswith("tcp_tw_reuse") or text == "4096\n":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        real(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(undo, "write_value", stubborn)
        with pytest.raises(
            Refused, match=r"could not be undone wholly: net\.core\.somaxconn \(Read-only file system\)"
        ):
            tree.run({"net.core.somaxconn": 8192, "net.ipv4.tcp_tw_reuse": 1})
        with pytest.raises(Refused, match="could not be undone wholly"):
            tree.run(state="rolled_back")
    assert tree.get("net.core.somaxconn") == "8192\n"
    assert tree.run(state="rolled_back")["changed"]
    assert tree.get("net.core.somaxconn") == "4096\n"


def test_rolling_back_one_takes_the_later_ones_with_it(tree: Any) -> None:
    before = tree.shown()
    first = tree.run({"net.core.somaxconn": 8192})["transaction"]
    second = tree.run({"net.core.somaxconn": 9000, "net.ipv4.tcp_tw_reuse": 1})["transaction"]
    third = tree.run({"net.ipv4.tcp_fin_timeout": 30})["transaction"]
    tree.run(state="rolled_back")
    assert tree.get("net.ipv4.tcp_fin_timeout") == "60\n" and tree.get("net.core.somaxconn") == "9000\n"
    would = tree.run(state="rolled_back", transaction=first, check=True)
    assert tree.get("net.core.somaxconn") == "9000\n"
    did = tree.run(state="rolled_back", transaction=first)
    assert did["undone"] == would["undone"] == [second, first]
    assert did["settings"]["net.core.somaxconn"]["before"] == "9000"
    assert did["settings"]["net.core.somaxconn"]["after"] == "4096"
    assert did["diff"] == would["diff"]
    assert tree.shown() == before
    assert not tree.run(state="rolled_back", transaction=third)["changed"]
    with pytest.raises(Refused, match="'000099-x' is unknown; the last ones are"):
        tree.run(state="rolled_back", transaction="000099-x")


def test_what_others_changed_since_is_given_back_and_named(tree: Any) -> None:
    tree.run({"net.core.somaxconn": 8192, "net.ipv4.tcp_tw_reuse": 1})
    tree.path("net.core.somaxconn").write_text("555\n")
    tree.file.write_text("# edited\n")
    result = tree.run(state="rolled_back")
    assert result["moved"] == ["net.core.somaxconn", str(tree.file)]
    assert tree.get("net.core.somaxconn") == "4096\n"


def test_after_a_reboot_only_what_is_ours_is_taken_back(tree: Any) -> None:
    tree.run({"net.core.somaxconn": 8192, "net.ipv4.tcp_tw_reuse": 1})
    path = tree.journals()[0]
    path.write_text(json.dumps({**json.loads(path.read_text()), "boot": "another"}))
    tree.path("net.core.somaxconn").write_text("555\n")
    result = tree.run(state="rolled_back")
    assert tree.get("net.core.somaxconn") == "555\n" and tree.get("net.ipv4.tcp_tw_reuse") == "2\n"
    assert result["moved"] == ["net.core.somaxconn"] and not tree.file.exists()


def test_absent_gives_back_what_was_before_the_first_transaction(tree: Any) -> None:
    before = tree.shown()
    tree.run({"net.core.somaxconn": 8192, "net.ipv4.tcp_tw_reuse": 1})
    tree.run({"net.core.somaxconn": 9000})
    would = tree.run({"net.core.somaxconn": None}, state="absent", check=True)
    did = tree.run({"net.core.somaxconn": None}, state="absent")
    assert would["settings"] == did["settings"]
    assert tree.get("net.core.somaxconn") == "4096\n"
    assert "somaxconn" not in tree.file.read_text() and "tcp_tw_reuse = 1" in tree.file.read_text()
    assert not tree.run({"net.core.somaxconn": None}, state="absent")["changed"]
    tree.run(state="rolled_back")
    assert tree.get("net.core.somaxconn") == "9000\n"
    tree.run(state="absent")
    assert tree.shown() == before


def test_absent_leaves_what_others_have_set(tree: Any) -> None:
    tree.file.write_text("net.core.rmem_max = 1\n")
    tree.run({"net.core.somaxconn": 8192})
    tree.path("net.core.somaxconn").write_text("555\n")
    tree.run(state="absent")
    assert tree.get("net.core.somaxconn") == "555\n" and tree.get("net.core.rmem_max") == "212992\n"
    assert not tree.file.exists()


def test_exclusive_takes_back_what_is_not_named(tree: Any) -> None:
    tree.run({"net.core.somaxconn": 8192, "net.ipv4.tcp_tw_reuse": 1})
    tree.run({"net.ipv4.tcp_tw_reuse": 1}, exclusive=True)
    assert tree.get("net.core.somaxconn") == "4096\n" and tree.get("net.ipv4.tcp_tw_reuse") == "1\n"
    assert "somaxconn" not in tree.file.read_text()


def test_lines_of_others_in_the_file_stay_and_duplicates_go(tree: Any) -> None:
    text = "# mine\n\nnet.core.somaxconn = 1\nkernel.pid_max = 5\n; x\nnet/core/somaxconn = 2\n"
    tree.file.write_text(text)
    tree.run({"net.core.somaxconn": 8192})
    assert tree.file.read_text().split("\n", 2)[2] == "# mine\n\nkernel.pid_max = 5\n; x\nnet.core.somaxconn = 8192\n"
    tree.run(state="rolled_back")
    assert tree.file.read_text() == text


def test_a_second_run_at_the_same_time_is_refused_and_the_first_named(tree: Any) -> None:
    tree.run({"net.core.somaxconn": 8192})
    with open(tree.state / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for check in (True, False):
            with pytest.raises(Refused, match=rf"another transaction is at work \(process {os.getpid()}\)"):
                tree.run({"net.core.somaxconn": 9000}, check=check)
    assert tree.get("net.core.somaxconn") == "8192\n"


@pytest.mark.parametrize("check", [True, False])
def test_a_state_directory_that_others_could_change_is_refused(tree: Any, tmp_path: Any, check: bool) -> None:
    wanted = {"net.core.somaxconn": 8192}
    real = tmp_path / "real"
    real.mkdir(mode=0o700)
    tree.state.symlink_to(real)
    with pytest.raises(Refused, match="is a symbolic link"):
        tree.run(wanted, check=check)
    tree.state.unlink()
    tree.state.mkdir()
    for mode in (0o777, 0o770, 0o702):
        tree.state.chmod(mode)
        with pytest.raises(Refused, match=f"writable by others .mode 0{mode:o}."):
            tree.run(wanted, check=check)
    tree.state.chmod(0o700)
    tree.state.parent.chmod(0o777)
    with pytest.raises(Refused, match="var is writable by others"):
        tree.run(wanted, check=check)
    tree.state.parent.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(tree.state, 12345, 12345)
        with pytest.raises(Refused, match="belongs to user 12345"):
            tree.run(wanted, check=check)
    tree.state.rename(tmp_path / "gone")
    tree.state.write_text("")
    with pytest.raises(Refused, match="Not a directory"):
        tree.run(wanted, check=check)
    assert tree.get("net.core.somaxconn") == "4096\n"


@pytest.mark.parametrize("check", [True, False])
def test_a_file_that_is_a_link_or_lies_open_is_refused(tree: Any, tmp_path: Any, check: bool) -> None:
    (tmp_path / "passwd").write_text("root\n")
    tree.file.symlink_to(tmp_path / "passwd")
    with pytest.raises(Refused, match="is a symbolic link"):
        tree.run({"net.core.somaxconn": 8192}, check=check)
    assert (tmp_path / "passwd").read_text() == "root\n"
    tree.file.unlink()
    os.mkfifo(tree.file)
    with pytest.raises(Refused, match="is not a regular file"):
        tree.run({"net.core.somaxconn": 8192}, check=check)
    tree.file.unlink()
    tree.file.mkdir()
    with pytest.raises(Refused, match=f"{tree.file} is not a regular file"):
        tree.run({"net.core.somaxconn": 8192}, check=check)
    tree.file.rmdir()
    tree.file.parent.chmod(0o777)
    with pytest.raises(Refused, match=r"sysctl\.d is writable by others"):
        tree.run({"net.core.somaxconn": 8192}, check=check)
    assert tree.get("net.core.somaxconn") == "4096\n"


def test_a_directory_that_is_missing_with_its_parent(tree: Any) -> None:
    for check in (True, False):
        with pytest.raises(Refused, match="does not exist"):
            tree.run({"net.core.somaxconn": 8192}, check=check, file="/nonexistent/sysctl.d/90-x.conf")
    assert tree.get("net.core.somaxconn") == "4096\n"


def test_journals_are_bounded_and_damaged_ones_are_named(tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "KEPT", 5)
    for number in range(9):
        tree.run({"net.core.somaxconn": 5000 + number})
    assert len(tree.journals()) == 5
    assert tree.run(state="rolled_back")["undone"][0].startswith("000009-")
    text = tree.journals()[-1].read_text()
    for damage in (text[:40], "", "[]", "{}", text.replace('"format": 1', '"format": 2'), "\xff"):
        tree.journals()[-1].write_text(damage)
        with pytest.raises(Refused, match=r"000009-.*\.json (is damaged|was not written by this version)"):
            tree.run({"net.core.somaxconn": 7000})


def test_own_values_can_hold_whatever_the_kernel_says(tree: Any) -> None:
    """An unknown key of words is set and given back, to the byte."""
    tree.path("net.core.odd").write_bytes(b"a\xff\tb")
    tree.run({"net.core.odd": "c d"})
    assert tree.path("net.core.odd").read_bytes() == b"c d\n"
    result = tree.run(state="rolled_back")
    assert tree.path("net.core.odd").read_bytes() == b"a\xff\tb"
    json.dumps(result).encode("utf-8")


def test_options_are_checked() -> None:
    good: dict[str, Any] = {
        "settings": {},
        "state": "present",
        "file": "/etc/sysctl.d/x.conf",
        "state_dir": "/var/lib/x",
        "raise_only": False,
        "confirm_timeout": 0,
        "fail_on_overridden": False,
        "exclusive": False,
        "transaction": None,
    }
    assert request_of({**good, "raise_only": "a.b, c.d"}).raise_only == ["a.b", "c.d"]
    assert request_of({**good, "raise_only": "yes"}).raise_only is True
    for option, value in (
        ("file", "x.conf"),
        ("state_dir", "/"),
        ("confirm_timeout", -1),
        ("confirm_timeout", 86401),
        ("raise_only", {"a": 1}),
        ("raise_only", [1]),
    ):
        with pytest.raises(BadOption, match=f"^{option}: "):
            request_of({**good, option: value})


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(
                st.just("present"),
                st.dictionaries(
                    st.sampled_from(["net.core.somaxconn", "net.ipv4.tcp_fin_timeout", "net.core.rmem_max"]),
                    st.integers(3000, 3005),
                    min_size=1,
                ),
            ),
            st.tuples(st.just("absent"), st.just({})),
            st.tuples(st.just("rolled_back"), st.just({})),
        ),
        max_size=8,
    )
)
def test_whatever_was_done_rolling_all_back_gives_the_first_state(tree: Any, steps: list[Any]) -> None:
    before = tree.shown()
    for state, wanted in steps:
        tree.run(wanted, state=state)
    while tree.run(state="rolled_back")["changed"]:
        pass
    assert tree.shown() == before


def test_what_is_given_back_keeps_its_label_and_owner(tree: Any) -> None:
    tree.file.write_text("# mine\n")
    tree.file.chmod(0o640)
    label = b"system_u:object_r:system_conf_t:s0\0"
    try:
        os.setxattr(tree.file, "security.selinux", label)
        os.chown(tree.file, 0, 12345)
    except OSError:
        pytest.skip("labels cannot be set here")
    tree.run({"net.core.somaxconn": 8192})
    assert os.getxattr(tree.file, "security.selinux") == label and tree.file.stat().st_gid == 0
    for path in tree.file.parent.glob(".*.before"):
        path.unlink()
    tree.run(state="rolled_back")
    assert tree.file.read_text() == "# mine\n"
    assert os.getxattr(tree.file, "security.selinux") == label
    assert (tree.file.stat().st_gid, stat.S_IMODE(tree.file.stat().st_mode)) == (12345, 0o640)
