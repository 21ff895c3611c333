# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel parameters that matter to a network's health. Private to this collection."""

from __future__ import annotations

import os
from typing import Any, Iterable, List, NamedTuple, Union

from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Facts, Window
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sysctl
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable, why
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, number, read_text, shown

Value = Union[int, List[int], List[str], str, None]

# Keys of one number, by the directory that they lie in.
_NUMBERS = {
    "net.core": """
        busy_poll busy_read dev_weight netdev_budget netdev_budget_usecs netdev_max_backlog optmem_max
        rmem_default rmem_max rps_sock_flow_entries somaxconn wmem_default wmem_max""",
    "net.ipv4": """
        icmp_ratelimit ip_forward ip_no_pmtu_disc ip_unprivileged_port_start
        tcp_abort_on_overflow tcp_adv_win_scale tcp_autocorking tcp_base_mss tcp_dsack tcp_early_retrans tcp_ecn
        tcp_fastopen tcp_fin_timeout tcp_frto tcp_keepalive_intvl tcp_keepalive_probes tcp_keepalive_time
        tcp_limit_output_bytes tcp_max_orphans tcp_max_reordering tcp_max_syn_backlog tcp_max_tw_buckets
        tcp_min_snd_mss tcp_moderate_rcvbuf tcp_mtu_probe_floor tcp_mtu_probing tcp_no_metrics_save
        tcp_notsent_lowat tcp_orphan_retries tcp_recovery tcp_reordering tcp_retries1 tcp_retries2 tcp_rfc1337
        tcp_sack tcp_shrink_window tcp_slow_start_after_idle tcp_syn_retries tcp_synack_retries tcp_syncookies
        tcp_timestamps tcp_tw_recycle tcp_tw_reuse tcp_tw_reuse_delay tcp_window_scaling udp_rmem_min udp_wmem_min""",
    "net.ipv4.conf.all": "rp_filter arp_announce arp_ignore",
    "net.ipv4.conf.default": "rp_filter",
    "net.ipv4.neigh.default": "gc_interval gc_stale_time gc_thresh1 gc_thresh2 gc_thresh3 unres_qlen_bytes",
    "net.ipv6.conf.all": "disable_ipv6 forwarding",
    "net.ipv6.neigh.default": "gc_interval gc_stale_time gc_thresh1 gc_thresh2 gc_thresh3 unres_qlen_bytes",
    "net.ipv6.route": "gc_thresh max_size",
    "net.mptcp": "enabled",
    "net.netfilter": """
        nf_conntrack_acct nf_conntrack_buckets nf_conntrack_expect_max nf_conntrack_max
        nf_conntrack_tcp_be_liberal nf_conntrack_tcp_loose
        nf_conntrack_tcp_timeout_close_wait nf_conntrack_tcp_timeout_established nf_conntrack_tcp_timeout_fin_wait
        nf_conntrack_tcp_timeout_time_wait nf_conntrack_udp_timeout nf_conntrack_udp_timeout_stream""",
    "net.unix": "max_dgram_qlen",
    "fs": "file-max nr_open",
}
# Keys of several numbers, of several words, of one text.
_NUMBER_LISTS = (
    "fs.file-nr",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_mem",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.ipv4.udp_mem",
)
_WORD_LISTS = ("net.ipv4.tcp_allowed_congestion_control", "net.ipv4.tcp_available_congestion_control")
_TEXTS = ("net.core.default_qdisc", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_congestion_control")

NUMBERS = [f"{directory}.{name}" for directory, names in _NUMBERS.items() for name in names.split()]
KEYS = sorted([*NUMBERS, *_NUMBER_LISTS, *_WORD_LISTS, *_TEXTS])

# Files of sysctl.d that are our own: by this name, or by how they begin.
OWN_NAME = "90-nettriage.conf"
OWN_MARK = "# Written by nettriage.linux.sysctl_transaction"


class Tuned(NamedTuple):
    """What becomes of the settings of our own files; ``None`` where that cannot be told from here."""

    overridden: list[dict[str, Any]] | None
    namespaces: list[dict[str, Any]] | None


class Sample(NamedTuple):
    values: dict[str, Value]
    limited: list[str]
    tuned: Tuned


def baseline(host: Host) -> None:
    """Nothing here is counted."""


def sample(host: Host) -> Sample:
    """:raises Unavailable: there is no ``/proc/sys/net`` at all."""
    now = values_only(host)
    return now._replace(tuned=tuned(host, now.limited))


def values_only(host: Host, keys: Iterable[str] = KEYS) -> Sample:
    """The sample without what becomes of our own files.

    :param keys: which of :data:`KEYS` to read.
    :raises Unavailable: there is no ``/proc/sys/net`` at all.
    """
    values: dict[str, Value] = {}
    limited: list[str] = []
    for key in keys:
        try:
            values[key] = parse(key, sysctl.read(host, key))
        except Unavailable as error:
            values[key] = None
            limited.append(str(error))
        except ValueError:
            values[key] = None
            limited.append(f"{key}: its value has not the form that this key has")
    if all(value is None for value in values.values()):
        raise Unavailable(limited[0] if limited else f"{host.proc('sys/net')} does not exist")
    return Sample(values, limited, Tuned(None, None))


def facts(host: Host, before: None, now: Sample, window: Window) -> Facts:
    found: Facts = {"available": True, "limited": now.limited, "values": now.values}
    for name, rows in now.tuned._asdict().items():
        found[name] = None if rows is None else rows[: window.top]
        found[f"{name}_total"] = None if rows is None else len(rows)
    return found


def tuned(host: Host, limited: list[str], elsewhere: bool = True) -> Tuned:
    """Who overrides our own files at the next boot, and which namespaces they have not reached.

    Both are asked for only where there is such a file, and only from the host's own network namespace.

    :param limited: gets a sentence for what cannot be seen.
    :param elsewhere: whether to ask the other namespaces at all.
    """
    if not host.live or host.netns is not None or not _first_namespace(host):
        return Tuned(None, None)
    root = _root(host)
    files = own_files(root)
    if not files:
        return Tuned([], [])
    if root.startswith(host.procfs):
        # Links of another root cannot be followed from here as they are followed there.
        limited.append(f"overridden: {files[0]} is the host's, whose sysctl.d is not seen from this container")
        return Tuned(None, None)
    # Most hosts have no such file and need not load these.
    from ansible_collections.nettriage.linux.plugins.module_utils.collect import (
        sysctls_namespaces,
        sysctls_overridden,
    )

    settings = sysctls_overridden.settings(root, files)
    losing = sysctls_overridden.overridden(root, settings)
    if not elsewhere:
        return Tuned(losing, None)
    try:
        others = sysctls_namespaces.differing(host, settings)
    except OSError as error:  # no more processes or descriptors: the rest is still worth having
        limited.append(why(error, "namespaces"))
        return Tuned(losing, None)
    limited.extend(others.limited)
    return Tuned(losing, others.rows)


def own_files(root: str) -> list[str]:
    """The files below ``/etc/sysctl.d`` that ``sysctl_transaction`` has written."""
    directory = "/etc/sysctl.d"
    try:
        names = sorted(os.listdir(root + directory))
    except OSError:
        return []
    paths = [f"{directory}/{name}" for name in names if name.endswith(".conf")]
    return [path for path in paths if path.endswith(f"/{OWN_NAME}") or _begins(root + path)]


def _begins(path: str) -> bool:
    try:
        return os.path.isfile(path) and read_text(path).startswith(OWN_MARK)
    except Unavailable:
        return False


def _root(host: Host) -> str:
    """Where the file system of the host lies; empty where it is the one of this process."""
    if host.procfs == "/proc":
        return os.path.dirname(host.etc).rstrip("/")
    root = host.proc("1", "root")
    try:
        return "" if os.path.samefile(root, "/") else root
    except OSError:
        return root


def _first_namespace(host: Host) -> bool:
    try:
        return os.path.samefile(host.proc("1", "ns", "net"), host.proc("self", "ns", "net"))
    except OSError:  # init's is shown to nobody without privilege: nothing tells that this is another one
        return True


def parse(key: str, text: str | None) -> Value:
    """*text* in the type that *key* always has, whatever stands in it today.

    :raises ValueError: it has another form.
    """
    if text is None:
        return None
    if key in _TEXTS:
        return shown(text)
    if key in _WORD_LISTS:
        return shown(text).split()
    if key in _NUMBER_LISTS:
        return [number(word) for word in text.split()]
    return number(text)
