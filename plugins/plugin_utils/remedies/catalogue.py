# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every remedy, in the order in which a plan lists them. Private to this collection."""

from __future__ import annotations

from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.backlog import ACCEPT_BACKLOG, SYN_COOKIES
from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.buffers import BUFFERS, UDP_BUFFERS
from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.congestion import CONGESTION_CONTROL, SLOW_START
from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.conntrack import CONNTRACK_MAX
from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.keepalive import KEEPALIVE
from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.model import Remedy
from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.neighbours import NEIGHBOURS
from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.path import MTU_PROBING, RP_FILTER
from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.ports import PORT_RANGE, TW_REUSE
from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.receive import NETDEV_QUEUE
from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.teardown import FIN_TIMEOUT, TW_BUCKETS

REMEDIES: dict[str, Remedy] = {
    remedy.name: remedy
    for remedy in (
        TW_REUSE,
        PORT_RANGE,
        KEEPALIVE,
        ACCEPT_BACKLOG,
        SYN_COOKIES,
        BUFFERS,
        CONGESTION_CONTROL,
        FIN_TIMEOUT,
        TW_BUCKETS,
        CONNTRACK_MAX,
        NETDEV_QUEUE,
        MTU_PROBING,
        RP_FILTER,
        SLOW_START,
        UDP_BUFFERS,
        NEIGHBOURS,
    )
}
