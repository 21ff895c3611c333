# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the lab.

``lab``          a fresh :class:`netlab.Lab`, removed after the test in every case
``shared_lab``   the same for all tests of one module
``audit``        ``audit(namespace)``: the real collectors in the namespace and the real rules: :class:`auditing.Audit`
``audits``       ``audits(one, other, ...)``: several namespaces at the same time, so that one interval serves all
``hidden``       a procfs that does not show others' processes to nobody

Without root the tests of this directory are skipped, and with ``CI`` set in the environment they fail. What a test
prints when it passes, such as a speed before and after, is shown at the end.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from typing import Iterator

import pytest

from ansible_collections.nettriage.linux.tests.lab import auditing, netlab


@pytest.fixture(scope="session", autouse=True)
def lab_is_possible() -> Iterator[None]:
    """Remove what dead runs left; skip where no namespaces can be made, fail there in CI."""
    reason = netlab.missing()
    if reason is not None:
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    netlab.sweep()
    yield
    netlab.sweep(own=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures of the tests that passed."""
    reports = terminalreporter.stats.get("passed", [])
    notes = [text.strip() for report in reports for title, text in report.sections if title == "Captured stdout call"]
    if notes:
        terminalreporter.section("figures")
        terminalreporter.write_line("\n".join(notes))


@pytest.fixture
def lab() -> Iterator[netlab.Lab]:
    """A lab for one test."""
    with netlab.Lab() as made:
        yield made


@pytest.fixture(scope="module")
def shared_lab() -> Iterator[netlab.Lab]:
    """A lab for all tests of a module."""
    with netlab.Lab() as made:
        yield made


@pytest.fixture(scope="session")
def audit() -> auditing.AuditOne:
    """Audit one namespace."""
    return auditing.audit


@pytest.fixture(scope="session")
def audits() -> auditing.AuditMany:
    """Audit several namespaces at the same time."""
    return auditing.audits


@pytest.fixture
def hidden() -> Iterator[str]:
    """Where a procfs is mounted that shows others' processes to root only (proc(5), hidepid)."""
    # Not below pytest's own folders, which only root may pass through.
    with tempfile.TemporaryDirectory(prefix="nt-") as folder:
        os.chmod(folder, 0o755)
        subprocess.run(["mount", "-t", "proc", "-o", "hidepid=2", "none", folder], check=True)
        yield folder
        subprocess.run(["umount", folder], check=True)
