# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tuned host with a hardening file and containers: what our settings lose against, by the real module.

The host is one of its own: network, process and mount namespaces in which ``/etc/sysctl.d`` is empty.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import evaluate
from ansible_collections.nettriage.linux.tests.lab import demo
from ansible_collections.nettriage.linux.tests.lab.netlab import environment

OURS = """# Written by nettriage.linux.sysctl_transaction, transaction lab.
net.core.somaxconn = 8191
net.ipv4.tcp_fin_timeout = 31
net.ipv4.ip_forward = 1
"""
_TIMEOUT_S = 120.0
# Runs as process 1 of the host that it makes. Of its three containers one has an interface and the kernel's own values,
# one has the host's values, and one has nothing but a loopback interface, as PrivateNetwork= makes them.
_HOST = """
import json, os, subprocess, sys
from ansible_collections.nettriage.linux.tests.lab.netlab import wait_until
from ansible_collections.nettriage.linux.plugins.module_utils.collect import sysctls
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

given = json.load(sys.stdin)
tell = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
subprocess.run(["mount", "-t", "tmpfs", "none", "/etc/sysctl.d"], check=True)
for name, text in given["files"].items():
    with open("/etc/sysctl.d/" + name, "w") as file:
        file.write(text)
for key, value in given["values"].items():
    with open("/proc/sys/" + key, "w") as file:
        file.write(value)
own = os.readlink("/proc/self/ns/net")
pids = {}
for name, made in (("plain", given["cable"]), ("tuned", given["cable"]), ("locked", None)):
    container = subprocess.Popen(["unshare", "--net", "sleep", "300"], stdin=subprocess.DEVNULL)
    pids[name] = container.pid
    there = f"/proc/{container.pid}/ns/net"
    wait_until(lambda: os.readlink(there) != own, "a namespace")
    if made:
        subprocess.run([word.format(name=name, pid=container.pid) for word in made], check=True)
for key, value in given["values"].items():
    inside = ["nsenter", "--net", "--target", str(pids["tuned"]), "tee", "/proc/sys/" + key]
    subprocess.run(inside, input=value.encode(), stdout=subprocess.DEVNULL, check=True)
if given["user"]:
    sysctls.sample(Host())  # the files of the collection may be root's own
    os.setresuid(given["user"], given["user"], given["user"])
    found = sysctls.sample(Host())
    said = {"overridden": found.tuned.overridden, "namespaces": found.tuned.namespaces, "limited": found.limited}
else:
    done = subprocess.run(given["module"], stdout=subprocess.PIPE, text=True, check=True)
    said = json.loads(done.stdout.partition("=>")[2])["ansible_facts"]["nettriage"]["sysctl"]
    sysctls.sample(Host())
same = os.readlink("/proc/self/ns/net") == own
try:
    ended = os.waitpid(-1, os.WNOHANG)[0]
except ChildProcessError:
    ended = 0
json.dump({"sysctl": said, "pids": pids, "same_namespace": same, "children_left": ended}, tell)
"""
_UNSHARE = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
_VALUES = {"net/core/somaxconn": "8191", "net/ipv4/tcp_fin_timeout": "31", "net/ipv4/ip_forward": "1"}
_CABLE = ["ip", "link", "add", "{name}", "type", "veth", "peer", "name", "eth0", "netns", "{pid}"]


def look(files: dict[str, str], user: int = 0) -> dict[str, Any]:
    """What the facts say on a host with these files in ``/etc/sysctl.d``.

    :param user: who runs the collector; for root it is the module, through Ansible.
    """
    program = os.path.join(os.path.dirname(sys.executable), "ansible")
    module = [program, "localhost", "-i", "localhost,", "-c", "local", "-m", "nettriage.linux.health_facts"]
    variables = json.dumps({"ansible_python_interpreter": sys.executable})
    given = {
        "files": files,
        "values": _VALUES,
        "cable": _CABLE,
        "user": user,
        "module": [*module, "-a", "gather_subset=sysctl", "-e", variables],
    }
    done = subprocess.run(
        [*_UNSHARE, sys.executable, "-c", _HOST],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
        env={**os.environ, **demo.QUIET, **environment()},
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["same_namespace"] and said["children_left"] == 0
    return said


def found(said: dict[str, Any], finding: str) -> list[dict[str, Any]]:
    return [row for row in evaluate({"sysctl": said["sysctl"]}) if row["id"] == finding]


def test_a_hardening_file_and_a_container() -> None:
    said = look({"90-nettriage.conf": OURS, "99-hardening.conf": "# CIS\nnet/core/somaxconn = 128\n"})
    (row,) = said["sysctl"]["overridden"]
    assert row.pop("by") in ("systemd-sysctl", "procps")
    assert row == {
        "key": "net.core.somaxconn",
        "value": "8191",
        "file": "/etc/sysctl.d/99-hardening.conf",
        "line": 2,
        "other_value": "128",
        "at_boot": True,
    }
    (loses,) = found(said, "sysctl.overridden")
    assert loses["severity"] == "warning"
    assert "net.core.somaxconn will be 128 and not 8191" in loses["title"]
    assert "/etc/sysctl.d/99-hardening.conf:2" in loses["title"]

    (container,) = said["sysctl"]["namespaces"]
    pid = said["pids"]["plain"]
    assert container["netns"] == f"pid:{pid}"
    assert container["processes_total"] == 1
    assert container["processes"][0]["command"] == "sleep"
    assert sorted(container["differing"]) == ["net.core.somaxconn", "net.ipv4.tcp_fin_timeout"]
    assert container["differing"]["net.ipv4.tcp_fin_timeout"] == {"host": "31", "here": "60"}
    (differs,) = found(said, "sysctl.container_differs")
    assert differs["severity"] == "info"
    assert f"sleep[{pid}]" in differs["title"]
    assert f"pid:{pid}" in " ".join(differs["advice"])


@pytest.mark.parametrize("files", [{}, {"99-hardening.conf": "net.core.somaxconn = 128\n"}])
def test_a_host_that_is_not_tuned_is_silent(files: dict[str, str]) -> None:
    """Its containers differ too, and nobody wants to know."""
    said = look(files)
    assert said["sysctl"]["overridden"] == []
    assert said["sysctl"]["namespaces"] == []
    assert said["sysctl"]["limited"] == []


def test_without_privilege_the_files_are_told_and_the_rest_is_said() -> None:
    said = look({"90-nettriage.conf": OURS, "99-hardening.conf": "net.core.somaxconn = 128\n"}, user=65534)
    assert [row["key"] for row in said["sysctl"]["overridden"]] == ["net.core.somaxconn"]
    assert said["sysctl"]["namespaces"] == []
    (sentence,) = said["sysctl"]["limited"]
    assert sentence.startswith("namespaces: ") and sentence.endswith("CAP_SYS_PTRACE only")
