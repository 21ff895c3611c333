# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong while hosts are tuned: they get worse, the controller dies, nothing can be written."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, Namespace, wait_until
from ansible_collections.nettriage.linux.tests.lab.tuning import Tuner

KEEPALIVE = "net.ipv4.tcp_keepalive_time"
OWN = {"tune_remedies": [], "tune_settings": {KEEPALIVE: 600}}
# A program in a mount namespace of its own, in which MOUNT is read-only.
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
# The same, in which MOUNT is a file system without any room.
FULL = 'mount -t tmpfs -o size=4k,mode=700 none "$0" && { head -c 8192 /dev/zero > "$0/data"; exec "$@"; } 2> /dev/null'


def alive(pid: int) -> bool:
    """Whether *pid* is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def test_the_first_host_that_gets_worse_ends_the_run(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Loss sets in once the setting is there: undone exactly, that host failed, the others never touched."""
    first, server, link = lab.pair("first", "server")
    second = lab.namespace("second")
    where = f"{link.addresses[1]}:8001"
    server.start("backend", "backend", "serve", where)
    first.start("sender", "uploader", 8, 32768, 20, where)
    first.sysctl(KEEPALIVE, 7201)
    tune = Tuner(tmp_path, first, second)
    was = [tune.values(host) for host in tune.hosts]

    def spoil() -> None:
        wait_until(lambda: first.sysctl(KEEPALIVE) == "600", "the setting", 60)
        server.filter("input", "tcp dport 8001 numgen random mod 100 < 40 drop")

    spoiler = threading.Thread(target=spoil)
    spoiler.start()
    run = tune("tune", **OWN)
    spoiler.join()
    assert run.returncode != 0
    assert "The host got worse and its former settings are back: retransmitted share of segments" in run.words
    assert "Traceback" not in run.text
    assert [tune.values(host) for host in tune.hosts] == was
    counts = run.counts()
    assert counts["first"]["failed"] == 1
    assert "second" not in counts and not tune.state(second).exists()
    assert [journal["state"] for journal in tune.journals(first)] == ["undone"]
    wait_until(lambda: not alive(tune.journals(first)[0]["timer"]["pid"]), "the timer has ended")


def test_a_lost_controller(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Killed after the settings were applied: the host undoes them by itself."""
    host = lab.namespace("lost")
    tune = Tuner(tmp_path, host)
    was = tune.values()
    controller = tune.start("tune", **OWN, tune_confirm_timeout=3, tune_interval=1)
    try:
        wait_until(lambda: host.sysctl(KEEPALIVE) == "600", "the setting", 60)
    finally:
        os.killpg(controller.pid, signal.SIGKILL)
        controller.communicate()
    wait_until(lambda: host.sysctl(KEEPALIVE) == was[KEEPALIVE], "the timer has undone it", 30)
    assert tune.values() == was
    (journal,) = tune.journals()
    wait_until(lambda: not alive(journal["timer"]["pid"]), "the timer has ended")
    (journal,) = tune.journals()
    assert journal["state"] == "undone"
    assert tune("rollback").changed() == 0


def test_a_confirmed_change_stays(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Its timer is gone, and one that could not be stopped would do nothing."""
    host = lab.namespace("kept")
    tune = Tuner(tmp_path, host)
    was = tune.values()
    run = tune.tuned(**OWN, tune_confirm_timeout=600)
    assert run.changed() and host.sysctl(KEEPALIVE) == "600"
    (journal,) = tune.journals()
    assert journal["state"] == "confirmed"
    wait_until(lambda: not alive(journal["timer"]["pid"]), "the timer has ended")
    state = str(tune.state())
    subprocess.run([sys.executable, "-I", f"{state}/undo.py", state, journal["id"]], check=True, timeout=30)
    assert host.sysctl(KEEPALIVE) == "600"
    assert tune.tuned(**OWN).changed() == 0
    assert tune("rollback").changed() == 1
    assert tune.values() == was


@pytest.mark.parametrize(
    ("script", "mount", "says", "ahead"),
    [
        (READ_ONLY, "/proc/sys", f"{KEEPALIVE}: cannot be written: Read-only file system", True),
        (READ_ONLY, "", "state_dir {} cannot be written", True),
        (FULL, "", "the journal cannot be written, so nothing was changed: No space left on device", False),
    ],
    ids=["read-only sysctls", "read-only state", "full state"],
)
def test_what_cannot_be_written(
    lab: Lab, tmp_path: pathlib.Path, script: str, mount: str, says: str, ahead: bool
) -> None:
    """One sentence, and nothing is changed; check mode says the same where it can know."""
    host = lab.namespace("barred")
    tune = Tuner(tmp_path, host)
    was = tune.values()
    tune.state().mkdir(mode=0o700)
    tune.within = ("unshare", "--mount", "sh", "-c", script, mount or str(tune.state()))
    for arguments in (["--check"], []) if ahead else ([],):
        run = tune("tune", *arguments, **OWN)
        assert run.returncode != 0
        assert says.format(tune.state()) in run.words, run.text
        assert "Traceback" not in run.text
        assert tune.values() == was
    assert not tune.journals()


def test_a_host_of_its_own(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Without tune_netns the drop-in is written once the change is confirmed, and rollback takes it away."""
    host = lab.namespace("itself")
    tune = Tuner(tmp_path, host)
    tune.within = ("ip", "netns", "exec", host.name)
    was, file = tune.values(), tmp_path / "sysctl.d" / "90-lab.conf"
    where = {"tune_netns": "", "tune_file": str(file)}
    assert tune.tuned(**OWN, **where).changed()
    assert host.sysctl(KEEPALIVE) == "600" and f"{KEEPALIVE} = 600" in file.read_text()
    assert tune.tuned(**OWN, **where).changed() == 0
    assert tune("rollback", rollback_netns="", rollback_file=str(file)).changed() == 1
    assert tune.values() == was and not file.exists()


def test_no_room_for_the_drop_in(lab: Lab, tmp_path: pathlib.Path) -> None:
    """What cannot be made to last is not confirmed but undone."""
    host, directory = lab.namespace("itself"), tmp_path / "sysctl.d"
    tune = Tuner(tmp_path, host)
    directory.mkdir()
    tune.within = ("ip", "netns", "exec", host.name, "sh", "-c", FULL, str(directory))
    was = tune.values()
    run = tune("tune", **OWN, tune_netns="", tune_file=str(directory / "90-lab.conf"))
    assert run.returncode != 0
    assert "90-lab.conf cannot be written: No space left on device; everything is undone" in run.words
    assert tune.values() == was
    assert [journal["state"] for journal in tune.journals()] == ["undone"]


def backlog(lab: Lab) -> Namespace:
    """A listener whose own backlog is full, far below somaxconn."""
    client, server, link = lab.pair()
    server.start("listener", "modest", f"{link.addresses[1]}:8001", 8)
    client.start("client", "crowd", "hold", 9, f"{link.addresses[1]}:8001")
    wait_until(lambda: server.ss("-tl sport = :8001")[0].split()[1] == "9", "a full accept queue")
    return server


def leak(lab: Lab) -> Namespace:
    """A program that does not close what its peer has closed."""
    client, server, link = lab.pair()
    server.start("backend", "leaver", "leave", f"{link.addresses[1]}:8001")
    client.start("client", "leaker", "hold", 80, f"{link.addresses[1]}:8001")
    wait_until(lambda: len(client.ss("-t state close-wait")) == 80, "the peer has closed")
    return client


def idle(lab: Lab) -> Namespace:
    return lab.namespace("idle")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (backlog, ["asked for 8 in listen(), or has to be restarted", "whose: "]),
        (leak, ["no setting cures tcp.close_wait_leak", "leaker"]),
        (idle, ["idle: nothing to change"]),
    ],
)
def test_what_no_setting_cures(lab: Lab, tmp_path: pathlib.Path, fault: Any, says: list[str]) -> None:
    """The reason is given, the same in check mode, and nothing is changed."""
    host = fault(lab)
    tune = Tuner(tmp_path, host)
    was = tune.values()
    looked, done = tune.tuned("--check"), tune.tuned()
    for run in (looked, done):
        assert all(text in run.words for text in says), run.text
        assert run.changed() == 0
    assert looked.plan() == done.plan()
    assert tune.values() == was
    assert not tune.state().exists()
