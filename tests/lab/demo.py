# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small fleet with real faults, audited by the real playbook: ``make demo``.

``python tests/lab/demo.py [DIRECTORY]``: the report goes to DIRECTORY, by default ``nettriage-report`` in the current
one. Every host of the fleet is a network namespace; all are removed at the end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from typing import NoReturn

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_COLLECTIONS = os.path.join(_ROOT, ".collections")
if __name__ == "__main__":
    sys.path[0] = _COLLECTIONS

from ansible_collections.nettriage.linux.tests.lab import netlab  # noqa: E402

CAPACITY = 400
LEAK = 80
_PLAYBOOK_TIMEOUT_S = 120
QUIET = {
    "ANSIBLE_COLLECTIONS_PATH": _COLLECTIONS,
    "ANSIBLE_LOCALHOST_WARNING": "0",
    "ANSIBLE_DEPRECATION_WARNINGS": "0",
    "ANSIBLE_PIPELINING": "1",
    "ANSIBLE_NOCOWS": "1",
    "LC_ALL": "C.UTF-8",
}


class Fleet:
    """Six hosts, five of them with a fault; :attr:`hosts` is what gets audited, by its name in the inventory."""

    def __init__(self, lab: netlab.Lab) -> None:
        self.lab = lab
        self.hosts: dict[str, netlab.Namespace] = {}
        self.faults: list[tuple[str, str]] = []
        self._core = lab.namespace("core")
        self._core.start("backend", "payments", "serve", "0.0.0.0:8443")
        self._core.start("backend", "sessions", "leave", "0.0.0.0:6379")
        self._checkout()
        self._billing()
        self._web()
        self._uploads()
        self._storage()
        self._intranet()

    def _host(self, name: str, fault: str | None) -> tuple[netlab.Namespace, netlab.Link]:
        """A host on a cable of its own to the core, which is its default route."""
        host = self.lab.namespace(name)
        link = self.lab.connect(host, self._core)
        host.ip(f"route add default via {link.addresses[1]}")
        self.hosts[name] = host
        if fault is not None:
            self.faults.append((name, fault))
        return host, link

    def _checkout(self) -> None:
        host, link = self._host("checkout", f"has used up its {CAPACITY} ephemeral ports towards one backend")
        host.sysctl("net.ipv4.ip_local_port_range", f"40001 {40000 + CAPACITY}")
        host.sysctl("net.ipv4.tcp_tw_reuse", 0)
        host.sysctl("net.ipv4.tcp_rfc1337", 1)  # a late duplicate's RST ends no TIME_WAIT
        host.start("client", "checkout-api", "tenth", CAPACITY + 1, f"{link.addresses[1]}:8443")

    def _billing(self) -> None:
        host, link = self._host("billing", "runs a program that never closes what its peer has closed")
        host.start("client", "invoice-worker", "leak", LEAK, f"{link.addresses[1]}:6379")

    def _web(self) -> None:
        host, link = self._host("web", "runs two services, one of which has stopped to accept connections")
        host.start("backend", "nginx", "serve", "0.0.0.0:80")
        host.start("listener", "report-server", "0.0.0.0:8080", 16)
        self._core.start("dialer", "browser", 24, 2, f"{link.addresses[0]}:8080")
        self._core.start("client", "browser", "churn", 1, f"{link.addresses[0]}:80")

    def _uploads(self) -> None:
        host, __ = self._host("uploads", "sends to an archive behind a router that loses every tenth packet")
        archive = self.lab.namespace("archive")
        far = self.lab.connect(self._core, archive)
        archive.ip(f"route add default via {far.addresses[0]}")
        archive.start("backend", "archived", "serve", "0.0.0.0:873")
        self._core.sysctl("net.ipv4.ip_forward", 1)
        self._core.filter("forward", f"ip daddr {far.addresses[1]} tcp dport 873 numgen random mod 10 < 1 drop")
        host.start("sender", "rsync", 8, 32768, 20, f"{far.addresses[1]}:873")
        netlab.wait_until(lambda: host.counter("TcpRetransSegs") > 50, "retransmissions")

    def _storage(self) -> None:
        host, __ = self._host("storage", "has a second cable that is not plugged in at the other end")
        spare = self.lab.connect(host, self._core)
        self._core.ip(f"link set {spare.interfaces[1]} down")

    def _intranet(self) -> None:
        host, link = self._host("intranet", None)
        host.start("backend", "nginx", "serve", "0.0.0.0:80")
        self._core.start("client", "browser", "churn", 2, f"{link.addresses[0]}:80")
        host.start("sender", "backup", 2, 16384, 20, f"{link.addresses[1]}:8443")

    def inventory(self) -> str:
        """The fleet as an Ansible inventory: every host is this machine, seen from its namespace."""
        connection = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        hosts = {name: {"audit_netns": host.name} for name, host in self.hosts.items()}
        return json.dumps({"all": {"hosts": hosts, "vars": connection}})


def playbook(
    inventory: str, directory: str, *arguments: str, capture: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run ``ansible-playbook nettriage.linux.audit`` on *inventory*, with the report in *directory*."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(inventory)
        file.flush()
        return subprocess.run(
            [
                *(os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "nettriage.linux.audit"),
                *("-i", file.name, "-e", json.dumps({"audit_report_dir": directory}), *arguments),
            ],
            env={**os.environ, **QUIET},
            capture_output=capture,
            text=True,
            timeout=_PLAYBOOK_TIMEOUT_S,
            check=False,
        )


def _stop(*__: object) -> NoReturn:
    sys.exit("stopped")


def main() -> int:
    reason = netlab.missing(("ip", "nft", "nstat"))
    if reason is not None:
        print(f"demo: {reason}", file=sys.stderr)
        return 1
    # Ended by a signal, it still removes what it made.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    netlab.sweep()
    directory = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "nettriage-report")
    try:
        with netlab.Lab() as lab:
            print("Building a fleet of network namespaces ...", flush=True)
            fleet = Fleet(lab)
            for name, fault in fleet.faults:
                print(f"  {name:<10} {fault}")
            print(f"  {'intranet':<10} is healthy\n", flush=True)
            done = playbook(fleet.inventory(), directory)
    except KeyboardInterrupt:
        return 130
    finally:
        netlab.sweep(own=True)
    if done.returncode == 0:
        print(f"The page with all of it: {os.path.join(directory, 'report.html')}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
