# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text that the kernel, systemd or an administrator wrote: /proc, /sys, cgroups, sysctl.d, our own files."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from typing import Any, Callable, Iterable

from ansible_collections.nettriage.linux.plugins.module_utils.collect import baseline, resolver, sysctls
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import (
    cgroups,
    kallsyms,
    netdev_files,
    proc_net,
    proc_sockets,
    processes,
    route_files,
    sock_diag,
    sysctl,
)
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.tune import (
    dropin,
    modules_load,
    persistence,
    undo,
    values,
)
from ansible_collections.nettriage.linux.tests.fuzz.harness import (
    Broken,
    Harness,
    Part,
    as_json,
    fixtures,
    numbers_of,
    text_of,
)


def _counters(parse: Callable[[str], Any], bases: tuple[int, ...] = (10,)) -> Callable[[bytes], None]:
    """A parser of a table and what was damaged in it."""

    def take(data: bytes) -> None:
        table, damage = parse(text_of(data))
        numbers_of(text_of(data), _numbers(table), bases)
        if len(damage) > 3 + data.count(b"\n"):
            raise Broken("more complaints than lines")

    return take


def _numbers(value: Any) -> Iterable[int]:
    if isinstance(value, int) and not isinstance(value, bool):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _numbers(item)


class _Directory:
    """A file system of one file, in memory where there is a place for that."""

    def __init__(self, *path: str) -> None:
        self._made = tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.root = self._made.name
        self.path = os.path.join(self.root, *path)
        os.makedirs(os.path.dirname(self.path), exist_ok=True)

    def put(self, data: bytes) -> None:
        with open(self.path, "wb") as file:
            file.write(data)

    @property
    def host(self) -> Host:
        return Host(self.root, self.root)


def _inside(read: Callable[[Host], Any], *path: str) -> Callable[[bytes], None]:
    """A reader of a file below a recorded /proc."""
    kept: list[_Directory] = []

    def take(data: bytes) -> None:
        if not kept:
            kept.append(_Directory(*path))
        kept[0].put(data)
        as_json(read(kept[0].host))

    return take


def _tcp(host: Host) -> Any:
    source = proc_sockets.ProcSockets(host)
    rows = [row for batch in source.tcp(sock_diag.ALL_STATES) for row in sock_diag.rows(batch)]
    if any(row.state not in sock_diag.STATE_NAMES for row in rows):
        raise Broken("a state that there is not")
    return [sock_diag.address(row.family, row.source) for row in rows]


def _udp(host: Host) -> Any:
    return proc_sockets.ProcSockets(host).udp(5)[0]


def _unix(host: Host) -> Any:
    total, listening = proc_sockets.ProcSockets(host).unix()
    if listening > total:
        raise Broken("more listeners than sockets")
    return total


def _functions(host: Host) -> Any:
    return sorted(kallsyms.functions(host, [0x1000, 0xFFFFFFFF81000010]).items())


def _process(host: Host) -> Any:
    return processes.describe(host, 7)


def _groups(data: bytes) -> None:
    cgroups.pod_of_text(text_of(data))
    for group in (cgroups.of_text(text_of(data)), cgroups.of_path(text_of(data))):
        if group.unit is not None and "/" in group.unit:
            raise Broken("a unit that is a path")


def _resolver(data: bytes) -> None:
    found = resolver.parse(text_of(data))
    as_json(found)
    for address in found.nameservers:
        socket.getaddrinfo(address, 53, flags=socket.AI_NUMERICHOST)
    if len(found.nameservers) > data.count(b"nameserver"):
        raise Broken("a name server that nobody named")


def _sysctl_value(data: bytes) -> None:
    text = text_of(data)
    for key in ("net.ipv4.tcp_rmem", "net.core.somaxconn", "net.ipv4.tcp_congestion_control"):
        try:
            found = sysctls.parse(key, sysctl.normal(text))
        except ValueError:
            continue
        as_json(found)


def _sysctl_d(data: bytes) -> None:
    text = text_of(data)
    entries: persistence.Entries = {}
    for by in (persistence.SYSTEMD, persistence.PROCPS):
        for line in persistence.parse(text, "a.conf", by):
            persistence.put(entries, line)
            as_json(line.shown())
            if line.value is not None and line.value.split() != line.value.split(" ") and line.value:
                raise Broken("a value that was not normalised")
    for path in list(entries):
        persistence.decide(entries, path)
    persistence.decide(entries, "net/ipv4/conf/eth0/rp_filter")


def _drop_in(data: bytes) -> None:
    text = text_of(data)
    wanted = {"net.core.somaxconn": "4096", "net.ipv4.tcp_rmem": "4096 131072 6291456"}
    made = dropin.updated(text, wanted, {"net.ipv4.tcp_tw_reuse"}, "T")
    if made is None:
        raise Broken("nothing is left of what is wanted")
    found = dropin.assigned(made)
    if any(not values.same(key, found.get(key, "absent"), value) for key, value in wanted.items()):
        raise Broken("the file does not set what is wanted")
    if "net.ipv4.tcp_tw_reuse" in found:
        raise Broken("a dropped key is still there")
    again = dropin.updated(made, wanted, set(), "T")
    if again != made:
        raise Broken("a second time changes it again")
    modules_load.listed(text)


def _value(data: bytes) -> None:
    text, __, current = text_of(data).partition("|")
    for key in ("net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_local_port_range", "net.core.somaxconn", "net.x.y"):
        try:
            values.check(key, text, current)
            values.same(key, text, current)
            values.check(key, current, current)  # what the kernel itself says
            wanted = values.target(key, current, text, True)
        except ValueError:
            continue
        values.check(key, wanted or text, current)


def _key(data: bytes) -> None:
    path = sysctl.relative_path(text_of(data))
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise Broken("a key that leads out of /proc/sys")


_JOURNAL = {
    "format": 1,
    "id": "20240101T000000-1",
    "state": "done",
    "settings": [{"key": "net.core.somaxconn", "before": "128", "after": "4096"}],
    "files": [],
    "net": {"id": [4, 5], "path": None},
}


def _journal() -> Callable[[bytes], None]:
    kept: list[_Directory] = []

    def take(data: bytes) -> None:
        if not kept:
            kept.append(_Directory("20240101T000000-1.json"))
            os.chmod(kept[0].root, 0o700)
        kept[0].put(data)
        state = undo.State(kept[0].root)
        try:
            state.load("20240101T000000-1")
        finally:
            state.close()

    return take


_IDENTITY = baseline._Identity("b", "/proc", "/sys", 4026531840, 1, 1000.0)
_KEPT = {
    "format": 1,
    "at": "2024-01-01T00:00:00Z",
    **_IDENTITY._replace(uptime_s=10.0)._asdict(),
    "parts": {"tcp": {"Tcp": {"OutSegs": 5}}, "nic": {"1": ["lo", {"rx_bytes": 1}]}, "routes": {}, "sockets": []},
}


def _baseline(data: bytes) -> None:
    as_json(baseline._compared(data, _IDENTITY, {}, 5))


_NO_FILE = (Unavailable,)
HARNESS = Harness(
    "files",
    {
        "snmp": Part(
            _counters(proc_net.paired_lines), lambda: fixtures("proc/net/snmp") + fixtures("proc/net/netstat")
        ),
        "snmp6": Part(_counters(proc_net.snmp6), lambda: fixtures("proc/net/snmp6")),
        "sockstat": Part(_counters(proc_net.sockstat), lambda: fixtures("proc/net/sockstat")),
        "softnet_stat": Part(_counters(proc_net.softnet_stat, (16,)), lambda: fixtures("proc/net/softnet_stat")),
        "stat": Part(_counters(proc_net.cpu_table, (16,)), lambda: fixtures("proc/net/stat/nf_conntrack")),
        "dev": Part(lambda data: as_json(netdev_files.parse_dev(text_of(data))[1]), lambda: fixtures("proc/net/dev")),
        "route": Part(
            lambda data: as_json(route_files.parse_route(text_of(data))[1]), lambda: fixtures("proc/net/route")
        ),
        "ipv6_route": Part(
            lambda data: as_json(route_files.parse_ipv6_route(text_of(data))[1]),
            lambda: fixtures("proc/net/ipv6_route"),
        ),
        "arp": Part(lambda data: as_json(route_files.parse_arp(text_of(data))[1]), lambda: fixtures("proc/net/arp")),
        "tcp": Part(_inside(_tcp, "net", "tcp"), lambda: fixtures("proc/net/tcp"), _NO_FILE),
        "tcp6": Part(_inside(_tcp, "net", "tcp6"), lambda: fixtures("proc/net/tcp6"), _NO_FILE),
        "udp": Part(_inside(_udp, "net", "udp"), lambda: fixtures("proc/net/udp"), _NO_FILE),
        "unix": Part(_inside(_unix, "net", "unix"), lambda: fixtures("proc/net/unix"), _NO_FILE),
        "kallsyms": Part(
            _inside(_functions, "kallsyms"),
            lambda: [b"ffffffff81000000 T startup_64\nffffffffc0000000 t nf_hook\t[nf_tables]\n"],
            _NO_FILE,
        ),
        "comm": Part(_inside(_process, "7", "comm"), lambda: [b"nginx\n", b"\x1b[31m\n", b"\xff" * 15 + b"\n"]),
        "cgroup": Part(
            _inside(_process, "7", "cgroup"),
            lambda: [
                b"0::/system.slice/nginx.service\n",
                b"1:name=systemd:/machine.slice/machine-a\\x2db.scope\n",
                b"0::/kubepods.slice/kubepods-pod1234_5678.slice/cri-containerd-" + b"a" * 64 + b".scope\n",
            ],
        ),
        "cgroup paths": Part(_groups, lambda: [b"/system.slice/docker-" + b"0" * 64 + b".scope", b"0::/a/b.service\n"]),
        "resolv.conf": Part(_resolver, lambda: fixtures("etc/resolv.conf")),
        "sysctl": Part(_sysctl_value, lambda: [b"4096\t131072\t6291456\n", b"4096\n", b"cubic\n"]),
        "sysctl.d": Part(_sysctl_d, lambda: [b"# x\n-net.ipv4.conf.*.rp_filter = 2\nnet/core/somaxconn=1\n;y\n"]),
        "drop-in": Part(_drop_in, lambda: [b"# x\nnet.core.somaxconn = 1\nnet.ipv4.tcp_tw_reuse=1\nkernel.x = 2\n"]),
        "values": Part(_value, lambda: [b"1024-2000,3000|8080", b"1024 65000|32768 60999", b"4096|128"]),
        "keys": Part(_key, lambda: [b"net.core.somaxconn", b"net/ipv4/conf/bond0.101/rp_filter"], (BadOption,)),
        "journal": Part(_journal(), lambda: [json.dumps(_JOURNAL, indent=1).encode()], (undo.Trouble,)),
        "baseline": Part(_baseline, lambda: [json.dumps(_KEPT).encode()], _NO_FILE),
    },
)
