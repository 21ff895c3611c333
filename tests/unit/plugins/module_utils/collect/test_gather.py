# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.collect import gather as gathering
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Facts, Window, gather
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host


class Counting:
    """A subset whose sample counts how often it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def sample(self, host: Host) -> int:
        self.asked += 1
        return self.asked

    def facts(self, host: Host, before: Any | None, now: Any, window: Window) -> Facts:
        return {"available": True, "before": before, "now": now, "seconds": window.seconds, "top": window.top}


class Failing(Counting):
    def __init__(self, error: Exception, at: int) -> None:
        super().__init__()
        self.error, self.at = error, at

    def sample(self, host: Host) -> int:
        number = super().sample(host)
        if number == self.at:
            raise self.error
        return number


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]

    class Time:
        @staticmethod
        def monotonic() -> float:
            return now[0]

        @staticmethod
        def sleep(seconds: float) -> None:
            now[0] += seconds

    monkeypatch.setattr(gathering, "time", Time)
    return now


def test_one_sample_without_an_interval(clock: list[float]) -> None:
    facts = gather(Host(), {"a": Counting()}, 0, 7)
    assert facts == {"a": {"available": True, "before": None, "now": 1, "seconds": None, "top": 7}}
    assert clock == [100.0]


def test_two_samples_and_the_measured_time_between_them(clock: list[float]) -> None:
    facts = gather(Host(), {"a": Counting()}, 1.5, 10)
    assert facts["a"] == {"available": True, "before": 1, "now": 2, "seconds": 1.5, "top": 10}


@pytest.mark.parametrize(
    "error", [Unavailable("no such family"), PermissionError(13, "no"), ValueError("torn"), KeyError("x")]
)
def test_one_subset_that_cannot_be_had_does_not_cost_the_others(clock: list[float], error: Exception) -> None:
    facts = gather(Host(), {"bad": Failing(error, 1), "good": Counting()}, 0, 10)
    assert facts["good"]["available"] is True
    assert facts["bad"]["available"] is False
    assert facts["bad"]["why"]


def test_a_failed_first_sample_leaves_no_delta(clock: list[float]) -> None:
    facts = gather(Host(), {"late": Failing(Unavailable("not yet"), 1)}, 1, 10)
    assert facts["late"] == {"available": True, "before": None, "now": 2, "seconds": None, "top": 10}


def test_a_failed_second_sample_is_unavailable(clock: list[float]) -> None:
    facts = gather(Host(), {"gone": Failing(Unavailable("the namespace went away"), 2)}, 1, 10)
    assert facts["gone"] == {"available": False, "why": "the namespace went away", "limited": []}
