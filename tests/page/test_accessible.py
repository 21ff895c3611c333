# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page by axe-core: everything it knows of WCAG 2.2 A and AA, and its best practices."""

from __future__ import annotations

import os

import pytest

from ansible_collections.nettriage.linux.tests.page.browser import Browser
from ansible_collections.nettriage.linux.tests.page.fleets import Page
from tests.tools.npm import PLACE

AXE = os.path.join(PLACE, "node_modules", "axe-core", "axe.min.js")
TAGS = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']"
TOLD = """({ violations }) => violations.flatMap(({ id, nodes }) =>
  nodes.slice(0, 3).map((node) => `${id}: ${node.html.slice(0, 200)}: ${node.failureSummary}`))"""
VIEWS = [("one", 1280), ("six", 1280), ("six", 390), ("hostile", 1280), ("healthy", 390)]
# What is not laid out before it comes into view has no size yet.
EVERYTHING = """for (const box of document.querySelectorAll('details, .wide')) {
  box.open = true;
  box.style.contentVisibility = 'visible';
}"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("name", "width"), [("one", 1280), ("six", 1280), ("six", 390), ("hostile", 1280), ("healthy", 390)]
)
def test_nothing_keeps_anybody_out(browser: Browser, page: Page, name: str, width: int, dark: bool) -> None:
    browser.open(page(name), width=width, dark=dark)
    browser.run(EVERYTHING)
    browser.until("[...document.querySelectorAll('details.host')].every((box) => box.dataset.made)")
    with open(AXE, encoding="utf-8") as file:
        browser.run(file.read())
    found = browser.run(f"axe.run(document, {{ runOnly: {TAGS}, resultTypes: ['violations'] }}).then({TOLD})")
    assert not found, "\n".join(found)
