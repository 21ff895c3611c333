# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The long line of the lab does what it is told, by ping and by the bytes that arrive."""

from __future__ import annotations

import re

import pytest

from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, Namespace, wait_until


def _ping(namespace: Namespace, address: str, count: int) -> tuple[float, float]:
    """The share of echo requests without an answer, and the shortest round trip in milliseconds."""
    report = namespace.run("ping", "-q", "-n", "-i", "0.002", "-W", "1", "-c", str(count), address)
    sent, received = map(int, re.findall(r"(\d+) packets transmitted, (\d+) received", report)[0])
    return 1 - received / sent, float(re.findall(r"= ([\d.]+)/", report)[0])


def test_delay_both_ways_and_in_both_families(lab: Lab) -> None:
    near, far = lab.namespace("near"), lab.namespace("far")
    link = lab.line(near, far, 20)
    for address in (link.addresses[1], link.addresses6[1]):
        lost, best_ms = _ping(near, address, 20)
        assert lost == 0 and 40 <= best_ms < 60


def test_loss(lab: Lab) -> None:
    near, far = lab.namespace("near"), lab.namespace("far")
    link = lab.line(near, far, 1, loss=0.1)
    lost, __ = _ping(near, link.addresses[1], 500)
    assert lost == pytest.approx(1 - 0.9**2, abs=0.08)


def test_rate(lab: Lab) -> None:
    """What a sender offers without pause arrives at the rate of the line."""
    near, far = lab.namespace("near"), lab.namespace("far")
    link = lab.line(near, far, 5, rate_mbps=20, queue_ms=50)
    far.start("backend", "sink", "serve", f"{link.addresses[1]}:9")
    near.start("sender", "source", 1, 1 << 20, 1, f"{link.addresses[1]}:9")

    def received() -> tuple[int, int]:
        text = far.run("cat", f"/sys/class/net/{link.interfaces[1]}/statistics/rx_bytes")
        return int(text), int(far.run("date", "+%s%N"))

    wait_until(lambda: received()[0] > 1_000_000, "a megabyte has arrived")
    before, began = received()
    wait_until(lambda: received()[0] > before + 4_000_000, "four more have")
    after, ended = received()
    assert (after - before) * 8 / ((ended - began) / 1e9) / 1e6 == pytest.approx(20, rel=0.25)
