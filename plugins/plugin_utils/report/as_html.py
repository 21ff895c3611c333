# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""report.html: one page that needs nothing but itself. Private to this collection."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Fleet
from ansible_collections.nettriage.linux.plugins.plugin_utils.report import heat, page_data, summary
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.alike import titles, variants
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.values import (
    culprit,
    endpoint,
    evidence,
    grounds,
    processes,
    short,
)
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.view_cells import number, portion
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.view_tables import FULL
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import (
    LAYERS,
    SEVERITIES,
    VERDICTS,
    clean,
    count,
    fit,
)

_PAGE = os.path.join(os.path.dirname(__file__), "page")
_SCRIPTS = ("host.js", "filter.js", "page.js")
# What the page shows of one kind of finding: it has to stay light for thousands of hosts. report.json has everything.
_VARIANTS = 20
_ROWS = 100
_ALL_ROWS = 2000  # of all kinds together, but never less than twenty of each
_FINDINGS = 16000  # of all hosts together, but never less than six of each
_LONGEST = 1000  # characters of one text
# How many kinds of finding stand open at first, so that a small fleet's page needs no click.
_OPEN = 5
_OPEN_ROWS = 10
# From so many hosts on, paper gets those in trouble only.
_MANY = 60


def pieces(fleet: Fleet, title: str) -> Iterator[str]:
    """The page, piece by piece."""
    style, script = part("page.css"), "".join(map(part, _SCRIPTS))
    causes = {cause.id: at for at, cause in enumerate(fleet.causes)}
    hosts = {host.name: at for at, host in enumerate(fleet.hosts)}
    most = max(6, _FINDINGS // max(1, len(fleet.hosts)))
    return (
        environment()
        .get_template("page.html.j2")
        .generate(
            fleet=fleet,
            title=title,
            style=Markup(style),  # noqa: S704  # our own file
            script=Markup(script),  # noqa: S704
            data=map(Markup, page_data.pieces(fleet, causes, most, _LONGEST)),  # escaped there
            policy=f"default-src 'none'; style-src '{digest(style)}'; script-src '{digest(script)}'; "
            "base-uri 'none'; form-action 'none'",
            hosts=hosts,
            causes=causes,
            verdict=summary.verdict(fleet),
            first=summary.first(fleet),
            numbers=partial(_numbers, hosts),
            groups=heat.groups(fleet),
            group_numbers={group: at for at, group in enumerate(page_data.groups_of(fleet))},
            many=len(fleet.hosts) > _MANY,
            bar_length=FULL,
            opened=_OPEN,
            opened_rows=_OPEN_ROWS,
            row_limit=max(20, min(_ROWS, _ALL_ROWS // max(1, len(fleet.causes)))),
            variant_limit=_VARIANTS,
        )
    )


def environment() -> Environment:
    """Whatever a template writes is made harmless, and then escaped by Jinja."""
    made = Environment(
        loader=FileSystemLoader(_PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        severities=SEVERITIES,
        verdicts=VERDICTS,
        layers=LAYERS,
        heat=heat.of_host,
        count=count,
        culprit=culprit,
        endpoint=endpoint,
        evidence=evidence,
        grounds=grounds,
        number=number,
        portion=portion,
        processes=processes,
        short=short,
        titles=titles,
        variants=variants,
    )
    return made


def _numbers(hosts: Mapping[str, int], names: Sequence[str | None]) -> str:
    """The numbers of those hosts of *names* that the report has, as the script reads them."""
    return " ".join(str(hosts[name]) for name in names if name is not None and name in hosts)


def _shown(value: Any) -> Any:
    """What an expression of the template shows: text from a host is made harmless here, then escaped by Jinja."""
    if isinstance(value, Markup):
        return value
    return "" if value is None else fit(clean(value), _LONGEST)


def part(name: str) -> str:
    """A file of the page."""
    with open(os.path.join(_PAGE, name), encoding="utf-8") as file:
        return file.read()


def digest(text: str) -> str:
    """What a Content-Security-Policy allows *text* by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
