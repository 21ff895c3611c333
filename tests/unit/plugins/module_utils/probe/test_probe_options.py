# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of dns_probe and http_probe that cannot be used, and what is made of those that can."""

from __future__ import annotations

import os
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.probe import http_url
from ansible_collections.nettriage.linux.plugins.module_utils.probe.dns_probe import dns_probe
from ansible_collections.nettriage.linux.plugins.module_utils.probe.getaddrinfo import lookups, numeric
from ansible_collections.nettriage.linux.plugins.module_utils.probe.http_probe import http_probe
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import (
    Deadline,
    distribution,
    endpoint,
    side_by_side,
    tally,
)

DNS: dict[str, Any] = {
    "names": [],
    "servers": ["127.0.0.1"],
    "protocols": ["udp"],
    "count": 1,
    "timeout": 1.0,
    "deadline": 5.0,
    "getaddrinfo": False,
}
HTTP: dict[str, Any] = {
    "urls": [],
    "targets": ["127.0.0.1:1"],
    "method": "GET",
    "headers": None,
    "validate_certs": True,
    "ca_path": None,
    "count": 1,
    "timeout": 1.0,
    "deadline": 5.0,
    "max_bytes": 0,
}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("names", ["192.0.2.1"]),
        ("names", ["2001:db8::1"]),
        ("names", ["a..b"]),
        ("names", ["a b"]),
        ("names", ["a\n"]),
        ("names", [""]),
        ("names", ["b\udcff"]),
        ("names", ["n"] * 21),
        ("servers", ["dns.example"]),
        ("servers", ["192.0.2.1:0"]),
        ("servers", ["192.0.2.1:65536"]),
        ("servers", ["[2001:db8::1"]),
        ("servers", ["192.0.2.1"] * 17),
        ("protocols", []),
        ("count", 0),
        ("count", 101),
        ("timeout", 0.0),
        ("timeout", float("nan")),
        ("deadline", 301.0),
    ],
)
def test_dns_options(option: str, value: Any) -> None:
    with pytest.raises(BadOption, match=f"^{option}: .* is not accepted; give "):
        dns_probe(Host(), {**DNS, option: value})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("urls", ["ftp://example.com/"]),
        ("urls", ["example.com"]),
        ("urls", ["http:///path"]),
        ("urls", ["http://a b/"]),
        ("urls", ["http://a/\n"]),
        ("urls", ["http://a:0/"]),
        ("urls", ["http://a:99999/"]),
        ("urls", ["http://[::1/"]),
        ("urls", ["http://a/"] * 21),
        ("targets", ["example.com"]),
        ("targets", ["example.com:http"]),
        ("targets", ["exa mple:80"]),
        ("targets", [":80"]),
        ("targets", []),
        ("method", "POST"),
        ("headers", {"A b": "c"}),
        ("headers", {"Content-Length": 5}),
        ("ca_path", "/nowhere/ca.pem"),
        ("count", 21),
        ("timeout", 61.0),
        ("deadline", 0.5),
        ("max_bytes", -1),
    ],
)
def test_http_options(option: str, value: Any) -> None:
    accused = "urls" if option == "targets" and not value else option
    with pytest.raises(BadOption, match=f"^{accused}: .* is not accepted; give "):
        http_probe(Host(), {**HTTP, option: value})


@pytest.mark.parametrize("probe", [dns_probe, http_probe])
def test_recorded_files_cannot_answer(probe: Any, tmp_path: Any) -> None:
    with pytest.raises(BadOption, match="procfs"):
        probe(Host(str(tmp_path), str(tmp_path)), {**DNS, **HTTP})


@pytest.mark.parametrize("url", ["https://user:hunter22@example.com/x", "https://hunter22@example.com:99999/"])
def test_credentials_are_neither_taken_nor_repeated(url: str) -> None:
    with pytest.raises(BadOption) as caught:
        http_url.parse(url)
    assert "hunter22" not in str(caught.value) and "example.com" in str(caught.value)


def test_a_header_s_value_is_not_repeated() -> None:
    with pytest.raises(BadOption) as caught:
        http_url.checked_headers({"Authorization": "hunter22\r\nX: y"})
    assert "hunter22" not in str(caught.value)


def test_what_is_hidden_and_what_is_not() -> None:
    headers = {"Authorization": "Bearer hunter22", "Host": "example.com", "Accept": "text/html", "DNT": 1}
    urls = ["https://user:hunter33@example.com/x", "https://example.com/a@b:c"]
    assert http_url.secrets({"headers": headers, "urls": urls}) == {"Bearer hunter22", "user:hunter33", "hunter33"}


@pytest.mark.parametrize(
    ("text", "host", "port", "path", "authority"),
    [
        ("http://example.com", "example.com", 80, "/", "example.com"),
        ("HTTPS://Example.com:8443/a?b=c#d", "example.com", 8443, "/a?b=c", "example.com:8443"),
        ("https://[2001:db8::1]/", "2001:db8::1", 443, "/", "[2001:db8::1]"),
        ("http://[fe80::1%25eth0]:81/", "fe80::1%eth0", 81, "/", "[fe80::1]:81"),
        ("http://b\u00fccher.example/\u00fc", "xn--bcher-kva.example", 80, "/%C3%BC", "xn--bcher-kva.example"),
        ("http://a/%20?x=%2F", "a", 80, "/%20?x=%2F", "a"),
    ],
)
def test_urls(text: str, host: str, port: int, path: str, authority: str) -> None:
    url = http_url.parse(text)
    assert (url.host, url.port, url.path, url.authority) == (host, port, path, authority)


def test_the_request() -> None:
    url = http_url.parse("http://example.com:81/x")
    lines = http_url.request(url, "GET", {"host": "other", "X-A": "b"}).decode().split("\r\n")
    assert lines[0] == "GET /x HTTP/1.1" and lines[-2:] == ["", ""]
    assert "host: other" in lines and "X-A: b" in lines and "Connection: close" in lines
    assert not any(line.startswith("Host:") for line in lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:1", ("a", 1)),
        ("a", ("a", 53)),
        ("[::1]:5", ("::1", 5)),
        ("[::1]", ("::1", 53)),
        ("::1", ("::1", 53)),
        ("[::1]x", ("[::1]x", None)),
        ("a:", ("a", None)),
        ("a:\u0663", ("a", None)),
    ],
)
def test_endpoints(text: str, expected: tuple[str, int | None]) -> None:
    assert endpoint(text, 53) == expected


def test_distributions_are_of_what_occurred() -> None:
    assert distribution([]) is None
    assert distribution([3.0]) == {"min": 3.0, "median": 3.0, "p95": 3.0, "max": 3.0}
    assert distribution(range(1, 101)) == {"min": 1, "median": 50, "p95": 95, "max": 100}
    assert distribution([2, 1]) == {"min": 1, "median": 1, "p95": 2, "max": 2}


def test_tallies_have_the_most_frequent_first() -> None:
    assert list(tally(["a", "b", "b"]).items()) == [("b", 2), ("a", 1)]


def test_work_side_by_side_keeps_its_order_and_its_errors() -> None:
    assert side_by_side(lambda number: number * 2, list(range(50)), 4) == list(range(0, 100, 2))
    assert side_by_side(str, [], 4) == []
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda number: 1 // number, [1, 0, 1], 2)


@pytest.mark.parametrize(
    ("text", "address"),
    [("192.0.2.1", "192.0.2.1"), ("2001:DB8:0::1", "2001:db8::1"), ("fe80::1%eth0", "fe80::1%eth0"), ("1.2", None)],
)
def test_addresses_need_no_lookup(text: str, address: str | None) -> None:
    assert numeric(text) == address


def test_lookups_leave_no_child_and_no_descriptor() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    found = lookups(["localhost", "localhost", "b\udcff"], 2, Deadline(20), {})
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert found["localhost"].addresses and len(found["localhost"].runs_ms) == 2
    assert found["localhost"].timed_out is False and found["localhost"].error is None
    assert found["b\udcff"].error and not found["b\udcff"].addresses
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_lookup_without_time_ends_at_once() -> None:
    found = lookups(["localhost"], 1, Deadline(0), {})["localhost"]
    assert found.runs_ms == [] and found.addresses == []
