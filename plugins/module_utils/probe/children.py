# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs side by side, each in a process of its own. Private to this collection.

A lookup by the C library needs a process without threads to fork from, and whatever becomes of one job, the others have
their time.
"""

from __future__ import annotations

import json
import os
import select
import signal
from typing import Any, Callable, Dict

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable, why
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline

Facts = Dict[str, Any]
# After its time a job still has its result to put together; then it is ended.
_GRACE_S = 2.0
_BLOCK = 65536


class _Refused(BadOption):
    """An option that a child did not accept, in its words."""

    def __init__(self, sentence: str) -> None:
        super().__init__("", None, "")
        self.args = (sentence,)


class Children:
    """Jobs that have begun; :meth:`answers` has to be called, for it ends them."""

    def __init__(self, jobs: list[Callable[[], Facts]], deadline: Deadline) -> None:
        self._deadline = deadline
        self._children = [_Child(work, deadline) for work in jobs]

    def answers(self) -> list[Facts]:
        """What each of the jobs returns, or ``{"why": ...}``; none goes on after the deadline.

        :raises BadOption: a job did so.
        """
        poll = select.poll()
        try:
            reading = {child.reader: child for child in self._children}
            for descriptor in reading:
                poll.register(descriptor, select.POLLIN)
            while reading:
                ready = poll.poll(int((self._deadline.left() + _GRACE_S) * 1000))
                if not ready:
                    break
                for descriptor, __ in ready:
                    if not reading[descriptor].read():
                        poll.unregister(descriptor)
                        refused = reading.pop(descriptor).answer().get("refused")
                        if refused:
                            raise _Refused(refused)
            return [child.answer() for child in self._children]
        finally:
            for child in self._children:
                child.end()


class _Child:
    """A process that does one job and writes what came of it as JSON."""

    def __init__(self, work: Callable[[], Facts], deadline: Deadline) -> None:
        self._text = b""
        self.reader, writer = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            try:
                # Should the parent be killed, this ends all the same.
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_REAL, deadline.left() + _GRACE_S)
                with open(writer, "w", encoding="utf-8") as file:
                    json.dump(_outcome(work), file)
            finally:
                os._exit(0)
        os.close(writer)

    def read(self) -> bool:
        """Whether there may be more to come."""
        block = os.read(self.reader, _BLOCK)
        self._text += block
        return bool(block)

    def answer(self) -> Facts:
        try:
            said: Facts = json.loads(self._text)
        except ValueError:
            return {"why": "the probe did not end in time"}
        return said

    def end(self) -> None:
        os.close(self.reader)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _outcome(work: Callable[[], Facts]) -> Facts:
    try:
        return work()
    except BadOption as error:
        return {"refused": str(error)}
    except (Unavailable, OSError) as error:
        return {"why": why(error, "the probe")}
    except Exception as error:  # one probe's defect must not cost the others
        return {"why": f"a defect of the collection, please report it: {type(error).__name__}: {error}"}
