# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Between Ansible and the transaction."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.tune import options
from ansible_collections.nettriage.linux.plugins.module_utils.tune.run import Refused


class Module:
    """AnsibleModule of ansible-core 2.18: its move prints a failure and ends the process."""

    check_mode = False

    def __init__(self, tree: Any, settings: dict[str, Any]) -> None:
        self.params = {
            "settings": settings,
            "state": "present",
            "file": str(tree.file),
            "state_dir": str(tree.state),
            "raise_only": False,
            "confirm_timeout": 0,
            "fail_on_overridden": False,
            "exclusive": False,
            "transaction": None,
            "netns": None,
            "procfs": str(tree.proc),
            "sysfs": str(tree.sys),
        }
        self.ended = False

    def fail_json(self, msg: str) -> None:
        self.ended = True
        sys.exit(1)

    def atomic_move(self, source: str, path: str, keep_dest_attrs: bool) -> None:
        assert os.path.exists(source) and keep_dest_attrs is False
        self.fail_json(msg=f"Could not replace file: {path}")

    def run_command(self, command: list[str], handle_exceptions: bool) -> tuple[int, str, str]:
        raise OSError("no program is run here")


def test_a_move_that_ends_the_process_is_undone_all_the_same(tree: Any) -> None:
    before = tree.shown()
    module = Module(tree, {"net.core.somaxconn": 8192})
    umask = os.umask(0o022)
    try:
        with pytest.raises(Refused, match=r"cannot be written: Could not replace file: .*; everything is undone$"):
            options.run(module)
    finally:
        os.umask(umask)
    assert tree.shown() == before and not module.ended
    with pytest.raises(SystemExit):
        module.fail_json(msg="it is the module's own again")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_without_privilege_one_sentence_says_so(tree: Any) -> None:
    program = (
        "import os, sys; os.setgid(65534); os.setuid(65534)\n"
        "from ansible_collections.nettriage.linux.plugins.module_utils.tune import journal, transaction\n"
        "try: transaction._opened(sys.argv[1], False)\n"
        "except journal.Trouble as error: print(error)\n"
    )
    # The interpreter itself may lie where only root can read: what it needs is imported before.
    program = (
        "import ansible_collections.nettriage.linux.plugins.module_utils.tune.transaction, encodings.idna\n" + program
    )
    tree.state.mkdir(mode=0o700)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tree.state)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("; run it as root\n"), done.stderr
