# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets for the tests of the report, with names that try to break out of it."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Fleet, Host, join, verdict_of
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.view import view_of

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></script><!--",
    "\x1b[2J\x1b[31mred\x07",
    "line\nbreak\r\n# heading",
    "| a | b |",
    "``` `tick` ``",
    "[link](javascript:alert(1)) **bold** _i_ ~~s~~",
    "gnp.\u202eexe\u2066",
    "\ud800x\udfff",
    "{{ 7 * 7 }} {% raw %}",
    "&lt;b&gt; &#60;",
    "日本語" * 30,
    "x" * 5000,
    "",
]
PROCESS = {"pid": 7, "command": "nginx", "unit": "nginx.service", "container": None}


def finding(text: str = "web", severity: str = "critical", layer: str = "4", name: str = "tcp.some") -> dict[str, Any]:
    return {
        "id": name,
        "severity": severity,
        "layer": layer,
        "subject": text,
        "title": f"Title of {text}",
        "evidence": {"port_usage": 0.914, "processes": [{**PROCESS, "command": text}], text: text},
        "cause": f"Cause {text}",
        "advice": [f"Advice {text}"],
        "remedies": [],
        "refused": [{"remedy": "buffers", "why": f"Because of {text}"}],
        "command": f"ss -tn dst '{text}'",
    }


def facts(text: str = "web", rows: int = 10) -> dict[str, Any]:
    process = {**PROCESS, "command": text}
    return {
        "meta": {"kernel": "6.1.0", "uptime_s": 900000, "interval_s": 1.0},
        "sockets": {
            "limited": [f"owners of {text}"],
            "tcp": {
                "states": {"established": 7, "time_wait": 0},
                "listeners_total": 99,
                "listeners": [
                    {
                        "address": "::",
                        "port": n,
                        "accept_queue": 1,
                        "backlog": 4,
                        "processes": [process],
                    }
                    for n in range(rows)
                ],
                "destinations": [
                    {"address": "10.0.0.1", "port": n, "ports_used": 9, "capacity": 10, "states": {"time_wait": 9}}
                    for n in range(rows)
                ],
            },
        },
        "nic": {"interfaces": [{"name": text, "operstate": "up", "mtu": 1500, "errors_delta": {"crc": 3}}] * rows},
        "tcp": {"rates": {"Tcp": {"InSegs": 1200.5, "OutRsts": 0.5}, "IpExt": {"InOctets": 9.0}}},
        "sysctl": {
            "values": {"net.core.somaxconn": 128, "net.ipv4.tcp_rmem": [1, 2], text: text, "absent": None},
            "overridden": [{"key": "a", "value": "1", "file": text, "line": 3, "other_value": "2", "by": "tuned"}],
            "namespaces": [{"netns": "pid:7", "processes": [process], "differing": {text: {"here": 1, "host": 2}}}],
        },
        "namespaces": {"total": 3, "list": [{"name": "pid:7", "sockets": {"tcp": {"total": 3}}, **process}]},
        "since": {"seconds": 9000.0},
        "conntrack": {"available": False, "why": f"no {text}"},
    }


def host(name: str, *findings: dict[str, Any], error: str | None = None, text: str = "web") -> Host:
    verdict = "unreachable" if error is not None else verdict_of(findings)
    body = json.dumps(facts(text, 1))
    return Host(name, verdict, findings, body, None if error is not None else view_of(facts(text), 10), error)


def fleet(*hosts: Host) -> Fleet:
    return join(hosts, "2024-01-01T00:00:00Z", "0.1.0")


def evil(text: str) -> Fleet:
    return fleet(host(text, finding(text), text=text), host("gone", error=text), host("fine"))
