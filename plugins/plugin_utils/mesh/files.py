# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""mesh.html, mesh.md and mesh.json. Private to this collection."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

from markupsafe import Markup

from ansible_collections.nettriage.linux.plugins.plugin_utils.mesh.as_terminal import KEY, headline, short, worst
from ansible_collections.nettriage.linux.plugins.plugin_utils.mesh.culprits import Culprit
from ansible_collections.nettriage.linux.plugins.plugin_utils.mesh.matrix import Cell, Mesh
from ansible_collections.nettriage.linux.plugins.plugin_utils.report import as_html, as_markdown, files
from ansible_collections.nettriage.linux.plugins.plugin_utils.templates import FORMATS

# A larger matrix is no picture any more; mesh.json has all of it.
_MATRIX_HOSTS = 64
_ROWS = 250
_percent, _ms = FORMATS["percent"], FORMATS["ms"]


def write(mesh: Mesh, found: Sequence[Culprit], title: str, directory: str) -> list[str]:
    """Write the three files into *directory* and return their paths.

    :raises OSError: the directory cannot be written.
    """
    made: dict[str, Callable[[Mesh, Sequence[Culprit], str], Iterator[str]]] = {
        "mesh.html": page,
        "mesh.md": markdown,
        "mesh.json": document,
    }
    return files.put(directory, ((name, pieces(mesh, found, title)) for name, pieces in made.items()))


def page(mesh: Mesh, found: Sequence[Culprit], title: str) -> Iterator[str]:
    """The page, piece by piece: in the look of report.html, without any script."""
    style = as_html.part("page.css") + as_html.part("mesh.css")
    return (
        as_html.environment()
        .get_template("mesh.html.j2")
        .generate(
            mesh=mesh,
            culprits=list(found),
            title=title,
            headline=headline(mesh),
            worst=worst(mesh),
            pairs=mesh.pairs,
            matrix=len(mesh.hosts) <= _MATRIX_HOSTS,
            cells=mesh.cells[:_ROWS],
            row_limit=_ROWS,
            key=KEY,
            short=short,
            tip=tip,
            told=told,
            percent=_percent,
            ms=_ms,
            style=Markup(style),  # noqa: S704  # our own files
            policy=f"default-src 'none'; style-src '{as_html.digest(style)}'; base-uri 'none'; form-action 'none'",
        )
    )


def told(cell: Cell) -> str:
    """What is wrong with a way, in one sentence; empty where nothing is."""
    return cell.why or "; ".join(row["title"] for row in cell.findings if row["severity"] != "info")


def tip(cell: Cell) -> str:
    """Everything about a way in one line."""
    parts = [f"{cell.source} to {cell.destination} ({cell.address})", told(cell)]
    if cell.sent:
        parts.append(f"{cell.lost} of {cell.sent} lost")
    if cell.median_ms is not None:
        parts.append(f"median {_ms(cell.median_ms)}, longest {_ms(cell.max_ms)}")
    if cell.path_mtu:
        parts.append(f"MTU {cell.path_mtu}")
    return "; ".join(part for part in parts if part)


def markdown(mesh: Mesh, found: Sequence[Culprit], title: str) -> Iterator[str]:
    """The document for a ticket."""
    text = as_markdown.text
    yield f"# {text(title)}\n\n{mesh.generated}, nettriage.linux {mesh.version}. {text(headline(mesh))}\n"
    for culprit in found:
        yield f"\n- **{culprit.severity}:** {text(culprit.title)}\n  - **Do:** {text(culprit.advice)}\n"
    for name, why in mesh.errors.items():
        yield f"\n- **Not asked:** {text(name)}: {text(why)}\n"
    heads = "verdict", "from", "to", "address", "what", "lost", "median", "longest", "MTU"
    yield f"\n| {' | '.join(heads)} |\n|---|---|---|---|---|---:|---:|---:|---:|\n"
    for cell in mesh.cells[:_ROWS]:
        figures = (
            "" if cell.loss is None else _percent(cell.loss),
            "" if cell.median_ms is None else _ms(cell.median_ms),
            "" if cell.max_ms is None else _ms(cell.max_ms),
            "" if cell.path_mtu is None else str(cell.path_mtu),
        )
        names = (cell.source, cell.destination, cell.address, told(cell))
        yield "| " + " | ".join([cell.verdict, *map(text, (*names, *figures))]) + " |\n"
    if len(mesh.cells) > _ROWS:
        yield f"\n{len(mesh.cells) - _ROWS} more are in mesh.json.\n"


def document(mesh: Mesh, found: Sequence[Culprit], title: str) -> Iterator[str]:
    """The document for programs, one way a line."""
    head = {
        "title": title,
        "generated": mesh.generated,
        "collection_version": mesh.version,
        "hosts": mesh.hosts,
        "errors": mesh.errors,
        "pairs": len(mesh.pairs),
        "pairs_possible": mesh.possible,
        "verdicts": mesh.verdicts,
        "culprits": [asdict(culprit) for culprit in found],
    }
    yield json.dumps(head, indent=1).rstrip("}\n") + ',\n "ways": ['
    before = "\n"
    for cell in mesh.cells:
        yield before + json.dumps(asdict(cell), separators=(",", ":"))
        before = ",\n"
    yield "\n ]\n}\n"
