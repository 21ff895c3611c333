# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the lab: ``python -m tests.tools.lab PYTHON``, the interpreter of an environment with the test requirements.

Most tests side by side, since they mostly wait, then those alone that look at the whole machine (``host_wide``). What
failed beside others is run once more by itself: where two faults have to stand at the same time, one may not come up
within its seconds. The last line says so, and only what fails again fails the lab.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.tools.checkout import CACHE, ROOT

_FAILED = 1  # pytest's exit code where tests failed; all others but 0 say that it could not run them


def main() -> int:
    cache = os.path.join(CACHE, "pytest-lab")
    command = [sys.argv[1], "-m", "pytest", "-o", f"cache_dir={cache}", "--tb=short", "tests/lab"]
    beside = ["-m", "not host_wide"]
    # A file is one worker's: its tests may share a lab.
    workers = ["-n", str(max(2, os.cpu_count() or 1)), "--dist", "loadfile"]
    code, together = _run([*command, *beside, *workers, "--cache-clear"])
    said = [f"side by side {together}"]
    if code == _FAILED:
        code, again = _run([*command, *beside, "--last-failed"])
        said.append(f"these again {again}")
    alone, whole = _run([*command, "-m", "host_wide"])
    print("; ".join([*said, f"alone {whole}"]))
    return code or alone


def _run(command: list[str]) -> tuple[int, str]:
    """The exit code of pytest, and its last line."""
    last = ""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line.strip("= \n") or last
    return process.returncode, last


if __name__ == "__main__":
    sys.exit(main())
