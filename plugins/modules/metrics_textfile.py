#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metrics_textfile
short_description: Leaves metrics to node_exporter on the host
version_added: 0.1.0
description:
  - Writes a file that the textfile collector of Prometheus' node_exporter reads.
  - The file takes the place of the former one at once, under a name that the collector does not read until then. So a
    scrape sees the former metrics or the new ones, never half of them and never both.
  - The module M(ansible.builtin.copy) may put a temporary file that ends in C(.prom) beside the former one.
author:
  - nettriage maintainers (@nettriage)
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the changed status prediction without modifying the target.
    support: full
  diff_mode:
    description: Will return details on what has changed or would change, when in diff mode.
    support: none
  platform:
    description: Target operating systems.
    platforms: linux
    support: full
options:
  directory:
    description:
      - The directory that node_exporter was told by C(--collector.textfile.directory). It has to be there.
    type: path
    required: true
  name:
    description:
      - The name of the file. It has to end in C(.prom), or the collector would not read it.
    type: str
    default: nettriage.prom
  content:
    description:
      - The metrics, for example from P(nettriage.linux.metrics#filter).
    type: str
    required: true
seealso:
  - plugin: nettriage.linux.metrics
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Look at everything, with the change of every counter over one second
  nettriage.linux.health_facts:
    interval: 1
    as_json: true

- name: Leave the metrics to node_exporter
  nettriage.linux.metrics_textfile:
    directory: /var/lib/prometheus/node-exporter
    content: "{{ ansible_facts['nettriage'] | nettriage.linux.metrics }}"
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
  sample: /var/lib/prometheus/node-exporter/nettriage.prom
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nettriage.linux.plugins.module_utils import compile_once

compile_once.enable()

from ansible_collections.nettriage.linux.plugins.module_utils.textfile import TEXTFILE_SPEC, run


def main() -> None:
    run(AnsibleModule(argument_spec=TEXTFILE_SPEC, supports_check_mode=True))


if __name__ == "__main__":
    main()
