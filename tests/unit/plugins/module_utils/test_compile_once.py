# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module's archive, imported by a Python of its own, and how often each of its sources is compiled."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils import compile_once

_PLUGINS = Path(compile_once.__file__).parents[1]
_PACKAGE = "ansible_collections.nettriage.linux.plugins.module_utils"
_MODULES = [path for path in sorted((_PLUGINS / "modules").glob("*.py")) if _PACKAGE in path.read_text()]
_PROGRAM = f"""
import builtins, json, sys
compiled, real = [], builtins.compile
def counting(source, file, *rest, **options):
    compiled.append(str(file))
    return real(source, file, *rest, **options)
builtins.compile = counting
sys.path.insert(0, sys.argv[1])
from {_PACKAGE} import compile_once
compile_once.enable()
from {_PACKAGE}.kernel import one
import {_PACKAGE}.kernel.deep.two as two
import {_PACKAGE}.kernel.deep as deep
try:
    import {_PACKAGE}.kernel.absent
    error = ""
except ImportError as missing:
    error = type(missing).__name__ + " " + missing.name
files = {{each.__name__: [each.__file__, each.__spec__.origin, each.__package__] for each in (one, two, deep)}}
print(json.dumps([compiled, files, list(deep.__path__), error, two.SAID]))
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """As Ansible makes it."""
    root = Path(*_PACKAGE.split("."))
    files = {
        **{parent / "__init__.py": "" for parent in (root, *root.parents) if parent.name},
        root / "compile_once.py": Path(compile_once.__file__).read_text(),
        root / "kernel/__init__.py": "",
        root / "kernel/one.py": "",
        root / "kernel/deep/__init__.py": "",
        root / "kernel/deep/two.py": "from .. import one\nSAID = one.__name__",
    }
    path = tmp_path / "payload.zip"
    with zipfile.ZipFile(path, "w") as made:
        for name, text in files.items():
            made.writestr(str(name), text)
    return path


def _imported(*words: str) -> Any:
    done = subprocess.run([sys.executable, "-S", "-c", _PROGRAM, *words], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def test_each_source_is_compiled_once_and_looks_as_it_would(archive: Path) -> None:
    compiled, files, path, error, said = _imported(str(archive))
    kernel = archive / Path(*_PACKAGE.split("."), "kernel")
    own = [each for each in compiled if each.startswith(str(kernel))]
    assert (
        sorted(own)
        == sorted(set(own))
        == sorted(str(kernel / name) for name in ("__init__.py", "one.py", "deep/__init__.py", "deep/two.py"))
    )
    prefix = f"{_PACKAGE}.kernel"
    assert files == {
        f"{prefix}.one": [str(kernel / "one.py")] * 2 + [prefix],
        f"{prefix}.deep.two": [str(kernel / "deep/two.py")] * 2 + [f"{prefix}.deep"],
        f"{prefix}.deep": [str(kernel / "deep/__init__.py")] * 2 + [f"{prefix}.deep"],
    }
    assert path == [str(kernel / "deep")]
    assert error == f"ModuleNotFoundError {prefix}.absent"
    assert said == f"{prefix}.one"


def test_nothing_changes_where_there_is_no_archive() -> None:
    before = list(sys.meta_path)
    compile_once.enable()
    assert sys.meta_path == before
    assert compile_once.Finder("/nowhere.zip").find_spec(f"{_PACKAGE}.kernel", [str(_PLUGINS / "module_utils")]) is None


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: str(path.stem))
def test_every_module_says_so_before_it_imports_anything_else_of_ours(path: Path) -> None:
    body = ast.parse(path.read_text()).body
    ours = [each.lineno for each in body if isinstance(each, ast.ImportFrom) and str(each.module).startswith(_PACKAGE)]
    (call,) = (each.lineno for each in body if _is_the_call(each))
    assert ours[0] < call < ours[1]


def _is_the_call(line: ast.stmt) -> bool:
    return ast.dump(line) == ast.dump(ast.parse("compile_once.enable()").body[0])
