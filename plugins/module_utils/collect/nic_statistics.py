# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What drivers' private statistics mean: their names, by class of trouble. Private to this collection.

The names are those of ``ethtool -S`` in the drivers of the kernel tree (e1000e, igb, igc, ixgbe, i40e, ice, mlx4, mlx5,
bnxt, tg3, r8169, ena, gve, hns3, virtio_net, vmxnet3, veth and others).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Dict, Mapping, NamedTuple

CLASSES = ("crc", "frame", "length", "missed", "fifo", "no_buffer", "carrier", "dropped", "allowance")

# The standard counters of each class and direction; where there are several they are names for the same packets.
STANDARD = {
    ("crc", "rx"): ("rx_crc_errors",),
    ("frame", "rx"): ("rx_frame_errors",),
    ("length", "rx"): ("rx_length_errors",),
    ("missed", "rx"): ("rx_missed_errors",),
    ("fifo", "rx"): ("rx_fifo_errors", "rx_over_errors"),
    ("carrier", "tx"): ("tx_carrier_errors",),
    ("dropped", "rx"): ("rx_dropped",),
    ("dropped", "tx"): ("tx_dropped",),
}

# (class, direction, what it counts, its names). Names of one row count the same packets. Rows are added up, except for
# "all", which contains the others. Queue numbers and punctuation are gone from the names: see normal().
_ROWS = (
    ("crc", "rx", "all", "rx_crc_errors rx_crc_errors_phy rx_crc_errors_nic port_rx_crc_errors rx_fcs_errors rx_fcs_err"
     " rx_fcs_err_frames mac_rx_fcs_err_pkt_num rx_crc_error rx_crc_err rx_crc rx_bad_crc rx_bad_fcs check_seq_err"
     " fcs"),
    ("frame", "rx", "all", "rx_frame_errors rx_frame_error rx_align_errors rx_align_error rx_align_err align_errors"
     " rx_align_err_frames rx_alignment_errors rx_alignment_error alignment_err rx_frame_align_error"),
    ("length", "rx", "all", "rx_length_errors rx_length_error rx_length_errors_nic port_rx_length_errors"
     " rx_len_errors"),
    ("length", "rx", "long", "rx_long_length_errors rx_oversize rx_oversize_nic port_rx_oversize rx_oversize_pkts_phy"
     " rx_frame_too_long_errors rx_ovrsz_frames mac_rx_oversize_pkt_num too_long_errors rx_too_long"
     " rx_oversize_packets"),
    ("length", "rx", "jabber", "rx_jabber rx_jabber_nic port_rx_jabber rx_jabbers rx_jabbers_phy rx_jbr_frames"
     " mac_rx_jabber_pkt_num rx_jabber_errors"),
    ("length", "rx", "short", "rx_short_length_errors rx_undersize rx_undersize_nic port_rx_undersize"
     " rx_undersize_pkts_phy rx_undersize_packets rx_undrsz_frames mac_rx_undersize_pkt_num rx_undersized"
     " rx_too_short"),
    ("length", "rx", "fragment", "rx_fragments rx_fragments_nic port_rx_fragments rx_fragments_phy rx_runt_frames"
     " mac_rx_fragment_pkt_num rx_runt rx_runts"),
    ("length", "rx", "in_range", "rx_in_range_len_errors_phy rx_in_length_errors in_range_len_errors"),
    ("length", "rx", "out_of_range", "rx_out_of_range_len_phy rx_out_length_errors out_of_range_len"),
    ("length", "rx", "mtu", "rx_mtu_err_frames rx_drops_packet_over_mru"),
    ("missed", "rx", "all", "rx_missed_errors rx_missed rx_discards_phy rx_prio_discards rx_dropped_nic port_rx_dropped"
     " port_rx_discards rx_discards rx_total_discard_pkts rx_total_discards rx_discard_pkts rx_discard_packets_cos"
     " rx_drop_cnt"),
    ("fifo", "rx", "all", "rx_fifo_errors rx_over_errors rx_overruns rx_overrun rx_overrun_errors rx_fifo_overflow"
     " rx_over_flow_cnt rx_fifo_overrun rx_fifo_full"),
    ("no_buffer", "rx", "descriptors", "rx_no_buffer_count rx_no_dma_resources rx_out_of_buffer rx_no_buffers_posted"
     " rx_no_buffer rx_no_buffers rxbds_empty pkts_rx_oob pkts_rx_out_of_buf rx_empty_rx_ring rx_no_desc"),
    ("no_buffer", "rx", "memory", "alloc_rx_buff_failed rx_alloc_failed rx_buf_alloc_fail rx_alloc_fail"
     " rx_buff_alloc_err rx_skb_alloc_fail rx_nobuf"),
    ("no_buffer", "rx", "pages", "alloc_rx_page_failed rx_page_alloc_fail rx_pg_alloc_fail page_alloc_fail"
     " rx_pp_alloc_fail"),
    ("carrier", "tx", "all", "tx_carrier_errors tx_carrier_sense_errors tx_lost_carrier tx_dropped_link_down_nic"
     " port_tx_dropped_link_down tx_no_carrier"),
    ("dropped", "rx", "all", "rx_dropped rx_drops rx_drop rx_dropped_pkt drv_dropped_rx_total rx_desc_err_dropped_pkt"),
    ("dropped", "tx", "all", "tx_dropped tx_drops tx_drop drv_dropped_tx_total tx_discards tx_discards_phy"
     " tx_total_discard_pkts tx_total_discards tx_discard_pkts"),
    # What a cloud held back because the instance used up its share; its packets are queued or dropped.
    ("allowance", "rx", "bandwidth", "bw_in_allowance_exceeded"),
    ("allowance", "tx", "bandwidth", "bw_out_allowance_exceeded"),
    ("allowance", "tx", "packets", "pps_allowance_exceeded"),
    ("allowance", "tx", "connections", "conntrack_allowance_exceeded"),
    ("allowance", "tx", "linklocal", "linklocal_allowance_exceeded"),
)  # fmt: skip

_KNOWN = {name: row[:3] for row in _ROWS for name in row[3].split()}
_QUEUE_WORDS = {"rx": "rx", "tx": "tx", "rxq": "rx", "txq": "tx", "queue": "", "q": "", "ch": "", "prio": "prio",
                "cos": "cos"}  # fmt: skip
_DROPPED_WORDS = ("queue", "q", "ch")
_SEPARATORS = str.maketrans(dict.fromkeys(" .-:[]()#/", "_"))

Statistics = Mapping[str, int]
Totals = Dict["tuple[str, str]", int]


class Meaning(NamedTuple):
    """What one statistic counts. :ivar per_queue: it is one queue's (or priority's) share."""

    trouble: str
    direction: str
    part: str
    name: str
    per_queue: bool


@lru_cache(maxsize=65536)
def meaning(name: str) -> Meaning | None:
    """The class of trouble that a driver's statistic counts; ``None`` where it counts none."""
    plain, per_queue = normal(name)
    known = _KNOWN.get(plain)
    return None if known is None else Meaning(known[0], known[1], known[2], plain, per_queue)


def normal(name: str) -> tuple[str, bool]:
    """*name* without its queue number, and whether it had one.

    ``rx0_drops``, ``rx_queue_0_drops``, ``[0]: rx_drops``, ``rx-0.drops`` and ``rxq0_drops`` are all ``rx_drops``.
    """
    words = []
    per_queue = False
    for word in name.lower().translate(_SEPARATORS).split("_"):
        letters = word.rstrip("0123456789")
        if letters != word and letters in ("", *_QUEUE_WORDS):
            per_queue = True
            word = _QUEUE_WORDS.get(letters, "")
        elif word in _DROPPED_WORDS:
            word = ""
        if word:
            words.append(word)
    return "_".join(words), per_queue


def classified(names: list[str], values: list[int]) -> dict[str, int]:
    """Only the statistics that count trouble. A name that comes once a queue (vmxnet3) is added up."""
    kept: dict[str, int] = {}
    for name, value in zip(names, values):
        if meaning(name) is not None:
            kept[name.strip()] = kept.get(name.strip(), 0) + value
    return kept


def totals(statistics: Statistics) -> Totals:
    """(class, direction) to the number of packets, no packet twice.

    A total and its queues' shares, and different names of one thing, are not added: the larger counts.
    """
    shares: dict[tuple[str, str, str], dict[tuple[str, bool], int]] = {}
    for name, value in statistics.items():
        known = meaning(name)
        if known is not None:
            part = shares.setdefault((known.trouble, known.direction, known.part), {})
            key = known.name, known.per_queue
            part[key] = part.get(key, 0) + value
    parts: Totals = {}
    for (trouble, direction, part_name), counted in shares.items():
        if part_name != "all":
            parts[trouble, direction] = parts.get((trouble, direction), 0) + max(counted.values())
    for (trouble, direction, part_name), counted in shares.items():
        if part_name == "all":
            parts[trouble, direction] = max(parts.get((trouble, direction), 0), *counted.values())
    return parts


def errors(counters: Statistics, statistics: Statistics | None) -> dict[str, int | None]:
    """Standard counters and private statistics by class.

    Drivers report most of their own statistics in the standard counters too: of both the larger counts, for each
    direction. ``None`` where neither has that class.
    """
    private = totals(statistics) if statistics else {}
    found: dict[str, int | None] = dict.fromkeys(CLASSES)
    for key in {**STANDARD, **private}:
        values = [counters[name] for name in STANDARD.get(key, ()) if name in counters]
        if key in private:
            values.append(private[key])
        if values:
            found[key[0]] = (found[key[0]] or 0) + max(values)
    return found
