# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel modules that a sysctl needs before it can be set at boot. Private to this collection.

Sources: modules-load.d(5), depmod(8).
"""

from __future__ import annotations

import os

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.tune.values import CONGESTION_CONTROL, QDISC

_DIRECTORY = "/etc/modules-load.d"


def module_of(key: str, value: str) -> str | None:
    """The module that must be there before *key* can hold *value*; ``None`` where the kernel proper has it."""
    if key.startswith(("net.netfilter.nf_conntrack_", "net.nf_conntrack_")):
        return "nf_conntrack"
    if key.startswith("net.bridge."):
        return "br_netfilter"
    if key == CONGESTION_CONTROL and value != "reno":
        return f"tcp_{value}"
    if key == QDISC and value != "pfifo_fast":
        return f"sch_{value}"
    return None


def loadable(host: Host, module: str, root: str = "") -> bool:
    """Whether *module* is a file that this kernel loads, loaded or not; false for what is built in."""
    if os.path.isdir(host.sys("module", module)):
        return os.path.exists(host.sys("module", module, "initstate"))
    return known(module, "modules.dep", root)


def known(module: str, index: str, root: str = "") -> bool:
    """Whether *index* (``modules.dep`` or ``modules.builtin``) of the running kernel lists *module*."""
    try:
        with open(f"{root}/lib/modules/{os.uname().release}/{index}", encoding="utf-8", errors="replace") as file:
            return any(f"/{module}.ko" in line.partition(":")[0] for line in file)
    except OSError:
        return False


def path_for(file: str) -> str:
    """The file in modules-load.d that belongs to the drop-in *file*: of the same name, beside its directory."""
    directory, name = os.path.split(file)
    if os.path.basename(directory) == "sysctl.d":
        return os.path.join(os.path.dirname(directory), "modules-load.d", name)
    return os.path.join(_DIRECTORY, name)


def render(modules: list[str], header: str) -> str | None:
    """The text of the file; ``None`` where there is nothing to load."""
    return header + "".join(f"{module}\n" for module in sorted(set(modules))) if modules else None


def listed(text: str) -> list[str]:
    """The modules that the text of such a file names."""
    return [line.strip() for line in text.split("\n") if line.strip() and line.strip()[0] not in "#;"]
