# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the molecule scenarios, and leaves no container and no image behind.

    python -m tests.tools.scenarios [words of molecule, such as: test -s tune --destroy never]

Without words, all scenarios are tested. Run by the Python of an environment that has molecule, as root. What
tests.tools has made before is used: the images' archives, unless the environment names images, and the collection
containers.podman. Every run calls its containers and images by a name of its own; NETTRIAGE_RUN keeps them together
over several runs, and then they are left to the run with the word destroy.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import FrameType

from tests.tools import images, third_party
from tests.tools.checkout import CACHE, COLLECTIONS, ROOT

CONFIG = os.path.join(ROOT, "molecule", "config.yml")
RUN = "NETTRIAGE_RUN"
TEST = ("test", "--all", "--no-command-borders")


def environment(run: str) -> dict[str, str]:
    """What molecule and its playbooks find in their environment.

    :raises images.ImageTrouble: an image is named nowhere and could not be made.
    """
    programs = os.path.dirname(sys.executable)
    found = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join((COLLECTIONS, third_party.DIRECTORY)),
        "ANSIBLE_HOME": os.path.join(CACHE, "ansible"),
        "CONTAINERS_CONF": os.path.join(ROOT, "molecule", "containers.conf"),
        "LC_ALL": "C.UTF-8",
        "MOLECULE_EPHEMERAL_DIRECTORY": os.path.join(CACHE, "molecule", run),
        "PATH": programs + os.pathsep + os.environ.get("PATH", os.defpath),
        RUN: run,
    }
    for release in images.RELEASES:
        if not os.environ.get(images.variable(release)):
            found[f"NETTRIAGE_ARCHIVE_{release.upper()}"] = images.make(release)
    return found


def sweep(run: str, variables: dict[str, str]) -> None:
    """Remove what a run that was ended half-way has left of its own."""

    def podman(*words: str) -> list[str]:
        done = subprocess.run(["podman", *words], env=variables, capture_output=True, text=True, check=False)
        return done.stdout.split()

    for container in podman("ps", "--all", "--quiet", "--filter", f"name=^{run}-"):
        podman("rm", "--force", "--time", "0", container)
    for image in podman("images", "--quiet", "--filter", f"reference=localhost/{run}-*"):
        podman("rmi", "--force", image)


def told(command: list[str], variables: dict[str, str]) -> int:
    """Run *command* and show what it says; its exit code, or 1 where a step of a scenario had nothing to do.

    Molecule only warns of a step whose playbook it does not find, and goes on.
    """
    skipped = False
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, env=variables, stdout=pipe, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            skipped |= "Missing playbook" in line and command[3] == "test"
    return process.returncode or int(skipped)


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run molecule with the words of the command line."""
    words = sys.argv[1:] or list(TEST)
    kept = os.environ.get(RUN)
    run = kept or f"nettriage-{os.getpid()}"
    try:
        variables = environment(run)
    except images.ImageTrouble as trouble:
        print(trouble, file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, _interrupted)
    command = [os.path.join(os.path.dirname(sys.executable), "molecule"), "--base-config", CONFIG, *words]
    try:
        return told(command, variables)
    except KeyboardInterrupt:
        return 1
    finally:
        if not kept:
            sweep(run, variables)


if __name__ == "__main__":
    sys.exit(main())
