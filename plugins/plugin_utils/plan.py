# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From facts and findings to a plan: what to set, what not to, and why. Private to this collection."""

from __future__ import annotations

from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.policy import Policy
from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.catalogue import REMEDIES
from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.model import Case, Guard, Proposal, Remedy

Row = dict[str, Any]
_COLUMNS = ("key", "current", "proposed", "why", "memory_cost", "verify_by", "proof", "raise_only", "refused")


def make_plan(facts: dict[str, Any], findings: list[dict[str, Any]], options: dict[str, Any]) -> list[Row]:
    """What the remedies would do on one host, refusals with the guard that failed in the same list.

    :param facts: the structure that ``health_facts`` returns.
    :param findings: what the rules made of it; those of other network namespaces than the facts' own are passed over,
        for each namespace has settings of its own.
    :param options: fields of :class:`Policy`.
    :raises PolicyError: an option that cannot be used.
    """
    policy = Policy.of(options, list(REMEDIES))
    case = Case(facts, [finding for finding in findings if not finding.get("namespace")], policy)
    rows: list[Row] = []
    budget = int(case.memory_bytes * policy.memory_share) if case.memory_bytes else None
    for name in REMEDIES if policy.remedies == "auto" else policy.remedies:
        evidence = _evidence(case, REMEDIES[name])
        if policy.remedies != "auto" or evidence:
            made, budget = _rows(case, REMEDIES[name], evidence, budget)
            rows.extend(made)
    return rows + _incurable(case, {row["remedy"] for row in rows})


def _evidence(case: Case, remedy: Remedy) -> list[Row]:
    return [found for found in case.found(*remedy.cures) if remedy.name in found["remedies"] or _refusal(remedy, found)]


def _refusal(remedy: Remedy, finding: Row) -> str | None:
    return next((row["why"] for row in finding["refused"] if row["remedy"] == remedy.name), None)


def _rows(case: Case, remedy: Remedy, evidence: list[Row], budget: int | None) -> tuple[list[Row], int | None]:
    """The rows of one remedy and what is left of the memory that the plan may cost."""
    proposal = remedy.propose(case)
    guards = [*_by_rules(remedy, evidence), *proposal.guards]
    cost = sum(change.memory_bytes for change in proposal.changes)
    if budget is not None and cost:
        guards.append(
            Guard("within the memory budget", cost <= budget, f"costs {cost} bytes at worst, {budget} are left")
        )
    failed = [guard for guard in guards if not guard.holds]
    if failed or not proposal.changes:
        why = "; ".join(guard.detail.rstrip(".") for guard in failed) or "already as it should be"
        status = "refused" if failed else "already"
        owner = evidence[0]["subject"] if failed and evidence else None
        return [_row(case, remedy, proposal, guards, evidence, status=status, refused=why, owner=owner)], budget
    rows = [
        _row(
            case,
            remedy,
            proposal,
            guards,
            evidence,
            status="planned",
            key=change.key,
            current=case.value(change.key),
            proposed=change.proposed,
            why=change.why,
            memory_cost=change.memory_bytes,
            verify_by=change.verify_by,
            proof=change.proof,
            raise_only=change.raises,
        )
        for change in proposal.changes
    ]
    return rows, None if budget is None else budget - cost


def _by_rules(remedy: Remedy, evidence: list[Row]) -> list[Guard]:
    """A remedy that every rule with evidence for it refuses is refused for the rule's reason."""
    reasons = [_refusal(remedy, found) for found in evidence]
    if evidence and all(reasons):
        return [Guard("it would help", False, str(reason)) for reason in dict.fromkeys(reasons)]
    return []


def _row(
    case: Case, remedy: Remedy, proposal: Proposal, guards: list[Guard], evidence: list[Row], **values: Any
) -> Row:
    empty = dict.fromkeys(_COLUMNS)
    return {
        **empty,
        "remedy": remedy.name,
        "guards": [{"name": guard.name, "holds": guard.holds, "detail": guard.detail} for guard in guards],
        "restart_needed": list(dict.fromkeys(proposal.restart_needed)),
        "risk": remedy.risk,
        "evidence": [{"id": found["id"], "subject": found["subject"]} for found in evidence],
        "owner": None,
        "command": evidence[0]["command"] if evidence else None,
        **values,
    }


def _incurable(case: Case, listed: set[str]) -> list[Row]:
    """What no setting can cure: whose it is and what to run next."""
    rows = []
    for found in case.findings:
        named = {*found["remedies"], *(row["remedy"] for row in found["refused"])}
        if found["severity"] == "info" or named & listed:
            continue
        if found["remedies"] and case.policy.remedies != "auto":
            continue
        refused = found["refused"]
        why = "; ".join(row["why"] for row in refused) or found["cause"]
        nothing = Remedy(refused[0]["remedy"] if refused else "none", (), "none", (), lambda __: Proposal([]))
        rows.append(
            _row(
                case,
                nothing,
                Proposal([]),
                [],
                [found],
                status="refused",
                refused=f"no setting cures {found['id']}: {why}",
                owner=found["subject"],
            )
        )
    return rows
