# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""An assembler for classic BPF, and how a program is attached to a socket. Private to this collection.

Sources: ``include/uapi/linux/{bpf_common,filter}.h``, Documentation/networking/filter.rst.
"""

from __future__ import annotations

import array
import socket
import struct
from typing import NamedTuple

# Classes, sizes, modes and operations, as in bpf_common.h.
LD, LDX, ST, STX, ALU, JMP, RET, MISC = range(8)
W, H, B = 0x00, 0x08, 0x10
IMM, ABS, IND, MEM, LEN = 0x00, 0x20, 0x40, 0x60, 0x80
ADD, SUB, AND, LSH, RSH = 0x00, 0x10, 0x50, 0x60, 0x70
JA, JEQ, JGT, JGE, JSET = 0x00, 0x10, 0x20, 0x30, 0x40
K, X, A = 0x00, 0x08, 0x10
TAX, TXA = 0x00, 0x80

# What the kernel knows about a packet beside its bytes (SKF_AD_*).
AD_PROTOCOL, AD_PKTTYPE, AD_IFINDEX, AD_HATYPE = (0xFFFFF000 + offset for offset in (0, 4, 8, 28))

MAX_INSTRUCTIONS = 4096
_FARTHEST = 255  # a conditional jump counts in one byte
_SO_ATTACH_FILTER = 26
_SOCK_FILTER = struct.Struct("=HBBI")


class Instruction(NamedTuple):
    """struct sock_filter."""

    code: int
    jt: int
    jf: int
    k: int


class _Jump(NamedTuple):
    """Targets are labels; an empty one is what follows."""

    code: int
    k: int
    then: str
    otherwise: str


class Assembler:
    """Collects instructions with labels as targets; all jumps lead forward, as the kernel demands."""

    def __init__(self) -> None:
        self._parts: list[Instruction | _Jump | str] = []
        self._serial = 0

    def add(self, code: int, k: int = 0) -> None:
        self._parts.append(Instruction(code, 0, 0, k))

    def jump(self, operation: int, k: int, then: str = "", otherwise: str = "") -> None:
        """Compare the accumulator with *k* and go on at one of two labels."""
        self._parts.append(_Jump(JMP | operation | K, k, then, otherwise))

    def go(self, target: str) -> None:
        self._parts.append(_Jump(JMP | JA, 0, target, target))

    def label(self, name: str) -> None:
        """What comes next has this name."""
        self._parts.append(name)

    def fresh(self, name: str) -> str:
        """A label that nobody else has."""
        self._serial += 1
        return f"{name}-{self._serial}"

    def assemble(self) -> list[Instruction]:
        """The program, in which a conditional jump that would be too far goes by way of unconditional ones.

        :raises ValueError: it is longer than the kernel takes.
        """
        far: set[int] = set()
        while True:
            starts, labels, size = self._layout(far)
            near = {
                number
                for number, part in enumerate(self._parts)
                if isinstance(part, _Jump) and number not in far and self._too_far(part, starts[number], labels)
            }
            if not near:
                break
            far |= near
        if size > MAX_INSTRUCTIONS:
            raise ValueError(f"{size} instructions")
        program: list[Instruction] = []
        for number, part in enumerate(self._parts):
            if isinstance(part, Instruction):
                program.append(part)
            elif isinstance(part, _Jump):
                program += _written(part, starts[number], labels, number in far)
        return program

    def _layout(self, far: set[int]) -> tuple[list[int], dict[str, int], int]:
        starts, labels, at = [], {}, 0
        for number, part in enumerate(self._parts):
            starts.append(at)
            if isinstance(part, str):
                labels[part] = at
            else:
                at += 3 if number in far else 1
        return starts, labels, at

    @staticmethod
    def _too_far(part: _Jump, start: int, labels: dict[str, int]) -> bool:
        targets = (part.then, part.otherwise)
        return part.code != JMP | JA and any(labels[name] - start - 1 > _FARTHEST for name in targets if name)


def _written(part: _Jump, start: int, labels: dict[str, int], far: bool) -> list[Instruction]:
    if part.code == JMP | JA:
        return [Instruction(part.code, 0, 0, labels[part.then] - start - 1)]
    size = 3 if far else 1
    then, otherwise = (labels[name] if name else start + size for name in (part.then, part.otherwise))
    if not far:
        return [Instruction(part.code, then - start - 1, otherwise - start - 1, part.k)]
    return [
        Instruction(part.code, 0, 1, part.k),
        Instruction(JMP | JA, 0, 0, then - start - 2),
        Instruction(JMP | JA, 0, 0, otherwise - start - 3),
    ]


def attach(made: socket.socket, program: list[Instruction]) -> None:
    """Have the kernel give *made* only what *program* lets through, and of that only so many bytes as it returns.

    :raises OSError: ``EINVAL`` where the kernel does not take it, ``ENOMEM`` where it is too long for optmem_max.
    """
    code = array.array("B", b"".join(_SOCK_FILTER.pack(*instruction) for instruction in program))
    # struct sock_fprog: length and pointer, in the machine's own layout.
    made.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), code.buffer_info()[0]))
