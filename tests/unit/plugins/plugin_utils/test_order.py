# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.plugin_utils.order import OrderError, order, saved


def row(key: str | None, status: str = "planned", **values: Any) -> dict[str, Any]:
    return {
        "key": key,
        "status": status,
        "remedy": "keepalive",
        "current": 7200,
        "proposed": 300,
        "raise_only": False,
        "restart_needed": [],
        "refused": None,
        **values,
    }


def test_a_plan_becomes_settings() -> None:
    made = order(
        [
            row("net.core.somaxconn", proposed=4096, raise_only=True, restart_needed=["a.service", "b.service"]),
            row("net.ipv4.tcp_keepalive_time", restart_needed=["a.service"]),
            row(None, "refused", refused="because"),
        ],
        {},
    )
    assert made.settings == {"net.core.somaxconn": 4096, "net.ipv4.tcp_keepalive_time": 300}
    assert made.raise_only == ["net.core.somaxconn"]
    assert made.restart == ["a.service", "b.service"]


@pytest.mark.parametrize("spelling", ["net.core.somaxconn", "net/core/somaxconn"])
def test_own_settings_win_in_any_spelling(spelling: str) -> None:
    made = order([row("net.core.somaxconn", proposed=4096, raise_only=True)], {spelling: 128})
    assert made.settings == {spelling: 128}
    assert made.raise_only == []
    assert made.plan[0]["status"] == "refused"
    assert "asked for by name" in made.plan[0]["refused"]


def test_a_wrong_key_of_the_operator_is_one_sentence() -> None:
    with pytest.raises(BadOption, match="give a key such as"):
        order([], {"somaxconn": 1})


def document(**hosts: list[dict[str, Any]]) -> str:
    return json.dumps({"generated": "now", "hosts": hosts})


def test_a_saved_plan_is_carried_out_as_it_was_saved() -> None:
    rows = [row("a.b"), row(None, "refused")]
    assert saved(document(web=rows), "plan.json", "web", {"a.b": 7200}) == rows


def test_what_has_been_done_since_is_not_done_again() -> None:
    assert saved(document(web=[row("a.b")]), "plan.json", "web", {"a.b": 300}) == []


def test_a_host_that_has_moved_is_refused() -> None:
    with pytest.raises(OrderError) as caught:
        saved(document(web=[row("a.b")]), "plan.json", "web", {"a.b": 600})
    assert str(caught.value) == "the host has moved since its plan was saved to plan.json: a.b was 7200 and is 600"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (document(db=[]), "holds no plan for web"),
        ("{}", "holds no plan for web"),
        ("", "is not accepted; give a file that a run in check mode saved"),
        ("[]", "is not accepted; give a file that a run in check mode saved"),
        ('{"hosts": {"web": 7}}', "is not accepted; give a file that a run in check mode saved"),
    ],
)
def test_a_file_that_holds_no_plan(text: str, says: str) -> None:
    with pytest.raises(OrderError) as caught:
        saved(text, "plan.json", "web", {})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
