# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook ``capture``: both ends at once, files that nobody else can read, nothing left on the hosts."""

from __future__ import annotations

import json
import os
import pathlib
import stat
import subprocess
import sys
import tempfile
from typing import Any

from ansible_collections.nettriage.linux.tests.lab import demo
from ansible_collections.nettriage.linux.tests.lab.capturing import frames, printed
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, Namespace

_TIMEOUT_S = 180


class Site:
    """A directory from which the playbook is run, with an inventory of namespaces and whatever else is told."""

    def __init__(self, directory: pathlib.Path, *namespaces: Namespace, **others: dict[str, Any]) -> None:
        self.directory = directory
        # Its path is short: ansible-core makes a Unix socket there, and tests side by side have long ones.
        self._temporary = tempfile.TemporaryDirectory(prefix="nt-")
        self.temporary = pathlib.Path(self._temporary.name)
        hosts = {**{each.label: {"capture_netns": each.name} for each in namespaces}, **others}
        connection = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory = {"all": {"hosts": hosts, "vars": connection}}
        (directory / "hosts.json").write_text(json.dumps(inventory))

    def run(self, **variables: Any) -> subprocess.CompletedProcess[str]:
        program = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
        return subprocess.run(
            [program, "-i", "hosts.json", "nettriage.linux.capture", "-e", json.dumps(variables)],
            env={
                **os.environ,
                **demo.QUIET,
                "COLUMNS": "80",
                "PWD": str(self.directory),
                # Where tempfile makes its directories, so that what is left there is seen.
                "TMPDIR": str(self.temporary),
                "ANSIBLE_REMOTE_TEMP": str(self.directory / "remote"),
            },
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )

    def left(self) -> list[str]:
        return [name for name in os.listdir(self.temporary) if name.startswith("nettriage-capture-")]


def test_both_ends_of_a_filtered_port(lab: Lab, tmp_path: pathlib.Path) -> None:
    """The SYNs leave one end, do not arrive at the other, and the table says so."""
    client, router, server, link = lab.routed()
    router.filter("forward", "tcp dport 81 drop")
    server.start("backend", "web", "serve", f"{link.addresses[1]}:80")
    client.start("dialer", "app", 1, 1, f"{link.addresses[1]}:81")
    client.start("client", "browser", "churn", 1, f"{link.addresses[1]}:80")
    site = Site(tmp_path, client, server)
    done = site.run(capture_duration=4, capture_ports=[80, 81], capture_protocols=["tcp"])
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout.partition("Show what was captured")[2].partition("PLAY RECAP")[0]
    first, second = shown.split("\n\n")[:2]
    assert "client: " in first and f"to {link.addresses[1]}:81" in first and "SYN unanswered" in first
    assert "server: " in second and "nothing unusual" in second
    assert max(map(len, shown.splitlines()[1:])) <= 80
    folder = tmp_path / "nettriage-capture"
    files = {path.name.split("-")[0]: path for path in folder.iterdir()}
    assert set(files) == {"client", "server"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in files.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(printed(path)) == len(frames(path)) > 0
    assert printed(files["client"], "tcp port 81") and not printed(files["server"], "tcp port 81")
    # At the same time: the two captures overlap.
    client_at, server_at = (sorted(frame.at_ns for frame in frames(files[name])) for name in ("client", "server"))
    assert client_at[0] < server_at[-1] and server_at[0] < client_at[-1]
    assert site.left() == []


def test_what_lacks_is_one_sentence_a_host_and_the_others_go_on(lab: Lab, tmp_path: pathlib.Path) -> None:
    client = lab.namespace("client")
    site = Site(tmp_path, client, wrong={"capture_netns": client.name, "capture_interface": "eth7"})
    done = site.run(capture_duration=0.5)
    assert done.returncode != 0
    words = " ".join(done.stdout.split())
    assert "wrong: nothing captured: interface: 'eth7' is not accepted; give any, or one of lo" in words
    assert "client: 0 packets" in words and "no packet came by" in words
    assert [path.name.split("-")[0] for path in (tmp_path / "nettriage-capture").iterdir()] == ["client"]
    assert site.left() == []


def test_a_summary_only_and_a_directory_that_is_there(lab: Lab, tmp_path: pathlib.Path) -> None:
    site = Site(tmp_path, lab.namespace("client"))
    done = site.run(capture_duration=0.2, capture_files=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "client: 0 packets" in done.stdout and not (tmp_path / "nettriage-capture").exists()
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o755)
    done = site.run(capture_duration=0.2, capture_dir="mine")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(mine.iterdir())) == 1 and stat.S_IMODE(mine.stat().st_mode) == 0o755
    assert site.left() == []
