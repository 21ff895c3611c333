# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
from typing import Any, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import proc_net

FIXTURES = os.path.join(os.path.dirname(__file__), "../../../fixtures")
KERNELS = ("3.10", "4.18", "5.14", "6.18")

FILES: dict[str, Callable[[str], Any]] = {
    "snmp": proc_net.paired_lines,
    "netstat": proc_net.paired_lines,
    "snmp6": proc_net.snmp6,
    "sockstat": proc_net.sockstat,
    "sockstat6": proc_net.sockstat,
    "softnet_stat": proc_net.softnet_stat,
    "stat/nf_conntrack": proc_net.cpu_table,
    "stat/arp_cache": proc_net.cpu_table,
}


def recorded(kernel: str, name: str) -> str:
    with open(os.path.join(FIXTURES, kernel, "proc/net", name), encoding="ascii") as file:
        return file.read()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", FILES)
def test_every_recorded_file_is_read_without_damage(kernel: str, name: str) -> None:
    found, damage = FILES[name](recorded(kernel, name))
    assert found
    assert damage == []


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_name_gets_the_value_that_stands_below_it(kernel: str) -> None:
    lines = recorded(kernel, "netstat").split("\n")
    found, __ = proc_net.paired_lines(recorded(kernel, "netstat"))
    names, values = lines[0].split()[1:], lines[1].split()[1:]
    assert [found["TcpExt"][name] for name in names] == [int(value) for value in values]


def test_fields_are_there_only_where_the_kernel_has_them() -> None:
    tables = {kernel: proc_net.paired_lines(recorded(kernel, "netstat"))[0] for kernel in KERNELS}
    assert [k for k in KERNELS if "TCPPrequeued" in tables[k]["TcpExt"]] == ["3.10"]
    assert [k for k in KERNELS if "TCPRcvQDrop" in tables[k]["TcpExt"]] == ["5.14", "6.18"]
    assert [k for k in KERNELS if "MPTcpExt" in tables[k]] == ["5.14", "6.18"]
    assert "TCPAOGood" in tables["6.18"]["TcpExt"]


def test_a_negative_value_is_a_value() -> None:
    assert proc_net.paired_lines("Tcp: MaxConn InSegs\nTcp: -1 7\n") == ({"Tcp": {"MaxConn": -1, "InSegs": 7}}, [])


def test_a_truncated_file_keeps_what_is_whole() -> None:
    table, damage = proc_net.paired_lines("Tcp: A B C\nTcp: 1 2 3\nUdp: A B C\nUdp: 4 51")
    # 51 could have been 512.
    assert table == {"Tcp": {"A": 1, "B": 2, "C": 3}, "Udp": {"A": 4}}
    assert damage == ["Udp: 3 names but 1 values"]


def test_a_line_of_names_alone_is_reported_and_costs_only_itself() -> None:
    table, damage = proc_net.paired_lines("Ip: A\nTcp: B\nTcp: 2\nUdp: C\n")
    assert table == {"Tcp": {"B": 2}}
    assert damage == ["Ip: the line of values is missing", "Udp: the line of values is missing"]


def test_what_is_no_number_is_absent_and_reported() -> None:
    table, damage = proc_net.paired_lines("Tcp: A B C D\nTcp: 1 x 1_0 " + "9" * 5000 + "\n")
    assert table == {"Tcp": {"A": 1}}
    assert damage == ["Tcp: 3 values are no numbers"]


def test_snmp6_is_split_behind_the_six() -> None:
    text = "Ip6InReceives\t7\nIcmp6OutType133\t2\nUdpLite6InErrors\t1\nUdp6NoPorts 3\n"
    assert proc_net.snmp6(text) == (
        {"Ip6": {"InReceives": 7}, "Icmp6": {"OutType133": 2}, "UdpLite6": {"InErrors": 1}, "Udp6": {"NoPorts": 3}},
        [],
    )


def test_snmp6_reports_lines_that_it_cannot_read() -> None:
    assert proc_net.snmp6("Ip6InReceives x\nInReceives 4\nIp6InDelivers 1\nIp6InNoRou") == (
        {"Ip6": {"InDelivers": 1}},
        ["3 lines are damaged"],
    )


def test_sockstat() -> None:
    found, damage = proc_net.sockstat(recorded("3.10", "sockstat"))
    assert found["TCP"] == {"inuse": 187, "orphan": 3, "tw": 1204, "alloc": 240, "mem": 61}
    assert found["FRAG"] == {"inuse": 0, "memory": 0}
    assert damage == []


def test_sockstat_with_half_a_pair_keeps_the_whole_ones() -> None:
    assert proc_net.sockstat("TCP: inuse 1 orphan\n") == ({"TCP": {"inuse": 1}}, ["1 line is damaged"])


def test_softnet_takes_the_cpu_from_its_column() -> None:
    rows, __ = proc_net.softnet_stat(recorded("5.14", "softnet_stat"))
    assert [row.cpu for row in rows] == [0, 1, 3]


def test_softnet_of_an_old_kernel_has_no_cpu() -> None:
    rows, __ = proc_net.softnet_stat(recorded("3.10", "softnet_stat"))
    assert [row.cpu for row in rows] == [None, None, None]
    assert rows[0].flow_limit == 0


def test_softnet_of_nine_columns_has_no_later_counters() -> None:
    rows, damage = proc_net.softnet_stat("0000000a 00000001 00000002 0 0 0 0 0 0\n")
    assert rows == [proc_net.Softnet(None, 10, 1, 2, None, None)]
    assert damage == []


def test_softnet_drops_a_row_that_lost_columns() -> None:
    good = " ".join(f"{n:08x}" for n in range(13))
    rows, damage = proc_net.softnet_stat(f"{good}\n0000000a 00000001 00000002\nzz 1 2\n{good[:-3]}")
    assert [row.cpu for row in rows] == [12]
    assert damage == ["3 lines are damaged"]


def test_cpu_table_pairs_names_and_hexadecimal_columns() -> None:
    assert proc_net.cpu_table("entries  drop drop\n0000000f 00000001 00000009\n0000000f 00000010 00000009\n") == (
        [{"entries": 15, "drop": 1}, {"entries": 15, "drop": 16}],
        [],
    )


def test_a_delta_is_the_difference() -> None:
    assert proc_net.deltas({"Udp": {"NoPorts": 3}}, {"Udp": {"NoPorts": 10}}) == {"Udp": {"NoPorts": 7}}


def test_a_counter_that_went_back_has_no_delta() -> None:
    assert proc_net.deltas({"Udp": {"NoPorts": 10}}, {"Udp": {"NoPorts": 3}}) == {"Udp": {"NoPorts": None}}


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        (0xFFFFFFF0, 4, 20),
        (0xF0000001, 0, (1 << 28) - 1),
        (0xF0000000, 0, None),
        (0xFFFFFFF0, 1 << 28, None),
        (0x100000000, 4, None),
    ],
)
def test_a_counter_of_a_32_bit_kernel_wraps(before: int, now: int, change: int | None) -> None:
    assert proc_net.deltas({"Tcp": {"RetransSegs": before}}, {"Tcp": {"RetransSegs": now}}) == {
        "Tcp": {"RetransSegs": change}
    }


def test_a_counter_that_was_not_there_before_has_no_delta() -> None:
    before: proc_net.Table = {"Udp": {}}
    assert proc_net.deltas(before, {"Udp": {"NoPorts": 3}, "MPTcpExt": {"MPTCPRetrans": 1}}) == {
        "Udp": {"NoPorts": None},
        "MPTcpExt": {"MPTCPRetrans": None},
    }


def test_icmp_types_begin_at_zero_because_the_kernel_hides_zeros() -> None:
    assert proc_net.deltas({}, {"IcmpMsg": {"OutType3": 4}}) == {"IcmpMsg": {"OutType3": 4}}


def test_states_have_no_delta() -> None:
    table = {"Tcp": {"CurrEstab": 4, "MaxConn": -1, "InSegs": 1}}
    assert proc_net.deltas(table, table) == {"Tcp": {"InSegs": 0}}


def test_32_bits_wrap() -> None:
    assert proc_net.wrapped_u32(0xFFFFFFFE, 3) == 5
    assert proc_net.wrapped_u32(7, 7) == 0
    assert proc_net.wrapped_u32(1000, 0) is None
    assert proc_net.wrapped_u32(None, 1) is None


def test_rates() -> None:
    change = {"Tcp": {"InSegs": 5, "OutSegs": None}}
    assert proc_net.rates(change, 2.0) == {"Tcp": {"InSegs": 2.5, "OutSegs": None}}


@given(st.dictionaries(st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,8}", fullmatch=True), st.integers(-1, 2**64 - 1)))
def test_what_the_kernel_writes_is_read_back(fields: dict[str, int]) -> None:
    text = "G: " + " ".join(fields) + "\nG: " + " ".join(map(str, fields.values())) + "\n"
    assert proc_net.paired_lines(text) == ({"G": fields}, [])


@pytest.mark.parametrize("parse", list(dict.fromkeys(FILES.values())))
@given(text=st.text())
def test_any_text_is_survived(parse: Callable[[str], Any], text: str) -> None:
    found, damage = parse(text)
    json.dumps([found, damage], ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kernel", KERNELS)
@given(data=st.data())
def test_damage_invents_nothing(kernel: str, name: str, data: st.DataObject) -> None:
    """Cut anywhere, a file gives nothing that the whole file does not give."""
    text = recorded(kernel, name)
    whole, __ = FILES[name](text)
    cut, damage = FILES[name](text[: data.draw(st.integers(0, len(text) - 1))])
    if isinstance(whole, dict):
        for group, fields in cut.items():
            assert fields.items() <= whole[group].items()
    else:
        assert cut == whole[: len(cut)]
    assert cut != whole or damage or not cut


@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
def test_overwritten_bytes_are_survived(name: str, data: st.DataObject) -> None:
    text = recorded("5.14", name)
    at = data.draw(st.integers(0, len(text) - 1))
    junk = data.draw(st.text(max_size=20))
    found, __ = FILES[name](text[:at] + junk + text[at + len(junk) :])
    json.dumps(found, ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize("digit", ["\u0663", "\u00b2", "_", "+"])
def test_a_digit_that_only_python_knows_is_none(digit: str) -> None:
    rows, damage = proc_net.cpu_table(f"entries found\n0{digit}1 00000002\n00000003 00000004\n")
    assert rows == [{"entries": 3, "found": 4}] and damage == ["1 line is damaged"]
