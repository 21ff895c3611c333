# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole way: a fleet of namespaces, the real playbook, the report that it leaves."""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any, Iterator

import pytest

from ansible_collections.nettriage.linux.tests.lab import demo
from ansible_collections.nettriage.linux.tests.lab.auditing import text
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab


@pytest.fixture(scope="module")
def fleet() -> Iterator[demo.Fleet]:
    """The fleet of ``make demo``."""
    with Lab() as lab:
        yield demo.Fleet(lab)


@pytest.fixture(scope="module")
def report(fleet: demo.Fleet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the audit of the whole fleet wrote and said."""
    directory = tmp_path_factory.mktemp("report")
    done = demo.playbook(fleet.inventory(), str(directory), capture=True)
    assert done.returncode == 0, done.stdout + done.stderr
    written: dict[str, Any] = json.loads((directory / "report.json").read_text())
    return {**written, "terminal": done.stdout, "directory": directory}


@pytest.mark.parametrize(
    ("host", "finding_id", "severity", "culprit"),
    [
        ("checkout", "tcp.ephemeral_ports", "critical", "8443"),
        ("billing", "tcp.close_wait_leak", "critical", "invoice-worker"),
        ("web", "tcp.accept_queue", "critical", "8080"),
        ("uploads", "tcp.retransmits", "critical", "873"),
        ("storage", "nic.link_down", "critical", "to-core-"),
    ],
)
def test_each_fault_is_in_the_report(
    report: dict[str, Any], host: str, finding_id: str, severity: str, culprit: str
) -> None:
    """The host of a fault has it in its findings with the culprit, and no other host has it."""
    (finding,) = (finding for finding in report["hosts"][host]["findings"] if finding["id"] == finding_id)
    assert culprit in text(finding)
    assert finding["severity"] in (severity, "warning")
    others = {name for name, row in report["hosts"].items() if finding_id in {each["id"] for each in row["findings"]}}
    assert others == {host}
    assert report["hosts"][host]["verdict"] in ("critical", "warning")
    assert host in report["terminal"]


def test_the_healthy_host_is_well(report: dict[str, Any]) -> None:
    """No warning on the host that has nothing."""
    host = report["hosts"]["intranet"]
    assert host["verdict"] == "ok", host["findings"]


def test_the_page_stands_alone(report: dict[str, Any]) -> None:
    """One file, every host in it, nothing fetched from elsewhere."""
    directory: pathlib.Path = report["directory"]
    page = (directory / "report.html").read_text()
    assert all(host in page for host in report["hosts"])
    assert 'src="http' not in page and "<link" not in page
    assert (directory / "report.md").read_text().count("intranet")


def test_the_readme_shows_what_it_looks_like(report: dict[str, Any]) -> None:
    """Every host of the README's sample is shown like that; only the digits differ from run to run."""
    readme = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
    (sample,) = re.findall(r"<!-- sample -->\n```text\n(.*?)```", readme, re.DOTALL)
    __, *rows = re.split(r"^(?:critical|warning|ok) {3,}", _without_digits(sample), flags=re.MULTILINE)
    shown = "".join(_without_digits(report["terminal"]).split())
    assert len(rows) == len(report["hosts"])
    assert [row for row in rows if "".join(row.split()) not in shown] == []


def _without_digits(text: str) -> str:
    return re.sub(r"[\d.,]+", "#", text)


def test_the_exit_code_serves_as_a_gate(fleet: demo.Fleet, tmp_path: pathlib.Path) -> None:
    """``audit_fail_on`` fails on a sick fleet and not on a healthy host."""
    gate = ("-e", "audit_fail_on=critical", "-l")
    sick = demo.playbook(fleet.inventory(), str(tmp_path), *gate, "billing", capture=True)
    well = demo.playbook(fleet.inventory(), str(tmp_path), *gate, "intranet", capture=True)
    assert sick.returncode != 0, sick.stdout
    assert well.returncode == 0, well.stdout
