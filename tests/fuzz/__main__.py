# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fuzzes every parser of what hosts, kernels and networks say, and the rule engine.

    python -m tests.fuzz [--seconds N] [--engine atheris|loop] [--seed N] [NAME ...]
    python -m tests.fuzz --input FILE NAME          one input again

Each harness runs in a process of its own with a limit of memory, and no input may take longer than a few seconds of
processor time. What breaks a parser is kept in .cache/fuzz. Without atheris the mutations are those of a seeded loop.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from typing import Any, Callable

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_COLLECTIONS = os.path.join(_ROOT, ".collections")
if _COLLECTIONS not in sys.path:
    sys.path.insert(0, _COLLECTIONS)

NAMES = ("netlink", "files", "tracing", "packets", "network", "rules", "report", "pairs")
ENGINES = ("atheris", "loop")
KEPT = os.path.join(_ROOT, ".cache", "fuzz")
MEMORY_BYTES = 1 << 30
INPUT_CPU_S = 5


class TooSlow(BaseException):
    """An input took more processor time than any may."""


def _too_slow(number: int, frame: object) -> None:
    raise TooSlow(f"more than {INPUT_CPU_S} s of processor time")


def engine() -> str:
    """What is here."""
    return "atheris" if importlib.util.find_spec("atheris") else "loop"


def one(name: str, how: str, seconds: float, seed: int) -> int:
    """Run one harness in this process."""
    if how == "atheris":
        atheris: Any = importlib.import_module("atheris")
        with atheris.instrument_imports(include=["ansible_collections.nettriage.linux.plugins"]):
            harness = _harness(name)
    else:
        harness = _harness(name)

    def run(data: bytes) -> None:
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, INPUT_CPU_S)
            harness.run(data)
        except BaseException:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            path = _keep(name, data)
            print(f"{name}: {harness.part_of(data)} breaks on {os.path.relpath(path, _ROOT)}", flush=True)
            raise
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    signal.signal(signal.SIGVTALRM, _too_slow)
    if how == "atheris":
        return _by_atheris(name, run, harness.seeds(), seconds, seed)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    from ansible_collections.nettriage.linux.tests.fuzz.mutate import loop

    try:
        count = loop(run, harness.seeds(), seconds, seed)
    except BaseException:
        traceback.print_exc()
        return 1
    print(f"{name}: {count} inputs")
    return 0


def _harness(name: str) -> Any:  # its type is known only after the import
    module = importlib.import_module(f"ansible_collections.nettriage.linux.tests.fuzz.families.{name}")
    return module.HARNESS


def _by_atheris(name: str, run: Callable[[bytes], None], seeds: list[bytes], seconds: float, seed: int) -> int:
    atheris: Any = importlib.import_module("atheris")
    corpus = os.path.join(KEPT, "corpus", name)
    os.makedirs(corpus, exist_ok=True)
    for data in seeds:
        with open(os.path.join(corpus, hashlib.sha1(data).hexdigest()), "wb") as file:
            file.write(data)
        run(data)
    words = [f"-max_total_time={max(1, round(seconds))}", f"-seed={seed}", "-max_len=16384", "-timeout=60"]
    words += [f"-rss_limit_mb={MEMORY_BYTES >> 20}", "-print_final_stats=1", f"-artifact_prefix={KEPT}/"]
    atheris.Setup([name, *words, corpus], run)
    atheris.Fuzz()
    return 0


def _keep(name: str, data: bytes) -> str:
    os.makedirs(KEPT, exist_ok=True)
    path = os.path.join(KEPT, f"{name}-{hashlib.sha1(data).hexdigest()[:12]}")
    with open(path, "wb") as file:
        file.write(data)
    return path


def main() -> int:
    """Run the harnesses that are named, one after the other, each in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzzes the parsers and the rule engine.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all of them without a word")
    parser.add_argument("--seconds", type=float, default=10, help="for each harness (%(default)s)")
    parser.add_argument("--engine", choices=ENGINES, default=engine())
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--input", help="a file with one input, to run it again")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"{unknown[0]!r} is no harness; there are {', '.join(NAMES)}")
    names = options.names or list(NAMES)
    if options.input:
        with open(options.input, "rb") as file:
            _harness(names[0]).run(file.read())
        return 0
    if options.here:
        return one(names[0], options.engine, options.seconds, options.seed)
    failed = []
    for name in names:
        words = [
            name,
            "--here",
            "--engine",
            options.engine,
            "--seconds",
            str(options.seconds),
            "--seed",
            str(options.seed),
        ]
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-m", "tests.fuzz", *words], cwd=_ROOT, check=False)
        print(f"{name}: {'broken' if done.returncode else 'ok'}, {time.monotonic() - started:.0f} s", flush=True)
        failed += [name] if done.returncode else []
    print(f"{len(names) - len(failed)} of {len(names)} harnesses hold ({options.engine})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
