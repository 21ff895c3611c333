# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every subset in one go: what the module health_facts returns. Private to this collection."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.nettriage.linux.plugins.module_utils.collect import (
    conntrack,
    meta,
    nic,
    resolver,
    routes,
    sockets,
    sysctls,
    tcp,
)
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Subset, gather
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

# The order is the order of sampling: counters first, so that asking for sockets does not move them.
SUBSETS: dict[str, Subset] = {
    "tcp": tcp,
    "nic": nic,
    "conntrack": conntrack,
    "sockets": sockets,
    "sysctl": sysctls,
    "routes": routes,
    "resolver": resolver,
}
META: Subset = meta


def health(host: Host, params: dict[str, Any]) -> dict[str, Any]:
    """The result of the module: ``ansible_facts`` with the wanted subsets, as a structure or a JSON string."""
    started = meta.start()
    names = wanted(params["gather_subset"])
    subsets = {"meta": META, **{name: SUBSETS[name] for name in names}}
    facts = gather(host, subsets, params["interval"], params["top"])
    facts["meta"].update(meta.closing(names, started))
    if "tcp" in facts and facts["tcp"].get("rates"):
        facts["tcp"]["rates"] = _moving(facts["tcp"]["rates"])
    return {"ansible_facts": {"nettriage": compact(facts) if params["as_json"] else facts}}


def wanted(gather_subset: list[str]) -> list[str]:
    """The subsets that *gather_subset* names, in the order of sampling.

    :raises BadOption: it names one that does not exist.
    """
    accepted = f"any of all, {', '.join(SUBSETS)}, or one of these with ! before it"
    included: set[str] = set()
    excluded: set[str] = set()
    for entry in gather_subset:
        name = entry.lstrip("!")
        if name != "all" and name not in SUBSETS:
            raise BadOption("gather_subset", entry, accepted)
        (excluded if entry.startswith("!") else included).update(SUBSETS if name == "all" else [name])
    return [name for name in SUBSETS if name in (included or set(SUBSETS)) - excluded]


def compact(facts: dict[str, Any]) -> str:
    """*facts* as one JSON string without spaces: the cheap way through the controller."""
    return json.dumps(facts, separators=(",", ":"))


def _moving(rates: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Only the rates that are not zero: the whole table would be most of a fleet's traffic."""
    kept = {group: {name: rate for name, rate in table.items() if rate} for group, table in rates.items()}
    return {group: table for group, table in kept.items() if table}
