# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead man's timer, with its own program running for real."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.tune import timer, undo
from ansible_collections.nettriage.linux.plugins.module_utils.tune.run import Refused

WANTED = {"net.core.somaxconn": 8192}


def until(happened: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def journal(tree: Any) -> dict[str, Any]:
    return dict(json.loads(tree.journals()[-1].read_text()))


def gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return b") Z " in file.read()
    except OSError:
        return True


def test_without_a_confirmation_everything_comes_back(tree: Any) -> None:
    before = tree.shown()
    result = tree.run(WANTED, confirm_timeout=1)
    assert result["confirm_timeout"] == 1
    setting = result["settings"]["net.core.somaxconn"]
    assert setting["persisted"] is False and "confirmed" in setting["why"]
    assert not tree.file.exists() and tree.get("net.core.somaxconn") == "8192\n"
    assert stat.S_IMODE((tree.state / "undo.py").stat().st_mode) == 0o700
    pid = journal(tree)["timer"]["pid"]
    until(lambda: gone(pid))
    assert journal(tree)["undone_by"] == "timer"
    assert tree.shown() == before
    with pytest.raises(Refused, match=r"is undone \(by: timer\), so it cannot be confirmed"):
        tree.run(state="confirmed")


def test_confirmed_it_stays_and_the_timer_ends(tree: Any) -> None:
    made = tree.run(WANTED, confirm_timeout=600)
    pid = journal(tree)["timer"]["pid"]
    assert not gone(pid)
    would = tree.run(state="confirmed", check=True)
    assert would["changed"] and not tree.file.exists()
    did = tree.run(state="confirmed", transaction=made["transaction"])
    assert did["changed"] and did["settings"]["net.core.somaxconn"]["persisted"]
    assert did["diff"] == would["diff"]
    assert "net.core.somaxconn = 8192" in tree.file.read_text()
    until(lambda: gone(pid))
    again = tree.run(state="confirmed")
    assert not again["changed"] and again["transaction"] == made["transaction"]
    before_rollback = tree.get("net.core.somaxconn")
    tree.run(state="rolled_back")
    assert before_rollback == "8192\n" and tree.get("net.core.somaxconn") == "4096\n" and not tree.file.exists()


def test_a_rollback_ends_the_timer_too(tree: Any) -> None:
    tree.run(WANTED, confirm_timeout=600)
    pid = journal(tree)["timer"]["pid"]
    tree.run(state="rolled_back")
    until(lambda: gone(pid))
    assert tree.get("net.core.somaxconn") == "4096\n"


def test_others_have_to_wait_for_the_confirmation(tree: Any) -> None:
    tree.run(WANTED, confirm_timeout=600)
    for check in (True, False):
        with pytest.raises(Refused, match=r"waits for another \d+ s to be confirmed"):
            tree.run({"net.core.rmem_max": 300000}, check=check)
    tree.run(state="rolled_back")


def test_a_timer_that_died_is_replaced_by_the_next_run(tree: Any) -> None:
    tree.run(WANTED, confirm_timeout=600)
    found = journal(tree)
    timer.disarm(found, None)
    tree.journals()[-1].write_text(json.dumps({**found, "deadline": time.clock_gettime(time.CLOCK_BOOTTIME) - 1}))
    result = tree.run({"net.core.rmem_max": 300000})
    assert result["undone"] == [found["id"]] and tree.get("net.core.somaxconn") == "4096\n"


def test_after_a_reboot_nothing_can_be_confirmed(tree: Any) -> None:
    tree.run(WANTED, confirm_timeout=600)
    found = journal(tree)
    timer.disarm(found, None)
    tree.journals()[-1].write_text(json.dumps({**found, "boot": "another"}))
    tree.path("net.core.somaxconn").write_text("4096\n")
    with pytest.raises(Refused, match="is undone instead of confirmed"):
        tree.run(state="confirmed")
    assert not tree.file.exists()


def test_in_another_namespace_nothing_can_be_confirmed(tree: Any) -> None:
    """A container that was restarted has the same boot, and lost its values none the less."""
    tree.run(WANTED, confirm_timeout=600)
    found = journal(tree)
    tree.journals()[-1].write_text(json.dumps({**found, "net": {"id": [0, 1], "path": None}}))
    with pytest.raises(Refused, match=r"made in a network namespace that this is not.*use state=rolled_back"):
        tree.run(state="confirmed")
    tree.run(state="rolled_back")
    until(lambda: gone(found["timer"]["pid"]))
    assert not tree.file.exists()


def test_a_timer_that_cannot_start_means_that_nothing_is_changed(tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    before = tree.shown()
    with pytest.raises(Refused, match=r"the timer does not start: .*No such file.*; everything is undone"):
        tree.run(WANTED, confirm_timeout=600)
    assert tree.shown() == before


def test_the_detached_process_has_nothing_of_ours(tree: Any) -> None:
    tree.run(WANTED, confirm_timeout=600)
    pid = journal(tree)["timer"]["pid"]

    def descriptors() -> set[str]:
        try:
            return {os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
        except FileNotFoundError:  # one was closed meanwhile
            return set()

    # The program itself is open while the interpreter reads it.
    until(lambda: b"undo.py" in Path(f"/proc/{pid}/cmdline").read_bytes() and descriptors() == {"/dev/null"})
    assert os.readlink(f"/proc/{pid}/cwd") == "/" and os.getsid(pid) != os.getsid(0)
    assert "SigBlk:\t0000000000000000\n" in Path(f"/proc/{pid}/status").read_text()
    tree.run(state="rolled_back")


def test_systemd_gets_a_unit_with_fixed_arguments(tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.state.mkdir(mode=0o700)
    state = undo.State(str(tree.state))
    called: list[list[str]] = []

    def run(command: list[str]) -> tuple[int, str, str]:
        called.append(command)
        return 0, "", ""

    monkeypatch.setattr(timer, "_SYSTEMD", str(tree.proc))
    monkeypatch.setattr(timer, "_as_first_process", lambda journal: True)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    made: dict[str, Any] = {"id": "000001-x", "net": {"id": [], "path": None}}
    made["timer"] = timer.arm(state, made, 90, run)
    assert made["timer"] == {"kind": "systemd", "unit": "nettriage-undo-000001-x"}
    assert called[0] == [
        "systemd-run",
        "--quiet",
        "--unit=nettriage-undo-000001-x",
        "--on-active=90s",
        "--timer-property=AccuracySec=100ms",
        sys.executable,
        "-I",
        f"{tree.state}/undo.py",
        str(tree.state),
        "000001-x",
    ]
    timer.disarm(made, run)
    assert not timer._done(lambda command: (1, "", ""), ["systemd-run"])
    assert called[1] == ["systemctl", "stop", "--quiet", "nettriage-undo-000001-x.timer"]
    state.close()


def test_the_stored_program_alone_undoes_a_transaction(tree: Any) -> None:
    """As systemd runs it: another process, isolated, without the collection."""
    before = tree.shown()
    made = tree.run(WANTED, confirm_timeout=600)
    timer.disarm(journal(tree), None)
    command = [sys.executable, "-I", str(tree.state / "undo.py"), str(tree.state)]
    done = subprocess.run([*command, made["transaction"]], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert tree.shown() == before and journal(tree)["undone_by"] == "timer"
