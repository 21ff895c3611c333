# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead man's timer: it undoes a transaction that nobody confirms. Private to this collection.

It outlives the module, its connection and Ansible's temporary directory, so it runs a copy of ``undo.py`` that lies
in the state directory. Whether it still has to act stands in the journal: a timer that was not stopped does no harm.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import Any, Callable, List, Tuple

from ansible_collections.nettriage.linux.plugins.module_utils.tune import undo
from ansible_collections.nettriage.linux.plugins.module_utils.tune.undo import Journal, State, Trouble

Run = Callable[[List[str]], Tuple[int, str, str]]

_SYSTEMD = "/run/systemd/system"
_PROGRAM = "undo.py"


def arm(state: State, journal: Journal, seconds: int, run: Run | None) -> dict[str, Any]:
    """Have *journal* undone in *seconds* from now, and say by what.

    :param run: runs a program: only ``systemd-run`` and ``systemctl``, each with a fixed argument list. A transient
        unit can be had in no other way without a D-Bus client, and only a unit survives a session whose processes
        systemd ends (``KillUserProcesses=``). ``None``: a detached process in every case.
    :raises Trouble: it could not be armed.
    :raises OSError: the program could not be stored.
    """
    program = _store(state)
    command = [sys.executable, "-I", program, state.path, journal["id"]]
    if run is not None and os.geteuid() == 0 and os.path.isdir(_SYSTEMD) and _as_first_process(journal):
        unit = f"nettriage-undo-{journal['id']}"
        start = ["systemd-run", "--quiet", f"--unit={unit}", f"--on-active={seconds}s"]
        if _done(run, [*start, "--timer-property=AccuracySec=100ms", *command]):
            return {"kind": "systemd", "unit": unit}
    pid = _detach([*command, str(seconds)])
    return {"kind": "process", "pid": pid, "started": _started(pid)}


def disarm(journal: Journal, run: Run | None) -> None:
    """End the timer of *journal*; one that is gone already is none the less disarmed."""
    timer = journal.get("timer")
    if timer is None:
        return
    if timer["kind"] == "systemd":
        if run is not None:
            _done(run, ["systemctl", "stop", "--quiet", f"{timer['unit']}.timer"])
    elif timer["pid"] != os.getpid() and timer["started"] is not None and timer["started"] == _started(timer["pid"]):
        with suppress(OSError):
            os.kill(timer["pid"], signal.SIGTERM)


def _done(run: Run, command: list[str]) -> bool:
    try:
        return run(command)[0] == 0
    except OSError:
        return False


def _store(state: State) -> str:
    """A copy of the program that undoes, in the state directory."""
    source = undo.__spec__.loader.get_source(undo.__name__)  # type: ignore[union-attr]
    path = os.path.join(state.path, _PROGRAM)
    present = undo.read_file(path)
    if present is None or present[0] != source:
        undo.put_file(path, source, _PROGRAM + ".new", 0o700)
    return path


def _as_first_process(journal: Journal) -> bool:
    """Whether a unit of systemd sees the same namespaces as this process."""
    if journal["net"]["path"] is not None:
        return False
    try:
        return all(os.path.samefile(f"/proc/1/ns/{kind}", f"/proc/self/ns/{kind}") for kind in ("net", "mnt", "pid"))
    except OSError:
        return False


def _started(pid: int) -> int | None:
    """When *pid* was started, in clock ticks since boot: with it, a process id names one process only."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, LookupError, ValueError):
        return None


def _detach(command: list[str]) -> int:
    """Start *command* as a process that belongs to nobody here any more, and return its id.

    :raises Trouble: it does not start.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            grandchild = os.fork()
            if grandchild:
                os.write(writing, b"%d " % grandchild)
                os._exit(0)
            os.chdir("/")
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            for descriptor in map(int, os.listdir("/proc/self/fd")):
                if descriptor > 2 and descriptor != writing:
                    with suppress(OSError):  # the listing's own is closed already
                        os.close(descriptor)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            os.execv(command[0], command)  # noqa: S606 - no shell is the point
        except BaseException as error:
            os.write(writing, f"failed: {error}".encode("utf-8", "replace"))
        finally:
            os._exit(1)
    os.close(writing)
    os.waitpid(child, 0)
    # The pipe closes with the exec: what was said until then is all there is to say.
    with os.fdopen(reading, "rb") as pipe:
        number, __, said = pipe.read().decode("utf-8", "replace").partition(" ")
    if said or not number.isdigit():
        raise Trouble(f"the timer does not start: {said or number}")
    return int(number)
