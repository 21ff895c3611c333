# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From hosts to the fleet view. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Host
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.changes import Former, changes
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.dependencies import dependencies
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.findings import UNREACHABLE, fleet_findings
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.model import Joined
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.outliers import outliers
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.owners import Owners
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.traits import nodes


def joined(
    hosts: Sequence[Host],
    stated: Mapping[str, str],
    limits: Mapping[str, Any],
    before: Former,
) -> Joined:
    """The fleet view of *hosts*.

    :param stated: the address that the inventory states for a host, where it does.
    :param limits: all limits of the rules.
    :param before: the report before.
    """
    traits = {host.name: host.traits for host in hosts if host.traits is not None}
    within = nodes(traits)
    owners = Owners(within, stated)
    found = {host.name: host.findings if host.reached else [_unreachable(host)] for host in hosts}
    problems, problems_total = fleet_findings(found, within, owners, limits)
    odd, odd_total = outliers(traits, {host.name: host.groups for host in hosts}, limits)
    now = {host.name: host.findings if host.error is None else None for host in hosts}
    return Joined(dependencies(within, owners), problems, problems_total, odd, odd_total, changes(before, now))


def _unreachable(host: Host) -> dict[str, Any]:
    return {
        "id": UNREACHABLE,
        "severity": "critical",
        "subject": "host",
        "title": f"{host.name} could not be looked at",
        "evidence": {"why": host.error},
    }
