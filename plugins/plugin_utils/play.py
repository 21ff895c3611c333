# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What action plugins ask of the play that they run in. Private to this collection."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ansible.plugins.loader import lookup_loader
from ansible.utils.vars import load_extra_vars

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import MODULE_FAILED, Unusable, facts_of
from ansible_collections.nettriage.linux.plugins.plugin_utils.pairs import Addresses, Hosts, Pairs


def pairs(args: Mapping[str, Any], variables: Mapping[str, Any], loader: Any, templar: Any) -> tuple[Pairs, Addresses]:
    """The pairs that a task's options ``sources``, ``destinations``, ``limit`` speak of, and everyone's addresses.

    :raises ValueError: a pattern that no host matches.
    """
    variable = args["address_variable"]
    made = Pairs(args["sources"], args["destinations"], hosts(variables, loader, templar), args["limit"])
    # What is said on the command line holds for hosts outside of the inventory, too; a host's own variable does not.
    common = load_extra_vars(loader).get(variable) if made.outside else None
    return made, Addresses(variables["hostvars"], variable, common)


def hosts(variables: Mapping[str, Any], loader: Any, templar: Any) -> Hosts:
    """The inventory's answer to a pattern, without the controller, which Ansible adds as localhost by itself."""
    lookup = lookup_loader.get("ansible.builtin.inventory_hostnames", loader=loader, templar=templar)

    everyone = set(variables["groups"]["all"])

    def matching(pattern: str) -> list[str]:
        found = lookup.run([pattern], variables=variables)
        return ["".join(name) for name in found if name in everyone]

    return matching


def registered(variables: Mapping[str, Any], register: str) -> dict[str, Mapping[str, Any]]:
    """What the hosts of this play have registered under the name *register* in this run, by host."""
    raw = {name: variables["hostvars"].raw_get(name) for name in variables["ansible_play_hosts_all"]}
    return {name: own[register] for name, own in raw.items() if register in own}


def shared_failure(results: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Why the module failed, if it did on every host for the same reason: an option is wrong that all have."""
    reasons: set[str] = set()
    for result in results.values():
        if result.get("skipped"):
            continue
        try:
            facts_of(result)
        except Unusable as error:
            reasons.add(str(error))
        else:
            return None
    (reason, *others) = reasons or {""}
    return reason if not others and reason.startswith(MODULE_FAILED) else None


def directory(variables: Mapping[str, Any], path: str) -> str:
    """Where a report goes: beside the playbook, or for a playbook of a collection where the user stands."""
    beside: str = variables["playbook_dir"]
    base = os.getcwd() if "ansible_collections" in beside.split(os.sep) else beside
    return os.path.normpath(os.path.join(base, os.path.expanduser(path)))


def now() -> str:
    """This moment, UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
