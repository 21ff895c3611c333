# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's version as the target side knows it. Private to this collection."""

from __future__ import annotations

# Targets have no galaxy.yml; a unit test holds this to it.
VERSION = "0.1.0"
