# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real playbook and role, run by the real ansible-playbook against this machine under several names."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nettriage.linux.plugins.plugin_utils import fleet

COLLECTIONS = Path(os.path.abspath(fleet.__file__)).parents[5]
AUDIT = "nettriage.linux.audit"
# Ansible calls a host unreachable when its connection plugin says so.
UNREACHABLE = """
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase
DOCUMENTATION = '''
name: gone
short_description: never there
description: Never there.
author: tests
options: {}
'''
class Connection(ConnectionBase):
    transport = "gone"
    def _connect(self):
        raise AnsibleConnectionFailure("Failed to connect to the host via ssh: ssh: connect to host x: No route")
    exec_command = put_file = fetch_file = lambda self, *args, **kwargs: self._connect()
    def close(self):
        pass
"""


def rule(severity: str, when: str = "facts.meta.schema == `1`") -> dict[str, Any]:
    return {
        "id": f"own.{severity}",
        "layer": "4",
        "severity": severity,
        "when": when,
        "subject": "host",
        "title": f"An own rule says {severity}",
        "evidence": {"schema": "facts.meta.schema"},
        "cause": "A test.",
        "advice": ["Nothing."],
        "command": "true",
    }


CRITICAL, WARNING = {"audit_rules": [rule("critical")]}, {"audit_rules": [rule("warning")]}
GONE = {"ansible_connection": "gone"}


class Site:
    """A directory with an inventory, from which ansible-playbook is run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.report = directory / "nettriage-report"
        (directory / "ansible.cfg").touch()
        plugins = directory / "connection"
        plugins.mkdir()
        (plugins / "gone.py").write_text(UNREACHABLE)

    def inventory(self, **hosts: dict[str, Any]) -> None:
        here = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "audit_interval": 0,
            "audit_gather_subset": ["sysctl"],
        }
        content = {"all": {"hosts": {name: {**here, **own} for name, own in hosts.items()}}}
        (self.directory / "hosts.yml").write_text(json.dumps(content))

    def play(self, **keywords: Any) -> str:
        """A playbook of one's own that has the role."""
        play = {"hosts": "all", "gather_facts": False, "roles": [{"role": AUDIT}], **keywords}
        directory = self.directory / "plays"
        directory.mkdir(exist_ok=True)
        (directory / "own.yml").write_text(yaml.safe_dump([play]))
        return str(directory / "own.yml")

    def run(self, *arguments: str, playbook: str = AUDIT, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ansible", "playbook", "-i", "hosts.yml", playbook, *arguments]
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL") if name in os.environ}
        own = {
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_CONNECTION_PLUGINS": str(self.directory / "connection"),
            "ANSIBLE_LOCAL_TEMP": str(self.directory / "tmp"),
            "ANSIBLE_REMOTE_TEMP": str(self.directory / "tmp"),
            "ANSIBLE_CONFIG": str(self.directory / "ansible.cfg"),
            "LC_ALL": "C.UTF-8",
        }
        return subprocess.run(
            command,
            env={**kept, **own, **environment},
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def hosts(self, directory: Path | None = None) -> dict[str, Any]:
        report = json.loads(((directory or self.report) / "report.json").read_text())
        return dict(report["hosts"])


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def verdicts(hosts: dict[str, Any]) -> dict[str, str]:
    return {name: host["verdict"] for name, host in hosts.items()}


def ids(host: dict[str, Any]) -> set[str]:
    return {finding["id"] for finding in host["findings"] if finding["id"].startswith("own.")}


def test_every_host_is_in_the_report_whatever_became_of_it(site: Site) -> None:
    """The first host, which run_once would choose, is not there at all."""
    site.inventory(
        a_gone=GONE,
        b_failed={"audit_procfs": "/nonexistent"},
        c_undefined={"audit_interval": "{{ nowhere }}"},
        d_critical=CRITICAL,
        e_plain={},
    )
    done = site.run()
    assert done.returncode == 0, done.stdout + done.stderr
    hosts = site.hosts()
    assert verdicts(hosts)["d_critical"] == "critical"
    assert [hosts[name]["verdict"] for name in ("a_gone", "b_failed", "c_undefined")] == ["unreachable"] * 3
    assert hosts["a_gone"]["error"] == "connect to host x: No route"
    assert hosts["a_gone"]["facts"] is None
    assert "/nonexistent" in hosts["b_failed"]["error"] and "an existing directory" in hosts["b_failed"]["error"]
    assert "nowhere" in hosts["c_undefined"]["error"]
    assert "error" not in hosts["e_plain"] and hosts["e_plain"]["facts"]["sysctl"]["available"] is True
    assert next(iter(hosts)) == "d_critical", "worst first"


def test_the_terminal_shows_a_table_and_no_json(site: Site) -> None:
    site.inventory(a_critical=CRITICAL, b_gone=GONE, c_plain={})
    done = site.run()
    shown = done.stdout.partition("Report what was found")[2].partition("PLAY RECAP")[0]
    assert "ansible_facts" not in done.stdout and "{" not in shown
    assert "1 critical" in shown and "An own rule says critical" in shown
    assert shown.index("a_critical") < shown.index("b_gone") < shown.index("c_plain")
    assert f"Report: {site.report / 'report.html'}" in shown
    assert max(map(len, shown.partition("Report:")[0].splitlines()[1:])) < 80


def test_lines_0_shows_nothing(site: Site) -> None:
    site.inventory(a=CRITICAL)
    done = site.run("-e", "audit_lines=0")
    assert "VERDICT" not in done.stdout and "report.html" not in done.stdout
    assert ids(site.hosts()["a"]) == {"own.critical"}


def test_a_fleet_that_is_gone_altogether(site: Site) -> None:
    """The report is there, and only audit_fail_on makes it an error."""
    site.inventory(a=GONE, b=GONE)
    assert site.run().returncode == 0
    assert verdicts(site.hosts()) == {"a": "unreachable", "b": "unreachable"}
    done = site.run("-e", "audit_fail_on=critical")
    assert done.returncode != 0 and "fail_on=critical: 2 unreachable" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("own", "fail_on", "passes"),
    [
        (WARNING, "critical", True),
        (WARNING, "warning", False),
        (CRITICAL, "critical", False),
        (CRITICAL, "never", True),
    ],
)
def test_fail_on_sets_the_exit_code_after_the_report_is_written(
    site: Site, own: dict[str, Any], fail_on: str, passes: bool
) -> None:
    site.inventory(a=own, b={})
    done = site.run("-e", f"audit_fail_on={fail_on}")
    assert (done.returncode == 0) is passes, done.stdout
    assert ids(site.hosts()["a"])


@pytest.mark.parametrize("keywords", [{"serial": 1}, {"strategy": "free"}, {"strategy": "host_pinned"}, {"serial": 2}])
def test_batches_and_strategies_end_in_one_report(site: Site, keywords: dict[str, Any]) -> None:
    site.inventory(a=GONE, b=CRITICAL, c={}, d=WARNING)
    done = site.run(playbook=site.play(**keywords))
    assert done.returncode == 0, done.stdout + done.stderr
    hosts = site.hosts(site.directory / "plays" / "nettriage-report")
    assert set(hosts) == set("abcd")
    assert [hosts[name]["verdict"] for name in "ab"] == ["unreachable", "critical"]
    assert ids(hosts["d"]) == {"own.warning"}
    assert done.stdout.count("Report: ") == (4 // keywords["serial"] if "serial" in keywords else 1)
    if "serial" in keywords:
        assert "With the batches before: 4 hosts" in done.stdout


def test_a_batch_in_trouble_stops_a_rolling_play(site: Site) -> None:
    """What a rolling update needs: the hosts behind the failing batch are left alone."""
    site.inventory(a={}, b=CRITICAL, c={})
    done = site.run(playbook=site.play(serial=1, vars={"audit_fail_on": "critical"}))
    assert done.returncode != 0
    assert set(site.hosts(site.directory / "plays" / "nettriage-report")) == {"a", "b"}


def test_former_runs_are_not_reported(site: Site) -> None:
    """A fact cache holds the facts of a host that is gone now."""
    cache = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(site.directory / "cache")}
    site.inventory(a=CRITICAL)
    site.run(**cache)
    assert "nettriage" in "".join(path.read_text() for path in (site.directory / "cache").iterdir())
    site.inventory(a={**CRITICAL, **GONE})
    site.run(**cache)
    assert verdicts(site.hosts()) == {"a": "unreachable"}
    assert site.hosts()["a"]["facts"] is None


def test_check_mode_and_limit(site: Site) -> None:
    """The report is what is asked for and no change to a host, so check mode writes it too."""
    site.inventory(a=CRITICAL, b={})
    assert site.run("--check", "--limit", "b").returncode == 0
    assert set(site.hosts()) == {"b"}


def test_a_pattern_of_hosts(site: Site) -> None:
    site.inventory(a=CRITICAL, b={})
    assert site.run("-e", "audit_hosts=a").returncode == 0
    assert set(site.hosts()) == {"a"}


def test_files_are_replaced_and_not_for_everyone(site: Site) -> None:
    site.inventory(a={})
    site.report.mkdir()
    (site.report / "report.html").write_text("old")
    site.run()
    assert {path.name for path in site.report.iterdir()} == {"report.html", "report.json", "report.md"}
    for path in site.report.iterdir():
        assert path.read_text() != "old"
        assert not stat.S_IMODE(path.stat().st_mode) & 0o037


def test_directory_formats_and_title(site: Site) -> None:
    site.inventory(a={})
    options = {"audit_report_dir": "out/net", "audit_report_formats": ["markdown"], "audit_title": "Rack | 7"}
    site.run("-e", json.dumps(options))
    assert [path.name for path in (site.directory / "out" / "net").iterdir()] == ["report.md"]
    assert (site.directory / "out" / "net" / "report.md").read_text().startswith("# Rack \\| 7\n")


def test_rules_and_limits_of_a_host_and_of_the_play(site: Site) -> None:
    """Ansible's precedence: a host's own from the inventory, none for the others, the play's for everyone."""
    site.inventory(a=CRITICAL, b=WARNING, c={})
    site.run()
    assert [ids(site.hosts()[name]) for name in "abc"] == [{"own.critical"}, {"own.warning"}, set()]
    site.inventory(a={}, b=WARNING, c={})
    site.run()
    assert [ids(site.hosts()[name]) for name in "abc"] == [set(), {"own.warning"}, set()]
    site.run(playbook=site.play(vars={"audit_rules": [rule("info")]}))
    hosts = site.hosts(site.directory / "plays" / "nettriage-report")
    assert [ids(hosts[name]) for name in "abc"] == [{"own.info"}] * 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"audit_interval": 900}, "interval: 900.0 is not accepted"),
        ({"audit_urls": ["ftp://web.example/"]}, "urls: 'ftp://web.example/' is not accepted"),
        ({"audit_targets": ["a"], "audit_probe_timeout": 1}, "probe_timeout: 1.0 is not accepted"),
        ({"audit_gather_subset": ["pmtu"]}, "gather_subset: 'pmtu' is not accepted; give something in targets"),
        ({"audit_gather_subset": ["sokets"]}, "gather_subset: 'sokets' is not accepted"),
        ({"audit_fail_on": "sometimes"}, "fail_on must be one of: critical, warning, never"),
        ({"audit_limits": {"no_such_limit": 1}}, "no_such_limit"),
        ({"audit_lines": -1}, "lines: -1 is not accepted"),
        ({"audit_report_dir": "/proc/none"}, "path: '/proc/none' is not accepted"),
        ({"audit_rules": [{"id": "tcp.no_such_rule", "enabled": False}]}, "tcp.no_such_rule"),
        ({"audit_rules": [rule("critical", "facts.meta ==")]}, "own.critical"),
        ({"audit_rules": [rule("critical", "sum(facts.meta) > `1`")]}, "own.critical"),
    ],
)
def test_a_wrong_option_fails_the_play_in_one_sentence(site: Site, options: dict[str, Any], sentence: str) -> None:
    site.inventory(a={}, b={})
    inventory = json.loads((site.directory / "hosts.yml").read_text())
    for own in inventory["all"]["hosts"].values():
        own.update(options)
    (site.directory / "hosts.yml").write_text(json.dumps(inventory))
    done = site.run()
    assert done.returncode != 0, done.stdout
    failed = re.search(r'FAILED! => .*"msg": "((?:[^"\\]|\\.)*)"', done.stdout)
    assert failed and sentence in failed[1] and "\\n" not in failed[1], done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_each_host_probes_what_its_variables_say(site: Site) -> None:
    """In the one task that looks at it, whether its facts are probed or not; nobody listens on the port."""
    site.inventory(a={"audit_urls": ["http://127.0.0.1:1/"]}, b={"audit_targets": ["127.0.0.1"]}, c={})
    done = site.run()
    assert done.returncode == 0, done.stdout + done.stderr
    hosts = site.hosts()
    probed = [set(hosts[name]["facts"]) - {"meta", "sysctl"} for name in "abc"]
    assert probed == [{"http"}, {"path", "pmtu"}, set()]
    assert [finding["id"] for finding in hosts["a"]["findings"]] == ["http.unreachable"]
    assert hosts["b"]["facts"]["pmtu"]["paths"][0]["verdict"] == "clean"
    assert done.stdout.count("Look at the host") == 1


@pytest.mark.parametrize("package", ["jmespath", "netaddr"])
def test_a_missing_package_is_one_sentence(site: Site, package: str) -> None:
    shadow = site.directory / "shadow"
    shadow.mkdir()
    (shadow / f"{package}.py").write_text(f"raise ModuleNotFoundError('No module named {package}', name={package!r})\n")
    site.inventory(a={})
    done = site.run(PYTHONPATH=str(shadow))
    assert done.returncode != 0
    assert f"{package} is missing on the controller" in done.stdout and "pip install jmespath netaddr" in done.stdout


def test_hosts_that_the_role_leaves_out_are_not_reported(site: Site) -> None:
    site.inventory(a={}, b={}, c={})
    include = {"name": "Some", "ansible.builtin.include_role": {"name": AUDIT}, "when": "inventory_hostname != 'a'"}
    done = site.run(playbook=site.play(roles=[], tasks=[include]))
    assert done.returncode == 0, done.stdout
    assert set(site.hosts(site.directory / "plays" / "nettriage-report")) == {"b", "c"}


def test_a_variable_that_nobody_registered(site: Site) -> None:
    site.inventory(a={})
    task = {"name": "Report", "nettriage.linux.audit_report": {"results": "nobody"}, "run_once": True}
    done = site.run(playbook=site.play(roles=[], tasks=[task]))
    assert done.returncode != 0 and "results: 'nobody' is not accepted" in done.stdout
