# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that every module shares, and how they become a host to ask. Private to this collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import ALL_NAMESPACES, Host

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

MAX_INTERVAL_S = 300.0
MAX_TOP = 1000

TARGET_SPEC: dict[str, dict[str, Any]] = {
    "netns": {"type": "str"},
    "procfs": {"type": "path", "default": "/proc"},
    "sysfs": {"type": "path", "default": "/sys"},
}
SAMPLING_SPEC: dict[str, dict[str, Any]] = {
    "interval": {"type": "float", "default": 0},
    "top": {"type": "int", "default": 10},
}


def open_target(params: dict[str, Any], all_namespaces: bool = False) -> Host:
    """The host that *params* speak of; this process is in its network namespace afterwards.

    :param all_namespaces: whether :data:`ALL_NAMESPACES` is accepted; this process stays where it is then.
    :raises BadOption: a value that cannot be used.
    :raises Unavailable: the namespace may not be entered.
    """
    interval, top = params.get("interval", 0.0), params.get("top", 1)
    if not 0 <= interval <= MAX_INTERVAL_S:
        raise BadOption("interval", interval, f"a number of seconds from 0 to {MAX_INTERVAL_S:.0f}")
    if not 1 <= top <= MAX_TOP:
        raise BadOption("top", top, f"a number of rows from 1 to {MAX_TOP}")
    host = Host(params["procfs"], params["sysfs"])
    if params["netns"] == ALL_NAMESPACES and not all_namespaces:
        raise BadOption("netns", ALL_NAMESPACES, "one namespace: only health_facts looks into all of them")
    if params["netns"] and params["netns"] != ALL_NAMESPACES:
        # Most runs enter none, and each import costs each host.
        from ansible_collections.nettriage.linux.plugins.module_utils.kernel.namespaces import enter

        return enter(host, params["netns"])
    return host


def run(
    module: AnsibleModule, make: Callable[[Host, dict[str, Any]], dict[str, Any]], all_namespaces: bool = False
) -> None:
    """Leave *module* with what *make* returns for the opened target, or fail in one sentence."""
    try:
        params = {**module.params, "check_mode": module.check_mode}
        result = make(open_target(params, all_namespaces), params)
    except (BadOption, Unavailable) as error:
        module.fail_json(msg=str(error))
    except Exception as error:  # a traceback tells an operator nothing, and some controllers drop it altogether
        module.fail_json(msg=f"a defect of the collection, please report it: {type(error).__name__}: {error}")
    module.exit_json(**result)
