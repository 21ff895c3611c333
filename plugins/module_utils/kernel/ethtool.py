# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a driver tells: speed, rings, channels, its name and its own statistics. Private to this collection.

By the ioctl SIOCETHTOOL: one question about one interface costs about 2 µs, as much as its share of an ethtool
netlink dump, it works on every kernel, and an interface that cannot answer (a sleeping port gives ENODEV) does not
end the answers of the others. Why a link is down is told by ethtool netlink only.

Every question asked here is open to any user (``dev_ethtool()`` lists them; only setting, registers, EEPROM and
flow rules need CAP_NET_ADMIN). Sources: ``include/uapi/linux/ethtool.h``, ``ethtool_netlink.h``, ``genetlink.h``.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
from typing import NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import (
    NETLINK_GENERIC,
    Netlink,
    attribute,
    attributes,
    payloads,
)

_SIOCETHTOOL = 0x8946
_GSET, _GDRVINFO, _GRINGPARAM, _GSTRINGS, _GSTATS = 0x01, 0x03, 0x10, 0x1B, 0x1D
_GCHANNELS, _GLINKSETTINGS = 0x3C, 0x4C
_STATISTICS_SET = 1
_NAME_SIZE = 32
# A driver that grows between the two questions writes past what was asked for: room for that.
_SLACK = 1024
_MAX_STATISTICS = 65536

_IFREQ = struct.Struct("@16sP16x")
_U32 = struct.Struct("=I")
_DRIVER = struct.Struct("=4x32s32s32s32s32s12xIIIII")
_SETTINGS = struct.Struct("=4xIBBBBBBBb")
_SETTINGS_SIZE = 48
_LEGACY = struct.Struct("=4xIIHBBBBBBIIH")
_LEGACY_SIZE = 44

_UNKNOWN_SPEEDS = (0, 0xFFFF, 0xFFFFFFFF)
_DUPLEX = {0: "half", 1: "full"}


def _bits(*ranges: tuple[int, int]) -> int:
    return sum(1 << bit for low, high in ranges for bit in range(low, high + 1))


# enum ethtool_link_mode_bit_indices, fastest first, up to Linux 6.18.
_SPEED_MODES = (
    (1600000, _bits((121, 124))),
    (800000, _bits((93, 98), (115, 120))),
    (400000, _bits((69, 73), (85, 89), (109, 114))),
    (200000, _bits((62, 66), (80, 84), (103, 108))),
    (100000, _bits((36, 39), (57, 61), (75, 79))),
    (56000, _bits((27, 30))),
    (50000, _bits((34, 35), (40, 40), (52, 56))),
    (40000, _bits((23, 26))),
    (25000, _bits((31, 33))),
    (20000, _bits((21, 22))),
    (10000, _bits((12, 12), (18, 19), (42, 46))),
    (5000, _bits((48, 48))),
    (2500, _bits((15, 15), (47, 47))),
    (1000, _bits((4, 5), (17, 17), (41, 41), (68, 68))),
    (100, _bits((2, 3), (67, 67), (90, 91))),
    (10, _bits((0, 1), (92, 92), (99, 102))),
)

# enum ethtool_link_ext_state
_DOWN_REASONS = (
    "autonegotiation", "link training failure", "logical mismatch", "bad signal integrity", "no cable",
    "cable issue", "EEPROM issue", "calibration failure", "power budget exceeded", "overheat", "module",
    "OTP speed violation", "BMC requests it down",
)  # fmt: skip


class Settings(NamedTuple):
    """The port. ``None`` is unknown.

    :ivar best_speed_mbps: the fastest mode that the port itself advertises.
    """

    speed_mbps: int | None
    best_speed_mbps: int | None
    duplex: str | None
    autonegotiation: bool | None


class Driver(NamedTuple):
    """:ivar bus: where the device sits; empty for most virtual interfaces. :ivar statistics: how many it keeps."""

    name: str
    bus: str
    statistics: int


class Rings(NamedTuple):
    """Descriptors of the rings, as they are and at most."""

    rx: int
    rx_max: int
    tx: int
    tx_max: int


class Channels(NamedTuple):
    """Queues, as they are; ``combined_max`` is what the device could have."""

    rx: int
    tx: int
    combined: int
    combined_max: int


class Ethtool:
    """Asks drivers. Every question answers ``None`` where the driver does not support it.

    It speaks of the network namespace in which it was made.
    """

    def __init__(self) -> None:
        try:
            # Netlink sockets take this ioctl only since Linux 4.13.
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        except OSError as error:
            raise Unavailable(f"ethtool: {os.strerror(error.errno or 0)}") from error

    def __enter__(self) -> Ethtool:
        return self

    def __exit__(self, *__: object) -> None:
        self._socket.close()

    def _ask(self, name: str, question: bytes) -> bytes | None:
        """The driver's answer, of the same length as *question*."""
        raw = name.encode("utf-8", "surrogateescape")
        if len(raw) > 15:
            return None
        answer = array.array("B", question)
        try:
            fcntl.ioctl(self._socket.fileno(), _SIOCETHTOOL, _IFREQ.pack(raw, answer.buffer_info()[0]))
        except OSError:
            return None
        return answer.tobytes()

    def settings(self, name: str) -> Settings | None:
        """Speed, duplex and the advertised modes (GLINKSETTINGS of Linux 4.6, before it GSET)."""
        words = self._ask(name, _U32.pack(_GLINKSETTINGS).ljust(_SETTINGS_SIZE, b"\0"))
        if words is None:
            legacy = self._ask(name, _U32.pack(_GSET).ljust(_LEGACY_SIZE, b"\0"))
            return None if legacy is None else parse_legacy_settings(legacy)
        # The kernel answers the wrong length of 0 words with the right one, negated.
        count = -_SETTINGS.unpack_from(words)[-1]
        if count <= 0:
            return None
        question = _SETTINGS.pack(0, 0, 0, 0, 0, 0, 0, 0, count)[4:]
        answer = self._ask(name, (_U32.pack(_GLINKSETTINGS) + question).ljust(_SETTINGS_SIZE + 12 * count, b"\0"))
        return None if answer is None else parse_settings(answer)

    def driver(self, name: str) -> Driver | None:
        answer = self._ask(name, _U32.pack(_GDRVINFO).ljust(_DRIVER.size, b"\0"))
        return None if answer is None else parse_driver(answer)

    def rings(self, name: str) -> Rings | None:
        answer = self._ask(name, _U32.pack(_GRINGPARAM).ljust(36, b"\0"))
        if answer is None:
            return None
        rx_max, __, __, tx_max, rx, __, __, tx = struct.unpack_from("=4x8I", answer)
        return Rings(rx, rx_max, tx, tx_max)

    def channels(self, name: str) -> Channels | None:
        answer = self._ask(name, _U32.pack(_GCHANNELS).ljust(36, b"\0"))
        if answer is None:
            return None
        __, __, __, combined_max, rx, tx, __, combined = struct.unpack_from("=4x8I", answer)
        return Channels(rx, tx, combined, combined_max)

    def statistics(self, name: str, count: int) -> tuple[list[str], list[int]] | None:
        """The driver's private statistics, *count* of them as :meth:`driver` said: their names and values."""
        if not 0 < count <= _MAX_STATISTICS:
            return None
        room = count + _SLACK
        names = self._ask(name, struct.pack("=III", _GSTRINGS, _STATISTICS_SET, count).ljust(12 + 32 * room, b"\0"))
        values = self._ask(name, struct.pack("=II", _GSTATS, count).ljust(8 + 8 * room, b"\0"))
        return None if names is None or values is None else parse_statistics(names, values)


def parse_settings(answer: bytes) -> Settings | None:
    """``struct ethtool_link_settings`` and the masks of modes behind it."""
    if len(answer) < _SETTINGS_SIZE:
        return None
    speed, duplex, __, __, autonegotiation, __, __, __, words = _SETTINGS.unpack_from(answer)
    start = _SETTINGS_SIZE + 4 * words
    # Words of 32 bits each, lowest first, each in the machine's order.
    advertised = 0
    if words > 0 and len(answer) >= start + 4 * words:
        for at, word in enumerate(struct.unpack_from(f"={words}I", answer, start)):
            advertised |= word << (32 * at)
    return _settings(speed, duplex, autonegotiation, advertised)


def parse_legacy_settings(answer: bytes) -> Settings | None:
    """``struct ethtool_cmd``: modes up to bit 31."""
    if len(answer) < _LEGACY.size:
        return None
    __, advertised, speed, duplex, __, __, __, autonegotiation, __, __, __, high = _LEGACY.unpack_from(answer)
    return _settings(high << 16 | speed, duplex, autonegotiation, advertised)


def _settings(speed: int, duplex: int, autonegotiation: int, advertised: int) -> Settings:
    return Settings(known_speed(speed), best_speed(advertised), _DUPLEX.get(duplex), bool(autonegotiation))


def known_speed(speed_mbps: int) -> int | None:
    """*speed_mbps*, or ``None`` for the numbers by which drivers say that they do not know it."""
    return None if speed_mbps in _UNKNOWN_SPEEDS or speed_mbps < 0 or speed_mbps >> 31 else speed_mbps


def best_speed(advertised: int) -> int | None:
    """The fastest of a set of link modes, given as a bitmap."""
    for speed, modes in _SPEED_MODES:
        if advertised & modes:
            return speed
    return None


def parse_driver(answer: bytes) -> Driver | None:
    """``struct ethtool_drvinfo``."""
    if len(answer) < _DRIVER.size:
        return None
    name, __, __, bus, __, __, statistics, __, __, __ = _DRIVER.unpack_from(answer)
    return Driver(_text(name), _text(bus), statistics)


def parse_statistics(names: bytes, values: bytes) -> tuple[list[str], list[int]]:
    """``struct ethtool_gstrings`` and ``struct ethtool_stats``; as many as both have."""
    if len(names) < 12 or len(values) < 8:
        return [], []
    count = min(
        _U32.unpack_from(names, 8)[0],
        _U32.unpack_from(values, 4)[0],
        (len(names) - 12) // _NAME_SIZE,
        (len(values) - 8) // 8,
    )
    texts = [_text(names[at : at + _NAME_SIZE]) for at in range(12, 12 + count * _NAME_SIZE, _NAME_SIZE)]
    return texts, list(struct.unpack_from(f"={count}Q", values, 8))


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")


def down_reasons() -> dict[int, str]:
    """Why links are down, by interface index, as far as their drivers tell (ethtool netlink, Linux 5.10).

    :raises Unavailable: there is no ethtool netlink.
    """
    with Netlink(NETLINK_GENERIC) as link:
        # CTRL_CMD_GETFAMILY of the controller, which has the fixed number 16
        reply = link.request(16, struct.pack("=BBH", 3, 2, 0) + attribute(2, b"ethtool\0"))
        found = attributes(reply, 4, len(reply))
        if 1 not in found:
            raise Unavailable("ethtool netlink: the kernel tells no number for it")
        (family,) = struct.unpack_from("=H", reply, found[1][0])
        rows, __ = payloads(link, family, struct.pack("=BBH", 6, 1, 0) + attribute(0x8001, b""))
    return dict(reason for reason in map(parse_link_state, rows) if reason is not None)


def parse_link_state(data: bytes) -> tuple[int, str] | None:
    """One ``ETHTOOL_MSG_LINKSTATE_GET_REPLY``: interface and reason; ``None`` where it tells none."""
    found = attributes(data, 4, len(data))
    header = attributes(data, *found[1]) if 1 in found else {}
    if 5 not in found or 1 not in header or header[1][1] - header[1][0] < 4 or found[5][0] == found[5][1]:
        return None
    reason = data[found[5][0]]
    index: int = _U32.unpack_from(data, header[1][0])[0]
    return index, _DOWN_REASONS[reason] if reason < len(_DOWN_REASONS) else str(reason)
