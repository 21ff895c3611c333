# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the module's options to a transaction. Private to this collection."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.tune import undo
from ansible_collections.nettriage.linux.plugins.module_utils.tune.journal import Net
from ansible_collections.nettriage.linux.plugins.module_utils.tune.run import Request, Result, Tools
from ansible_collections.nettriage.linux.plugins.module_utils.tune.transaction import transact
from ansible_collections.nettriage.linux.plugins.module_utils.tune.undo import Trouble

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

MAX_TIMEOUT_S = 86400


def run(module: AnsibleModule) -> Result:
    """The result of the transaction that the options of *module* ask for.

    :raises BadOption: an option's value cannot be used.
    :raises Unavailable: the transaction is not made, or is undone.
    """
    params = module.params
    request = request_of(params)
    host = Host(params["procfs"], params["sysfs"])
    path = None
    if params["netns"]:
        from ansible_collections.nettriage.linux.plugins.module_utils.kernel import namespaces

        path = os.path.abspath(namespaces.locate(host, params["netns"])[0])
        host = namespaces.enter(host, params["netns"])
    os.umask(0o022)  # Ansible's move gives new files the mode that it leaves
    return transact(host, Net(undo.namespace_id(), path), request, module.check_mode, _tools(module))


def _tools(module: AnsibleModule) -> Tools:
    """What *module* can do, made to raise where it would print a failure and end the process half-way."""

    def place(source: str, path: str) -> None:
        def fail(msg: str = "", **_: Any) -> None:
            raise Trouble(msg)

        module.fail_json, fail_json = fail, module.fail_json
        try:
            module.atomic_move(source, path, keep_dest_attrs=False)
        finally:
            module.fail_json = fail_json

    return Tools(place, lambda command: module.run_command(command, handle_exceptions=False))


def request_of(params: dict[str, Any]) -> Request:
    """:raises BadOption: an option's value cannot be used."""
    for option in ("file", "state_dir"):
        if not os.path.isabs(params[option]) or os.path.normpath(params[option]) == "/":
            raise BadOption(option, params[option], "an absolute path")
    timeout = params["confirm_timeout"]
    if not 0 <= timeout <= MAX_TIMEOUT_S:
        raise BadOption("confirm_timeout", timeout, f"a number of seconds from 0 to {MAX_TIMEOUT_S}")
    return Request(
        settings=params["settings"] or {},
        state=params["state"],
        file=os.path.normpath(params["file"]),
        state_dir=os.path.normpath(params["state_dir"]),
        raise_only=_raise_only(params["raise_only"]),
        confirm_timeout=timeout,
        fail_on_overridden=params["fail_on_overridden"],
        exclusive=params["exclusive"],
        transaction=params["transaction"] or None,
    )


def _raise_only(value: Any) -> bool | list[str]:
    if isinstance(value, bool):
        return value
    if isinstance(value, (list, tuple)) and all(isinstance(key, str) for key in value):
        return list(value)
    if isinstance(value, str):
        word = value.strip().lower()
        if word in ("yes", "true", "on", "1", "no", "false", "off", "0", ""):
            return word in ("yes", "true", "on", "1")
        return [key.strip() for key in value.split(",")]
    raise BadOption("raise_only", value, "true, false, or a list of keys")
