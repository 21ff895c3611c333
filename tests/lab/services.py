# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a probe's module code in a namespace of the lab, and tells what it left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Any, Iterator

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import evaluate
from ansible_collections.nettriage.linux.tests.lab.netlab import LabError, Namespace, says

_TIMEOUT_S = 90.0
# The way of the module below its main(); at the end it says which descriptors and children it still has.
_PROBE = """
import importlib, json, os, sys
from ansible_collections.nettriage.linux.plugins.module_utils.target import open_target
name, params = json.load(sys.stdin)
probe = getattr(importlib.import_module("ansible_collections.nettriage.linux.plugins.module_utils.probe." + name), name)
before = set(os.listdir("/proc/self/fd"))
result = probe(open_target(params), params)
try:
    children = os.waitpid(-1, os.WNOHANG) is not None
except ChildProcessError:
    children = False
after = [("/proc/self/fd/" + each) for each in set(os.listdir("/proc/self/fd")) - before]
left = [os.readlink(each) for each in after if os.path.lexists(each)]
json.dump({"result": result, "left": left, "children": children}, sys.stdout)
"""


def probe(name: str, namespace: Namespace, **params: Any) -> dict[str, Any]:
    """What the module *name* returns for *params*, which are all of its options, in *namespace*.

    :raises LabError: it failed, or left a descriptor or a child behind.
    """
    given = {"netns": namespace.name, "procfs": "/proc", "sysfs": "/sys", **params}
    said: dict[str, Any] = says(_PROBE, [name, given], _TIMEOUT_S)
    if said["left"] or said["children"]:
        raise LabError(f"{name}: left behind: {said['left']}, children: {said['children']}")
    result: dict[str, Any] = said["result"]
    return result


def ids(**facts: dict[str, Any]) -> list[str]:
    """The ids of what the rules find in *facts*."""
    return [finding["id"] for finding in evaluate(facts)]


@contextlib.contextmanager
def etc_of(namespace: Namespace, **files: str) -> Iterator[None]:
    """Files below ``/etc/netns/NAME`` (``resolv_conf`` is resolv.conf) for those who live in *namespace*."""
    directory = os.path.join("/etc/netns", namespace.name)
    os.makedirs(directory)
    try:
        for name, text in files.items():
            with open(os.path.join(directory, name.replace("_", ".")), "w", encoding="utf-8") as file:
                file.write(text)
        yield
    finally:
        shutil.rmtree(directory)
        with contextlib.suppress(OSError):  # others may be using it, or it was there before
            os.rmdir("/etc/netns")
