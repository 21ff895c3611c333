# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong when the kernel is asked. Private to this collection."""

from __future__ import annotations

import errno
import os


class Unavailable(Exception):
    """The kernel does not answer this: no such feature, module, file or privilege.

    The message is one sentence and becomes the ``why`` beside ``available: false``.
    """


class Malformed(Unavailable):
    """The kernel's answer does not have the form that its headers promise."""


class BadOption(ValueError):
    """An option's value cannot be used: the sentence names option, value and what is accepted."""

    def __init__(self, option: str, value: object, accepted: str) -> None:
        super().__init__(f"{option}: {value!r} is not accepted; give {accepted}")
        self.option = option


_REASONS = {
    errno.ENOENT: "does not exist on this kernel",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EPROTONOSUPPORT: "this kernel has no such netlink family",
    errno.EAFNOSUPPORT: "this kernel has no such address family",
    errno.EOPNOTSUPP: "not supported here",
}


def why(error: BaseException, what: str) -> str:
    """One sentence for *error*, met while asking for *what*."""
    if isinstance(error, Unavailable):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        return f"{what}: {_REASONS.get(error.errno, os.strerror(error.errno))}"
    return f"{what}: {error}"
