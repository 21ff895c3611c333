# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending by a signal, but not before everything is undone. Private to this collection.

Sources: signal(7), sigprocmask(2).
"""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import Iterator

_ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Ended(BaseException):
    """A signal asked this process to end.

    :ivar number: which one.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within the block a signal that would end this process raises :class:`Ended`, so that all is undone on the way.

    Then the process ends by that signal after all.
    """

    def end(number: int, frame: object) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)  # once is enough
        raise Ended(number)

    # What is ignored stays ignored: nohup, or Ansible's async.
    # A handler that is no Python function (None) could not be put back.
    before = {each: signal.getsignal(each) for each in _ENDING}
    before = {each: handler for each, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    try:
        for each in before:
            signal.signal(each, end)
        yield
    except Ended as ended:
        signal.signal(ended.number, signal.SIG_DFL)
        os.kill(os.getpid(), ended.number)
        raise
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Signals that would end this process wait for the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
