# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile names and answers, and secrets, from the kernel to every form of the report, by the real playbook."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shlex
import shutil
import stat
import subprocess
import sys
from html.parser import HTMLParser
from typing import Any, Iterator
from xml.etree import ElementTree

import pytest
import yaml

from ansible_collections.nettriage.linux.tests.lab import demo
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, command
from ansible_collections.nettriage.linux.tests.lab.services import etc_of

COMMANDS = (
    b"\x1b[31mred\x1b[0m", b"a\nb", b"{{ 7*7 }}", b"</script><img", b"<img src=x one", "\u202egnp.exe".encode(),
    b"[red]", b"\xff\xfe" * 7, b"$(id);`id`", b"' \" \\", b"!unsafe x: &y", b"-rf",
)  # fmt: skip
INTERFACES = (b"<b>", b"$(id)", b";reboot", b"\x1b[2Jx", b"\xff\xfe", b"-rf", b"{{7*7}}", b"'\"`")
SECRET = "hunter2-{}-Zq9"
ARGUMENT, ENVIRONMENT, URL = (SECRET.format(name) for name in ("argument", "environment", "url"))
FORMATS = ("html", "markdown", "json", "junit", "sarif", "prometheus")
FILES = ("report.html", "report.md", "report.json", "report.xml", "report.sarif", "report.prom")
_SUBJECT = "/CN=\x1b[31m<script>alert(1)<\\/script>\u202e{{7*7}}/O=a\nb"
_NAME = "db.lab"


@pytest.fixture(scope="module")
def run(shared_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A host full of hostility, audited twice: once with every form of the report, once with YAML and -vvv."""
    made = tmp_path_factory.mktemp("certificate")
    pem, key = str(made / "certificate.pem"), str(made / "key.pem")
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8", "-days", "9"]
    command("openssl", *words, "-subj", _SUBJECT, "-keyout", key, "-out", pem)
    host = shared_lab.namespace("hostile")
    for number, name in enumerate(INTERFACES):
        subprocess.run(
            ["ip", "-n", host.name, "link", "add", name, "type", "veth", "peer", "name", f"peer{number}"], check=True
        )
        address = f"192.0.2.{number * 4 + 1}/30"
        subprocess.run(["ip", "-n", host.name, "addr", "add", address, "dev", name], check=True)
        subprocess.run(["ip", "-n", host.name, "link", "set", "dev", name, "up"], check=True)
    host.start("hostile", "named", 9000, *(name.hex() for name in COMMANDS))
    behaviours = ("loop", "huge", "nul")
    for number, behaviour in enumerate(behaviours, 11):
        host.start("hostile", "dns", f"127.0.0.{number}:53", behaviour)
    host.start("hostile", "http", "127.0.0.1:8080")
    host.start("webserver", "httpd", "127.0.0.1:8443", json.dumps({"certificate": pem, "key": key}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETTRIAGE_TEST_SECRET", ENVIRONMENT)
        host.start("hostile", "secret", "vaultd", "127.0.0.1:9300", f"--password={ARGUMENT}")
    urls = ["https://127.0.0.1:8443/", "http://127.0.0.1:8080/", "http://127.0.0.1:8080/$(id)'%22;reboot"]
    resolv_conf = "".join(f"nameserver 127.0.0.{number}\n" for number, __ in enumerate(behaviours, 11))
    everyone = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "audit_probe_timeout": 12}
    own = {"audit_netns": host.name, "audit_urls": urls, "audit_names": [_NAME], "audit_report_formats": list(FORMATS)}
    inventory = json.dumps({"all": {"hosts": {"web": own}, "vars": everyone}})
    reports = tmp_path_factory.mktemp("report")
    with etc_of(host, resolv_conf=resolv_conf), contextlib.ExitStack():
        done = demo.playbook(inventory, str(reports), "--diff", capture=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ANSIBLE_CALLBACK_RESULT_FORMAT", "yaml")
            loud = demo.playbook(inventory, str(reports), "-vvv", "--diff", capture=True)
            refused = json.dumps({"audit_urls": [f"http://user:{URL}@127.0.0.1:8080/"]})
            elsewhere = str(tmp_path_factory.mktemp("refused"))
            wrong = demo.playbook(inventory, elsewhere, "-vvv", "-e", refused, capture=True)
    assert done.returncode == 0 and loud.returncode == 0, done.stdout + done.stderr + loud.stdout[-3000:]
    assert wrong.returncode != 0 and "without a user and password" in wrong.stdout
    files = {name: (reports / name).read_text(encoding="utf-8") for name in FILES}
    yield {
        "files": files,
        "terminal": done.stdout,
        "loud": loud.stdout + loud.stderr + wrong.stdout + wrong.stderr,
        "directory": reports,
    }


def _report(run: dict[str, Any]) -> dict[str, Any]:
    host: dict[str, Any] = json.loads(run["files"]["report.json"])["hosts"]["web"]
    return host


def test_what_is_hostile_is_in_the_facts_and_found(run: dict[str, Any]) -> None:
    """The hostility came through: otherwise nothing below would be shown."""
    host = _report(run)
    facts = host["facts"]
    listeners = facts["sockets"]["tcp"]["listeners"]
    seen = {process["command"] for row in listeners for process in row["processes"] or ()}
    expected = {name[:15].decode("utf-8", "replace") for name in COMMANDS}
    assert len(seen & expected) >= 5, (seen, expected)
    interfaces = {row["name"] for row in facts["nic"]["interfaces"]}
    assert {name.decode("utf-8", "replace") for name in INTERFACES} <= interfaces
    found = {finding["id"] for finding in host["findings"]}
    assert {"tcp.accept_queue", "nic.link_down"} <= found, found
    answers = json.dumps(facts["http"]["urls"], ensure_ascii=False)
    assert "headers without an end" in answers and "<script>alert(1)" in answers, answers
    assert facts["dns"]["names"][0]["outcome"] is not None


def test_nothing_moves_the_cursor_or_hides(run: dict[str, Any]) -> None:
    """Neither on the terminal, with and without YAML and -vvv, nor in a file."""
    for name, text in (*run["files"].items(), ("terminal", run["terminal"])):
        assert all(char.isprintable() or char == "\n" for char in text), name
    assert "\x1b" not in run["loud"] and "\u202e" not in run["loud"]
    assert "{{ 7*7 }}" in run["terminal"] or "{{7*7}}" in run["terminal"]


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs


def test_the_page_has_only_its_own_elements(run: dict[str, Any]) -> None:
    page = _Page()
    page.feed(run["files"]["report.html"])
    page.close()
    assert not {"img", "iframe", "object", "link", "base"} & set(page.elements)
    assert page.elements.count("script") == 2  # its program and its data
    assert not [name for name, __ in page.attributes if name.startswith("on") or name == "style"]
    assert all(str(value).startswith("#") for name, value in page.attributes if name in ("href", "src"))


def test_programs_can_read_their_files(run: dict[str, Any]) -> None:
    for name in ("report.json", "report.sarif"):
        json.loads(run["files"][name], parse_constant=pytest.fail)
    ElementTree.fromstring(run["files"]["report.xml"])
    from prometheus_client.parser import text_string_to_metric_families

    assert list(text_string_to_metric_families(run["files"]["report.prom"]))
    assert not [token for token in yaml.scan("- " + json.dumps(_report(run)["findings"][0])) if "Alias" in str(token)]


def test_commands_are_safe_to_paste(run: dict[str, Any]) -> None:
    """A real shell finds the words that shlex finds, and nothing of a name is run."""
    findings, bash = _report(run)["findings"], shutil.which("bash") or "bash"
    assert len(findings) > len(INTERFACES)
    for finding in findings:
        text = finding["command"]
        if not text:
            continue
        words = shlex.split(text)
        done = subprocess.run(
            [bash, "-c", f"printf '%s\\0' {text}"],
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": "/nowhere"},
        )
        assert done.stdout.split("\0")[:-1] == words and not done.stderr, text
        assert text.isprintable()


def test_no_secret_is_anywhere(run: dict[str, Any]) -> None:
    """Neither arguments nor environments of processes, nor the password of a URL, in any file or at -vvv."""
    assert "vaultd" in run["files"]["report.json"]
    for name, text in (*run["files"].items(), ("terminal", run["terminal"]), ("-vvv", run["loud"])):
        for secret in (ARGUMENT, ENVIRONMENT, URL):
            at = text.find(secret)
            assert at < 0, (name, text[max(0, at - 300) : at + 80])


def test_only_owner_and_group_can_read_the_report(run: dict[str, Any]) -> None:
    directory: pathlib.Path = run["directory"]
    for name in FILES:
        assert stat.S_IMODE(os.stat(directory / name).st_mode) & 0o137 == 0, name
