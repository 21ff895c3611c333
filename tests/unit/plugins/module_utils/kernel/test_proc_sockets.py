# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.proc_sockets import ProcSockets
from ansible_collections.nettriage.linux.tests.unit.diag_messages import FIXTURES

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LINE = (
    "{sl:4d}: 0100007F:{port:04X} 0200007F:0050 {st:02X} 00000005:00000007 01:00000064 00000002"
    "  1000        0 {ino} 1 0\n"
)


def tree(root: pathlib.Path, **files: str) -> ProcSockets:
    (root / "net").mkdir(exist_ok=True)
    for name, text in files.items():
        (root / "net" / name).write_text(text, encoding="utf-8", errors="surrogateescape")
    return ProcSockets(Host(str(root), str(root)))


def rows(source: ProcSockets, states: int = diag.ALL_STATES) -> list[diag.Socket]:
    return [one for batch in source.tcp(states) for one in diag.rows(batch)]


def test_a_line_is_a_socket(tmp_path: pathlib.Path) -> None:
    (one,) = rows(tree(tmp_path, tcp=HEAD + LINE.format(sl=0, port=40000, st=1, ino=77)))
    assert (one.family, one.state, one.port, one.peer_port, one.inode) == (
        diag.AF_INET,
        diag.ESTABLISHED,
        40000,
        80,
        77,
    )
    assert diag.address(one.family, one.source) == "127.0.0.1"
    assert diag.address(one.family, one.destination) == "127.0.0.2"
    assert (one.send_queue, one.receive_queue, one.uid) == (5, 7, 1000)
    assert (one.timer, one.expires_ms, one.retransmits) == (diag.TIMER_RETRANSMIT, 1000, 2)


def test_the_first_column_may_widen(tmp_path: pathlib.Path) -> None:
    lines = "".join(LINE.format(sl=sl, port=sl % 60000 + 1, st=6, ino=0) for sl in (9999, 10000, 123456, 1234567))
    source = tree(tmp_path, tcp=HEAD + lines)
    assert len(rows(source)) == 4
    assert source.damaged == 0


def test_only_the_wanted_states(tmp_path: pathlib.Path) -> None:
    lines = "".join(LINE.format(sl=state, port=state, st=state, ino=state) for state in range(1, 12))
    source = tree(tmp_path, tcp=HEAD + lines)
    assert {one.state for one in rows(source, diag.LISTENING)} == {diag.LISTEN}
    assert len(rows(source, diag.CONNECTED)) == 10


def test_a_half_open_handshake_is_syn_recv_under_both_names(tmp_path: pathlib.Path) -> None:
    lines = "".join(LINE.format(sl=state, port=80, st=state, ino=0) for state in (3, 12))
    assert [one.state for one in rows(tree(tmp_path, tcp=HEAD + lines))] == [diag.SYN_RECV] * 2


def test_without_ipv6_there_is_no_second_file(tmp_path: pathlib.Path) -> None:
    assert len(rows(tree(tmp_path, tcp=HEAD + LINE.format(sl=0, port=1, st=1, ino=1)))) == 1


def test_without_any_file_it_is_unavailable(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Unavailable, match="does not exist"):
        rows(tree(tmp_path))


def test_damaged_lines_are_left_out_and_counted(tmp_path: pathlib.Path) -> None:
    good = LINE.format(sl=0, port=1, st=1, ino=1)
    bad = [
        good[:60] + "\n",
        good.replace("0100007F", "0100007"),
        good.replace(" 01 ", " 63 ", 1),
        good.replace("0050", "10050"),
        "\n",
        "\udcff\udc80\n",
    ]
    source = tree(tmp_path, tcp=HEAD + good + "".join(bad) + good)
    assert len(rows(source)) == 2
    assert source.damaged == len(bad)
    assert len(rows(source)) == 2
    assert source.damaged == len(bad), "a second reading does not count them again"


def test_ipv6_and_its_mapped_addresses(tmp_path: pathlib.Path) -> None:
    line = "0: 0000000000000000FFFF00000100007F:1F90 B80D0120000000000000000001000000:01BB 01 0:0 00:0 0 0 0 5\n"
    (one,) = rows(tree(tmp_path, tcp=HEAD, tcp6=HEAD + line))
    assert diag.address(one.family, one.source) == "127.0.0.1"
    assert diag.address(one.family, one.destination) == "2001:db8::1"


def test_udp_drops_are_the_last_column(tmp_path: pathlib.Path) -> None:
    line = "  10: 00000000:0035 00000000:0000 07 00000000:00000300 00:00000000 00000000     0        0 9 2 0000 {}\n"
    total, found = tree(tmp_path, udp=HEAD + line.format(42) + line.format(0).replace("300", "000")).udp(0)
    assert total == 2
    assert [(one.port, one.drops, one.receive_queue) for one in found] == [(53, 42, 0x300)]


def test_unix_sockets_of_the_recording() -> None:
    assert ProcSockets(Host(f"{FIXTURES}/6.18/proc", FIXTURES)).unix() == (3, 1)


@given(st.text(max_size=300), st.text(max_size=300))
def test_rubbish_never_breaks_it(tmp_path_factory: pytest.TempPathFactory, first: str, second: str) -> None:
    source = tree(
        tmp_path_factory.mktemp("proc"),
        tcp=HEAD + first.encode("utf-8", "replace").decode(),
        tcp6=second.encode("utf-8", "replace").decode(),
        udp=HEAD + first.encode("utf-8", "replace").decode(),
        unix=HEAD + second.encode("utf-8", "replace").decode(),
    )
    rows(source)
    source.udp(5)
    source.unix()


@given(st.data())
def test_damaged_recordings_never_break_it(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    head, __, text = (pathlib.Path(FIXTURES) / "6.18/proc/net/tcp").read_text(encoding="ascii")[:1500].partition("\n")
    at = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:at] + data.draw(st.text(st.characters(max_codepoint=255), max_size=3)) + text[at + 2 :]
    assert len(rows(tree(tmp_path_factory.mktemp("proc"), tcp=f"{head}\n{damaged}"))) <= 12


@pytest.mark.parametrize("name", ["tcp", "udp", "unix"])
def test_a_file_cut_anywhere_gives_only_whole_lines(tmp_path: pathlib.Path, name: str) -> None:
    text = (pathlib.Path(FIXTURES) / "6.18/proc/net" / name).read_text(encoding="ascii")[:1200]

    def read(content: str) -> list[object]:
        source = tree(tmp_path, **{name: content})
        if name == "unix":
            return list(source.unix())
        return list(rows(source) if name == "tcp" else source.udp(9)[1])

    for length in range(len(text)):
        whole = text[:length].rpartition("\n")[0]
        if not whole:
            with pytest.raises(Unavailable, match="no heading"):
                read(text[:length])
        else:
            assert read(text[:length]) == read(whole + "\n"), length


def test_a_damaged_file_of_ipv6_is_told(tmp_path: pathlib.Path) -> None:
    source = tree(tmp_path, tcp=HEAD + LINE.format(sl=0, port=1, st=1, ino=1), tcp6="")
    assert len(rows(source)) == 1
    assert source.damaged == 1
