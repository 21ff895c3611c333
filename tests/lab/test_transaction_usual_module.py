# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users of one-key-at-a-time sysctl modules complain about, done with this module.

Where the collection ansible.posix is found, its module is put into the same situation, and the end of the run shows a
line for each: what it does depends on its version, and is no matter of this test. ``make lab`` gets that collection, so
with ``CI`` set in the environment its absence is a failure.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any, Callable

import pytest

from ansible_collections.nettriage.linux.tests.lab import private
from ansible_collections.nettriage.linux.tests.lab.private import get, on_a_private_host
from ansible_collections.nettriage.linux.tests.lab.test_transaction_module import (
    environment,
    output,
    program,
    task,
)

USUAL_FILE = "/etc/sysctl.d/50-usual.conf"
_ABSENT = "not installed here"


def usual(*arguments: str, **options: Any) -> str:
    """What ansible.posix.sysctl answers: ``changed``, ``ok`` or its error, and the file that it leaves."""
    given = {"sysctl_file": USUAL_FILE, **options}
    command = [program("ansible"), "localhost", "-m", "ansible.posix.sysctl", "-a", json.dumps(given), *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    if "ansible.posix.sysctl' was not found" in text or "couldn't resolve module" in text:
        return _ABSENT
    error = re.search(r'"msg": "(.*?)(?<!\\)"', text)
    answer = error[1][:90] if error else "changed" if "CHANGED" in text else "ok"
    if "--- before" in text:
        answer += ", with a diff"
    if os.path.exists(USUAL_FILE):
        with open(USUAL_FILE) as file:
            answer += f"; file: {' | '.join(file.read().split(chr(10))).strip(' |')}"
    return answer


def white_space() -> str:
    """The kernel's tabs are not our spaces."""
    task(settings={"net.ipv4.tcp_rmem": "4096\t131072  16777216"})
    assert not task(settings={"net.ipv4.tcp_rmem": "4096 131072 16777216"})["changed"]
    usual(name="net.ipv4.tcp_rmem", value="4096\t131072\t16777216", sysctl_set=True)
    return usual(name="net.ipv4.tcp_rmem", value="4096 131072 16777216", sysctl_set=True)


def unknown_key() -> str:
    """Check mode promises what the real run cannot do, and the bad line stays."""
    for mode in ((), ("--check",)):
        assert "net.ipv4.no_such: does not exist" in task(*mode, settings={"net.ipv4.no_such": 1})["msg"]
    assert not os.path.exists(private.FILE)
    return f"{usual('--check', name='net.ipv4.no_such', value='1')}, then {usual(name='net.ipv4.no_such', value='1')}"


def duplicates() -> str:
    """Of two lines the last one counts, and one is left."""
    private.write(private.FILE, "net.core.somaxconn = 100\nnet.core.somaxconn = 200\n")
    assert task(settings={"net.core.somaxconn": 100})["changed"]
    with open(private.FILE) as file:
        assert file.read().count("somaxconn") == 1
    private.write(USUAL_FILE, "net.core.somaxconn = 100\nnet.core.somaxconn = 200\n")
    return usual(name="net.core.somaxconn", value="100", reload=False)


def diff() -> str:
    """What is about to change is shown."""
    text = output("--check", "--diff", settings={"net.core.somaxconn": 777})
    assert "\n+net.core.somaxconn = 777\n" in text and f"\n+++ after: {private.FILE}\n" in text
    return usual("--check", "--diff", name="net.core.somaxconn", value="777")


def stale_neighbour() -> str:
    """A key of somebody else that is gone is no reason to fail."""
    private.write(private.FILE, "net.ipv4.gone = 1\n")
    private.write("/etc/sysctl.d/10-other.conf", "net.ipv4.gone = 1\n")
    assert task(settings={"net.core.somaxconn": 777})["changed"] and get("net.core.somaxconn") == "777"
    private.write(USUAL_FILE, "net.ipv4.gone = 1\n")
    return usual(name="net.core.somaxconn", value="778")


def only_raise() -> str:
    """At least, not exactly."""
    task(settings={"net.core.somaxconn": 5000})
    assert not task(settings={"net.core.somaxconn": 128}, raise_only=True)["changed"]
    return f"{usual(name='net.core.somaxconn', value='128')}, now {get('net.core.somaxconn')}"


def own_the_file() -> str:
    """No other key may be set there."""
    private.write(private.FILE, "net.ipv4.tcp_sack = 0\n")
    task(settings={"net.core.somaxconn": 777}, exclusive=True)
    with open(private.FILE) as file:
        assert "tcp_sack" not in file.read()
    return "no such option" if usual(name="net.core.somaxconn", value="777") != _ABSENT else _ABSENT


def read_only() -> str:
    """What cannot be written is an error, and leaves nothing behind."""
    private.mount("--bind", "/proc/sys", "/proc/sys")
    private.mount("-o", "remount,bind,ro", "/proc/sys")
    for mode in ((), ("--check",)):
        assert "Read-only file system" in task(*mode, settings={"net.core.somaxconn": 777})["msg"]
    assert not os.path.exists(private.FILE)
    return usual(name="net.core.somaxconn", value="777")


def nonsense() -> str:
    """The kernel takes a maximum below the default; nobody wants it."""
    wanted = "4096 131072 100"
    assert "must not descend" in task(settings={"net.ipv4.tcp_rmem": wanted})["msg"]
    return f"{usual(name='net.ipv4.tcp_rmem', value=wanted)}; kernel: {get('net.ipv4.tcp_rmem')}"


def yaml_boolean() -> str:
    """``yes`` is no value."""
    assert "YAML boolean" in task(settings={"net.core.somaxconn": True})["msg"]
    return usual(name="net.core.somaxconn", value=True)


@pytest.mark.parametrize(
    "complaint",
    [
        white_space,
        unknown_key,
        duplicates,
        diff,
        stale_neighbour,
        only_raise,
        own_the_file,
        read_only,
        nonsense,
        yaml_boolean,
    ],
)
def test_a_complaint(complaint: Callable[[], str]) -> None:
    def test() -> None:
        said = complaint()
        assert _ABSENT not in said or not os.environ.get("CI"), "ansible.posix is not found"
        os.write(1, f"\n{complaint.__name__:16} ansible.posix.sysctl: {said}\n".encode())

    on_a_private_host(test)
