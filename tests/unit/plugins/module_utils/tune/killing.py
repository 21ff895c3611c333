# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills a piece of code at each step that changes something."""

from __future__ import annotations

import os
import signal
from typing import Any, Callable, Iterator

# Every call by which a transaction changes something, or could lose it.
STEPS = ("write", "pwrite", "fsync", "rename", "link", "unlink", "mkdir", "rmdir", "fchmod", "chmod", "fchown")
AT_MOST = 400


def killing(step: int, after: bool) -> None:
    """From now on, this process is killed at its *step*-th call of those above: before it, or right after it."""
    seen = 0

    def wrap(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            nonlocal seen
            seen += 1
            here = seen == step
            if here and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return call(*args, **options)
            finally:
                if here:
                    os.kill(os.getpid(), signal.SIGKILL)

        return wrapped

    for name in STEPS:
        setattr(os, name, wrap(getattr(os, name)))


def killed(step: int, after: bool, run: Callable[[], Any]) -> bool:
    """Run it in a process of its own; whether that was killed before it was through."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            killing(step, after)
            run()
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def steps() -> Iterator[tuple[int, bool]]:
    for step in range(1, AT_MOST):
        for after in (False, True):
            yield step, after
