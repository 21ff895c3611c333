# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The search for a size, against paths that are made up."""

from __future__ import annotations

import random
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.probe.pmtu_search import Search, TimeUp, TooBig

_LOW = 32
_ROUTER = "192.0.2.1"


class Path:
    """A path of links: (mtu, whether the router before it says so, whether it names the size)."""

    def __init__(self, *links: tuple[int, bool, bool], chance: float = 0.0) -> None:
        self.links = links
        self.tried: list[int] = []
        self.chance = chance
        self.dice = random.Random(7)

    def __call__(self, size: int, sure: bool) -> Literal[True] | TooBig | None:
        self.tried.append(size)
        if not sure and self.dice.random() < self.chance:
            return None
        for mtu, says, names in self.links:
            if size > mtu:
                return TooBig(mtu if names else 0, _ROUTER) if says else None
        return True


def _search(path: Path, high: int) -> Search:
    search = Search(path, _LOW, high)
    search.run()
    return search


def test_a_clean_path_takes_one_probe() -> None:
    path = Path((1500, True, True))
    search = _search(path, 1500)
    assert (search.good, path.tried, search.vanished, search.told) == (1500, [1500], None, None)


def test_what_routers_say_is_tried_at_once() -> None:
    path = Path((1400, True, True), (1350, True, True))
    search = _search(path, 1500)
    assert search.good == 1350 and path.tried == [1500, 1400, 1350]
    assert search.told == TooBig(1350, _ROUTER) and search.vanished is None


@given(mtu=st.integers(68, 9000), high=st.integers(576, 9000))
def test_a_black_hole_is_found_to_the_byte(mtu: int, high: int) -> None:
    path = Path((mtu, False, False))
    search = _search(path, high)
    assert search.good == min(mtu, high)
    assert search.vanished == (None if mtu >= high else mtu + 1)
    assert len(path.tried) <= 22  # the usual sizes, then 13 halvings, then the one that decides again
    if mtu < high:
        assert path.tried.count(mtu + 1) >= 2 or mtu + 1 == high  # the size that decides is asked for again


@given(mtu=st.integers(68, 8999))
def test_an_old_router_that_names_no_size(mtu: int) -> None:
    search = _search(Path((mtu, True, False)), 9000)
    assert search.good == mtu and search.told == TooBig(0, _ROUTER) and search.vanished is None


@given(told=st.integers(600, 1499), hole=st.integers(100, 1499))
def test_a_black_hole_behind_a_router_that_does_say_so(told: int, hole: int) -> None:
    search = _search(Path((told, True, True), (hole, False, False)), 1500)
    assert search.good == min(told, hole)
    assert (search.vanished is not None) == (hole < told)


def test_a_router_that_lies_about_the_size() -> None:
    """It says 1500 about packets of 1500 bytes: that is no news, and the search goes on without it."""

    def arrives(size: int, sure: bool) -> Literal[True] | TooBig | None:
        return True if size <= 1400 else TooBig(1500, _ROUTER)

    search = Search(arrives, _LOW, 1500)
    search.run()
    assert search.good == 1400


@pytest.mark.parametrize("mtu", [1280, 1399, 1400, 1473, 1500])
def test_what_was_lost_by_chance_is_found_out(mtu: int) -> None:
    search = _search(Path((mtu, False, False), chance=0.4), 1500)
    assert search.good == mtu


def test_time_that_is_up_leaves_what_is_known() -> None:
    path = Path((1400, False, False))

    def arrives(size: int, sure: bool) -> Literal[True] | TooBig | None:
        if len(path.tried) == 3:
            raise TimeUp
        return path(size, sure)

    search = Search(arrives, _LOW, 1500)
    with pytest.raises(TimeUp):
        search.run()
    assert search.vanished == 1500 and _LOW <= search.good <= 1400
