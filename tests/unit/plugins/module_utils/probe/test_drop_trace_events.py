# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of trace events: recorded ones, those of older kernels, and damaged ones."""

from __future__ import annotations

import contextlib
import json
import pathlib
import socket
import struct
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import ring_buffer
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.trace_format import (
    Format,
    PageFormat,
    parse_format,
    parse_page_format,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe import drop_trace_events as events
from ansible_collections.nettriage.linux.plugins.module_utils.probe.drop_trace_events import (
    Connections,
    Drops,
    Flow,
    Resets,
    Retransmits,
    Subscribe,
    Table,
    Taker,
)

FIXTURES = pathlib.Path(__file__).parents[3] / "fixtures"
LOOPBACK, LOOPBACK6 = b"\x7f\0\0\1", bytes(15) + b"\1"
pytestmark = pytest.mark.skipif(sys.byteorder == "big", reason="records are as the machine's own words are")


def form_of(kernel: str, event: str) -> Format:
    return parse_format((FIXTURES / kernel / "tracing" / "events" / event / "format").read_text())


def subscriber(kernel: str, takers: dict[int, Taker], conditions: dict[str, str | None]) -> Subscribe:
    """As if this kernel ran."""

    def subscribe(event: str, condition: str | None, taker: Any) -> None:
        form = form_of(kernel, event)
        conditions[event] = condition
        takers[form.id] = taker(form)

    return subscribe


def takers_of(kernel: str, *topics: Any) -> dict[int, Taker]:
    takers: dict[int, Taker] = {}
    for topic in topics:
        topic.subscribe(subscriber(kernel, takers, {}))
    return takers


def recorded() -> tuple[PageFormat, list[bytes], int]:
    """The pages, and the process that was recorded."""
    page_form = parse_page_format((FIXTURES / "6.18" / "tracing" / "events" / "header_page").read_text())
    found = json.loads((FIXTURES / "6.18" / "tracing" / "pages.json").read_text())
    return page_form, [bytes.fromhex(text) for text in found["pages"]], found["pid"]


def record(form: Format, **values: Any) -> bytes:
    """One record with these fields: integers, or the bytes of an array."""
    data = bytearray(max(field.offset + field.size for field in form.fields.values()))
    for name, value in {"common_type": form.id, **values}.items():
        field = form.fields[name]
        raw = value if isinstance(value, bytes) else value.to_bytes(field.size, "little", signed=field.signed)
        data[field.offset : field.offset + len(raw)] = raw
    return bytes(data)


def addresses(local: str, local_port: int, remote: str, remote_port: int) -> dict[str, Any]:
    """The fields of both ends as the kernel fills them: IPv4 also stands mapped in those for IPv6."""
    fields: dict[str, Any] = {"sport": local_port, "dport": remote_port}
    for name, text in (("saddr", local), ("daddr", remote)):
        if ":" in text:
            fields[f"{name}_v6"] = socket.inet_pton(socket.AF_INET6, text)
        else:
            fields[name] = socket.inet_aton(text)
            fields[f"{name}_v6"] = bytes(10) + b"\xff\xff" + socket.inet_aton(text)
    return fields


def test_a_recorded_scene() -> None:
    seen: list[int] = []
    drops, resets, connections = Drops(), Resets(), Connections(seen.append)
    takers = takers_of("6.18", drops, resets, connections)
    page_form, pages, pid = recorded()
    for page in pages:
        for start in ring_buffer.records(page, page_form):
            takers[int.from_bytes(page[start : start + 2], "little")](page, start)
    by_protocol: dict[tuple[str, str | None], int] = {}
    for (__, protocol, reason), count in drops.table.counts.items():
        by_protocol[drops.protocol(protocol), drops.reason(reason)] = count
    assert by_protocol == {("ipv4", "NO_SOCKET"): 1, ("ipv6", "NO_SOCKET"): 3}
    assert connections.outbound.counts == {(pid, LOOPBACK, 4242): 1, (pid, LOOPBACK, 4243): 1}
    assert connections.failed.counts == {(pid, LOOPBACK, 4243): 1}
    assert connections.inbound.counts == {(LOOPBACK, 4242): 1}
    assert seen == [pid, pid]
    (sent,), (received,) = resets.sent.counts, resets.received.counts
    assert sent == Flow(LOOPBACK, 4243, LOOPBACK, received.local_port) and received.remote_port == 4243
    assert resets.reasons.counts == {"NO_SOCKET": 1}


@pytest.mark.parametrize(
    ("kernel", "number", "reason"),
    [
        ("5.10", None, None),
        ("5.17", 1, "NO_SOCKET"),
        ("6.1", 7, "NETFILTER_DROP"),
        ("6.18", 12, "NETFILTER_DROP"),
        ("6.18", 4000, "REASON_4000"),
        ("6.18", 3 << 16 | 5, "SUBSYSTEM_3_5"),
    ],
)
def test_drops_of_several_kernels(kernel: str, number: int | None, reason: str | None) -> None:
    drops, form = Drops(), form_of(kernel, events.KFREE_SKB)
    take = next(iter(takers_of(kernel, drops).values()))
    given_reason = {} if number is None else {"reason": number}
    data = record(form, location=0xFFFFFFFF81001010, protocol=0x0806, **given_reason)
    take(b"\0" * 20 + data, 20)
    assert drops.table.counts == {(0xFFFFFFFF81001010, 0x0806, number): 1}
    assert drops.has_reason is (number is not None) and drops.reason(number) == reason
    assert [drops.protocol(each) for each in (0x0806, 0x88CC)] == ["arp", "0x88cc"]


def test_a_run_counts_as_its_records_do() -> None:
    form = form_of("6.18", events.KFREE_SKB)
    one = record(form, location=1, protocol=0x0800, reason=3)
    other = record(form, location=2, protocol=0x86DD, reason=12)
    page = b"\0" * 16 + b"".join(struct.pack("<I", 10 | n << 5) + each for n, each in enumerate([one, other, one]))
    single, whole = Drops(), Drops()
    take = next(iter(takers_of("6.18", single).values()))
    takers_of("6.18", whole)
    for start in range(20, len(page), 44):
        take(page, start)
    whole.take_run(page, ring_buffer.Run(16, len(page), 44))
    assert single.table.counts == whole.table.counts == {(1, 0x0800, 3): 2, (2, 0x86DD, 12): 1}
    assert whole.table.total == 3
    with pytest.raises(struct.error):
        whole.take_run(page, ring_buffer.Run(16, 16 + 24, 24))


@pytest.mark.parametrize("kernel", ["5.10", "6.1", "6.18"])
def test_retransmits_of_several_kernels(kernel: str) -> None:
    found = Retransmits()
    takers = takers_of(kernel, found)
    data = form_of(kernel, events.RETRANSMIT)
    answer = form_of(kernel, events.RETRANSMIT_SYNACK)
    ends = addresses("10.0.0.1", 40000, "10.0.0.2", 443)
    ends6 = addresses("2001:db8::1", 22, "2001:db8::2", 50000)
    takers[data.id](record(data, state=1, **ends), 0)
    takers[data.id](record(data, state=12, **ends6), 0)
    takers[data.id](record(data, state=99, **ends6), 0)
    takers[answer.id](record(answer, **ends6), 0)
    flow = Flow(socket.inet_aton("10.0.0.1"), 40000, socket.inet_aton("10.0.0.2"), 443)
    flow6 = Flow(
        socket.inet_pton(socket.AF_INET6, "2001:db8::1"), 22, socket.inet_pton(socket.AF_INET6, "2001:db8::2"), 50000
    )
    assert found.table.counts == {(flow, "established"): 1, (flow6, "syn_recv"): 2, (flow6, None): 1}


@pytest.mark.parametrize("kernel", ["5.10", "6.1"])
def test_resets_before_they_had_a_reason(kernel: str) -> None:
    found = Resets()
    takers = takers_of(kernel, found)
    form = form_of(kernel, events.SEND_RESET)
    takers[form.id](record(form, state=1, **addresses("10.0.0.1", 80, "10.0.0.2", 40000)), 0)
    assert [flow.remote_port for flow in found.sent.counts] == [40000] and found.reasons.total == 0


def test_resets_in_ipv6() -> None:
    found = Resets()
    form = form_of("6.18", events.SEND_RESET)
    take = takers_of("6.18", found)[form.id]
    local = struct.pack("<H", socket.AF_INET6) + struct.pack("!HI", 80, 0) + LOOPBACK6
    mapped = struct.pack("<H", socket.AF_INET6) + struct.pack("!HI", 81, 0) + bytes(10) + b"\xff\xff" + LOOPBACK
    take(record(form, reason=77, saddr=local, daddr=mapped), 0)
    assert list(found.sent.counts) == [Flow(LOOPBACK6, 80, LOOPBACK, 81)]
    assert found.reasons.counts == {"REASON_77": 1}


def test_only_what_began_in_the_trace_can_fail_in_it() -> None:
    found = Connections(lambda __: None)
    form = form_of("6.18", events.SET_STATE)
    take = next(iter(takers_of("6.18", found).values()))
    ends = addresses("10.0.0.1", 40000, "10.0.0.2", 443)

    def change(socket_: int, old: int, new: int) -> None:
        take(record(form, common_pid=7, skaddr=socket_, oldstate=old, newstate=new, **ends), 0)

    change(1, 2, 7)  # had begun before
    change(2, 7, 2)
    change(2, 2, 1)  # established
    change(3, 7, 2)
    change(3, 2, 7)  # refused
    change(3, 2, 7)
    change(4, 3, 1)  # accepted
    assert (found.outbound.total, found.failed.total, found.inbound.total) == (2, 1, 1)


def test_tables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_KEYS", 2)
    table: Table[int] = Table()
    for key in (1, 2, 3, 1):
        table.add(key)
    table.add(4, 5)
    assert table.counts == {1: 2, 2: 1} and (table.total, table.cut) == (9, 6)


def test_what_an_old_kernel_lacks_is_named() -> None:
    def subscribe(event: str, condition: str | None, taker: Any) -> None:
        taker(Format(1, {}, {}))

    with pytest.raises(Unavailable, match="no field location, protocol"):
        Drops().subscribe(subscribe)


@given(st.sampled_from(["5.10", "6.18"]), st.binary(max_size=120))
def test_any_record_is_taken_or_too_short(kernel: str, data: bytes) -> None:
    topics = (Drops(), Retransmits(), Resets(), Connections(lambda __: None))
    for take in takers_of(kernel, *topics).values():
        with contextlib.suppress(struct.error):
            take(data, 0)
