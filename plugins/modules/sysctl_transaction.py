#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sysctl_transaction
short_description: Set many kernel parameters at once, or none of them, with a way back
version_added: 0.1.0
description:
  - Sets all parameters of O(settings) in one round trip. Everything is validated before the first write. That is names,
    existence, whether each key can be written, type, range and order, since the kernel itself accepts nonsense.
  - Former values and files are journalled on the disk first. Every value is read back, and one drop-in of its own makes
    them last. If anything fails, everything is undone. If the run is killed at any moment, the next one undoes it.
  - Values are compared after white space is normalised, so that a second run changes nothing.
  - Check mode fails where the real run would fail, and reports the changes that it would make.
  - Concurrent runs with the same O(state_dir) are refused.
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes
  - nettriage.linux.target
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  platform:
    support: full
options:
  settings:
    description:
      - The keys and their values. A key is written with dots or slashes. Dots in an interface name need no quoting.
      - A value is a number, a text, or a list of them. YAML booleans are refused, since C(yes) is no value of any key.
      - Ports of C(net.ipv4.ip_local_reserved_ports) are added to those that are reserved already. An empty text clears
        the list.
      - With O(state=absent) only the keys matter. Without any, all keys of O(file) and of former transactions are
        meant.
    type: dict
    default: {}
  state:
    description:
      - V(present) makes the settings true, now and after the next boot.
      - V(absent) takes keys out of O(file) and gives them back what they held before the first transaction, where
        nobody else has changed them since. That is a transaction of its own, which can be rolled back.
      - V(rolled_back) undoes O(transaction) and every later one, last first, down to the exact former values and files,
        whatever moment a run was killed at.
      - V(confirmed) keeps a transaction that was made with O(confirm_timeout).
    type: str
    choices: [present, absent, rolled_back, confirmed]
    default: present
  file:
    description:
      - The drop-in that makes the settings last. Lines about other keys stay as they are. It goes away with its last
        line.
      - Kernel modules that have to be loaded before it, such as C(nf_conntrack), are listed in a file of the same name
        in C(modules-load.d) beside its directory C(sysctl.d), or else in C(/etc/modules-load.d).
    type: path
    default: /etc/sysctl.d/90-nettriage.conf
  state_dir:
    description:
      - Where the journals are. The last 50 transactions are remembered.
      - It is made with mode 0700. A symbolic link, another owner, or a directory that others can write to is refused.
    type: path
    default: /var/lib/nettriage
  exclusive:
    description:
      - Whether O(file) may set no other keys than O(settings). With O(state=present), other keys are taken back as
        with O(state=absent).
    type: bool
    default: false
  raise_only:
    description:
      - Keys whose numbers are never lowered, each number by itself. A port range is never narrowed.
      - A list of keys, or V(true) for all.
    type: raw
    default: false
  confirm_timeout:
    description:
      - Seconds after which the host itself undoes the transaction, unless O(state=confirmed) comes first. It does so
        without the controller and without the connection. V(0) arms no timer.
      - Until it is confirmed, nothing is written to O(file), so that a reboot undoes it as well.
    type: int
    default: 0
  fail_on_overridden:
    description:
      - Whether to fail, before anything is changed, where another file would win over O(file) at the next boot.
    type: bool
    default: false
  transaction:
    description:
      - What to roll back or confirm. Without it, the last transaction in this network namespace that is not undone.
    type: str
seealso:
  - module: nettriage.linux.health_facts
notes:
  - Needs root. Nothing guesses what a container may do, each key is asked.
  - With O(netns) the values are set in that namespace. No file can make them last.
  - Where systemd runs, the timer of O(confirm_timeout) is a transient unit, elsewhere a detached process.
"""

EXAMPLES = r"""
- name: More ports for outgoing connections, none of them taken from a service
  nettriage.linux.sysctl_transaction:
    settings:
      net.ipv4.ip_local_port_range: 15000 64999
      net.ipv4.ip_local_reserved_ports: [30000, 32000-32767]

- name: At least so much, never less than a host has already
  nettriage.linux.sysctl_transaction:
    settings:
      net.core.somaxconn: 4096
      net.ipv4.tcp_rmem: [4096, 131072, 16777216]
    raise_only: true

- name: Undo it on the host if this play does not come back within two minutes
  nettriage.linux.sysctl_transaction:
    settings:
      net/ipv4/conf/bond0.101/rp_filter: 2
    confirm_timeout: 120
  register: applied

- name: Keep it
  nettriage.linux.sysctl_transaction:
    state: confirmed
    transaction: "{{ applied.transaction }}"

- name: Undo the last transaction
  nettriage.linux.sysctl_transaction:
    state: rolled_back

- name: Give up everything that this module has ever set
  nettriage.linux.sysctl_transaction:
    state: absent
"""

RETURN = r"""
transaction:
  description: Id of the transaction that was made, undone or confirmed. V(null) where there was none.
  returned: success
  type: str
  sample: 000012-20260301T101500Z
settings:
  description: Every key, in its form with dots.
  returned: always
  type: dict
  contains:
    before:
      description: What the kernel held. V(null) where it has no such key or does not show it.
      type: str
      sample: 4096 131072 6291456
    after:
      description: What it holds now, or would hold.
      type: str
    persisted:
      description: Whether O(file) sets it at the next boot.
      type: bool
    exists:
      description: Whether this kernel, in this network namespace, has the key.
      type: bool
    writable:
      description: Whether the key can be written here.
      type: bool
    overridden_by:
      description:
        - The line that wins over O(file) at the next boot with another value, under systemd-sysctl or under procps, or
          in what a service is known to set. V(null) where there is none.
      type: dict
      contains:
        file:
          description: Where it stands.
          type: str
        line:
          description: Its number. V(null) where the whole of O(file) is masked.
          type: int
        value:
          description: Its value. V(null) where it keeps the key from being set, or is a script.
          type: str
        by:
          description: V(systemd-sysctl), V(procps), V(tuned), V(ufw), V(NetworkManager), V(ifupdown) or V(rc.local).
          type: str
    why:
      description: Why it cannot be written or is not persisted, or V(null).
      type: str
undone:
  description: Ids of the transactions that this run has undone, such as what a killed run had left behind.
  returned: success
  type: list
  elements: str
moved:
  description: Keys and files that somebody else had changed since the transaction that was undone or confirmed.
  returned: success
  type: list
  elements: str
confirm_timeout:
  description: Seconds within which the transaction has to be confirmed. V(0) where it needs not.
  returned: success
  type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nettriage.linux.plugins.module_utils import compile_once

compile_once.enable()

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.target import TARGET_SPEC
from ansible_collections.nettriage.linux.plugins.module_utils.tune.options import run
from ansible_collections.nettriage.linux.plugins.module_utils.tune.run import Refused


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            "settings": {"type": "dict", "default": {}},
            "state": {
                "type": "str",
                "choices": ["present", "absent", "rolled_back", "confirmed"],
                "default": "present",
            },
            "file": {"type": "path", "default": "/etc/sysctl.d/90-nettriage.conf"},
            "state_dir": {"type": "path", "default": "/var/lib/nettriage"},
            "exclusive": {"type": "bool", "default": False},
            "raise_only": {"type": "raw", "default": False},
            "confirm_timeout": {"type": "int", "default": 0},
            "fail_on_overridden": {"type": "bool", "default": False},
            "transaction": {"type": "str"},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except Refused as error:
        module.fail_json(msg=str(error), settings=error.settings)
    except (BadOption, Unavailable) as error:
        module.fail_json(msg=str(error), settings={})
    for warning in result.pop("warnings"):
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
