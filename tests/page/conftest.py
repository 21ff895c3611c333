# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""report.html in a real browser.

``browser`` one Chromium for all tests
``page``    makes the page of one of the fleets, and tells where it is
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.report import as_html
from ansible_collections.nettriage.linux.tests.page.browser import Browser
from ansible_collections.nettriage.linux.tests.page.fleets import FLEETS, Page


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    made = Browser()
    yield made
    made.close()


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    place = tmp_path_factory.mktemp("page")

    def path(name: str) -> str:
        file = place / f"{name}.html"
        if not file.exists():
            file.write_text("".join(as_html.pieces(FLEETS[name](), "Network audit")), encoding="utf-8")
        return str(file)

    return path
