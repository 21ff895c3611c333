# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.collect import resolver
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Window
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

FIXTURES = os.path.join(os.path.dirname(__file__), "../../../fixtures")


def facts_of(host: Host) -> dict[str, Any]:
    return resolver.facts(host, None, resolver.sample(host), Window(None, 5))


def facts(text: str | None, hostname: str | None = None) -> dict[str, Any]:
    sample = resolver.Sample("/etc/resolv.conf", text, hostname, [])
    return resolver.facts(Host(FIXTURES, FIXTURES), None, sample, Window(None, 5))


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """A procfs that passes for a live one, beside a machine's root."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/stat").touch()
    (tmp_path / "etc").mkdir()
    return tmp_path


def test_a_recorded_host() -> None:
    found = facts_of(Host(os.path.join(FIXTURES, "5.14/proc"), FIXTURES))
    assert found["limited"] == []
    assert found["path"].endswith("/5.14/etc/resolv.conf")
    assert found["nameservers"] == ["192.0.2.53", "2001:db8::53"]
    assert found["search"] == ["example.net", "corp.example.net"]
    assert (found["options"]["ndots"], found["options"]["timeout_s"], found["options"]["attempts"]) == (2, 1, 2)
    assert found["queries_per_short_name"] == 6


def test_only_three_nameservers_are_asked() -> None:
    found = facts("".join(f"nameserver 192.0.2.{n}\n" for n in range(1, 6)))
    assert found["nameservers"] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    assert found["nameservers_ignored"] == ["192.0.2.4", "192.0.2.5"]


def test_without_nameservers_it_is_the_local_one() -> None:
    found = facts("# nothing\n")
    assert found["nameservers"] == ["127.0.0.1"]
    assert found["limited"] == []


def test_a_missing_file_is_said() -> None:
    found = facts(None)
    assert found["nameservers"] == ["127.0.0.1"]
    assert found["limited"] == ["/etc/resolv.conf does not exist: the C library asks 127.0.0.1"]


@pytest.mark.parametrize(
    ("text", "search"),
    [
        ("search a.example b.example\n", ["a.example", "b.example"]),
        ("domain a.example b.example\n", ["a.example"]),
        ("search a.example\ndomain b.example\n", ["b.example"]),
        ("domain b.example\nsearch a.example\n", ["a.example"]),
        ("search a.example\nsearch\t\n", ["a.example"]),
        ("search " + " ".join(f"d{n}.example" for n in range(9)) + "\n", [f"d{n}.example" for n in range(9)]),
        ("", ["example.org"]),
    ],
)
def test_the_last_of_domain_and_search_wins(text: str, search: list[str]) -> None:
    assert facts(text, "web7.example.org")["search"] == search


@pytest.mark.parametrize("hostname", [None, "web7", ""])
def test_a_host_without_domain_adds_none(hostname: str | None) -> None:
    assert facts("", hostname)["search"] == []


def test_options() -> None:
    found = facts("options ndots:99 timeout:99 attempts:99\noptions rotate single-request use-vc unknown:3\n")[
        "options"
    ]
    assert (found["ndots"], found["timeout_s"], found["attempts"]) == (15, 30, 5)
    assert [name for name, value in found.items() if value is True] == ["rotate", "single_request", "use_vc"]


def test_defaults() -> None:
    found = facts("")["options"]
    assert (found["ndots"], found["timeout_s"], found["attempts"]) == (1, 5, 2)
    assert not any(found[name] for name in ("rotate", "single_request", "edns0", "trust_ad", "use_vc"))


@pytest.mark.parametrize(
    ("text", "value"), [("ndots:3x", 3), ("ndots:", 0), ("ndots:x", 0), ("ndots", 1), ("ndots:-1", 0)]
)
def test_a_number_is_read_as_the_c_library_reads_it(text: str, value: int) -> None:
    assert facts(f"options {text}\n")["options"]["ndots"] == value


@pytest.mark.parametrize(
    ("line", "addresses"),
    [
        ("nameserver\t192.0.2.1", ["192.0.2.1"]),
        ("nameserver 192.0.2.1 # first", ["192.0.2.1"]),
        ("nameserver 192.0.2.1;first", ["192.0.2.1"]),
        ("nameserver 127.1", ["127.0.0.1"]),
        ("nameserver 2001:DB8:0::1", ["2001:db8::1"]),
        ("nameserver fe80::1%eth0", ["fe80::1%eth0"]),
        ("#nameserver 192.0.2.1", []),
        (";nameserver 192.0.2.1", []),
        (" nameserver 192.0.2.1", []),
        ("nameserver192.0.2.1", []),
        ("NAMESERVER 192.0.2.1", []),
    ],
)
def test_nameserver_lines(line: str, addresses: list[str]) -> None:
    found = resolver.parse(line + "\n")
    assert found.nameservers == addresses
    assert found.damage == []


@pytest.mark.parametrize("word", ["dns.example", "192.0.2.1%eth0", "::g", "192.0.2.1\r", ""])
def test_a_nameserver_that_is_no_address_is_said(word: str) -> None:
    found = resolver.parse(f"search a.example\nnameserver {word}\n")
    assert found.nameservers == []
    assert found.damage == ["line 2: no address after nameserver"]


@pytest.mark.parametrize(
    ("search", "no_aaaa", "queries"),
    [([], False, 2), (["a", "b", "c"], False, 8), (["a", "b", "c"], True, 4), (["a", "."], False, 4)],
)
def test_queries_of_a_short_name(search: list[str], no_aaaa: bool, queries: int) -> None:
    assert resolver.queries_per_short_name(search, {"no_aaaa": no_aaaa}) == queries


def test_a_namespace_has_its_own_file(live: Path) -> None:
    (live / "etc/netns/blue").mkdir(parents=True)
    (live / "etc/resolv.conf").write_text("nameserver 192.0.2.1\n")
    host = Host(str(live / "proc"), FIXTURES, str(live / "etc/netns/blue"), "blue")
    assert facts_of(host)["nameservers"] == ["192.0.2.1"]
    (live / "etc/netns/blue/resolv.conf").write_text("nameserver 192.0.2.2\n")
    found = facts_of(host)
    assert found["nameservers"] == ["192.0.2.2"]
    assert found["path"] == str(live / "etc/netns/blue/resolv.conf")
    assert found["limited"] == []


def test_links_of_another_root_stay_below_it(live: Path) -> None:
    root = live / "proc/12/root"
    (root / "etc").mkdir(parents=True)
    (root / "run/systemd").mkdir(parents=True)
    (root / "run/systemd/resolv.conf").write_text("nameserver 127.0.0.53\n")
    (root / "etc/resolv.conf").symlink_to("/run/systemd/resolv.conf")
    host = Host(str(live / "proc"), FIXTURES, str(root / "etc"), "pid:12")
    assert facts_of(host)["path"] == str(root / "run/systemd/resolv.conf")
    (root / "etc/resolv.conf").unlink()
    (root / "etc/resolv.conf").symlink_to("../run/systemd/resolv.conf")
    assert facts_of(host)["nameservers"] == ["127.0.0.53"]


def test_a_link_that_leads_to_itself_is_said(live: Path) -> None:
    (live / "etc/resolv.conf").symlink_to("resolv.conf")
    with pytest.raises(Unavailable, match="resolv"):
        resolver.sample(Host(str(live / "proc"), FIXTURES, str(live / "etc")))


def test_a_forbidden_file_is_said(live: Path) -> None:
    (live / "etc/resolv.conf").mkdir()
    with pytest.raises(Unavailable, match="resolv"):
        resolver.sample(Host(str(live / "proc"), FIXTURES, str(live / "etc")))


def test_recorded_files_without_the_file_have_no_defaults(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    with pytest.raises(Unavailable, match="was not recorded"):
        resolver.sample(Host(str(tmp_path / "proc"), FIXTURES))


def test_a_namespace_of_unknown_inhabitants_is_said(live: Path) -> None:
    found = facts_of(Host(str(live / "proc"), FIXTURES, "/etc", "/run/docker/netns/abc"))
    assert "who lives in netns /run/docker/netns/abc is not known" in found["limited"][0]


def test_a_container_in_the_network_of_the_host_has_the_names_of_the_host(live: Path) -> None:
    for pid in ("1", "self"):
        (live / f"proc/{pid}/ns").mkdir(parents=True)
        os.symlink(str(live / "netns"), live / f"proc/{pid}/ns/net")
    (live / "netns").touch()
    (live / "proc/1/root/etc").mkdir(parents=True)
    (live / "proc/1/root/etc/resolv.conf").write_text("nameserver 192.0.2.9\n")
    assert facts_of(Host(str(live / "proc"), FIXTURES, "/etc"))["nameservers"] == ["192.0.2.9"]


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    json.dumps(facts(text), ensure_ascii=False).encode("utf-8")


@given(
    st.lists(
        st.sampled_from(["search", "domain", "nameserver", "options", " ", "a.example", "\n", "ndots:", "1", "::1"])
    )
)
def test_the_limits_hold_for_every_file(words: list[str]) -> None:
    found = facts(" ".join(words))
    assert 1 <= len(found["nameservers"]) <= 3
    assert 0 <= found["options"]["ndots"] <= 15
    assert found["queries_per_short_name"] >= 2
