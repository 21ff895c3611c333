# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that gather everything."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  netns:
    description:
      - The network namespace to look into. Without it, the namespace that the module runs in.
      - A name below C(/run/netns) as C(ip netns) makes them, an absolute path to a namespace file, or V(pid:N) for the
        namespace of process C(N).
      - With V(all), the namespace that the module runs in, and every other of the host below C(namespaces), containers
        and pods among them. A namespace that is called so is entered by its path. Probes start from the own one.
      - Entering a namespace needs C(CAP_SYS_ADMIN). Without it, V(all) still tells the protocol counters of the
        namespaces of all processes.
    type: str
  gather_subset:
    description:
      - What to gather. V(all) is everything that the kernel can be asked for, V(!NAME) leaves one out.
      - V(path) and V(pmtu) come with O(targets), V(http) with O(urls) and V(dns) with O(names), unless they are left
        out. V(dns) can be named here without any O(names), too, which probes the name servers only.
    type: list
    elements: str
    default: [all]
  targets:
    description:
      - Host names or addresses to which loss, latency and the path MTU are measured, at most 64. See
        M(nettriage.linux.path_probe) and M(nettriage.linux.pmtu_probe).
    type: list
    elements: str
    default: []
  urls:
    description:
      - URLs to request, V(http) or V(https), at most 20. See M(nettriage.linux.http_probe).
      - Each address is asked three times, and at most 64 KiB of an answer are read.
    type: list
    elements: str
    default: []
  names:
    description:
      - Host names to look up at each name server of the host and by its C library, at most 20. See
        M(nettriage.linux.dns_probe).
    type: list
    elements: str
    default: []
  probe_timeout:
    description:
      - Seconds for all probes together, from 2 to 300. They run at the same time, and end with what they have by then.
      - Hops and path MTU take some six seconds, and more where something does not answer.
    type: float
    default: 30
  baseline:
    description:
      - Whether to compare the counters with those that the last run with this option has left, and to leave those of
        now for the next one. What has happened in between is C(since) in the facts, whatever O(interval) is.
      - With O(interval=0), a host is not waited for, and what moves right now is not told from what is long over.
      - With V(true), they are kept in C(/run/nettriage), or for other users than root in C($XDG_RUNTIME_DIR/nettriage).
        An absolute path is another directory. It is made with mode 0700, and refused where it is not this user's alone.
      - One file for each network namespace and each O(procfs). Nothing is compared over a boot. With O(netns=all) it is
        the namespace's that the module runs in.
      - It is no change of the host in Ansible's sense. In check mode nothing is left.
    type: raw
    default: false
  as_json:
    description:
      - Return the facts as one compact JSON string instead of a structure.
      - Large structured facts cost the controller time in every later task. The collection's filters take either form.
    type: bool
    default: false
"""
