# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.collect import nic_statistics
from ansible_collections.nettriage.linux.plugins.module_utils.collect.nic_statistics import (
    STANDARD,
    classified,
    errors,
    meaning,
    normal,
    totals,
)

# What ethtool -S of these drivers prints (names of the kernel's sources, shortened to what matters), and what it means.
DRIVERS = {
    "e1000e": (
        {
            "rx_packets": 9,
            "rx_errors": 12,
            "rx_length_errors": 3,
            "rx_crc_errors": 5,
            "rx_frame_errors": 0,
            "rx_no_buffer_count": 7,
            "rx_missed_errors": 11,
            "rx_long_length_errors": 1,
            "rx_short_length_errors": 2,
            "rx_align_errors": 4,
            "tx_carrier_errors": 6,
            "rx_csum_offload_errors": 99,
            "alloc_rx_buff_failed": 2,
        },
        {"crc": 5, "frame": 4, "length": 3, "missed": 11, "no_buffer": 9, "carrier": 6},
    ),
    "ixgbe": (
        {
            "rx_missed_errors": 40,
            "rx_no_dma_resources": 8,
            "rx_no_buffer_count": 8,
            "rx_crc_errors": 1,
            "rx_fifo_errors": 0,
            "tx_queue_0_packets": 5,
            "rx_queue_0_packets": 5,
            "fcoe_bad_fccrc": 77,
            "rx_length_errors": 0,
        },
        {"crc": 1, "missed": 40, "no_buffer": 8, "fifo": 0, "length": 0},
    ),
    "i40e": (
        {
            "rx_dropped": 3,
            "tx_dropped": 0,
            "port.rx_dropped": 21,
            "port.rx_crc_errors": 2,
            "port.tx_dropped_link_down": 4,
            "port.rx_length_errors": 0,
            "port.rx_undersize": 1,
            "port.rx_fragments": 2,
            "port.rx_oversize": 0,
            "port.rx_jabber": 0,
            "veb.rx_discards": 66,
            "rx-0.packets": 5,
            "rx_alloc_fail": 9,
            "rx_pg_alloc_fail": 1,
        },
        {"crc": 2, "length": 3, "missed": 21, "no_buffer": 10, "carrier": 4, "dropped": 3},
    ),
    "ice": (
        {
            "rx_dropped.nic": 13,
            "rx_crc_errors.nic": 7,
            "rx_undersize.nic": 1,
            "rx_jabber.nic": 1,
            "tx_dropped_link_down.nic": 0,
            "rx_size_64.nic": 8,
            "rx_queue_3_packets": 1,
            "illegal_bytes.nic": 5,
        },
        {"crc": 7, "length": 2, "missed": 13, "carrier": 0},
    ),
    "mlx5": (
        {
            "rx_out_of_buffer": 30,
            "rx_discards_phy": 50,
            "rx_prio0_discards": 20,
            "rx_prio3_discards": 30,
            "rx_crc_errors_phy": 4,
            "rx_in_range_len_errors_phy": 1,
            "rx_out_of_range_len_phy": 2,
            "rx_oversize_pkts_phy": 3,
            "tx_discards_phy": 0,
            "rx_buff_alloc_err": 6,
            "rx0_buff_alloc_err": 2,
            "rx1_buff_alloc_err": 4,
            "tx_queue_dropped": 0,
            "ch0_events": 1,
        },
        {"crc": 4, "length": 6, "missed": 50, "no_buffer": 36, "dropped": 0},
    ),
    "bnxt": (
        {
            "[0]: rx_discards": 3,
            "[1]: rx_discards": 4,
            "rx_total_discard_pkts": 7,
            "tx_total_discard_pkts": 0,
            "rx_fcs_err_frames": 2,
            "rx_align_err_frames": 1,
            "rx_ovrsz_frames": 5,
            "[0]: rx_ucast_packets": 9,
        },
        {"crc": 2, "frame": 1, "length": 5, "missed": 7, "dropped": 0},
    ),
    "igb": (
        {
            "rx_queue_0_drops": 2,
            "rx_queue_1_drops": 3,
            "rx_queue_0_alloc_failed": 1,
            "rx_crc_errors": 0,
            "rx_fifo_errors": 5,
        },
        {"crc": 0, "fifo": 5, "dropped": 5, "no_buffer": 1},
    ),
    "virtio_net": (
        {"rx_drops": 5, "rx0_drops": 2, "rx1_drops": 3, "rx0_xdp_drops": 90, "tx_tx_timeouts": 1, "rx0_kicks": 4},
        {"dropped": 5},
    ),
    "vmxnet3": (
        {
            "  pkts rx OOB": 6,
            "  drv dropped rx total": 3,
            "     fcs": 1,
            "     err": 2,
            "  drv dropped tx total": 4,
            "  rx buf alloc fail": 0,
            "     xdp drops": 90,
        },
        {"crc": 1, "no_buffer": 6, "dropped": 7},
    ),
    "ena": (
        {
            "queue_0_rx_page_alloc_fail": 1,
            "queue_1_rx_page_alloc_fail": 2,
            "queue_0_rx_empty_rx_ring": 5,
            "bw_in_allowance_exceeded": 10,
            "bw_out_allowance_exceeded": 1,
            "pps_allowance_exceeded": 2,
            "conntrack_allowance_exceeded": 3,
            "linklocal_allowance_exceeded": 4,
            "conntrack_allowance_available": 99999,
        },
        {"no_buffer": 8, "allowance": 20},
    ),
    "tg3": (
        {
            "rx_fcs_errors": 1,
            "rx_align_errors": 2,
            "rx_discards": 3,
            "rxbds_empty": 4,
            "rx_frame_too_long_errors": 5,
            "rx_undersize_packets": 6,
            "tx_carrier_sense_errors": 7,
            "rx_64_or_less_octet_packets": 90,
        },
        {"crc": 1, "frame": 2, "length": 11, "missed": 3, "no_buffer": 4, "carrier": 7},
    ),
    "r8169": ({"rx_errors": 9, "rx_missed": 4, "align_errors": 2, "tx_aborted": 1}, {"frame": 2, "missed": 4}),
    "gve": (
        {
            "rx_dropped": 4,
            "rx_dropped_pkt[0]": 1,
            "rx_dropped_pkt[1]": 3,
            "rx_no_buffers_posted[0]": 2,
            "rx_queue_drop_cnt[0]": 6,
            "rx_drops_packet_over_mru[1]": 1,
            "rx_buf_alloc_fail": 5,
            "rx_posted_desc[0]": 90,
        },
        {"missed": 6, "no_buffer": 7, "dropped": 4, "length": 1},
    ),
    "hns3": (
        {
            "mac_rx_fcs_err_pkt_num": 2,
            "mac_rx_oversize_pkt_num": 1,
            "mac_rx_undersize_pkt_num": 1,
            "rxq0_packets": 8,
            "mac_rx_jabber_pkt_num": 1,
        },
        {"crc": 2, "length": 3},
    ),
    "veth": (
        {"rx_queue_0_drops": 1, "rx_queue_1_drops": 2, "rx_queue_0_xdp_drops": 90, "peer_ifindex": 5},
        {"dropped": 3},
    ),
}


@pytest.mark.parametrize("driver", DRIVERS)
def test_each_driver_s_statistics_mean_what_its_source_says(driver: str) -> None:
    statistics, expected = DRIVERS[driver]
    kept = classified(list(statistics), list(statistics.values()))
    found = {trouble: number for trouble, number in errors({}, kept).items() if number is not None}
    assert found == expected


@pytest.mark.parametrize(
    "name",
    ["rx0_drops", "rx_queue_0_drops", "[0]: rx_drops", "rx-0.drops", "rxq12_drops", "rx_drops[7]", "rx_q3_drops"],
)
def test_a_queue_s_share_is_known_as_one(name: str) -> None:
    assert normal(name) == ("rx_drops", True)


def test_a_number_that_names_no_queue_stays() -> None:
    assert normal("rx_1024_to_1522_octet_packets") == ("rx_to_octet_packets", True)
    assert meaning("rx_1024_to_1522_octet_packets") is None
    assert normal("tx_ipv4_errors") == ("tx_ipv4_errors", False)


def test_standard_and_private_counters_of_the_same_packets_count_once() -> None:
    counters = {"rx_crc_errors": 5, "rx_dropped": 2, "tx_dropped": 9, "rx_fifo_errors": 3, "rx_over_errors": 3}
    found = errors(counters, {"rx_crc_errors": 5, "rx_drops": 7, "tx_drops": 1})
    assert (found["crc"], found["dropped"], found["fifo"]) == (5, 7 + 9, 3)


def test_a_class_that_nobody_counts_is_null_and_one_that_stands_still_is_zero() -> None:
    found = errors({"rx_crc_errors": 0}, None)
    assert (found["crc"], found["no_buffer"]) == (0, None)
    assert errors({}, {"rx_out_of_buffer": 0})["no_buffer"] == 0
    assert set(found) == set(nic_statistics.CLASSES)


def test_the_same_name_once_a_queue_is_added_up() -> None:
    """vmxnet3 prints a heading for each queue and then the same names."""
    names = ["Rx Queue#", "  pkts rx OOB", "Rx Queue#", "  pkts rx OOB"]
    assert classified(names, [0, 3, 1, 4]) == {"pkts rx OOB": 7}


def test_no_name_stands_in_two_rows() -> None:
    names = [name for row in nic_statistics._ROWS for name in row[3].split()]
    assert sorted(set(names)) == sorted(names)
    assert all(normal(name) == (name, False) for name in names), "a name must be written as normal() leaves it"


@given(st.dictionaries(st.sampled_from(sorted(nic_statistics._KNOWN)), st.integers(0, 1 << 64), max_size=12))
def test_no_class_exceeds_what_was_counted_and_none_is_below_its_largest(statistics: dict[str, int]) -> None:
    for key, number in totals(statistics).items():
        counted = [value for name, value in statistics.items() if nic_statistics._KNOWN[name][:2] == key]
        assert max(counted) <= number <= sum(counted)


@given(st.lists(st.tuples(st.text(max_size=32), st.integers(0, 1 << 64)), max_size=20))
def test_any_name_may_come(rows: list[tuple[str, int]]) -> None:
    kept = classified([name for name, __ in rows], [value for __, value in rows])
    assert set(errors({name: 1 for names in STANDARD.values() for name in names}, kept)) == set(nic_statistics.CLASSES)
