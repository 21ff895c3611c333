# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs tests/integration/targets with one ansible-core against several Python interpreters.

    python3 -m tests.tools.targets 2.21 /path/to/environment/bin 3.9=/usr/bin/python3.9 [3.13=...]

Every interpreter is a host of its own on this machine, so that the modules run on it as they would on a target.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.tools.checkout import CACHE, COLLECTIONS, ROOT

TARGETS = os.path.join(ROOT, "tests", "integration", "targets")
_QUIET = {
    "ANSIBLE_DEPRECATION_WARNINGS": "0",
    "ANSIBLE_DISPLAY_OK_HOSTS": "0",
    "ANSIBLE_LOCALHOST_WARNING": "0",
    "ANSIBLE_NOCOWS": "1",
    "ANSIBLE_PIPELINING": "1",
    "LC_ALL": "C.UTF-8",
}


def main() -> int:
    """Write an inventory and a playbook, and run it."""
    core, programs, interpreters = (
        sys.argv[1],
        os.path.abspath(sys.argv[2]),
        [word.split("=", 1) for word in sys.argv[3:]],
    )
    place = os.path.join(CACHE, "targets", core)
    os.makedirs(place, exist_ok=True)
    hosts = {f"python{version}": {"ansible_python_interpreter": path} for version, path in interpreters}
    _write(os.path.join(place, "hosts.json"), {"all": {"hosts": hosts, "vars": {"ansible_connection": "local"}}})
    roles = sorted(os.listdir(TARGETS))
    play = {"name": "Integration", "hosts": "all", "gather_facts": False, "any_errors_fatal": True, "roles": roles}
    _write(os.path.join(place, "site.json"), [play])
    code = subprocess.run(
        [os.path.join(programs, "ansible-playbook"), "-i", "hosts.json", "site.json"],
        cwd=place,
        env={
            **os.environ,
            **_QUIET,
            "ANSIBLE_COLLECTIONS_PATH": COLLECTIONS,
            "ANSIBLE_HOME": os.path.join(place, "ansible"),
            "ANSIBLE_ROLES_PATH": TARGETS,
        },
        check=False,
    ).returncode
    if code == 0:
        print(f"{len(roles)} targets passed on Python {', '.join(version for version, path in interpreters)}")
    return code


def _write(path: str, content: object) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)


if __name__ == "__main__":
    sys.exit(main())
