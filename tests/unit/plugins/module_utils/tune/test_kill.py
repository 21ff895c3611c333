# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is killed, or meets a full disk, at every single step."""

from __future__ import annotations

import errno
import os
from typing import Any, Callable

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.tune import journal as journals
from ansible_collections.nettriage.linux.plugins.module_utils.tune import undo
from ansible_collections.nettriage.linux.plugins.module_utils.tune.run import Refused
from ansible_collections.nettriage.linux.tests.unit.plugins.module_utils.tune.killing import AT_MOST, killed, steps

SETTINGS: dict[str, Any] = {
    "net.core.somaxconn": 8192,
    "net.ipv4.tcp_rmem": [4096, 131072, 16777216],
    "net.ipv4.ip_local_reserved_ports": "8080",
}


def _forget_undone(tree: Any) -> None:
    for path in tree.journals():
        if '"state": "undone"' in path.read_text():
            path.unlink()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill loses nothing that was written: no test here has to wait for a disk, nor for a long history."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(journals, "KEPT", 3)


@pytest.fixture(params=["no file", "a file", "no directory"])
def original(request: pytest.FixtureRequest, tree: Any) -> Any:
    if request.param == "a file":
        tree.file.write_text("# mine\nnet.ipv4.tcp_tw_reuse = 1\nnet.core.somaxconn = 5\n")
        tree.file.chmod(0o640)
    elif request.param == "no directory":
        tree.file.parent.rmdir()
    return tree.shown()


@pytest.mark.parametrize("recovery", ["rolled_back", "present"])
def test_killed_anywhere_everything_comes_back(tree: Any, original: Any, recovery: str) -> None:
    for count, (step, after) in enumerate(steps()):
        dead = killed(step, after, lambda: tree.run(SETTINGS))
        if not dead:
            assert count >= 40
            break
        if recovery == "present":
            tree.run(SETTINGS)
            assert tree.get("net.core.somaxconn") == "8192\n"
            assert not tree.run(SETTINGS)["changed"]
        tree.run(state="rolled_back")
        assert tree.shown() == original, (step, after)
        _forget_undone(tree)
        assert not tree.run(state="rolled_back")["changed"]
    else:
        raise AssertionError("never finished")


def test_killed_in_a_rollback_which_is_repeated(tree: Any, original: Any) -> None:
    for count, (step, after) in enumerate(steps()):
        tree.run(SETTINGS)
        dead = killed(step, after, lambda: tree.run(state="rolled_back"))
        if not dead:
            assert count >= 20
            break
        tree.run(state="rolled_back")
        assert tree.shown() == original, (step, after)
        _forget_undone(tree)
    else:
        raise AssertionError("never finished")


def test_killed_in_an_undo_by_the_next_run(tree: Any, original: Any) -> None:
    """A run is killed half-way, the run that undoes it is killed too, and the third one puts it right."""
    for step, after in steps():
        killed(12, True, lambda: tree.run(SETTINGS))
        dead = killed(step, after, lambda: tree.run({"net.ipv4.tcp_tw_reuse": 1}))
        tree.run(state="rolled_back")
        assert tree.shown() == original, (step, after)
        _forget_undone(tree)
        if not dead:
            break
    else:
        raise AssertionError("never finished")


@pytest.mark.parametrize("recovery", ["rolled_back", "confirmed"])
def test_killed_in_a_confirmation(tree: Any, original: Any, recovery: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ansible_collections.nettriage.linux.plugins.module_utils.tune.timer.arm", lambda *_: {"kind": "none"}
    )
    monkeypatch.setattr("ansible_collections.nettriage.linux.plugins.module_utils.tune.timer.disarm", lambda *_: None)
    for step, after in steps():
        tree.run(SETTINGS, confirm_timeout=600)
        dead = killed(step, after, lambda: tree.run(state="confirmed"))
        if recovery == "confirmed":
            try:
                tree.run(state="confirmed")
            except Refused as error:
                assert "instead of confirmed" in str(error)
                assert tree.shown() == original, (step, after)
            else:
                assert tree.get("net.core.somaxconn") == "8192\n"
                assert "net.core.somaxconn = 8192\n" in tree.file.read_text()
        tree.run(state="rolled_back")
        assert tree.shown() == original, (step, after)
        _forget_undone(tree)
        if not dead:
            break
    else:
        raise AssertionError("never finished")


def _full_disk(tree: Any, step: int, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """From the *step*-th call on, nothing more fits on the disk; the kernel's values are not on it."""
    seen = 0

    def wrap(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(where: Any, *args: Any, **options: Any) -> Any:
            nonlocal seen
            path = os.readlink(f"/proc/self/fd/{where}") if isinstance(where, int) else str(where)
            if not path.startswith(str(tree.proc)):
                seen += 1
                if seen >= step:
                    raise OSError(code, os.strerror(code))
            return call(where, *args, **options)

        return wrapped

    for name in ("write", "pwrite", "fsync", "mkdir", "link"):
        monkeypatch.setattr(os, name, wrap(getattr(os, name)))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_disk_that_gets_full_and_stays_so(tree: Any, original: Any, code: int) -> None:
    tree.state.mkdir(mode=0o700)
    for step in range(1, AT_MOST):
        with pytest.MonkeyPatch.context() as patch:
            _full_disk(tree, step, patch, code)
            try:
                tree.run(SETTINGS)
                done = True
            except Refused as error:
                done = False
                assert os.strerror(code) in str(error)
                assert "everything is undone" in str(error) or "nothing was changed" in str(error), str(error)
        if done:
            assert step > 10
            break
        assert tree.shown() == original, step
        assert not tree.run(state="rolled_back")["settings"]
        assert tree.shown() == original, step
    else:
        raise AssertionError("never finished")


def test_the_program_that_undoes_imports_nothing_of_the_collection() -> None:
    source = undo.__spec__.loader.get_source(undo.__name__)  # type: ignore[union-attr]
    assert source is not None
    assert "ansible" not in "".join(line for line in source.splitlines() if "import" in line)
