# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it, on a host of its own: its payload's directory is gone when it has ended."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from typing import Any

from ansible_collections.nettriage.linux.tests.lab import private
from ansible_collections.nettriage.linux.tests.lab.netlab import wait_until
from ansible_collections.nettriage.linux.tests.lab.private import get, on_a_private_host

MODULE = "nettriage.linux.sysctl_transaction"
ENVIRONMENT = {
    "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
    "ANSIBLE_LOCALHOST_WARNING": "0",
    "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
    "ANSIBLE_NOCOLOR": "1",
    "LC_ALL": "C.UTF-8",
}
_PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - nettriage.linux.sysctl_transaction:
        settings: {net.core.somaxconn: 8192}
        confirm_timeout: 5
    - ansible.builtin.wait_for: {timeout: 600}
"""


def program(name: str) -> str:
    """One of Ansible's programs, of this Python's environment."""
    return os.path.join(os.path.dirname(sys.executable), name)


def environment() -> dict[str, str]:
    """Where the collection is found, and those that the environment names; nothing of the user's else."""
    root = next(path for path in sys.path if os.path.isdir(os.path.join(path, "ansible_collections/nettriage/linux")))
    others = os.environ.get("ANSIBLE_COLLECTIONS_PATH")
    return {
        **os.environ,
        **ENVIRONMENT,
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join([os.path.abspath(root), *([others] if others else [])]),
        "ANSIBLE_LOCAL_TEMP": "/run/ansible",
        "ANSIBLE_REMOTE_TMP": "/run/ansible-remote",
        "ANSIBLE_HOME": "/run/ansible-home",
    }


def output(*arguments: str, **options: Any) -> str:
    """What Ansible prints about one task."""
    command = [program("ansible"), "localhost", "-m", MODULE, "-a", json.dumps(options), *arguments]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False).stdout


def task(*arguments: str, **options: Any) -> dict[str, Any]:
    """The result of one task."""
    text = output(*arguments, **options)
    result = json.loads(text[text.index("=> {") + 3 :])
    assert isinstance(result, dict)
    return result


def test_from_check_to_rollback_with_the_right_modes_under_any_umask() -> None:
    def test() -> None:
        os.umask(0o077)
        wanted = {"net.core.somaxconn": 8192, "net.ipv4.tcp_rmem": [4096, 131072, 16777216]}
        before = private.everything()
        would = task("--check", "--diff", settings=wanted)
        assert would["changed"] and private.everything() == before and not os.path.exists(private.STATE)
        made = task("--diff", settings=wanted)
        assert made["settings"] == would["settings"]
        assert get("net.core.somaxconn") == "8192"
        assert stat.S_IMODE(os.stat(private.FILE).st_mode) == 0o644
        assert stat.S_IMODE(os.stat(f"{private.STATE}/{made['transaction']}.json").st_mode) == 0o600
        assert os.listdir("/etc/sysctl.d") == ["90-nettriage.conf"]
        assert not task(settings=wanted)["changed"]
        assert "YAML boolean" in task(settings={"net.core.somaxconn": True})["msg"]
        refused = task(settings={"net.core.somaxconn": 1, "net.core.nothing": 2})
        assert "net.core.nothing: does not exist" in refused["msg"]
        assert refused["settings"]["net.core.nothing"]["exists"] is False
        assert task(state="rolled_back")["undone"] == [made["transaction"]]
        assert private.everything() == before

    on_a_private_host(test)


def test_a_controller_that_is_killed_cannot_confirm() -> None:
    def test() -> None:
        before = private.everything()
        private.write("/run/play.yml", _PLAY)
        controller = subprocess.Popen(
            [program("ansible-playbook"), "/run/play.yml"],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_until(lambda: get("net.core.somaxconn") == "8192", "the transaction", 60)
            # Once it waits to be confirmed, nobody of the controller's is needed any more.
            wait_until(lambda: _states() == ["unconfirmed"], "the journal", 10)
        finally:
            os.killpg(controller.pid, signal.SIGKILL)
            controller.wait()
        wait_until(lambda: _states() == ["undone"], "the timer", 30)
        assert private.everything() == before

    on_a_private_host(test)


def _states() -> list[str]:
    found = []
    for name in sorted(os.listdir(private.STATE)):
        if name.endswith(".json"):
            with open(f"{private.STATE}/{name}") as file:
                found.append(json.load(file)["state"])
    return found


def test_confirmed_in_time_it_stays() -> None:
    def test() -> None:
        made = task(settings={"net.core.somaxconn": 8192}, confirm_timeout=120)
        assert made["confirm_timeout"] == 120 and not os.path.exists(private.FILE)
        assert task(state="confirmed", transaction=made["transaction"])["changed"]
        assert not task(state="confirmed", transaction=made["transaction"])["changed"]
        # Even a timer that was not stopped finds nothing to do.
        timer = [sys.executable, "-I", f"{private.STATE}/undo.py", private.STATE, made["transaction"]]
        subprocess.run(timer, check=True)
        assert get("net.core.somaxconn") == "8192" and _states() == ["confirmed"]
        with open(private.FILE) as file:
            assert "net.core.somaxconn = 8192\n" in file.read()

    on_a_private_host(test)
