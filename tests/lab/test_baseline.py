# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two audits with a fault in between that is over: found by the counters that the first one has left."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.nettriage.linux.tests.lab import demo
from ansible_collections.nettriage.linux.tests.lab.auditing import AuditOne
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, Namespace, environment

_BURST = 400
# What the audits of the lab wait for is the interval; these two have none to wait for, or a short one.
_LONG_AGO = {"recent_window_s": 0}


class Receiver:
    """A UDP socket with a small buffer in a namespace, and somebody who sends to it."""

    def __init__(self, host: Namespace) -> None:
        with host.entered():
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]

    def overflow(self) -> None:
        """Send more than fits, then read what has fitted."""
        for __ in range(_BURST):
            self._sender.sendto(bytes(100), ("127.0.0.1", self.port))
        with contextlib.suppress(BlockingIOError):
            while self.socket.recv(200):
                pass

    def close(self) -> None:
        self.socket.close()
        self._sender.close()


@pytest.fixture
def place(lab: Lab) -> Iterator[tuple[Namespace, Receiver]]:
    host = lab.namespace("host")
    receiver = Receiver(host)
    yield host, receiver
    receiver.close()


def test_what_is_over_is_found_and_called_past(
    place: tuple[Namespace, Receiver], audit: AuditOne, tmp_path: Path
) -> None:
    host, receiver = place
    options: dict[str, Any] = {"baseline": str(tmp_path / "kept"), "interval": 0}
    first = audit(host, **options)
    assert first.facts["since"]["available"] is False and first.findings == []
    receiver.overflow()
    lost = host.counter("UdpRcvbufErrors")
    assert 0 < lost < _BURST

    # A sample alone sees nothing of it.
    assert audit(host, interval=0.2).findings == []
    seen = audit(host, **options, limits=_LONG_AGO)
    finding = seen.one("udp.receive_errors", receiver.port)
    assert finding["evidence"]["drops_delta"] == finding["evidence"]["receive_buffer_errors_delta"] == lost
    assert finding["severity"] == "info"
    window = f"since the last audit, {seen.facts['since']['seconds']:.0f} s"
    assert finding["evidence"]["window"] == window
    assert finding["title"].startswith("Since the last audit, ")

    assert audit(host, **options).findings == []  # nothing since that one


def test_not_long_ago_is_as_good_as_now(place: tuple[Namespace, Receiver], audit: AuditOne, tmp_path: Path) -> None:
    host, receiver = place
    options: dict[str, Any] = {"baseline": str(tmp_path / "kept"), "interval": 0}
    audit(host, **options)
    receiver.overflow()
    assert audit(host, **options).one("udp.receive_errors", receiver.port)["severity"] == "warning"


def test_what_goes_on_is_told_in_both_windows(
    place: tuple[Namespace, Receiver], audit: AuditOne, tmp_path: Path
) -> None:
    host, receiver = place
    kept = str(tmp_path / "kept")
    audit(host, baseline=kept, interval=0)
    receiver.overflow()
    over = threading.Event()

    def sending() -> None:
        while not over.wait(0.02):
            receiver.overflow()

    sender = threading.Thread(target=sending)
    sender.start()
    try:
        seen = audit(host, baseline=kept, interval=0.5, limits=_LONG_AGO)
    finally:
        over.set()
        sender.join()
    finding = seen.one("udp.receive_errors", receiver.port)
    assert finding["severity"] == "warning" and not finding["title"].startswith("Since")
    evidence = finding["evidence"]
    assert evidence["window"] == f"{seen.facts['meta']['interval_s']:.1f} s sample"
    assert evidence["since_last_audit"]["drops_delta"] > evidence["drops_delta"] > 0
    assert evidence["since_last_audit"]["window"].endswith(" s")


def test_a_namespace_that_took_the_place_of_another_is_not_compared(lab: Lab, audit: AuditOne, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    one = lab.namespace("one")
    audit(one, baseline=str(kept), interval=0)
    (old,) = kept.iterdir()
    other = lab.namespace("other")
    # As if the kernel had given its inode to another one.
    inode = os.stat(other.path).st_ino
    saved = json.loads(old.read_text())
    renamed = kept / old.name.replace(str(os.stat(one.path).st_ino), str(inode))
    renamed.write_text(json.dumps({**saved, "netns": inode}))
    renamed.chmod(0o600)
    since = audit(other, baseline=str(kept), interval=0).facts["since"]
    assert since["available"] is False and "another network namespace" in since["why"]


def test_the_role_keeps_it_and_check_mode_does_not(lab: Lab, tmp_path: Path) -> None:
    host = lab.namespace("host")
    connection = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    kept = tmp_path / "kept"
    variables = {**connection, "audit_netns": host.name, "audit_interval": 0, "audit_baseline": str(kept)}
    inventory = json.dumps({"all": {"hosts": {"machine": {}}, "vars": variables}})
    done = demo.playbook(inventory, str(tmp_path / "report"), "--check", capture=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not kept.exists()
    for available in (False, True):
        done = demo.playbook(inventory, str(tmp_path / "report"), capture=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "changed=0" in done.stdout
        facts = json.loads((tmp_path / "report/report.json").read_text())["hosts"]["machine"]["facts"]
        assert facts["since"]["available"] is available
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700


def test_a_user_without_a_directory_is_told_so() -> None:
    program = (
        "import heapq, ipaddress, os\n"
        "from ansible_collections.nettriage.linux.plugins.module_utils.collect import baseline\n"
        "from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "print(baseline.Baseline(Host(), True, True).since(10)['why'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment()
    )
    assert done.stdout.strip() == (
        "baseline: /run/nettriage is root's, and this user has no XDG_RUNTIME_DIR: name a directory"
    )
