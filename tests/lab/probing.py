# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths through routers, the probes that are run over them, and the rules over what these found."""

from __future__ import annotations

import functools
import time
from typing import Any

from ansible_collections.nettriage.linux.tests.lab.auditing import Audit
from ansible_collections.nettriage.linux.tests.lab.netlab import (
    Lab,
    LabError,
    Link,
    Namespace,
    says,
    wait_until,
)

_TIMEOUT_S = 120.0
_NOBODY = 65534
# The way of the modules below their main(). A codec that names need is loaded before the files are out of reach.
_PROBE = """
import encodings.idna, json, os, sys
from ansible_collections.nettriage.linux.plugins.module_utils.target import open_target
name, nobody, params = json.load(sys.stdin)
if name == "path":
    from ansible_collections.nettriage.linux.plugins.module_utils.probe.path import path_probe as probe
else:
    from ansible_collections.nettriage.linux.plugins.module_utils.probe.pmtu import pmtu_probe as probe
host = open_target(params)
if nobody:
    os.setgroups([])
    os.setgid(nobody)
    os.setuid(nobody)
result = probe(host, params)
result["descriptors"] = len(os.listdir("/proc/self/fd")) if not nobody else None
json.dump(result, sys.stdout)
"""
_COMMON = {
    "procfs": "/proc",
    "sysfs": "/sys",
    "family": "any",
    "port": None,
    "time_limit": 60.0,
    "max_hops": 30,
}
_OWN: dict[str, dict[str, Any]] = {
    "path": {"method": "auto", "cycles": 4, "interval": 1.0, "timeout": 1.0, "size": 64, "resolve": False},
    "pmtu": {"method": "udp", "probes": 3, "timeout": 1.0, "send_data": True},
}
_FILTER = """
table inet probing-{hook}-{serial} {{
    chain {hook} {{
        type filter hook {hook} priority 0;
        {rules}
    }}
}}
"""


class Chain:
    """Hosts in a row, each but the first and the last one a router, and routes to all of them in both directions.

    :ivar hosts: from the nearest to the farthest.
    :ivar links: between one and the next.
    """

    def __init__(self, lab: Lab, *labels: str, delay_ms: dict[int, float] | None = None) -> None:
        """:param delay_ms: the links (by number, from 0) that are long lines, with their delay each way."""
        self._filters = 0
        lines = delay_ms or {}
        self.hosts = [lab.namespace(label) for label in labels]
        self.links = [
            lab.line(near, far, lines[number]) if number in lines else lab.connect(near, far)
            for number, (near, far) in enumerate(zip(self.hosts, self.hosts[1:]))
        ]
        for router in self.hosts[1:-1]:
            router.sysctl("net.ipv4.ip_forward", 1)
            router.sysctl("net.ipv6.conf.all.forwarding", 1)
        for at, host in enumerate(self.hosts):
            for number, link in enumerate(self.links):
                if number > at:
                    self.route(host, link, self.links[at], 1)
                elif number < at - 1:
                    self.route(host, link, self.links[at - 1], 0)
        self.settle()

    @staticmethod
    def route(host: Namespace, to: Link, through: Link, end: int) -> None:
        """Have *host* send what is for the link *to* to that *end* (0 near, 1 far) of the link *through*."""
        net, net6 = to.addresses[0].rpartition(".")[0], to.addresses6[0].rpartition(":")[0]
        host.ip(f"route replace {net}.0/24 via {through.addresses[end]}")
        host.ip(f"-6 route replace {net6}:/64 via {through.addresses6[end]}")

    def settle(self) -> None:
        """Until the server answers in both families, and neighbours are known: duplicate detection takes its time."""
        for address in self.targets:
            wait_until(functools.partial(self._answers, address), f"{address} answers")

    def _answers(self, address: str) -> bool:
        try:
            self.client.run("ping", "-c1", "-W1", address)
        except LabError:
            return False
        return True

    @property
    def client(self) -> Namespace:
        return self.hosts[0]

    @property
    def server(self) -> Namespace:
        return self.hosts[-1]

    @property
    def targets(self) -> tuple[str, str]:
        """The server's addresses, IPv4 and IPv6."""
        return self.links[-1].addresses[1], self.links[-1].addresses6[1]

    def address(self, hop: int, ipv6: bool = False) -> str:
        """Of the interface at which packets from the client arrive at this hop."""
        link = self.links[hop - 1]
        return link.addresses6[1] if ipv6 else link.addresses[1]

    def narrow(self, number: int, mtu: int) -> None:
        """Give a link this MTU, on both ends."""
        for host, interface in zip(self.hosts[number : number + 2], self.links[number].interfaces):
            host.ip(f"link set {interface} mtu {mtu}")

    def filter(self, hop: int, hook: str, *rules: str) -> None:
        """Add nftables rules at *hook* of a host."""
        self._filters += 1
        text = _FILTER.format(hook=hook, serial=self._filters, rules="\n".join(rules))
        self.hosts[hop].run("nft", "-f", "-", stdin=text)

    def forget(self) -> None:
        """Have the client forget what it has learnt about path MTUs."""
        self.client.ip("route flush cache")
        self.client.ip("-6 route flush cache")


# What routers say about packets that are too big, which some filters drop.
TOO_BIG = ("icmp type destination-unreachable icmp code 4 drop", "icmpv6 type packet-too-big drop")
ERRORS = (
    "icmp type { destination-unreachable, time-exceeded, echo-reply } drop",
    "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, echo-reply } drop",
)


def probe(namespace: Namespace, name: str, *targets: str, nobody: bool = False, **options: Any) -> dict[str, Any]:
    """What the module ``path_probe`` or ``pmtu_probe`` (*name* is ``path`` or ``pmtu``) returns in *namespace*.

    :param nobody: as a user without any privilege.

    ``took_s`` is how long it took; ``descriptors`` how many its process had open after it.
    """
    params = {**_COMMON, **_OWN[name], "netns": namespace.name, "targets": list(targets), **options}
    started = time.monotonic()
    found: dict[str, Any] = says(_PROBE, [name, _NOBODY if nobody else 0, params], _TIMEOUT_S)
    found["took_s"] = time.monotonic() - started
    return found


def judged(name: str, result: dict[str, Any]) -> Audit:
    """The findings of the rules over a probe's *result*."""
    from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import evaluate

    return Audit(result, evaluate({name: result}))


def nothing_left(namespace: Namespace) -> None:
    """No socket of the probes is left in *namespace*, in whatever state."""
    for kind in ("-tan", "-uan", "-wan"):
        assert namespace.ss(kind) == []
