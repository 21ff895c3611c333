# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a plan to what one host's transaction is asked for. Private to this collection."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.sysctl import canonical

Row = dict[str, Any]


class OrderError(ValueError):
    """A plan that cannot be carried out on this host, in one sentence."""


class Order(NamedTuple):
    """What ``sysctl_transaction`` is given.

    :ivar raise_only: the keys that must never be lowered.
    :ivar restart: units, containers or processes that see the new values only after a restart.
    """

    plan: list[Row]
    settings: dict[str, Any]
    raise_only: list[str]
    restart: list[str]


def order(plan: list[Row], own: dict[str, Any]) -> Order:
    """The order for *plan*, with the operator's *own* settings, which win where both name a key."""
    wanted = {canonical(key) for key in own}
    rows = [row if row["key"] is None or canonical(row["key"]) not in wanted else _yielded(row) for row in plan]
    planned = [row for row in rows if row["status"] == "planned"]
    settings = {row["key"]: row["proposed"] for row in planned}
    return Order(
        rows,
        {**settings, **own},
        [row["key"] for row in planned if row["raise_only"]],
        list(dict.fromkeys(name for row in planned for name in row["restart_needed"])),
    )


def _yielded(row: Row) -> Row:
    return {**row, "status": "refused", "refused": f"{row['key']} is among the settings that were asked for by name"}


def saved(text: str, path: str, host: str, values: dict[str, Any]) -> list[Row]:
    """The plan of *host* that a run in check mode saved, if the host is still as it was then.

    :param values: the host's sysctls as they are now.
    :raises OrderError: no such plan, or the host has moved since.
    """
    try:
        rows = json.loads(text)["hosts"][host]
        planned = [row for row in rows if row["status"] == "planned"]
        moved = [
            f"{row['key']} was {row['current']} and is {values.get(row['key'])}"
            for row in planned
            if values.get(row["key"]) not in (row["current"], row["proposed"])
        ]
    except KeyError:
        raise OrderError(
            f"tune_plan_file: {path!r} holds no plan for {host}; save one with a run in check mode"
        ) from None
    except (ValueError, TypeError):
        raise OrderError(
            f"tune_plan_file: {path!r} is not accepted; give a file that a run in check mode saved"
        ) from None
    if moved:
        raise OrderError(f"the host has moved since its plan was saved to {path}: {'; '.join(moved)}")
    return [row for row in rows if row["status"] != "planned" or values.get(row["key"]) != row["proposed"]]
