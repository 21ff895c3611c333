# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every subset in one go: what the module health_facts returns. Private to this collection."""

from __future__ import annotations

import json
from typing import Any, Callable, Collection, Dict, List

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
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import ALL_NAMESPACES, Host
from ansible_collections.nettriage.linux.plugins.module_utils.target import SAMPLING_SPEC, TARGET_SPEC

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
# What is probed, and the option that says what to ask. Name servers can be asked without any name, too.
PROBES = {"path": "targets", "pmtu": "targets", "http": "urls", "dns": "names"}
_WITHOUT = ("dns",)


HEALTH_SPEC: dict[str, dict[str, Any]] = {
    **TARGET_SPEC,
    **SAMPLING_SPEC,
    "gather_subset": {"type": "list", "elements": "str", "default": ["all"]},
    "targets": {"type": "list", "elements": "str", "default": []},
    "urls": {"type": "list", "elements": "str", "default": []},
    "names": {"type": "list", "elements": "str", "default": []},
    "probe_timeout": {"type": "float", "default": 30},
    "baseline": {"type": "raw", "default": False},
    "as_json": {"type": "bool", "default": False},
}
Probe = Callable[[Host, List[str], Dict[str, Any]], Dict[str, Any]]


def health(host: Host, params: dict[str, Any], probe: Probe | None = None) -> dict[str, Any]:
    """The result of the module: ``ansible_facts`` with the wanted subsets, as a structure or a JSON string.

    :param probe: what makes the facts of the probes; ``None`` where they are not at hand.
    :raises BadOption: a subset or something to probe that cannot be used.
    """
    started = meta.start()
    names = wanted(params["gather_subset"], {option for option in PROBES.values() if params.get(option)})
    probes = [name for name in names if name in PROBES]
    if probes and probe is None:
        option = PROBES[probes[0]]
        raise BadOption(option, params.get(option), "nothing where the module probed_health_facts is not what is run")
    subsets = {"meta": META, **{name: SUBSETS[name] for name in names if name in SUBSETS}}
    baseline: Any = None
    if params.get("baseline"):
        # Few runs compare with the last one, and each import costs each host.
        from ansible_collections.nettriage.linux.plugins.module_utils.collect.baseline import Baseline

        baseline = Baseline(host, params["baseline"], not params.get("check_mode"))
        subsets = baseline.watch(subsets)
    if params.get("netns") == ALL_NAMESPACES:
        # Few runs look into every namespace, and each import costs each host.
        from ansible_collections.nettriage.linux.plugins.module_utils.collect import everywhere

        facts = everywhere.gather(host, subsets, params["interval"], params["top"])
    else:
        facts = gather(host, subsets, params["interval"], params["top"])
    if baseline is not None:
        since = baseline.since(params["top"])
        facts.update({} if since is None else {"since": since})
    if probes and probe is not None:
        # After the last sample: what the probes send and provoke must not be counted as the host's own.
        facts.update(probe(host, probes, params))
    facts["meta"].update(meta.closing(names, started))
    if "tcp" in facts and facts["tcp"].get("rates"):
        facts["tcp"]["rates"] = _moving(facts["tcp"]["rates"])
    return {"ansible_facts": {"nettriage": compact(facts) if params["as_json"] else facts}}


def wanted(gather_subset: list[str], given: Collection[str] = ()) -> list[str]:
    """The subsets that *gather_subset* names, in the order of sampling, then those that are probed.

    :param given: the options that say what to probe, as far as there is something in them: they add its subsets.
    :raises BadOption: it names one that does not exist, or that has nothing to probe.
    """
    accepted = f"any of all, {', '.join((*SUBSETS, *PROBES))}, or one of these with ! before it"
    included: set[str] = set()
    excluded: set[str] = set()
    for entry in gather_subset:
        name = entry.lstrip("!")
        if name not in ("all", *SUBSETS, *PROBES):
            raise BadOption("gather_subset", entry, accepted)
        if name == entry and name in PROBES and name not in _WITHOUT and PROBES[name] not in given:
            raise BadOption("gather_subset", entry, f"something in {PROBES[name]} as well, to be probed")
        (excluded if entry.startswith("!") else included).update(SUBSETS if name == "all" else [name])
    included = (included or set(SUBSETS)).union(name for name, option in PROBES.items() if option in given)
    return [name for name in (*SUBSETS, *PROBES) if name in included - excluded]


def compact(facts: dict[str, Any]) -> str:
    """*facts* as one JSON string without spaces: the cheap way through the controller."""
    return json.dumps(facts, separators=(",", ":"))


def _moving(rates: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Only the rates that are not zero: the whole table would be most of a fleet's traffic."""
    kept = {group: {name: rate for name, rate in table.items() if rate} for group, table in rates.items()}
    return {group: table for group, table in kept.items() if table}
