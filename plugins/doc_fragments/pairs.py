# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a host looks at, and by which address: what triage and mesh have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  sources:
    description:
      - Pattern of the hosts that look, as C(hosts) of a play takes it.
    type: str
    required: true
  destinations:
    description:
      - Pattern of the hosts that are looked at. A part of it that no host matches, separated by commas, is taken for
        the name or address of a host outside of the inventory.
    type: str
    required: true
  address_variable:
    description:
      - Name of the variable in which a host says by which address others reach it, as a text, or as a list with one for
        each family.
      - A host without it is reached by its C(ansible_host), the address of its default route if facts were gathered, or
        its name in the inventory.
    type: str
    required: true
  limit:
    description:
      - At how many destinations a source looks at most, 64 by default and at most. They are the same in every run, and
        in a group each host is looked at from as many hosts as it looks at.
    type: int
    default: 0
"""
