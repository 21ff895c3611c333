# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has the archive looked at as Galaxy does when it is uploaded: ``python -m tests.tools.importer BIN``.

BIN is the folder of an environment's programs that has ansible-core and galaxy-importer.
"""

from __future__ import annotations

import glob
import os
import subprocess
import sys
import tempfile

from tests.tools.checkout import copy

_DONE = "Importer processing completed successfully"


def main() -> int:
    """Build the archive from what git knows, and import it."""
    programs = os.path.abspath(sys.argv[1])
    environment = {**os.environ, "PATH": programs + os.pathsep + os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    with tempfile.TemporaryDirectory(prefix="nt-") as place:
        copy(os.path.join(place, "linux"))
        built = ["ansible-galaxy", "collection", "build", "--output-path", place, os.path.join(place, "linux")]
        subprocess.run(built, env=environment, check=True, stdout=subprocess.DEVNULL)
        (archive,) = glob.glob(os.path.join(place, "nettriage-linux-*.tar.gz"))
        done = subprocess.run(
            [os.path.join(programs, "python"), "-m", "galaxy_importer.main", archive],
            cwd=place,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    remarks = [line for line in done.stdout.splitlines() if "WARNING" in line or "ERROR" in line]
    if done.returncode or remarks or _DONE not in done.stdout:
        print(done.stdout)
        return 1
    print(_DONE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
