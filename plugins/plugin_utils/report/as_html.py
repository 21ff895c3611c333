# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""report.html: one page that needs nothing but itself. Private to this collection."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Fleet, Host, severity_rank
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.values import evidence
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import (
    LAYERS,
    SEVERITIES,
    VERDICTS,
    clean,
    count,
    fit,
)

_PAGE = os.path.join(os.path.dirname(__file__), "page")
# What the page shows of one kind of finding: it has to stay light for thousands of hosts. report.json has everything.
_VARIANTS = 20
_ROWS = 250
_FINDINGS = 12000  # of all hosts together, but never less than six of each
_LONGEST = 1000  # characters of one text
# How many kinds of finding stand open at first, so that a small fleet's page needs no click.
_OPEN = 5


def pieces(fleet: Fleet, title: str) -> Iterator[str]:
    """The page, piece by piece."""
    environment = Environment(
        loader=FileSystemLoader(_PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _file("page.css"), _file("page.js")
    hosts = {host.name: number for number, host in enumerate(fleet.hosts)}
    return environment.get_template("page.html.j2").generate(
        fleet=fleet,
        title=title,
        style=Markup(style),  # noqa: S704  # our own file
        script=Markup(script),  # noqa: S704
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; base-uri 'none'; "
        "form-action 'none'",
        hosts=hosts,
        causes={cause.id: number for number, cause in enumerate(fleet.causes)},
        severities=SEVERITIES,
        verdicts=VERDICTS,
        layers=LAYERS,
        heat=heat,
        count=count,
        evidence=evidence,
        opened=_OPEN,
        row_limit=_ROWS,
        variant_limit=_VARIANTS,
        finding_limit=max(6, _FINDINGS // max(1, len(fleet.hosts))),
    )


def heat(host: Host) -> dict[str, tuple[str, int]]:
    """For each layer with findings the worst severity, and how many findings have it."""
    found: dict[str, tuple[str, int]] = {}
    for finding in sorted(host.findings, key=severity_rank):
        severity, number = found.setdefault(finding["layer"], (finding["severity"], 0))
        if severity == finding["severity"]:
            found[finding["layer"]] = severity, number + 1
    return found


def _shown(value: Any) -> Any:
    """What an expression of the template shows: text from a host is made harmless here, then escaped by Jinja."""
    if isinstance(value, Markup):
        return value
    return "" if value is None else fit(clean(value), _LONGEST)


def _file(name: str) -> str:
    with open(os.path.join(_PAGE, name), encoding="utf-8") as file:
        return file.read()


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
