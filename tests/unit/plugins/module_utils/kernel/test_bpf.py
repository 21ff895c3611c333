# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The assembler: jumps near and far, limits, and what the kernel thinks of a program."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import bpf
from ansible_collections.nettriage.linux.tests.unit.packets import execute


def _ladder(rungs: int) -> list[bpf.Instruction]:
    """Returns 1 + the number that the first byte is, if it is below *rungs*, else 0."""
    code = bpf.Assembler()
    code.add(bpf.LD | bpf.B | bpf.ABS, 0)
    for number in range(rungs):
        code.jump(bpf.JEQ, number, f"is-{number}")
    code.add(bpf.RET | bpf.K, 0)
    for number in reversed(range(rungs)):
        code.label(f"is-{number}")
        code.add(bpf.RET | bpf.K, number + 1)
    return code.assemble()


@settings(max_examples=50)
@given(st.integers(min_value=1, max_value=255), st.integers(min_value=0, max_value=255))
def test_every_jump_arrives_however_far(rungs: int, byte: int) -> None:
    packet = bytes([byte]) + bytes(300)
    assert execute(_ladder(rungs), packet, 0) == (byte + 1 if byte < rungs else 0)


def test_conditional_jumps_fit_into_a_byte() -> None:
    program = _ladder(255)
    assert max(max(step.jt, step.jf) for step in program) <= 255
    assert len(program) > 2 * 255 + 2  # some went by way of others


def test_a_jump_that_goes_nowhere_else_is_one_instruction() -> None:
    code = bpf.Assembler()
    code.jump(bpf.JEQ, 1, "yes", "no")
    code.label("yes")
    code.label("no")
    code.add(bpf.RET | bpf.K, 7)
    assert code.assemble() == [(bpf.JMP | bpf.JEQ, 0, 0, 1), (bpf.RET, 0, 0, 7)]


def test_too_long_is_said() -> None:
    code = bpf.Assembler()
    for __ in range(bpf.MAX_INSTRUCTIONS + 1):
        code.add(bpf.RET | bpf.K, 0)
    with pytest.raises(ValueError, match="4097 instructions"):
        code.assemble()


def test_the_kernel_runs_what_was_assembled() -> None:
    """On a pair of UDP sockets, which needs no privilege; the filter of such a socket sees the UDP header first."""
    code = bpf.Assembler()
    code.add(bpf.LD | bpf.B | bpf.ABS, 8)
    code.jump(bpf.JEQ, ord("y"), "take")
    code.add(bpf.RET | bpf.K, 0)
    code.label("take")
    code.add(bpf.RET | bpf.K, 8 + 3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hears, socket.socket(
        socket.AF_INET, socket.SOCK_DGRAM
    ) as says:
        bpf.attach(hears, code.assemble())
        hears.bind(("127.0.0.1", 0))
        hears.settimeout(10)
        for word in (b"no such", b"yes and more"):
            says.sendto(word, hears.getsockname())
        assert hears.recv(100) == b"yes"
        with pytest.raises(OSError, match="Invalid argument"):
            bpf.attach(hears, [bpf.Instruction(bpf.JMP | bpf.JEQ, 200, 200, 0)])
