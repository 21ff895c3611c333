# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of its own for a test: a network namespace, and configuration and state that nobody else sees."""

from __future__ import annotations

import ctypes
import os
import subprocess
import traceback
from typing import Any, Callable

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import namespaces
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.tune import undo
from ansible_collections.nettriage.linux.plugins.module_utils.tune.journal import Net
from ansible_collections.nettriage.linux.plugins.module_utils.tune.options import request_of
from ansible_collections.nettriage.linux.plugins.module_utils.tune.run import Result, Tools
from ansible_collections.nettriage.linux.plugins.module_utils.tune.transaction import transact

FILE = "/etc/sysctl.d/90-nettriage.conf"
STATE = "/var/lib/nettriage"
_CLONE_NEWNS, _CLONE_NEWNET = 0x00020000, 0x40000000
_DIRECTORIES = ("/etc/sysctl.d", "/etc/modules-load.d", "/run", "/usr/local/lib", "/usr/lib/sysctl.d", "/var/lib")
_MADE = ("/run/sysctl.d", "/usr/local/lib/sysctl.d")


def on_a_private_host(test: Callable[[], None]) -> None:
    """Run *test* in a child process on that host, and fail as it fails."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        said = ""
        try:
            _enter()
            test()
        except BaseException:
            said = traceback.format_exc()
        finally:
            os.write(writing, said.encode()[-60000:])
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        failure = pipe.read().decode()
    os.waitpid(child, 0)
    assert not failure, failure


def _enter() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    mount("--make-rprivate", "/")
    for directory in _DIRECTORIES:
        os.makedirs(directory, exist_ok=True)
        mount("-t", "tmpfs", "-o", "mode=755", "none", directory)
    for directory in _MADE:
        os.mkdir(directory)
    # What the machine itself says in sysctl.conf is none of the test's business.
    empty = "/run/empty"
    with open(empty, "w"):
        pass
    if os.path.exists("/etc/sysctl.conf"):
        mount("--bind", empty, "/etc/sysctl.conf")


def mount(*arguments: str) -> None:
    """mount(8)."""
    subprocess.run(["mount", *arguments], check=True)


def run(settings: dict[str, Any] | None = None, check: bool = False, **options: Any) -> Result:
    """What the module does for these options, without Ansible."""
    params: dict[str, Any] = {
        "settings": settings or {},
        "state": "present",
        "file": FILE,
        "state_dir": STATE,
        "raise_only": False,
        "confirm_timeout": 0,
        "fail_on_overridden": False,
        "exclusive": False,
        "transaction": None,
        **options,
    }
    host, path = Host(), None
    if "netns" in options:
        path = namespaces.locate(host, options["netns"])[0]
        host = namespaces.enter(host, options["netns"])
    return transact(host, Net(undo.namespace_id(), path), request_of(params), check, Tools())


def get(key: str) -> str:
    """What the kernel holds, with single spaces."""
    return undo.normal(undo.read_value(f"/proc/sys/{key.replace('.', '/')}"))


def write(path: str, text: str) -> None:
    """A file with that text."""
    with open(path, "w") as file:
        file.write(text)


def everything() -> dict[str, str]:
    """All values below net, as far as they can be read, and all configuration."""
    found: dict[str, str] = {}
    for root in ("/proc/sys/net", "/etc/sysctl.d", "/etc/modules-load.d"):
        for directory, __, names in os.walk(root):
            for name in names:
                try:
                    found[os.path.join(directory, name)] = undo.read_value(os.path.join(directory, name))
                except OSError:
                    continue
    return found
