# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs in processes of their own: whatever becomes of one, the others have their time, and nothing is left."""

from __future__ import annotations

import os
import select
import time
from typing import Any, Callable

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.probe import children
from ansible_collections.nettriage.linux.plugins.module_utils.probe.children import Children
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline


def _raising(error: Exception) -> Callable[[], dict[str, Any]]:
    def work() -> dict[str, Any]:
        raise error

    return work


def _stuck() -> dict[str, Any]:
    select.select([], [], [])
    return {}


def _killed() -> dict[str, Any]:
    os._exit(9)


def test_each_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_GRACE_S", 0.2)
    before, started = set(os.listdir("/proc/self/fd")), time.monotonic()
    answers = Children(
        [
            lambda: {"http": {"available": True, "text": "x" * 200_000}},
            _raising(Unavailable("there is no resolver")),
            _raising(ZeroDivisionError("by zero")),
            _stuck,
            _killed,
        ],
        Deadline(0.8),
    ).answers()
    assert len(answers[0]["http"]["text"]) == 200_000
    assert answers[1] == {"why": "there is no resolver"}
    assert "a defect of the collection" in answers[2]["why"]
    assert answers[3] == answers[4] == {"why": "the probe did not end in time"}
    assert time.monotonic() - started < 5
    assert set(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_wrong_option_ends_all_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(BadOption, match=r"^urls: 'x' is not accepted; give a URL$"):
        Children([_stuck, _raising(BadOption("urls", "x", "a URL"))], Deadline(30)).answers()
    assert time.monotonic() - started < 15
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
