# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has what a module imports compiled once, not twice. Private to this collection.

Ansible sends a module as an archive of sources, and Python compiles each of them when it is asked for its file name and
again when it is run (python/cpython#141276). That is most of what a module costs a host, at every task.
"""

from __future__ import annotations

import os
import pkgutil
import sys
import zipimport
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Sequence, cast

if TYPE_CHECKING:
    from importlib.abc import Loader


class Finder:
    """Finds what is in one archive, with the same result as ``zipimporter``, by its table of contents only."""

    def __init__(self, archive: str) -> None:
        self._archive = archive

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See importlib.abc.MetaPathFinder; ``None`` leaves it to the other finders."""
        for place in path or ():
            loader = pkgutil.get_importer(place)
            if not isinstance(loader, zipimport.zipimporter) or loader.archive != self._archive:
                continue
            try:
                package = loader.is_package(name)
            except zipimport.ZipImportError:
                continue
            base = os.path.join(loader.archive, loader.prefix, name.rpartition(".")[2])
            origin = os.path.join(base, "__init__.py") if package else base + ".py"
            spec = ModuleSpec(name, cast("Loader", loader), origin=origin, is_package=package)
            spec.has_location = True
            if spec.submodule_search_locations is not None:
                spec.submodule_search_locations.append(base)
            return spec
        return None


def enable() -> None:
    """From now on, where this module came in an archive; call it before the imports that are worth it."""
    loader = __spec__.loader if __spec__ else None
    if isinstance(loader, zipimport.zipimporter):
        sys.meta_path.insert(0, Finder(loader.archive))
