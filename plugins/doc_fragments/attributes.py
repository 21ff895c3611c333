# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that several modules share."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the changed status prediction without modifying the target.
  diff_mode:
    description: Will return details on what has changed or would change, when in diff mode.
  platform:
    description: Target operating systems.
    platforms: linux
"""

    # Modules that only read.
    READ_ONLY = r"""
attributes:
  check_mode:
    support: full
    details:
      - The module only reads.
  diff_mode:
    support: N/A
    details:
      - The module only reads.
  platform:
    support: full
"""

    # Modules that return ansible_facts.
    FACTS = r"""
attributes:
  facts:
    description: Action returns an C(ansible_facts) dictionary that will update existing host facts.
    support: full
"""

    # Modules whose work is done by an action plugin on the controller.
    CONTROLLER = r"""
attributes:
  action:
    description: Has a corresponding action plugin, so that it is executed on the controller.
    support: full
  bypass_host_loop:
    description: Forces a 'global' task that does not execute per host.
    support: none
  check_mode:
    support: full
  diff_mode:
    support: none
  platform:
    platforms: posix
    support: full
"""
