# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sysctl's value may be, when two are the same, and how a wanted one meets the present one.

Private to this collection. The kernel checks little: it takes 0 and negative times, and a maximum below its default.
So the limits here are those of the kernel's code where it has any, and of what makes sense where it has none.
Sources: ip-sysctl.rst, net.rst and nf_conntrack-sysctl.rst of the kernel; each limit was tried on Linux 6.18.
"""

from __future__ import annotations

from typing import Any, NamedTuple

_INT = 2147483647
# The kernel multiplies seconds by its tick (up to 1000 a second) in an int.
_SECONDS = _INT // 1000


class Rule(NamedTuple):
    """What a key's value looks like.

    :ivar least: the smallest that each number may be.
    :ivar most: the largest.
    :ivar length: how many numbers there are; several never descend.
    :ivar step: the kernel rounds up to a multiple of it.
    """

    least: int
    most: int
    length: int = 1
    step: int = 1


def _table() -> dict[str, Rule]:
    switch, count, positive, seconds = Rule(0, 1), Rule(0, _INT), Rule(1, _INT), Rule(1, _SECONDS)
    groups: list[tuple[str, Rule, str]] = [
        (
            "net.core",
            positive,
            "dev_weight netdev_budget netdev_budget_usecs netdev_max_backlog somaxconn",
        ),
        ("net.core", count, "busy_poll busy_read optmem_max rps_sock_flow_entries"),
        ("net.core", Rule(2048, _INT), "rmem_default rmem_max wmem_default wmem_max"),
        (
            "net.ipv4",
            positive,
            """tcp_limit_output_bytes tcp_max_orphans tcp_max_reordering tcp_max_syn_backlog tcp_max_tw_buckets
            tcp_reordering tcp_tw_reuse_delay udp_rmem_min udp_wmem_min""",
        ),
        ("net.ipv4", seconds, "tcp_fin_timeout tcp_keepalive_intvl tcp_keepalive_time"),
        (
            "net.ipv4",
            switch,
            """ip_forward tcp_abort_on_overflow tcp_autocorking tcp_dsack tcp_fack tcp_low_latency tcp_moderate_rcvbuf
            tcp_no_metrics_save tcp_rfc1337 tcp_sack tcp_shrink_window tcp_slow_start_after_idle tcp_window_scaling""",
        ),
        ("net.ipv4", Rule(0, 2), "tcp_frto tcp_mtu_probing tcp_syncookies tcp_timestamps tcp_tw_reuse"),
        ("net.ipv4", Rule(1, 255), "ip_default_ttl tcp_keepalive_probes tcp_retries1 tcp_retries2"),
        ("net.ipv4", Rule(0, 255), "tcp_orphan_retries tcp_synack_retries"),
        ("net.ipv4", Rule(48, 65535), "tcp_base_mss tcp_min_snd_mss tcp_mtu_probe_floor"),
        ("net.ipv4", Rule(1, 127), "tcp_syn_retries"),
        ("net.ipv4", Rule(0, 3), "ip_no_pmtu_disc"),
        ("net.ipv4", Rule(0, 4), "tcp_early_retrans"),
        ("net.ipv4", Rule(0, 5), "tcp_ecn"),
        ("net.ipv4", Rule(0, 7), "tcp_recovery"),
        ("net.ipv4", Rule(0, 0x607), "tcp_fastopen"),
        ("net.ipv4", Rule(0, 65535), "ip_unprivileged_port_start"),
        ("net.ipv4", Rule(-31, 31), "tcp_adv_win_scale"),
        ("net.ipv4", Rule(0, 31), "tcp_app_win"),
        ("net.ipv4", Rule(0, 4294967295), "tcp_notsent_lowat"),
        # It breaks clients behind NAT, and was removed in 4.12: it is only ever turned off.
        ("net.ipv4", Rule(0, 0), "tcp_tw_recycle"),
        ("net.ipv4", Rule(1, _INT, 3), "tcp_mem tcp_rmem tcp_wmem udp_mem"),
        ("net.ipv4", Rule(1, 65535, 2), "ip_local_port_range"),
        ("net.ipv4.conf.*", Rule(0, 2), "arp_announce rp_filter"),
        ("net.ipv4.conf.*", Rule(0, 8), "arp_ignore"),
        (
            "net.ipv4.conf.*",
            switch,
            """accept_redirects accept_source_route arp_filter forwarding log_martians proxy_arp secure_redirects
            send_redirects src_valid_mark""",
        ),
        ("net.ipv6.conf.*", switch, "accept_redirects autoconf disable_ipv6"),
        ("net.ipv6.conf.*", Rule(0, 2), "accept_ra forwarding use_tempaddr"),
        ("net.ipv6.route", positive, "gc_thresh max_size"),
        (
            "net.netfilter",
            switch,
            "nf_conntrack_acct nf_conntrack_checksum nf_conntrack_tcp_be_liberal nf_conntrack_timestamp",
        ),
        ("net.netfilter", positive, "nf_conntrack_expect_max nf_conntrack_max"),
        # Its table is whole pages of eight-byte heads [measured: 262145 became 262656].
        ("net.netfilter", Rule(1, _INT, step=512), "nf_conntrack_buckets"),
        ("net", positive, "nf_conntrack_max"),
    ]
    for family in ("ipv4", "ipv6"):
        groups.append((f"net.{family}.neigh.*", positive, "gc_interval gc_stale_time gc_thresh2 gc_thresh3"))
        groups.append((f"net.{family}.neigh.*", count, "gc_thresh1 unres_qlen_bytes"))
    return {f"{directory}.{name}": rule for directory, rule, names in groups for name in names.split()}


RULES = _table()
RESERVED_PORTS = "net.ipv4.ip_local_reserved_ports"
PORT_RANGE = "net.ipv4.ip_local_port_range"
UNPRIVILEGED = "net.ipv4.ip_unprivileged_port_start"
CONGESTION_CONTROL = "net.ipv4.tcp_congestion_control"
QDISC = "net.core.default_qdisc"
# Keys that hold words, and whose present value must not decide what they accept.
_WORDS = (CONGESTION_CONTROL, QDISC)
_TIMEOUTS = "net.netfilter.nf_conntrack_"
# The largest conntrack timeout is 49 days: jiffies of 32 bits.
_TIMEOUT = Rule(1, _SECONDS)
# None may be larger than the next.
_ASCENDING = [tuple(f"net.{family}.neigh.default.gc_thresh{n}" for n in (1, 2, 3)) for family in ("ipv4", "ipv6")]


def rule_of(key: str) -> Rule | None:
    """The rule for *key* in its form with dots; ``None`` where nothing is known about it."""
    found = RULES.get(key)
    if found is None and key.startswith(_TIMEOUTS) and "_timeout" in key:
        return _TIMEOUT
    parts = key.split(".")
    if found is None and len(parts) == 5:
        parts[3] = "*"
        return RULES.get(".".join(parts))
    return found


def integers(text: str) -> list[int] | None:
    """The decimal numbers of *text*; ``None`` where it is anything else."""
    words = text.split()
    if not words or not all((word[1:] if word[0] == "-" else word).isdigit() and word.isascii() for word in words):
        return None
    return [int(word) for word in words]


def text_of(key: str, value: Any) -> str:
    """A value as a user gives it, in the kernel's form with single spaces.

    :raises ValueError: one sentence that says why it cannot be one.
    """
    if isinstance(value, bool):
        raise ValueError("a YAML boolean is not a sysctl value: write 0 or 1, or quote the word")
    if isinstance(value, (list, tuple)):
        if any(isinstance(item, (bool, list, tuple, dict)) or item is None for item in value):
            raise ValueError("a list may hold numbers and words only")
        joiner = "," if key == RESERVED_PORTS else " "
        return text_of(key, joiner.join(str(item) for item in value))
    if value is None or isinstance(value, (dict, float)):
        raise ValueError(f"{value!r} is not a number, a text, or a list of them")
    text = str(value)
    if any((ord(character) < 32 and character != "\t") or ord(character) == 127 for character in text.strip()):
        raise ValueError("a value must not hold line breaks or other control characters")
    return " ".join(text.split())


def ports_of(text: str) -> set[int]:
    """The ports of a list such as ``8080,9000-9005``.

    :raises ValueError: it is none.
    """
    ports: set[int] = set()
    for part in "".join(text.split()).split(","):
        if not part:
            continue
        low, dash, high = part.partition("-")
        high = high if dash else low
        if not (low.isdigit() and high.isdigit() and part.isascii() and int(low) <= int(high) <= 65535):
            raise ValueError(f"{part!r} is neither a port nor a range of ports from 0 to 65535")
        ports.update(range(int(low), int(high) + 1))
    return ports


def ports_text(ports: set[int]) -> str:
    """*ports* as the kernel shows them."""
    parts: list[str] = []
    ordered = sorted(ports)
    start = 0
    for index, port in enumerate(ordered):
        if index + 1 == len(ordered) or ordered[index + 1] != port + 1:
            parts.append(str(port) if ordered[start] == port else f"{ordered[start]}-{port}")
            start = index + 1
    return ",".join(parts)


def check(key: str, text: str, current: str) -> None:
    """Whether *text* may be written to *key*, which now holds *current*.

    :raises ValueError: one sentence that says why not.
    """
    if key == RESERVED_PORTS:
        ports_of(text)
        return
    if key in _WORDS:
        if len(text.split()) != 1:
            raise ValueError("it takes one word")
        return
    numbers, rule, present = integers(text), rule_of(key), integers(current)
    if rule is None:
        if present is not None and (numbers is None or len(numbers) != len(present)):
            raise ValueError(f"{text!r} has another form than its present value {current!r}")
        return
    wanted = "one number" if rule.length == 1 else f"{rule.length} numbers"
    if numbers is None or len(numbers) != rule.length:
        raise ValueError(f"{text!r} is not {wanted}")
    if not all(rule.least <= number <= rule.most for number in numbers):
        raise ValueError(f"{text!r} is out of range: {_range(rule)}")
    if key == PORT_RANGE and numbers[0] >= numbers[1]:
        raise ValueError(f"{text!r}: the first port must be lower than the last")
    if numbers != sorted(numbers):
        raise ValueError(f"{text!r}: the numbers must not descend (minimum, default, maximum)")


def _range(rule: Rule) -> str:
    return f"only {rule.least} is accepted" if rule.least == rule.most else f"{rule.least} to {rule.most} is accepted"


def check_together(final: dict[str, str], asked: dict[str, str]) -> list[tuple[str, str]]:
    """What is wrong between keys.

    :param final: values as they will be, of the keys asked for and those that they depend on.
    :param asked: the keys that the user sets; others are nobody's fault.
    :return: (key, sentence).
    """
    problems: list[tuple[str, str]] = []
    ports, start = integers(final.get(PORT_RANGE, "")), integers(final.get(UNPRIVILEGED, ""))
    if ports and start and ports[0] < start[0]:
        problems.extend(
            (key, f"the port range {final[PORT_RANGE]!r} may not begin below {UNPRIVILEGED}, {start[0]}")
            for key in (PORT_RANGE, UNPRIVILEGED)
            if key in asked
        )
    for group in _ASCENDING:
        numbers = [integers(final.get(key, "")) for key in group]
        named = [key for key in group if key in asked]
        if named and all(numbers) and numbers != sorted(numbers):  # type: ignore[type-var]
            shown = ", ".join(final[key] for key in group)
            problems.append((named[0], f"gc_thresh1 to gc_thresh3 would be {shown}, and must not descend"))
    return problems


def depends_on(key: str) -> list[str]:
    """Other keys that :func:`check_together` needs for *key*."""
    if key == PORT_RANGE:
        return [UNPRIVILEGED]
    if key == UNPRIVILEGED:
        return [PORT_RANGE]
    return [other for group in _ASCENDING if key in group for other in group if other != key]


def same(key: str, one: str, other: str) -> bool:
    """Whether the kernel does the same with both values of *key*."""
    if " ".join(one.split()) == " ".join(other.split()):
        return True
    if key == RESERVED_PORTS:
        try:
            return ports_of(one) == ports_of(other)
        except ValueError:
            return False
    first, second = integers(one), integers(other)
    if first is None or second is None:
        return False
    rule = rule_of(key)
    if rule is not None and rule.step > 1:
        return [_rounded(n, rule.step) for n in first] == [_rounded(n, rule.step) for n in second]
    return first == second


def _rounded(number: int, step: int) -> int:
    return -(-number // step) * step


def target(key: str, current: str, wanted: str, raise_only: bool) -> str:
    """What to write where *current* stands and *wanted* is asked for.

    Reserved ports are added to those that are there, an empty list clears them. With *raise_only* no number gets
    smaller, and a port range no narrower.
    """
    if key == RESERVED_PORTS:
        if not wanted and not raise_only:
            return ""
        return ports_text(ports_of(current) | ports_of(wanted))
    present, numbers = integers(current), integers(wanted)
    if not raise_only or present is None or numbers is None or len(present) != len(numbers):
        return wanted
    if key == PORT_RANGE:
        return f"{min(present[0], numbers[0])} {max(present[1], numbers[1])}"
    return " ".join(str(max(pair)) for pair in zip(present, numbers))


def can_be_raised(key: str, current: str) -> bool:
    """Whether ``raise_only`` means anything for *key*."""
    return key == RESERVED_PORTS or (key not in _WORDS and integers(current) is not None)


def remarks(key: str, text: str) -> list[str]:
    """What is allowed, and worth a warning."""
    numbers = integers(text)
    if key == PORT_RANGE and numbers is not None and len(numbers) == 2 and (numbers[0] + numbers[1]) % 2 == 0:
        return [f"{key}: its ends {text!r} have the same parity; the kernel wants one even and one odd"]
    return []
