# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose destination is whose listener, and when that cannot be told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.dependencies import dependencies
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.model import Dependencies
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.owners import Owners
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.traits import Node, Traits, nodes, traits_of

NGINX = {"pid": 7, "command": "nginx", "unit": "nginx.service", "container": None}
CURL = {"pid": 9, "command": "curl", "unit": None, "container": None}


def facts(
    *addresses: str,
    to: tuple[tuple[str, int], ...] = (),
    listeners: tuple[tuple[str, int], ...] = (),
    total: int | None = None,
    machine: str | None = None,
) -> dict[str, Any]:
    """Facts of a host with *addresses*, which has connections *to* others and *listeners* of its own."""
    own = addresses[0].split("/")[0] if addresses else "10.0.0.250"
    return {
        "meta": {"boot_id": machine},
        "nic": {"interfaces": [{"name": "eth0", "addresses": list(addresses)}]},
        "sockets": {
            "tcp": {
                "listeners": [{"address": address, "port": port, "processes": [NGINX]} for address, port in listeners],
                "listeners_total": len(listeners) if total is None else total,
                "destinations": [
                    {
                        "source": own,
                        "address": address,
                        "port": port,
                        "states": {"established": 3, "syn_sent": 0},
                        "processes": [CURL],
                    }
                    for address, port in to
                ],
                "quality": {
                    "destinations": [
                        {
                            "address": address,
                            "port": port,
                            "listener_port": None,
                            "rtt_ms": 1.5,
                            "retransmit_ratio": 0.1,
                        }
                        for address, port in to
                    ]
                },
            }
        },
    }


def mapped(stated: dict[str, str] | None = None, **hosts: dict[str, Any]) -> Dependencies:
    traits = nodes({name: traits_of(each) for name, each in hosts.items()})
    return dependencies(traits, Owners(traits, stated or {}))


def test_a_destination_is_joined_to_its_listener() -> None:
    found = mapped(
        a=facts("10.0.0.1/24", to=(("10.0.0.2", 443),)),
        b=facts("10.0.0.2/24", listeners=(("0.0.0.0", 443), ("10.0.0.2", 443), ("127.0.0.1", 8443))),
    )
    (row,) = found.rows
    assert (row.source, row.target, row.address, row.port) == ("a", "b", "10.0.0.2", 443)
    assert row.listener is not None and row.listener.address == "10.0.0.2" and row.listener.processes == [NGINX]
    assert (row.connections, row.states, row.rtt_ms, row.retransmit_ratio) == (3, {"established": 3}, 1.5, 0.1)
    assert row.processes == [CURL] and row.note is None


def test_rows_of_several_source_addresses_are_one() -> None:
    found = mapped(
        a=facts("10.0.0.1/24", to=(("10.0.0.2", 443), ("10.0.0.2", 443))),
        b=facts("10.0.0.2/24", listeners=(("::", 443),)),
    )
    assert [(row.connections, row.states) for row in found.rows] == [(6, {"established": 6})]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0", "fe80::1%eth0", "10.0.0.1", "224.0.0.1", "x"])
def test_what_stays_on_the_host_is_no_dependency(address: str) -> None:
    """Loopback and link-local addresses mean something else on each host; an own address is the host itself."""
    found = mapped(a=facts("10.0.0.1/24", "fe80::1/64", to=((address, 80),)), b=facts("10.0.0.2/24", "fe80::1/64"))
    assert not found.rows and not found.outside


def test_destinations_that_nobody_has_are_counted() -> None:
    found = mapped(a=facts("10.0.0.1/24", to=(("192.0.2.1", 80),)), b=facts("10.0.0.2/24", to=(("192.0.2.1", 80),)))
    assert not found.rows and found.outside == 1


def test_an_address_that_several_hosts_have_is_nobodys() -> None:
    """An address that moves between two hosts, and was seen on both."""
    both = ("10.0.0.100/24",)
    found = mapped(
        a=facts("10.0.0.1/24", to=(("10.0.0.100", 80), ("10.0.0.3", 80))),
        b=facts("10.0.0.2/24", *both, listeners=(("::", 80),)),
        c=facts("10.0.0.3/24", *both, listeners=(("::", 80),)),
    )
    rows = {row.address: row for row in found.rows}
    assert rows["10.0.0.100"].target is None and rows["10.0.0.100"].candidates == ["b", "c"]
    assert rows["10.0.0.100"].note == "2 hosts have this address"
    assert rows["10.0.0.3"].target == "c" and found.ambiguous == 1


def test_a_network_that_each_host_has_for_itself_joins_nothing() -> None:
    """Every Docker host has a bridge 172.17.0.1/16: what is behind it is another thing on each."""
    bridge = ("172.17.0.1/16",)
    found = mapped(
        a=facts("10.0.0.1/24", *bridge, to=(("172.17.0.1", 80), ("172.17.0.2", 80))),
        b=facts("10.0.0.2/24", *bridge, to=(("172.17.0.2", 80),)),
        c=facts("172.17.0.2/16", listeners=(("::", 80),)),
    )
    assert {(row.source, row.address, row.target) for row in found.rows} == {
        ("a", "172.17.0.2", None),
        ("b", "172.17.0.2", None),
    }
    assert all("172.17.0.0/16" in str(row.note) for row in found.rows)


def test_two_names_of_one_machine_are_one() -> None:
    found = mapped(
        a=facts("10.0.0.1/24", to=(("10.0.0.2", 80),), machine="x"),
        b=facts("10.0.0.2/24", listeners=(("::", 80),), machine="y"),
        alias=facts("10.0.0.2/24", listeners=(("::", 80),), machine="y"),
    )
    assert [row.target for row in found.rows] == ["b"]


@pytest.mark.parametrize(
    ("target", "note"),
    [
        (facts("10.0.0.2/24"), "nothing listens there"),
        (facts("10.0.0.2/24", listeners=(("127.0.0.1", 80),)), "nothing listens there"),
        (facts("10.0.0.2/24", listeners=(("::", 22),), total=40), "not among the rows"),
    ],
)
def test_a_listener_that_is_not_known_is_said(target: dict[str, Any], note: str) -> None:
    """Published ports are another host's rewritten addresses: nothing on the host itself listens there."""
    (row,) = mapped(a=facts("10.0.0.1/24", to=(("10.0.0.2", 80),)), b=target).rows
    assert row.target == "b" and row.listener is None and row.note and note in row.note


def test_the_far_end_names_the_process_where_its_listeners_were_cut_off() -> None:
    far = facts("10.0.0.2/24", listeners=(("::", 22),), total=40)
    far["sockets"]["tcp"]["quality"]["destinations"] = [
        {"address": "10.0.0.1", "port": None, "listener_port": 80, "processes": [NGINX]}
    ]
    (row,) = mapped(a=facts("10.0.0.1/24", to=(("10.0.0.2", 80),)), b=far).rows
    assert row.listener is not None and row.listener.processes == [NGINX] and row.note is None


def test_a_host_that_could_not_be_looked_at_has_the_address_of_the_inventory() -> None:
    found = mapped({"gone": "10.0.0.9", "web": "web.example.org"}, a=facts("10.0.0.1/24", to=(("10.0.0.9", 80),)))
    assert [(row.target, row.note) for row in found.rows] == [("gone", "that host could not be looked at")]


def test_the_map_is_bounded_and_begins_with_trouble() -> None:
    many = tuple(("10.0.0.2", port) for port in range(1, 800))
    source = facts("10.0.0.1/24", to=many)
    source["sockets"]["tcp"]["destinations"][700]["states"] = {"syn_sent": 2}
    found = mapped(a=source, b=facts("10.0.0.2/24"))
    assert len(found.rows) == 500 and found.total == 799
    assert (found.rows[0].port, found.rows[0].stuck) == (701, 2)


def test_containers_have_addresses_of_their_own() -> None:
    """Each host's bridge has the same network: on the host itself it is known whose an address in it is."""

    def docker(address: str, *to: tuple[str, int]) -> dict[str, Any]:
        inner = facts("172.17.0.2/16", to=(("10.0.0.2", 443), ("172.17.0.1", 53)), listeners=(("::", 80),))
        row = {"name": "pid:5", "container": "web", "pod": None, "unit": None, "pid": 5, "command": "nginx"}
        own = facts(f"{address}/24", "172.17.0.1/16", to=to, listeners=(("::", 443), ("::", 53)))
        return {**own, "namespaces": {"list": [{**inner, **row}]}}

    found = mapped(a=docker("10.0.0.1", ("172.17.0.2", 80)), b=docker("10.0.0.2"))
    assert {(row.source, row.source_inside, row.address, row.target, row.target_inside) for row in found.rows} == {
        ("a", None, "172.17.0.2", "a", "container web"),
        ("a", "container web", "10.0.0.2", "b", None),
        ("a", "container web", "172.17.0.1", "a", None),
        ("b", "container web", "10.0.0.2", "b", None),
        ("b", "container web", "172.17.0.1", "b", None),
    }
    assert all(row.listener is not None and row.note is None for row in found.rows)


def walk(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from walk(child, (*path, key))


WHOLE = {
    **facts("10.0.0.1/24", to=(("10.0.0.2", 80),), listeners=(("::", 80),)),
    "routes": {"default": [{"gateway": "10.0.0.2", "interface": "eth0"}]},
    "sysctl": {"values": {"net.core.somaxconn": 128}},
    "tcp": {"derived": {"retransmit_ratio": 0.1, "data_segments_sent": 3}},
}


@pytest.mark.parametrize("damage", [None, [], {}, "x", -1, 1.5, True, [None], {"a": None}, [7], "10.0.0.1/99"])
def test_facts_of_any_shape_are_survived(damage: Any) -> None:
    """Each part of the facts in turn is something else than it should be."""
    for path in walk(WHOLE):
        broken: Any = facts("10.0.0.1/24", to=(("10.0.0.2", 80),), listeners=(("::", 80),))
        broken.update({name: WHOLE[name] for name in ("routes", "sysctl", "tcp")})
        broken = _copy(broken)
        parent = broken
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = damage
        made = traits_of(broken)
        assert isinstance(made, Traits)
        dependencies({Node("a"): made}, Owners({Node("a"): made}, {}))


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
