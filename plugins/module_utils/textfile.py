# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file for node_exporter's textfile collector. Private to this collection."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.tune.undo import put_file

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

TEXTFILE_SPEC: dict[str, dict[str, Any]] = {
    "directory": {"type": "path", "required": True},
    "name": {"type": "str", "default": "nettriage.prom"},
    "content": {"type": "str", "required": True},
}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.prom")


def write(directory: str, name: str, content: str, pretend: bool = False) -> dict[str, Any]:
    """Have the file *name* in *directory* hold *content*; with *pretend* only say whether it would change.

    The collector runs as a user of its own, so everybody may read the file. It reads whatever ends in ``.prom``, so the
    new file has another name until it is whole.

    :raises BadOption: a value that cannot be used.
    """
    if not _NAME.fullmatch(name):
        raise BadOption("name", name, "a file name that ends in .prom")
    if content and not content.endswith("\n"):
        raise BadOption("content", content[-20:], "lines, the last of which ends, too")
    path = os.path.join(directory, name)
    try:
        changed = _read(path) != content
        if changed and not pretend:
            put_file(path, content, f".{name}.new")
        elif not os.path.isdir(directory):
            raise NotADirectoryError(20, "it does not exist")
    except OSError as error:
        raise BadOption("directory", directory, f"a directory that can be written ({error.strerror})") from None
    return {"changed": changed, "path": path}


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return None


def run(module: AnsibleModule) -> None:
    """Leave *module* with what was done, or fail in one sentence."""
    options = module.params
    try:
        result = write(options["directory"], options["name"], options["content"], module.check_mode)
    except BadOption as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)
