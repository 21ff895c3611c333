#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: probed_health_facts
short_description: What health_facts runs on the host where something is to be probed
version_added: 0.1.0
description:
  - Does what M(nettriage.linux.health_facts) does, and has the probes with it. Use that one; it runs this one where
    O(targets), O(urls) or O(names) are given.
  - It is a module of its own because Ansible sends a module with all that it could need, and hosts on which nothing is
    probed should not pay for that.
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes
  - nettriage.linux.attributes.read_only
  - nettriage.linux.attributes.facts
  - nettriage.linux.health
  - nettriage.linux.target
  - nettriage.linux.target.sampling
seealso:
  - module: nettriage.linux.health_facts
"""

EXAMPLES = r"""
- name: How this host reaches what it depends on, and nothing else
  nettriage.linux.health_facts:
    gather_subset: ["!all"]
    targets: [db1.example.com]
    urls: [https://api.example.com/health]
"""

RETURN = r"""
ansible_facts:
  description: The facts, below one key, as M(nettriage.linux.health_facts) returns them.
  returned: always
  type: dict
  contains:
    nettriage:
      description:
        - The subsets that were asked for. See C(docs/facts.md) of the collection for every field.
        - A string with O(as_json=true).
      returned: always
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nettriage.linux.plugins.module_utils import compile_once

compile_once.enable()

from ansible_collections.nettriage.linux.plugins.module_utils.collect.health import HEALTH_SPEC
from ansible_collections.nettriage.linux.plugins.module_utils.probe.http_url import secrets
from ansible_collections.nettriage.linux.plugins.module_utils.probe.subsets import probed_health
from ansible_collections.nettriage.linux.plugins.module_utils.target import run


def main() -> None:
    module = AnsibleModule(argument_spec=HEALTH_SPEC, supports_check_mode=True)
    module.no_log_values = secrets({"headers": {}, **module.params})
    run(module, probed_health, all_namespaces=True)


if __name__ == "__main__":
    main()
