# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that every module that reads the kernel has."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  netns:
    description:
      - The network namespace to look into. Without it, the namespace that the module runs in.
      - A name below C(/run/netns) as C(ip netns) makes them, an absolute path to a namespace file, or V(pid:N) for the
        namespace of process C(N).
      - Entering a namespace needs C(CAP_SYS_ADMIN).
    type: str
  procfs:
    description:
      - Where procfs is mounted. In a container that mounts the host's, for example V(/host/proc).
      - A directory with recorded files works too. Then only those files are read and netlink is not asked.
    type: path
    default: /proc
  sysfs:
    description:
      - Where sysfs is mounted, or a directory with recorded files.
    type: path
    default: /sys
"""

    # Modules whose counters can be compared over time.
    SAMPLING = r"""
options:
  interval:
    description:
      - Seconds between two samples. With V(0) one sample is taken, and everything that is a change or a rate is null.
      - A total since boot says little. Use an interval wherever counters are to be judged.
    type: float
    default: 0
  top:
    description:
      - How many rows a list of the result may have at most, worst first.
    type: int
    default: 10
"""

    # Modules that send packets to targets.
    PROBE = r"""
options:
  targets:
    description:
      - Host names or addresses, at most 64. All of them are probed at the same time.
      - A name that cannot be resolved is a result, and no failure of the module.
    type: list
    elements: str
    required: true
  family:
    description:
      - Which address of a target to probe. V(any) is the one that the system prefers, V(both) is one of each family.
    type: str
    choices: [any, both, ipv4, ipv6]
    default: any
  time_limit:
    description:
      - After so many seconds the module ends with what is known by then.
    type: float
    default: 60
"""
