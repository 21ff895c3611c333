# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs every test of ansible-test sanity over a copy of the checkout, which is a git repository of its own.

    python3 -m tests.tools.sanity 2.21 /path/to/environment/bin [options of ansible-test sanity]

ansible-test wants the collection in a folder ansible_collections/nettriage/linux, and downloads a bootstrap script for
pip from a place that many networks do not reach: a script of the same name that uses the environment's own pip is put
into its cache instead. Its HOME is a folder of ours, so that nothing is written to the user's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.tools import environment
from tests.tools.checkout import CACHE, copy

# What ansible-test calls instead of get-pip: a pip wheel that installs itself.
_BOOTSTRAP = """
import sys
sys.path.insert(0, {wheel!r})
from pip._internal.cli.main import main
words = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.exit(main(["install", "--upgrade", "--force-reinstall", *words]))
"""


def make_home(home: str, programs: str, core: str) -> None:
    """A HOME with pip's own configuration and the bootstrap script in ansible-test's cache."""
    python = os.path.join(programs, "python")
    config = os.path.join(home, ".config", "pip")
    os.makedirs(config, exist_ok=True)
    with open(os.path.join(config, "pip.conf"), "w", encoding="utf-8") as file:
        file.write("[global]\n" + "".join(f"{name} = {value}\n" for name, value in pip_options(python).items()))
    cache = os.path.join(home, ".ansible", "test", "cache")
    os.makedirs(cache, exist_ok=True)
    version = bootstrap_version(python)
    wheels = os.path.join(CACHE, "wheels")
    wheel = os.path.join(wheels, f"pip-{version}-py3-none-any.whl")
    if not os.path.exists(wheel):
        subprocess.run(
            [python, "-m", "pip", "download", "-qq", "--no-deps", "--dest", wheels, f"pip=={version}"], check=True
        )
    with open(os.path.join(cache, f"get_pip_{version.replace('.', '_')}.py"), "w", encoding="utf-8") as file:
        file.write(_BOOTSTRAP.format(wheel=wheel))


def pip_options(python: str) -> dict[str, str]:
    """pip's configuration from files and the environment: ansible-test passes on neither the one nor the other."""
    listing = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    found = re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", listing.stdout, re.MULTILINE)
    return dict(found)


def bootstrap_version(python: str) -> str:
    """The version of pip that this ansible-test bootstraps its environments with."""
    script = "import ansible_test._internal as package; print(package.__path__[0])"
    place = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    with open(os.path.join(place, "python_requirements.py"), encoding="utf-8") as file:
        found = re.search(r"pip='([\d.]+)'", file.read())
    if found is None:
        raise SystemExit("ansible-test no longer says which pip it bootstraps")
    return found.group(1)


def links(directory: str) -> str:
    """A folder with python3.8 ... as links, so that ansible-test finds every interpreter."""
    os.makedirs(directory, exist_ok=True)
    for version, path in environment.interpreters().items():
        link = os.path.join(directory, f"python{version}")
        if os.path.lexists(link):
            os.remove(link)
        os.symlink(path, link)
    return directory


def main() -> int:
    """Run the sanity tests of one ansible-core."""
    core, programs = sys.argv[1], os.path.abspath(sys.argv[2])
    place = os.path.join(CACHE, "sanity", core)
    checkout = os.path.join(place, "ansible_collections", "nettriage", "linux")
    home = os.path.join(place, "home")
    copy(checkout)
    make_home(home, programs, core)
    path = os.pathsep.join([programs, links(os.path.join(place, "pythons")), os.environ["PATH"]])
    code = subprocess.run(
        [os.path.join(programs, "ansible-test"), "sanity", "--local", "--color", "no", *sys.argv[3:]],
        cwd=checkout,
        env={**os.environ, "HOME": home, "PATH": path, "LC_ALL": "C.UTF-8"},
        check=False,
    ).returncode
    if code == 0:
        print("every sanity test passed" if not sys.argv[3:] else "passed")
    return code


if __name__ == "__main__":
    sys.exit(main())
