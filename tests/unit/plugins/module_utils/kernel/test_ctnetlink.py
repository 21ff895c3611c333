# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import ctnetlink
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Malformed, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import Message, attribute

GENERIC = struct.pack(">BBH", 0, 0, 0)


class Link:
    """Stands for the netlink socket: every request is answered with the same payloads."""

    def __init__(self, *payloads: bytes) -> None:
        self.payloads = payloads
        self.buffer = bytearray(b"".join(payloads))

    def dump(self, _kind: int, _payload: bytes) -> Iterator[Message]:
        at = 0
        for payload in self.payloads:
            yield Message(0, at, at + len(payload))
            at += len(payload)

    def request(self, _kind: int, _payload: bytes) -> bytes:
        return self.payloads[0]


def be32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value))


def flow(
    source: bytes,
    destination: bytes,
    protocol: int = 6,
    port: int | None = 443,
    state: int | None = 3,
    status: int = 0xE,
) -> bytes:
    v4 = len(source) == 4
    addresses = attribute(1 if v4 else 3, source) + attribute(2 if v4 else 4, destination)
    proto = attribute(1, bytes([protocol]))
    if port is not None:
        proto += attribute(2, struct.pack(">H", 40000)) + attribute(3, struct.pack(">H", port))
    payload = GENERIC + attribute(0x8001, attribute(0x8001, addresses) + attribute(0x8002, proto)) + be32(3, status)
    if state is not None:
        payload += attribute(0x8004, attribute(0x8001, attribute(1, bytes([state]))))
    return payload


def test_counters_are_read_by_cpu() -> None:
    rows = ctnetlink.per_cpu(
        Link(  # type: ignore[arg-type]
            struct.pack(">BBH", 0, 0, 0) + be32(2, 5) + be32(10, 1) + be32(14, 2),
            struct.pack(">BBH", 0, 0, 3) + be32(2, 7) + be32(99, 1),
        )
    )
    assert rows == {0: {"found": 5, "drop": 1, "clash_resolve": 2}, 3: {"found": 7}}


def test_a_row_without_its_header_is_malformed() -> None:
    with pytest.raises(Malformed):
        ctnetlink.per_cpu(Link(b"\0\0"))  # type: ignore[arg-type]


def test_entries_and_maximum() -> None:
    assert ctnetlink.entries_and_max(Link(GENERIC + be32(1, 42) + be32(2, 262144))) == (42, 262144)  # type: ignore[arg-type]


def test_the_maximum_is_unknown_on_old_kernels() -> None:
    assert ctnetlink.entries_and_max(Link(GENERIC + be32(1, 42))) == (42, None)  # type: ignore[arg-type]


def test_flows_are_read() -> None:
    found = list(
        ctnetlink.flows(
            Link(  # type: ignore[arg-type]
                flow(b"\x0a\0\0\1", b"\x0a\0\0\2"),
                flow(b"\xfe" + b"\0" * 14 + b"\1", b"\xfe" + b"\0" * 14 + b"\2", 17, 53, None, status=0),
                flow(b"\x0a\0\0\1", b"\x0a\0\0\3", 1, None, None),
            )
        )
    )
    assert found == [
        ctnetlink.Flow(6, b"\x0a\0\0\1", b"\x0a\0\0\2", 443, 3, True),
        ctnetlink.Flow(17, b"\xfe" + b"\0" * 14 + b"\1", b"\xfe" + b"\0" * 14 + b"\2", 53, None, False),
        ctnetlink.Flow(1, b"\x0a\0\0\1", b"\x0a\0\0\3", None, None, True),
    ]


def test_entries_of_one_length_and_different_layout() -> None:
    """Without a timeout but with a zone, the status lies elsewhere in a message of the same length."""
    plain = flow(b"\x0a\0\0\1", b"\x0a\0\0\2", status=0)
    head, status = plain[:-24], plain[-24:]
    timeout, zone = be32(7, 30), attribute(18, b"\0\1")
    rows = [head + status[:8] + timeout + status[8:], head + zone + status, head + status[:8] + timeout + status[8:]]
    assert len({len(row) for row in rows}) == 1
    expected = ctnetlink.Flow(6, b"\x0a\0\0\1", b"\x0a\0\0\2", 443, 3, False)
    assert list(ctnetlink.flows(Link(*rows))) == [expected] * 3  # type: ignore[arg-type]


def test_what_has_no_addresses_is_left_out() -> None:
    assert list(ctnetlink.flows(Link(GENERIC, GENERIC + be32(3, 1)))) == []  # type: ignore[arg-type]


@given(cut=st.integers(0, 200), at=st.integers(0, 200), junk=st.binary(max_size=8))
def test_damaged_flows_are_survived(cut: int, at: int, junk: bytes) -> None:
    payload = flow(b"\x0a\0\0\1", b"\x0a\0\0\2")
    damaged = (payload[:at] + junk + payload[at + len(junk) :])[:cut]
    for found in ctnetlink.flows(Link(payload, damaged, payload)):  # type: ignore[arg-type]
        assert len(found.source) in (4, 16)


def host(tmp_path: Path, netlink: str = "12  0", modules: str | None = None, live: bool = True) -> Host:
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/self").mkdir()
    if live:
        (tmp_path / "proc/self/stat").write_text("1 (x) S")
    (tmp_path / "proc/net/netlink").write_text(f"sk               Eth Pid\n0000000000000000 {netlink} 00000000 0\n")
    if modules is not None:
        (tmp_path / "proc/modules").write_text(modules)
    return Host(str(tmp_path / "proc"), str(tmp_path))


def test_a_kernel_without_modules_may_be_asked(tmp_path: Path) -> None:
    ctnetlink.require(host(tmp_path))


def test_a_loaded_module_may_be_asked(tmp_path: Path) -> None:
    ctnetlink.require(host(tmp_path, modules="nf_conntrack_netlink 57344 0 - Live 0x0\nnf_conntrack 1 1 - Live 0x0\n"))


def test_nothing_is_asked_that_would_load_nfnetlink(tmp_path: Path) -> None:
    """The row of a process's own socket is none of the kernel's."""
    with pytest.raises(Unavailable, match="nfnetlink is not loaded"):
        ctnetlink.require(host(tmp_path, netlink="12  4711"))


def test_nothing_is_asked_that_would_load_the_conntrack_part(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="nf_conntrack_netlink is not loaded"):
        ctnetlink.require(host(tmp_path, modules="nf_conntrack 188416 1 nf_nat, Live 0x0\n"))


@pytest.mark.skipif(
    "/nf_conntrack_netlink.ko" in ctnetlink._text(f"/lib/modules/{os.uname().release}/modules.builtin"),
    reason="this kernel has it built in",
)
def test_a_built_in_conntrack_says_nothing_of_its_netlink_part(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="nf_conntrack_netlink is not loaded"):
        ctnetlink.require(host(tmp_path, modules="xfs 1 1 - Live 0x0\n"))


def test_recorded_files_are_never_asked_by_netlink(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="recorded"):
        ctnetlink.require(host(tmp_path, live=False))
