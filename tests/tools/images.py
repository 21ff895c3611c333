# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the container images of the molecule scenarios out of distribution packages: no registry is needed.

    python3 -m tests.tools.images [RELEASE ...]

The archive of a release is .cache/images/RELEASE-HASH.tar, and is made again when its recipe changes. Needs root and
mmdebstrap. Packages come from the mirror that this machine's apt uses for Debian, from NETTRIAGE_MIRROR where that is
set, and else from where Debian keeps old releases. A release whose image the environment names is not made.
"""

from __future__ import annotations

import glob
import hashlib
import os
import subprocess
import sys

from tests.tools.checkout import CACHE

# A release, and the Python that it has.
RELEASES = {"bullseye": "3.9", "bookworm": "3.11", "trixie": "3.13"}
DIRECTORY = os.path.join(CACHE, "images")
DEFAULT_MIRROR = "http://deb.debian.org/debian"
ARCHIVE = "http://archive.debian.org/debian"

_RECIPE = (
    "--variant=essential",
    "--include=python3,systemd-sysv,openssh-server,sudo",
    '--aptopt=Acquire::Check-Valid-Until "false"',
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    # A privileged container's systemd would set these for the whole machine.
    '--customize-hook=rm -f "$1"/usr/lib/sysctl.d/*.conf "$1"/etc/sysctl.d/*.conf',
)


class ImageTrouble(Exception):
    """One sentence that says what could not be made."""


def variable(release: str) -> str:
    """The name of the variable that names an image for *release*, such as NETTRIAGE_IMAGE_TRIXIE."""
    return f"NETTRIAGE_IMAGE_{release.upper()}"


def archive(release: str) -> str:
    """Where the archive of *release* is once it has been made."""
    digest = hashlib.sha256("\n".join((release, *_RECIPE)).encode()).hexdigest()
    return os.path.join(DIRECTORY, f"{release}-{digest[:12]}.tar")


def make(release: str) -> str:
    """Have the archive of *release*, and return its path.

    :raises ImageTrouble: no mirror gave the packages, or mmdebstrap is not there.
    """
    path = archive(release)
    if os.path.exists(path):
        return path
    os.makedirs(DIRECTORY, exist_ok=True)
    for old in glob.glob(os.path.join(DIRECTORY, f"{release}-*")):
        os.unlink(old)
    partial, said = f"{path}.{os.getpid()}.partial", ""
    for mirror in mirrors():
        command = ["mmdebstrap", "--quiet", "--format=tar", *_RECIPE, release, partial, mirror]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        except OSError as error:
            raise ImageTrouble(f"mmdebstrap: {error.strerror}; on Debian: apt-get install mmdebstrap") from error
        if done.returncode == 0:
            os.replace(partial, path)
            return path
        said += f"{mirror}:\n{done.stdout}"
        if os.path.exists(partial):
            os.unlink(partial)
    raise ImageTrouble(f"{said}no image of {release}: none of {', '.join(mirrors())} gives its packages")


def mirrors() -> list[str]:
    """Where to ask for packages, most wanted first."""
    named = os.environ.get("NETTRIAGE_MIRROR")
    wanted = [named] if named else [_apt_mirror(), DEFAULT_MIRROR, ARCHIVE]
    return list(dict.fromkeys(mirror for mirror in wanted if mirror))


def _apt_mirror() -> str | None:
    """The first source of Debian's own main packages that this machine's apt is configured with."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    found = done.stdout.split()
    return found[0].rstrip("/") if found else None


def main() -> int:
    """Make the archives of the releases that are named, or of all."""
    unknown = [name for name in sys.argv[1:] if name not in RELEASES]
    if unknown:
        print(f"no such release: {unknown[0]}; there are {', '.join(RELEASES)}", file=sys.stderr)
        return 2
    for release in sys.argv[1:] or RELEASES:
        try:
            print(os.environ.get(variable(release)) or make(release))
        except ImageTrouble as trouble:
            print(trouble, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
