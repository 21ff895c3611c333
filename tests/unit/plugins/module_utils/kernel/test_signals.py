# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that is asked to end undoes everything before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.signals import ended_by_signals, undisturbed

_PROGRAM = """
import os, signal, sys
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.signals import ended_by_signals
number = int(sys.argv[1])
# As Python has it, whatever the test run's own parent ignores: a shell's background jobs ignore SIGINT.
usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
signal.signal(number, signal.SIG_IGN if sys.argv[2] == "ignored" else usual)
with ended_by_signals():
    try:
        os.kill(os.getpid(), number)
        print("went on", flush=True)
    finally:
        if sys.argv[2] == "usual":
            os.kill(os.getpid(), signal.SIGTERM)  # impatience
        print("undone", flush=True)
print("after")
"""


def _run(number: int, before: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(int(number)), before],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_all_is_undone_and_then_it_ends_by_the_signal(number: int) -> None:
    done = _run(number, "usual")
    assert done.stdout == "undone\n" and done.returncode == -number and "Traceback" not in done.stderr


def test_what_was_ignored_stays_ignored() -> None:
    done = _run(signal.SIGHUP, "ignored")
    assert done.stdout == "went on\nundone\nafter\n" and done.returncode == 0


def test_handlers_are_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with ended_by_signals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_waits_for_the_end_of_the_block() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, __: came.append(number))
    try:
        with undisturbed():
            os.kill(os.getpid(), signal.SIGHUP)
            assert came == []
        assert came == [signal.SIGHUP]
    finally:
        signal.signal(signal.SIGHUP, before)
