# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a host, and what they and its probes tell of some peers, all within one interval.

Private to this collection.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Dict

from ansible_collections.nettriage.linux.plugins.module_utils.collect.health import compact, health, wanted
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.probe import peers
from ansible_collections.nettriage.linux.plugins.module_utils.probe.children import Children
from ansible_collections.nettriage.linux.plugins.module_utils.probe.dns_probe import dns_probe
from ansible_collections.nettriage.linux.plugins.module_utils.probe.http_probe import http_probe
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline
from ansible_collections.nettriage.linux.plugins.module_utils.probe.path import probe_paths
from ansible_collections.nettriage.linux.plugins.module_utils.probe.peers import Conversation, Ways, available
from ansible_collections.nettriage.linux.plugins.module_utils.probe.pmtu import probe_pmtus
from ansible_collections.nettriage.linux.plugins.module_utils.probe.subsets import echoes
from ansible_collections.nettriage.linux.plugins.module_utils.probe.targets import (
    MAX_TARGETS,
    MAX_TIME_S,
    Endpoint,
    resolve,
    within,
)

Facts = Dict[str, Any]
_REQUESTS, _BODY_BYTES = 3, 65536
_CONNECT_S, _REQUEST_S = 3.0, 6.0
_MAX_HOPS = 30
_SLOW_CYCLES = 8
# The search for the path MTU comes first: it needs several ICMP errors at once, of which Linux keeps a few in store.
_PMTU_SHARE = 0.5
# After that each router and target has one again: one a second is what they allow.
_REFILL_S = 1.05


def peer_facts(host: Host, params: dict[str, Any]) -> dict[str, Any]:
    """What the module returns: ``ansible_facts`` with the subsets that are wanted, and those of the peers.

    :raises BadOption: a value that cannot be used.
    :raises Unavailable: *host* is no live one.
    """
    host.require_live("peer_facts")
    _check(params)
    deadline = Deadline(params["time_limit"])
    targets = _resolved(host, params["targets"], params, deadline)
    clients = _addresses(_resolved(host, params["clients"], params, deadline))
    addresses = _addresses(targets)
    port = params["port"]

    def talk() -> Conversation | None:
        return peers.conversation(host, [*addresses, *clients], port) if port else None

    before, __ = available(talk, "sockets")
    # Within the interval, unlike the probes of an audit: what they move at both ends is what is wanted here.
    running = Children(_jobs(host, params, addresses, deadline), deadline)
    try:
        own = {name: params[name] for name in ("gather_subset", "interval", "top")}
        facts = health(host, {**own, "as_json": False})["ansible_facts"]["nettriage"]
    finally:
        answers = running.answers()
    facts.update(_joined(answers))
    now, trouble = available(talk, "sockets")
    ways = list(dict.fromkeys([*addresses, *clients]))
    routing, lost = available(lambda: Ways(host).rows(ways), "routes")
    rows = dict(zip(ways, routing or []))
    facts["peers"] = {
        "available": True,
        "limited": [each for each in (trouble, lost, *(answer.get("why") for answer in answers)) if each],
        "port": port,
        "targets": [_target(name, found, rows) for name, found in targets.items()],
        "clients": [{"address": each, **rows[each]} for each in clients if each in rows],
        **(peers.told(before, now, params["top"]) if now else {}),
    }
    _rename(facts, targets)
    return {"changed": False, "ansible_facts": {"nettriage": compact(facts) if params["as_json"] else facts}}


def _resolved(host: Host, names: list[str], params: dict[str, Any], deadline: Deadline) -> dict[str, Endpoint | str]:
    """Each name with its address as the system's resolver prefers them, or why there is none."""
    wanted_names = list(dict.fromkeys(name.strip() for name in names))
    found = resolve(host, wanted_names, {**params, "family": "any"}, deadline) if wanted_names else ()
    return {name: each if isinstance(each, str) else each[0] for name, each in found}


def _addresses(found: dict[str, Endpoint | str]) -> list[str]:
    return list(dict.fromkeys(each.address for each in found.values() if not isinstance(each, str)))


def _check(params: dict[str, Any]) -> None:
    """:raises BadOption: a value that cannot be used, said before anything is sent."""
    wanted(params["gather_subset"])
    if len(params["targets"]) > MAX_TARGETS:
        raise BadOption(
            "targets", f"{len(params['targets'])} targets", f"at most {MAX_TARGETS} host names or addresses"
        )
    for option in ("targets", "clients"):
        for name in params[option]:
            if not name.strip() or "\0" in name:
                raise BadOption(option, name, "host names or addresses")
    if params["port"] is not None:
        within("port", params["port"], 1, 65535, "a port number")
    within("cycles", params["cycles"], 1, 1000, "a number")
    within("probe_interval", params["probe_interval"], 0.1, 60.0, "seconds")
    within("timeout", params["timeout"], 0.05, 10.0, "seconds")
    within("time_limit", params["time_limit"], 1.0, MAX_TIME_S, "seconds")


def _jobs(host: Host, params: dict[str, Any], addresses: list[str], deadline: Deadline) -> list[Callable[[], Facts]]:
    """The measurements that are wanted, each of which gives some subsets."""
    jobs: list[Callable[[], Facts]] = []
    if addresses:
        jobs.append(lambda: _ways(host, params, addresses, deadline))
    request = {"method": "GET", "headers": {}, "max_bytes": _BODY_BYTES, "ca_path": params["ca_path"]}
    request.update(count=_REQUESTS, validate_certs=params["validate_certs"], urls=[], targets=[])

    def http(**own: Any) -> Facts:
        return http_probe(host, {**request, **own, "deadline": max(1.0, deadline.left())})

    if params["urls"]:
        jobs.append(lambda: {"http": http(urls=params["urls"], timeout=_REQUEST_S)})
    if addresses and params["port"]:
        # A port that does not answer shall not take the time that a slow service is given.
        ends = [diag.endpoint(address, params["port"]) for address in addresses]
        jobs.append(lambda: {"connect": http(targets=ends, timeout=_CONNECT_S)})
    if params["names"]:
        asked = {"names": params["names"], "servers": [], "protocols": ["udp"], "count": _REQUESTS, "timeout": 2.0}
        asked.update(getaddrinfo=True)
        jobs.append(lambda: {"dns": dns_probe(host, {**asked, "deadline": max(1.0, deadline.left())})})
    return jobs


def _ways(host: Host, params: dict[str, Any], addresses: list[str], deadline: Deadline) -> Facts:
    """Path MTU and hops, one after the other: they go the same way, and would be each other's trouble."""
    common = {"targets": addresses, "family": "any", "port": None, "max_hops": _MAX_HOPS, "timeout": params["timeout"]}
    size = {"method": "icmp" if echoes() else "udp", "probes": 3, "send_data": True}
    seconds = max(1.0, deadline.left() * _PMTU_SHARE)
    found = {"pmtu": probe_pmtus(host, {**common, **size, "time_limit": seconds})}
    if size["method"] == "udp":
        time.sleep(deadline.left(_REFILL_S))
    # Hosts answer only one datagram a second, so that many of them would outlast the samples.
    paced = params["method"] == "udp" or (params["method"] == "auto" and not echoes())
    cycles = min(params["cycles"], _SLOW_CYCLES) if paced else params["cycles"]
    trace = {"cycles": cycles, "interval": params["probe_interval"], "size": 64, "resolve": False}
    trace.update(method=params["method"], time_limit=max(1.0, deadline.left()))
    found["path"] = probe_paths(host, {**common, **trace})
    return found


def _joined(answers: list[Facts]) -> Facts:
    """The subsets of all jobs; the ports that were connected to are among the targets of ``http``."""
    facts: Facts = {}
    for answer in answers:
        facts.update({name: each for name, each in answer.items() if name != "why"})
    connect = facts.pop("connect", None)
    if connect is not None:
        http = facts.setdefault("http", {**connect, "targets": []})
        http["targets"] = connect["targets"]
        http["limited"] = list(dict.fromkeys([*http["limited"], *connect["limited"]]))
    return facts


def _target(name: str, found: Endpoint | str, rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    endpoint = None if isinstance(found, str) else found
    known = rows.get(endpoint.address, {}) if endpoint else {}
    return {
        "target": name,
        "address": endpoint.address if endpoint else None,
        "family": endpoint.family_name if endpoint else None,
        "error": found if isinstance(found, str) else None,
        **{part: known.get(part) for part in ("route", "link", "neighbour")},
        "links_down": known.get("links_down", []),
    }


def _rename(facts: dict[str, Any], targets: dict[str, Endpoint | str]) -> None:
    """Have the paths speak of their targets as these were given: only their addresses were probed."""
    given = {found.address: name for name, found in reversed(list(targets.items())) if not isinstance(found, str)}
    for subset in ("path", "pmtu"):
        for row in facts.get(subset, {}).get("paths", ()):
            row["target"] = given.get(row["target"], row["target"])
