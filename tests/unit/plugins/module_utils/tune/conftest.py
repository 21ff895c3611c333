# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host made of files: a proc tree, a sysctl.d and a state directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.tune import undo
from ansible_collections.nettriage.linux.plugins.module_utils.tune.journal import Net
from ansible_collections.nettriage.linux.plugins.module_utils.tune.options import request_of
from ansible_collections.nettriage.linux.plugins.module_utils.tune.run import Result, Tools
from ansible_collections.nettriage.linux.plugins.module_utils.tune.transaction import transact

VALUES = {
    "net.core.somaxconn": "4096\n",
    "net.core.rmem_max": "212992\n",
    "net.ipv4.tcp_rmem": "4096\t131072\t6291456\n",
    "net.ipv4.tcp_fin_timeout": "60\n",
    "net.ipv4.tcp_tw_reuse": "2\n",
    "net.ipv4.ip_local_port_range": "32768\t60999\n",
    "net.ipv4.ip_unprivileged_port_start": "1024\n",
    "net.ipv4.ip_local_reserved_ports": "\n",
    "net.ipv4.tcp_congestion_control": "cubic\n",
    "net.ipv4.tcp_available_congestion_control": "reno cubic\n",
    "net.ipv4.tcp_allowed_congestion_control": "reno cubic\n",
    "net.ipv4.neigh.default.gc_thresh1": "128\n",
    "net.ipv4.neigh.default.gc_thresh2": "512\n",
    "net.ipv4.neigh.default.gc_thresh3": "1024\n",
    "net.ipv4.conf.all.rp_filter": "0\n",
    "net.ipv4.conf.bond0/101.rp_filter": "1\n",
}


class Tree:
    """The made host."""

    def __init__(self, root: Path) -> None:
        self.proc = root / "proc"
        self.sys = root / "sys"
        self.file = root / "etc/sysctl.d/90-nettriage.conf"
        self.state = root / "var/nettriage"
        for directory in (self.proc / "self", self.sys, self.file.parent, self.state.parent):
            directory.mkdir(parents=True)
        (self.proc / "self/stat").write_text("1 (x) S")
        for key, value in VALUES.items():
            self.path(key).parent.mkdir(parents=True, exist_ok=True)
            self.path(key).write_text(value)

    def path(self, key: str) -> Path:
        return self.proc / "sys" / key.translate(str.maketrans("./", "/."))

    def get(self, key: str) -> str:
        return self.path(key).read_text()

    def run(self, settings: dict[str, Any] | None = None, check: bool = False, **options: Any) -> Result:
        """What the module would return for these options."""
        params: dict[str, Any] = {
            "settings": settings or {},
            "state": "present",
            "file": str(self.file),
            "state_dir": str(self.state),
            "raise_only": False,
            "confirm_timeout": 0,
            "fail_on_overridden": False,
            "exclusive": False,
            "transaction": None,
            **options,
        }
        host = Host(str(self.proc), str(self.sys))
        return transact(host, Net(undo.namespace_id(), None), request_of(params), check, Tools())

    def shown(self) -> dict[str, tuple[str, int]]:
        """Everything that a transaction must give back: values, files, their modes."""
        roots = (self.proc, self.file.parent.parent)
        return {
            str(path): (path.read_text() if path.is_file() else "", path.stat().st_mode)
            for root in roots
            for path in sorted(root.rglob("*"))
        }

    def journals(self) -> list[Path]:
        return sorted(self.state.glob("*.json"))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)
