# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that are reached by ssh: a namespace, an address and an sshd each, and a controller with a cable to all."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
from typing import Any

from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, Link, Namespace, wait_until

SSHD = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/bin")
PORT = 22
MOST = 250
# One connection a host, and no question about its key.
_SSH_ARGS = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
# What stands in the place of Python on a host that is slow, and on one that vanishes while the module runs.
_SLOW = '#!/bin/sh\nsleep {seconds}\nexec {python} "$@"\n'
_DIES = "#!/bin/sh\nip link set {interface} down\nexec sleep 600\n"


class Targets:
    """*number* hosts of *lab*, named ``host000`` and so on.

    :ivar controller: the namespace that Ansible has to run in.
    :ivar hosts: name to namespace.
    :ivar variables: name to the variables of its row in the inventory.
    """

    def __init__(self, lab: Lab, folder: str, number: int) -> None:
        assert SSHD is not None, "there is no sshd here"
        if number > MOST:
            raise ValueError(f"{number} hosts: at most {MOST} have an address")
        self._folder = pathlib.Path(folder)
        self.controller = lab.namespace("controller")
        self.hosts: dict[str, Namespace] = {}
        self._links: dict[str, Link] = {}
        self.variables: dict[str, dict[str, Any]] = {}
        self._servers: list[subprocess.Popen[bytes]] = []
        config = self._configured()
        for serial in range(number):
            name = f"host{serial:03d}"
            host = lab.namespace(name)
            self.hosts[name], self._links[name] = host, lab.connect(self.controller, host)
            self._servers.append(subprocess.Popen(["ip", "netns", "exec", host.name, SSHD, "-D", "-f", config]))
            self.variables[name] = {"ansible_host": self._links[name].addresses[1]}
        wait_until(lambda: all(map(self._answers, self.hosts)), "every sshd answers", 60.0)

    def _configured(self) -> str:
        for name in ("host", "user"):
            key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._folder / name)]
            subprocess.run(key, check=True, stdin=subprocess.DEVNULL)
        settings = {
            "Port": PORT,
            "HostKey": self._folder / "host",
            "AuthorizedKeysFile": self._folder / "user.pub",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PermitRootLogin": "prohibit-password",
        }
        path = self._folder / "sshd_config"
        path.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        os.makedirs("/run/sshd", exist_ok=True)
        return str(path)

    def _answers(self, name: str) -> bool:
        with self.controller.entered(), contextlib.suppress(OSError):
            socket.create_connection((self._links[name].addresses[1], PORT), 1).close()
            return True
        return False

    def dead(self, name: str) -> None:
        """From now on *name* answers nothing, as a machine that is off."""
        self.hosts[name].filter("input", "drop")

    def slow(self, name: str, seconds: float) -> None:
        """*name* takes *seconds* longer for every task."""
        self._interpreter(name, _SLOW.format(seconds=seconds, python=sys.executable))

    def dies(self, name: str) -> None:
        """*name* loses its network when the next task has begun on it, and says nothing more."""
        self._interpreter(name, _DIES.format(interface=self._links[name].interfaces[1]))

    def _interpreter(self, name: str, script: str) -> None:
        path = self._folder / f"python-{name}"
        path.write_text(script)
        path.chmod(0o755)
        self.variables[name]["ansible_python_interpreter"] = str(path)

    def inventory(self, names: list[str] | None = None, **variables: Any) -> dict[str, Any]:
        """An inventory of all hosts, or of *names*, with *variables* for each of them."""
        common = {
            "ansible_python_interpreter": sys.executable,
            "ansible_ssh_private_key_file": str(self._folder / "user"),
            "ansible_ssh_common_args": _SSH_ARGS,
            # Not where other runs of this user have theirs: addresses of labs are the same.
            "ansible_control_path": f"{self._folder}/{{{{ inventory_hostname }}}}.ssh",
            **variables,
        }
        return {"all": {"hosts": {name: self.variables[name] for name in names or self.hosts}, "vars": common}}

    @property
    def within(self) -> tuple[str, ...]:
        """What starts a program on the controller."""
        return ("ip", "netns", "exec", self.controller.name)

    def close(self) -> None:
        """End the servers; the lab ends what they started."""
        for server in self._servers:
            server.terminate()
        for server in self._servers:
            server.wait(20)
