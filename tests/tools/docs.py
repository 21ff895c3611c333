# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the documentation of the collection as a site: ``python -m tests.tools.docs BIN``.

BIN is the folder of an environment's programs that has ansible-core, antsibull-docs and Sphinx. The site is in
.cache/docs/build/html afterwards. Every warning is an error.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys

from tests.tools.checkout import CACHE, COLLECTIONS

PLACE = os.path.join(CACHE, "docs")
# A build asks no other site. Labels of Ansible's own pages, to which the pages of plugins refer, lead to this one.
_CONFIGURATION = "\nintersphinx_mapping = {}\n"
_ELSEWHERE = """:orphan:

.. _action_plugins:
.. _ansible_configuration_settings:
.. _common_return_values:
{labels}
Elsewhere
=========

This is described in the documentation of Ansible itself, at https://docs.ansible.com.
"""


def _foreign(pages: str) -> str:
    """A label for each plugin of Ansible's own that the *pages* refer to."""
    found: set[str] = set()
    for page in glob.glob(os.path.join(pages, "*.rst")):
        with open(page, encoding="utf-8") as file:
            found.update(re.findall(r"<(ansible_collections\.ansible\.\w+\.\w+)>", file.read()))
    return "".join(f".. _{label}:\n" for label in sorted(found))


def main() -> int:
    """Make the site anew."""
    programs = sys.argv[1]
    shutil.rmtree(PLACE, ignore_errors=True)
    os.makedirs(PLACE, mode=0o700)  # antsibull-docs wants it to be nobody else's
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": COLLECTIONS,
        "ANSIBLE_HOME": os.path.join(CACHE, "ansible"),
        "PATH": programs + os.pathsep + os.environ["PATH"],
        "LC_ALL": "C.UTF-8",
    }
    pages = os.path.join(PLACE, "rst")

    def run(*command: str) -> None:
        subprocess.run(command, cwd=PLACE, env=environment, check=True)

    one = ("--use-current", "--squash-hierarchy", "--dest-dir")
    try:
        run("antsibull-docs", "sphinx-init", *one, PLACE, "--project", "nettriage.linux", "nettriage.linux")
        run("antsibull-docs", "collection", *one, pages, "nettriage.linux")
        with open(os.path.join(PLACE, "conf.py"), "a", encoding="utf-8") as file:
            file.write(_CONFIGURATION)
        with open(os.path.join(pages, "elsewhere.rst"), "w", encoding="utf-8") as file:
            file.write(_ELSEWHERE.format(labels=_foreign(pages)))
        run("sphinx-build", "-q", "-W", "--keep-going", "-c", PLACE, pages, os.path.join(PLACE, "build", "html"))
    except subprocess.CalledProcessError as error:
        return error.returncode
    print(f"the site is in {os.path.join(PLACE, 'build', 'html')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
