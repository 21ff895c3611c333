# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is lost where, and where time goes, from what the hops answered."""

from __future__ import annotations

import statistics
from typing import Any, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.probe import path_report
from ansible_collections.nettriage.linux.plugins.module_utils.probe.error_queue import Sender
from ansible_collections.nettriage.linux.plugins.module_utils.probe.path_trace import Hop, Trace

# A hop of a test: the share of 100 probes that is answered, the round-trip time.
Given = Tuple[float, float]


def _trace(*hops: Given, reached: bool = True) -> Trace:
    trace = Trace(Sender(), 1.0, 30, 64)
    for number, (share, rtt_ms) in enumerate(hops, 1):
        hop = trace.hops[number] = Hop()
        hop.sent = hop.turns = 100
        answered = round(share * 100)
        # Lost at random, so to say: never the first few answered and then every other one.
        hop.answered = set(range(100 - answered, 100))
        hop.rtts_ms = [rtt_ms] * answered
        if answered:
            hop.addresses = {f"192.0.2.{number}": answered}
    if reached:
        trace.end = len(hops)
    return trace


def _found(*hops: Given, reached: bool = True) -> list[dict[str, Any]]:
    return path_report.rows(_trace(*hops, reached=reached))


def _loss_from(*hops: Given) -> int | None:
    row = path_report.loss_from(_found(*hops))
    return None if row is None else row["hop"]


def _latency_from(*hops: Given) -> tuple[int, float] | None:
    found = path_report.latency_from(_found(*hops))
    return None if found is None else (found[0]["hop"], found[1])


@pytest.mark.parametrize(
    ("hops", "wanted"),
    [
        ([(1, 1), (1, 2), (1, 3)], None),
        ([(1, 1), (0.9, 2), (0.9, 3)], 2),
        ([(1, 1), (1, 2), (0.9, 3)], 3),
        ([(0.9, 1), (0.9, 2), (0.9, 3)], 1),
        ([(1, 1), (0, 2), (1, 3)], None),  # filters probes
        ([(1, 1), (0.4, 2), (1, 3)], None),  # sends few ICMP errors
        ([(1, 1), (0, 2), (0.9, 3)], 3),
        ([(1, 1), (0, 2), (0.9, 3), (0.92, 4)], 3),
        ([(1, 1), (0.3, 2), (0.9, 3), (0.9, 4)], 3),
        ([(1, 1), (0.95, 2), (1, 3), (0.9, 4)], 4),  # what a later hop has in full was not lost before
        ([(1, 1), (0.88, 2), (0.93, 3), (0.9, 4)], 2),  # few probes tell shares only roughly
        ([], None),
    ],
)
def test_where_loss_begins_and_stays(hops: list[Given], wanted: int | None) -> None:
    assert _loss_from(*hops) == wanted


def test_middle_hops_are_excused() -> None:
    filtering, limited, honest, last = _found((0, 0), (0.4, 1), (0.9, 2), (0.9, 3))
    assert filtering["filters_probes"] and not filtering["rate_limited"]
    assert limited["rate_limited"] and not limited["filters_probes"]
    for row in (honest, last):
        assert not row["filters_probes"] and not row["rate_limited"]


def test_a_hop_behind_which_nothing_answers_is_not_excused() -> None:
    rows = _found((1, 1), (0.5, 2), (0, 0), reached=False)
    assert [row["hop"] for row in rows] == [1, 2]
    assert not rows[1]["filters_probes"] and not rows[1]["rate_limited"]


def test_a_router_that_rations_its_errors_is_seen_though_the_target_loses_as_much() -> None:
    trace = _trace((1, 1), (0.4, 2))
    rationed = trace.hops[1]
    rationed.answered = {0, 1, 2, 3, 4, 5, 8, 11, 14, 17}
    rationed.turns = rationed.sent = 20
    rationed.rtts_ms = [1.0] * 10
    rows = path_report.rows(trace)
    assert rows[0]["rate_limited"]
    begins = path_report.loss_from(rows)
    assert begins is not None and begins["hop"] == 2


@pytest.mark.parametrize(
    ("hops", "wanted"),
    [
        ([(1, 0.1), (1, 0.2), (1, 40.0)], (3, 39.8)),
        ([(1, 0.1), (1, 40.0), (1, 41.0)], (2, 39.9)),
        ([(1, 0.1), (1, 90.0), (1, 0.3)], None),  # slow to answer, quick to forward
        ([(1, 0.1), (1, 90.0), (1, 41.0), (1, 41.5)], (2, 40.9)),
        ([(1, 10.0), (1, 20.0), (1, 30.0)], None),  # no single hop
        ([(1, 0.1), (1, 0.2), (1, 1.5)], None),  # too little to matter
        ([(0, 0), (1, 40.0)], (2, 40.0)),
        ([(0, 0)], None),
    ],
)
def test_where_time_goes(hops: list[Given], wanted: tuple[int, float] | None) -> None:
    assert _latency_from(*hops) == wanted


@given(st.lists(st.floats(0.01, 5000), min_size=2, max_size=50))
def test_figures_agree_with_the_standard_library(rtts: list[float]) -> None:
    found = path_report.figures(rtts)
    assert found["best"] == round(min(rtts), 3) and found["worst"] == round(max(rtts), 3)
    assert found["avg"] == pytest.approx(statistics.fmean(rtts), abs=0.001)
    assert found["median"] == pytest.approx(statistics.median(rtts), abs=0.001)
    assert found["stddev"] == pytest.approx(statistics.stdev(rtts), abs=0.01)


def test_figures_of_little() -> None:
    assert set(path_report.figures([]).values()) == {None}
    assert path_report.figures([2.0])["stddev"] == path_report.figures([2.0])["jitter"] == 0
    assert path_report.figures([1.0, 3.0, 2.0])["jitter"] == 1.5
