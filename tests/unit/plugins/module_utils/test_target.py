# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.target import open_target

PARAMS: dict[str, Any] = {"netns": "all", "procfs": "/proc", "sysfs": "/sys"}


def test_all_namespaces_are_for_who_can_look_into_them() -> None:
    with pytest.raises(BadOption) as caught:
        open_target(PARAMS)
    assert str(caught.value) == (
        "netns: 'all' is not accepted; give one namespace: only health_facts looks into all of them"
    )
    assert open_target(PARAMS, all_namespaces=True).netns is None
