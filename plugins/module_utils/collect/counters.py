# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module tcp_counters returns. Private to this collection."""

from __future__ import annotations

from typing import Any

from ansible_collections.nettriage.linux.plugins.module_utils.collect import tcp
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Facts, gather
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host


def tcp_counters(host: Host, params: dict[str, Any]) -> Facts:
    """The subset ``tcp`` as it is, or its counters of some groups only.

    :raises BadOption: this kernel has no such group.
    """
    found = gather(host, {"tcp": tcp}, params["interval"], params["top"])["tcp"]
    groups = params["groups"]
    if not groups or not found["available"]:
        return dict(found)
    for group in groups:
        if group not in found["counters"]:
            raise BadOption("groups", group, f"any of {', '.join(found['counters'])}")
    only = {
        name: {group: found[name][group] for group in groups} if found[name] else None
        for name in ("counters", "delta", "rates")
    }
    return {**found, **only}
