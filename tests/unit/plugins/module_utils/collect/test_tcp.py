# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.collect import counters, tcp
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Window
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.proc_net import Softnet

FIXTURES = os.path.join(os.path.dirname(__file__), "../../../fixtures")
KERNELS = ("3.10", "4.18", "5.14", "6.18")
MAX_JSON_BYTES = 20 * 1024


def recorded(kernel: str) -> Host:
    return Host(os.path.join(FIXTURES, kernel, "proc"), FIXTURES)


def moved(sample: tcp.Sample, **changes: int) -> tcp.Sample:
    """*sample* with ``Group__Name=change`` applied."""
    counters = {group: dict(fields) for group, fields in sample.counters.items()}
    for name, change in changes.items():
        group, __, field = name.partition("__")
        counters[group][field] += change
    return sample._replace(counters=counters)


def derived(kernel: str, seconds: float = 2.0, **changes: int) -> dict[str, Any]:
    host = recorded(kernel)
    first = tcp.sample(host)
    found: dict[str, Any] = tcp.facts(host, first, moved(first, **changes), Window(seconds, 5))["derived"]
    return found


@pytest.mark.parametrize("kernel", KERNELS)
def test_recorded_kernels(kernel: str) -> None:
    host = recorded(kernel)
    found = tcp.facts(host, None, tcp.sample(host), Window(None, 5))
    assert found["available"]
    assert found["limited"] == []
    assert found["delta"] is None and found["rates"] is None
    assert {"Ip", "Icmp", "Tcp", "Udp", "TcpExt", "IpExt", "Ip6", "Icmp6", "Udp6"} <= set(found["counters"])
    assert found["derived"]["retransmit_ratio"] is None
    assert found["derived"]["memory_pressure_pages"] == 254432


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_facts_stay_small(kernel: str) -> None:
    """Every second counter in use, billions in total and thousands in the interval."""
    host = recorded(kernel)
    first = tcp.sample(host)
    before = {group: {n: i % 2 * 10**9 for i, n in enumerate(table)} for group, table in first.counters.items()}
    after = {group: {n: i % 2 * (10**9 + 9999) for i, n in enumerate(table)} for group, table in first.counters.items()}
    found = tcp.facts(host, first._replace(counters=before), first._replace(counters=after), Window(1.0, 10))
    found["rates"] = {}  # health_facts keeps only those that are not zero
    assert len(json.dumps(found, separators=(",", ":"))) < MAX_JSON_BYTES


def test_retransmissions_of_data_only() -> None:
    found = derived("6.18", Tcp__RetransSegs=30, TcpExt__TCPSynRetrans=10, TcpExt__TCPOrigDataSent=1000)
    assert found["retransmit_ratio"] == 0.02
    assert found["retransmitted_segments"] == 20
    assert found["data_segments_sent"] == 1000
    assert found["syn_retransmits_per_s"] == 5.0


def test_files_read_at_two_moments_give_no_negative_count() -> None:
    found = derived("6.18", TcpExt__TCPSynRetrans=1, TcpExt__TCPOrigDataSent=10)
    assert found["retransmitted_segments"] == 0
    assert found["retransmit_ratio"] == 0.0


def test_without_traffic_there_is_no_ratio() -> None:
    found = derived("6.18")
    assert found["data_segments_sent"] == 0
    for name in ("retransmit_ratio", "spurious_ratio", "spurious_rto_ratio", "out_of_order_ratio"):
        assert found[name] is None
    assert found["syncookie_return_ratio"] is None
    assert found["resets_sent_per_s"] == 0.0


def test_every_ratio_has_its_own_counters() -> None:
    found = derived(
        "5.14",
        Tcp__RetransSegs=100,
        Tcp__InSegs=400,
        Tcp__OutRsts=6,
        Tcp__AttemptFails=8,
        TcpExt__TCPDSACKRecv=25,
        TcpExt__TCPTimeouts=10,
        TcpExt__TCPSpuriousRTOs=1,
        TcpExt__TCPOFOQueue=4,
        TcpExt__SyncookiesSent=50,
        TcpExt__SyncookiesRecv=30,
    )
    assert found["spurious_ratio"] == 0.25
    assert found["spurious_rto_ratio"] == 0.1
    assert found["out_of_order_ratio"] == 0.01
    assert found["syncookie_return_ratio"] == 0.6
    assert found["resets_sent_per_s"] == 3.0
    assert found["attempt_fails_per_s"] == 4.0


def test_memory_and_orphans_need_no_interval() -> None:
    host = recorded("3.10")
    found = tcp.facts(host, None, tcp.sample(host), Window(None, 5))["derived"]
    assert found["memory_pages"] == 61
    assert found["memory_ratio"] == round(61 / 254432, 6)
    assert found["orphan_ratio"] == round(3 / 65536, 6)
    assert found["udp_memory_ratio"] == round(5 / 381651, 6)


@pytest.mark.parametrize("missing", ["TCPOrigDataSent", "TCPSynRetrans"])
def test_a_counter_that_the_kernel_lacks_is_no_zero(missing: str) -> None:
    """Linux 3.10 before its backports has neither."""
    host = recorded("3.10")
    first = tcp.sample(host)
    del first.counters["TcpExt"][missing]
    found = tcp.facts(host, first, moved(first, Tcp__RetransSegs=5), Window(1.0, 5))
    assert found["derived"]["retransmit_ratio"] is None
    assert missing not in found["delta"]["TcpExt"]


def test_a_reset_between_the_samples_gives_no_negative_rate() -> None:
    host = recorded("5.14")
    now = tcp.sample(host)
    found = tcp.facts(host, moved(now, Tcp__RetransSegs=1000, Tcp__InSegs=1), now, Window(1.0, 5))
    assert found["delta"]["Tcp"]["RetransSegs"] is None
    assert found["rates"]["Tcp"]["RetransSegs"] is None
    assert found["derived"]["retransmitted_segments"] is None
    assert found["derived"]["out_of_order_ratio"] is None


def test_softnet_is_compared_by_cpu() -> None:
    first = [Softnet(0, 0xFFFFFFF0, 5, 0, 0, 0), Softnet(3, 10, 0, 1, 0, 0)]
    now = [Softnet(0, 0x10, 5, 0, 0, 0), Softnet(2, 99, 9, 9, 0, 0), Softnet(3, 30, 4, 2, 0, 0)]
    found = tcp.softnet(first, now, Window(2.0, 1))
    assert found["cpus"] == 3
    assert found["counters"]["dropped"] == 18
    # CPU 2 came online between the samples: what it dropped before is not known.
    assert found["delta"] == {"processed": 52, "dropped": 4, "squeezed": 1, "received_rps": 0, "flow_limit": 0}
    assert found["rates"]["dropped"] == 2.0
    assert found["worst_cpus"] == [{"cpu": 3, "dropped": 4, "squeezed": 1}]


def test_softnet_of_an_old_kernel_takes_cpu_numbers_from_stat() -> None:
    """CPU 2 is offline and has no row."""
    assert [row.cpu for row in tcp.sample(recorded("3.10")).softnet] == [0, 1, 3]


def test_softnet_columns_that_a_kernel_lacks_are_null() -> None:
    found = tcp.softnet(None, [Softnet(0, 1, 0, 0, None, None)], Window(None, 5))
    assert found["counters"]["flow_limit"] is None
    assert found["delta"] is None
    assert found["worst_cpus"] == []


def copy(tmp_path: Path, kernel: str = "6.18") -> Path:
    shutil.copytree(os.path.join(FIXTURES, kernel, "proc"), tmp_path / "proc")
    return tmp_path / "proc"


def test_ipv6_disabled_is_said(tmp_path: Path) -> None:
    proc = copy(tmp_path)
    (proc / "net/snmp6").unlink()
    (proc / "net/sockstat6").unlink()
    host = Host(str(proc), FIXTURES)
    found = tcp.facts(host, None, tcp.sample(host), Window(None, 5))
    assert "Ip6" not in found["counters"]
    assert len(found["limited"]) == 1
    assert found["limited"][0].endswith("snmp6: does not exist on this kernel; IPv6 is disabled")


def test_a_truncated_file_costs_only_what_is_missing(tmp_path: Path) -> None:
    proc = copy(tmp_path)
    whole = (proc / "net/snmp").read_text()
    (proc / "net/snmp").write_text(whole[: whole.index("Udp:")] + "Udp: InDatagrams\nUdp: 2")
    host = Host(str(proc), FIXTURES)
    found = tcp.facts(host, None, tcp.sample(host), Window(None, 5))
    assert "InDatagrams" not in found["counters"]["Udp"]
    assert "InSegs" in found["counters"]["Tcp"]
    assert found["limited"] == ["snmp: Udp: 1 names but 0 values"]


def test_without_counters_it_is_unavailable(tmp_path: Path) -> None:
    proc = copy(tmp_path)
    (proc / "net/snmp").unlink()
    (proc / "net/netstat").unlink()
    with pytest.raises(Unavailable, match="netstat: does not exist"):
        tcp.sample(Host(str(proc), FIXTURES))


def test_without_tcp_mem_there_is_no_memory_ratio(tmp_path: Path) -> None:
    """A network namespace does not show it, though the memory is counted there."""
    proc = copy(tmp_path)
    (proc / "sys/net/ipv4/tcp_mem").unlink()
    (proc / "sys/net/ipv4/udp_mem").write_text("1 x\n")
    host = Host(str(proc), FIXTURES)
    found = tcp.facts(host, None, tcp.sample(host), Window(None, 5))["derived"]
    assert found["memory_ratio"] is None and found["udp_memory_ratio"] is None
    assert found["memory_pages"] is not None


def test_groups_can_be_chosen() -> None:
    found = counters.tcp_counters(recorded("6.18"), {"interval": 0, "top": 5, "groups": ["Tcp", "Ip6"]})
    assert list(found["counters"]) == ["Tcp", "Ip6"]
    assert found["delta"] is None
    assert found["sockstat"]["TCP"]


def test_an_unknown_group_is_one_sentence() -> None:
    with pytest.raises(BadOption, match=r"^groups: 'TCP' is not accepted; give any of Ip, Icmp, .*Tcp"):
        counters.tcp_counters(recorded("6.18"), {"interval": 0, "top": 5, "groups": ["TCP"]})


def test_without_counters_groups_do_not_matter(tmp_path: Path) -> None:
    found = counters.tcp_counters(Host(str(tmp_path), FIXTURES), {"interval": 0, "top": 5, "groups": ["Tcp"]})
    assert found["available"] is False
    assert "snmp: does not exist" in found["why"]
