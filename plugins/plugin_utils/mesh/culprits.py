# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who explains the bad pairs of a mesh: a host, a group, or nobody but the pair itself. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

from ansible_collections.nettriage.linux.plugins.plugin_utils.mesh.matrix import Cell, Mesh
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import count

Pair = tuple[str, str]
# Fewer bad pairs than these could be chance.
_LEAST_OF_HOST = 2
_LEAST_OF_GROUP = 2


@dataclass(frozen=True)
class Culprit:
    """One explanation.

    :ivar kind: ``host_down``, ``host``, ``inbound``, ``outbound``, ``group``, ``between_groups``, ``asymmetric`` or
        ``pair``.
    :ivar subject: the hosts or groups that it names.
    :ivar pairs: what it explains.
    """

    kind: str
    severity: str
    subject: list[str]
    title: str
    advice: str
    pairs: list[Pair]


def culprits(mesh: Mesh) -> list[Culprit]:
    """The explanations, those of most pairs first: each bad pair is in one of them."""
    pairs = mesh.pairs
    bad = {pair: cell for pair, cell in pairs.items() if cell.bad}
    found: list[Culprit] = []
    for make in (_down, _hosts, _groups):
        for culprit in make(mesh, pairs, bad):
            found.append(culprit)
            for pair in culprit.pairs:
                bad.pop(pair, None)
    found.sort(key=lambda each: (each.severity != "critical", -len(each.pairs)))
    return found + list(_single(mesh, pairs, bad))


def _severity(cells: Iterable[Cell]) -> str:
    return "critical" if any(cell.verdict in ("critical", "unreachable") for cell in cells) else "warning"


def _said(mesh: Mesh, pairs: Iterable[Pair]) -> str:
    """What is wrong with *pairs*, in a few words."""
    wanted = set(pairs)
    found = [cell for cell in mesh.cells if cell.bad and (cell.source, cell.destination) in wanted]
    silent = {(cell.source, cell.destination) for cell in found if cell.verdict == "unreachable"}
    losses = [cell.loss for cell in found if cell.loss]
    slow = [cell.median_ms for cell in found if cell.median_ms and not cell.loss and not cell.black_hole]
    parts = []
    if silent:
        parts.append("no answer" if silent == wanted else f"{len(silent)} without an answer")
    if losses:
        low, high = min(losses) * 100, max(losses) * 100
        parts.append(f"{low:.3g} % lost" if low == high else f"{low:.3g} to {high:.3g} % lost")
    if any(cell.black_hole for cell in found):
        parts.append("large packets vanish")
    if slow and not parts:
        parts.append(f"up to {max(slow):.4g} ms")
    families = {cell.family for cell in found}
    if len(mesh.families) > len(families) == 1:
        parts.append("by IPv6 only" if families == {"ipv6"} else "by IPv4 only")
    return ", ".join(parts) or "slow at times"


def _down(mesh: Mesh, pairs: dict[Pair, Cell], bad: dict[Pair, Cell]) -> Iterator[Culprit]:
    """Hosts that answer nobody, and could not be asked either."""
    for host in mesh.hosts:
        to = {pair: cell for pair, cell in pairs.items() if pair[1] == host}
        if to and host in mesh.errors and all(cell.verdict == "unreachable" for cell in to.values()):
            yield Culprit(
                "host_down",
                "critical",
                [host],
                f"{host} is down: it answers none of {count(len(to), 'peer')}, and could not be asked",
                f"See whether {host} runs. Ansible says: {mesh.errors[host]}",
                list(to),
            )


def _hosts(mesh: Mesh, pairs: dict[Pair, Cell], bad: dict[Pair, Cell]) -> Iterator[Culprit]:
    """Hosts of which every pair is bad, or every one in one direction; the one with most bad pairs first."""
    left = dict(bad)
    explained = {pair for pair in pairs if pair not in bad and pairs[pair].bad}
    while True:
        # Who answers nobody comes first, so that its pairs are not laid upon another one that is merely lossy.
        found = (culprit for host in mesh.hosts if (culprit := _host(mesh, host, pairs, left, explained)))
        best = max(found, key=lambda each: (_all_silent(pairs, each), len(each.pairs)), default=None)
        if best is None:
            return
        yield best
        for pair in best.pairs:
            left.pop(pair, None)
            explained.add(pair)


def _all_silent(pairs: dict[Pair, Cell], culprit: Culprit) -> bool:
    return all(pairs[pair].verdict == "unreachable" for pair in culprit.pairs)


def _host(
    mesh: Mesh, host: str, pairs: dict[Pair, Cell], left: dict[Pair, Cell], explained: set[Pair]
) -> Culprit | None:
    sides = {
        "inbound": [pair for pair in pairs if pair[1] == host and pair not in explained],
        "outbound": [pair for pair in pairs if pair[0] == host and pair not in explained],
    }
    whole = {name: bool(side) and all(pair in left for pair in side) for name, side in sides.items()}
    both = [*sides["inbound"], *sides["outbound"]]
    if all(pair in left for pair in both) and len(both) >= 2 * _LEAST_OF_HOST:
        if all(left[pair].verdict == "unreachable" for pair in both):
            reasons = {left[pair].why for pair in sides["outbound"]}
            why = f": {reasons.pop()}" if len(reasons) == 1 else ""
            title = f"{host} reaches none of its {count(len(sides['outbound']), 'peer')}, and answers none{why}"
        else:
            title = f"{host}: every one of its {count(len(both), 'pair')} is bad ({_said(mesh, both)})"
        advice = f"Look at the link, the interface and the load of {host}, then at its switch port."
        return Culprit("host", _severity(left[pair] for pair in both), [host], title, advice, both)
    for name, words in (("inbound", "from its peers"), ("outbound", "to its peers")):
        other = "outbound" if name == "inbound" else "inbound"
        side = sides[name]
        if whole[name] and len(side) >= _LEAST_OF_HOST and not any(pair in left for pair in sides[other]):
            return Culprit(
                name,
                _severity(left[pair] for pair in side),
                [host],
                f"{host}: all {len(side)} ways {words} are bad ({_said(mesh, side)}), and none of the others",
                f"Look at filters, routes and rate limits of {host} in that direction. Every probe is a round trip.",
                side,
            )
    return None


def _groups(mesh: Mesh, pairs: dict[Pair, Cell], bad: dict[Pair, Cell]) -> Iterator[Culprit]:
    """A group of the inventory that is cut off, or two between which it is bad, where that explains all the rest."""
    if len(bad) < _LEAST_OF_GROUP:
        return
    known = {pair for pair in pairs if pair in bad or not pairs[pair].bad}
    for name, members in sorted(mesh.groups.items(), key=lambda item: len(item[1])):
        border = {pair for pair in known if (pair[0] in members) != (pair[1] in members)}
        within = {pair for pair in known if pair[0] in members and pair[1] in members}
        if border and border == set(bad):
            yield _group(mesh, [name], f"group {name}: every way into or out of it is bad", bad)
            return
        if within and within == set(bad):
            yield _group(mesh, [name], f"group {name}: every way within it is bad", bad)
            return
    for one, other in combinations(sorted(mesh.groups), 2):
        left, right = mesh.groups[one], mesh.groups[other]
        between = {
            pair for pair in known if (pair[0] in left and pair[1] in right) or (pair[0] in right and pair[1] in left)
        }
        if not left & right and between and between == set(bad):
            yield _group(mesh, [one, other], f"groups {one} and {other}: every way between them is bad", bad)
            return


def _group(mesh: Mesh, names: list[str], title: str, bad: dict[Pair, Cell]) -> Culprit:
    return Culprit(
        "group" if len(names) == 1 else "between_groups",
        _severity(bad.values()),
        names,
        f"{title} ({_said(mesh, bad)}), and no other one",
        "Look at what they have in common: the switch, the uplink, the firewall between them.",
        list(bad),
    )


def _single(mesh: Mesh, pairs: dict[Pair, Cell], bad: dict[Pair, Cell]) -> Iterator[Culprit]:
    """The pairs that nothing else explains, both directions as one."""
    done: set[Pair] = set()
    for pair in bad:
        if pair in done:
            continue
        back = pair[1], pair[0]
        done |= {pair, back}
        mine = [pair, *([back] if back in bad else [])]
        one_way = back in pairs and not pairs[back].bad
        sides = f"{pair[0]} -> {pair[1]}" if one_way else f"{pair[0]} <-> {pair[1]}"
        if one_way:
            advice = (
                "Only this direction is bad: look for a filter, a route or a rate limit that one of both has alone."
            )
        else:
            advice = f"Triage this pair: -e triage_source={pair[0]} -e triage_destination={pair[1]}"
        yield Culprit(
            "asymmetric" if one_way else "pair",
            _severity(bad[each] for each in mine),
            list(pair),
            f"{sides}: {_said(mesh, mine)}" + (f", while {pair[1]} -> {pair[0]} is well" if one_way else ""),
            advice,
            mine,
        )
