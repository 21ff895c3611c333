# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the project's checks side by side and ends with one table of what each said.

    python3 -m tests.tools.check [lint|site|unit|fuzz|project|page|targets|sanity|molecule|lab|bench ...]

All of them without a word.

A check's whole output is in .cache/log/NAME.log; it is printed too where the check failed or ran tests. What cannot run
here (an interpreter that is not installed, no root) is named in the table; with CI set in the environment a lab that
cannot run is a failure. Needs only a Python 3.8 and its standard library: every check gets an environment of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import NamedTuple, Sequence

from tests.page import browser
from tests.tools import environment, images, third_party
from tests.tools.checkout import CACHE, COLLECTIONS, ROOT

LINK = os.path.join(COLLECTIONS, "ansible_collections", "nettriage", "linux")
# Script of tests/bench and its options.
BENCHES = {
    "findings": ("findings.py", "200"),
    "report": ("report.py", "500"),
    "sockets": ("sockets.py", "--sockets", "60000", "--rounds", "5"),
    "sockets mixed": ("sockets.py", "--sockets", "60000", "--mixed", "--rounds", "5"),
    "owners": ("owners.py", "--processes", "1000", "--rounds", "5"),
    "fleet": ("fleet", "--hosts", "20", "--rounds", "3", "--no-guides"),
    "transaction": ("transaction.py", "--hosts", "6", "--rounds", "3"),
}

OK, FAILED, MISSED, LEFT_OUT = "ok", "FAILED", "missed", "left out"
SHOWN_LINES = 200
PACKAGE = "ansible_collections.nettriage.linux"
TYPED = ("plugins", "tests")
RUNTIME = "requirements.txt"
UNIT = "tests/requirements-unit.txt"
PROJECT = "tests/requirements-project.txt"
LINT = "tests/requirements.txt"
DOCS = "tests/requirements-docs.txt"
IMPORTER = "galaxy-importer==0.4.44"
MOLECULE = "tests/requirements-molecule.txt"
# What the scenarios on containers call.
CONTAINER_PROGRAMS = ("podman", "runc", "nsenter", "ssh")
FUZZ = "tests/requirements-fuzz.txt"
# For each harness; a longer run is `python -m tests.fuzz --seconds N`.
FUZZ_SECONDS = "3"

# ansible-core's own support matrix: the versions that this collection supports, and the controller's Python for each.
CORES = {
    "2.18": ("3.11", "3.12", "3.13"),
    "2.19": ("3.11", "3.12", "3.13"),
    "2.20": ("3.12", "3.13", "3.14"),
    "2.21": ("3.12", "3.13", "3.14"),
}
SUPPORTED = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
CONTROLLERS = ("3.11", "3.12", "3.13", "3.14")
# The oldest Python that each ansible-core accepts on a target.
LOWEST_TARGET = {"2.18": "3.8", "2.19": "3.8", "2.20": "3.9", "2.21": "3.9"}

_SUMMARY = re.compile(r"\b\d+ (passed|failed|error|errors|skipped|deselected)\b.* in [\d.]+")


class Step(NamedTuple):
    """One check.

    :ivar needs: names of the steps that have to succeed before.
    :ivar alone: measures time or fills the machine, so nothing else may run beside it.
    :ivar loud: its output is of interest when it succeeds, too.
    :ivar goal: 1 as its exit code is a speed that was not reached, which depends on what else the machine does: said,
        and a failure only where nothing but benches were asked for.
    """

    name: str
    command: list[str]
    needs: tuple[str, ...] = ()
    env: dict[str, str] = {}
    alone: bool = False
    loud: bool = False
    goal: bool = False


class Result(NamedTuple):
    """What became of a check; *detail* is what it said itself, or why it was left out."""

    name: str
    verdict: str
    seconds: float
    detail: str


class Plan:
    """The steps to run, and what this machine has no means to run."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.left_out: list[Result] = []
        self.pythons = environment.interpreters()

    def add(self, step: Step) -> str:
        """Add *step* unless it is there already."""
        if step.name not in [known.name for known in self.steps]:
            self.steps.append(step)
        return step.name

    def leave_out(self, name: str, why: str, fatal: bool = False) -> None:
        """Name what is not run; *fatal* where a complete run was asked for."""
        self.left_out.append(Result(name, FAILED if fatal else LEFT_OUT, 0.0, why))

    def environment(self, name: str, version: str, *requirements: str) -> str:
        """The step that makes the environment *name*."""
        command = script("environment", venv(name), "--python", self.pythons[version], *requirements)
        return self.add(Step(f"environment {name}", command))

    def collections(self, name: str) -> str:
        """The step that gets the collections that tests use, by the Python of the environment *name*."""
        return self.add(
            Step("collections", [tool(name, "python"), "-m", "tests.tools.third_party"], (f"environment {name}",))
        )

    def newest(self, accepted: Sequence[str] = CONTROLLERS) -> str | None:
        """The newest interpreter here among *accepted*."""
        return next((version for version in reversed(list(self.pythons)) if version in accepted), None)


def script(name: str, *words: str) -> list[str]:
    """The command that runs a script of this package."""
    return [sys.executable, "-m", f"tests.tools.{name}", *words]


def venv(name: str) -> str:
    """Where the environment *name* is."""
    return os.path.join(CACHE, "venv", name)


def tool(name: str, command: str) -> str:
    """The program *command* of the environment *name*."""
    return os.path.join(venv(name), "bin", command)


def pytest(name: str, *words: str) -> list[str]:
    """The command that runs tests with the environment *name*."""
    return [tool(name, "python"), "-m", "pytest", "-p", "no:cacheprovider", "--tb=short", *words]


def controller(plan: Plan, name: str) -> str | None:
    """The newest interpreter that runs ansible-core; without one nothing of *name* can be shown, which is a failure."""
    version = plan.newest()
    if version is None:
        plan.leave_out(name, f"needs one of Python {', '.join(CONTROLLERS)}", fatal=True)
    return version


def root(plan: Plan, name: str) -> bool:
    """Whether this is root, who may make network namespaces; says so where it is not, and in CI that is a failure."""
    if os.geteuid() == 0:
        return True
    plan.leave_out(name, "needs root, for network namespaces", fatal=in_ci())
    return False


def in_ci() -> bool:
    """Whether all that can be shown has to be shown."""
    return bool(os.environ.get("CI"))


def lint(plan: Plan) -> None:
    """Everything that reads the sources."""
    version = controller(plan, "lint")
    if version is None:
        return
    need = (plan.environment("lint", version, RUNTIME, UNIT, LINT), plan.collections("lint"))
    paths = os.pathsep.join((COLLECTIONS, third_party.DIRECTORY))
    collections = {"ANSIBLE_COLLECTIONS_PATH": paths, "ANSIBLE_HOME": os.path.join(CACHE, "ansible")}
    searchable = {**collections, "PATH": os.path.join(venv("lint"), "bin") + os.pathsep + os.environ["PATH"]}
    for check, command, env in (
        ("ruff check", ["ruff", "check", "."], {}),
        ("ruff format", ["ruff", "format", "--check", "."], {}),
        ("mypy", ["mypy", "--no-incremental", *(word for name in TYPED for word in ("-p", f"{PACKAGE}.{name}"))], {}),
        ("yamllint", ["yamllint", "--strict", "."], {}),
        ("ansible-lint", ["ansible-lint", "--profile", "production", "--offline", "--strict"], searchable),
        ("reuse", ["reuse", "lint", "--quiet"], {}),
        ("changelog", ["antsibull-changelog", "lint"], searchable),
        (
            "docs",
            [
                "antsibull-docs",
                "lint-collection-docs",
                "--plugin-docs",
                "--validate-collection-refs",
                "all",
                "--disallow-unknown-collection-refs",
                ".",
            ],
            searchable,
        ),
        (
            "build",
            ["ansible-galaxy", "collection", "build", "--force", "--output-path", os.path.join(CACHE, "dist")],
            collections,
        ),
    ):
        plan.add(Step(check, [tool("lint", command[0]), *command[1:]], need, env))
    reference = [tool("lint", "python"), "-m", "tests.tools.reference", "--check"]
    plan.add(Step("reference", reference, need, {"PYTHONPATH": COLLECTIONS}))


def site(plan: Plan) -> None:
    """The documentation, as antsibull-docs and Sphinx make a site of it."""
    version = controller(plan, "site")
    if version is None:
        return
    need = plan.environment("docs", version, RUNTIME, DOCS)
    plan.add(Step("site", script("docs", os.path.join(venv("docs"), "bin")), (need,)))


def unit(plan: Plan) -> None:
    """Target-side tests on every Python, controller-side tests where ansible-core can be installed."""
    for version in SUPPORTED:
        if version not in plan.pythons:
            plan.leave_out(f"unit {version}", "no such interpreter here")
    for version in plan.pythons:
        controller = version in CONTROLLERS
        need = plan.environment(version, version, UNIT, *([RUNTIME] if controller else []))
        paths = ["tests/unit"] if controller else ["tests/unit/plugins/module_utils"]
        plan.add(Step(f"unit {version}", pytest(version, *paths), (need,), loud=True))


def fuzz(plan: Plan) -> None:
    """Every parser of foreign data, for a few seconds each."""
    version = controller(plan, "fuzz")
    if version is None:
        return
    need = plan.environment("fuzz", version, RUNTIME, FUZZ)
    command = [tool("fuzz", "python"), "-m", "tests.fuzz", "--seconds", FUZZ_SECONDS]
    plan.add(Step("fuzz", command, (need,)))


def project(plan: Plan) -> None:
    """The whole as its users get it: the documents, the archive, make audit in a fresh copy."""
    version = controller(plan, "project")
    if version is None:
        return
    need = plan.environment("project", version, UNIT, RUNTIME, PROJECT)
    plan.add(Step("project", pytest("project", "tests/project"), (need,), loud=True))
    need = plan.environment("importer", version, RUNTIME, IMPORTER)
    plan.add(Step("galaxy-importer", script("importer", os.path.join(venv("importer"), "bin")), (need,)))


def page(plan: Plan) -> None:
    """The report's page in a browser, and what axe-core says about it."""
    version = controller(plan, "page")
    lacking = [name for name, there in (("chromium", browser.program()), ("npm", shutil.which("npm"))) if not there]
    if version is None:
        return
    if lacking:
        plan.leave_out("page", f"needs {' and '.join(lacking)}", fatal=bool(os.environ.get("CI")))
        return
    need = plan.environment(version, version, UNIT, RUNTIME)
    fetched = plan.add(Step("npm", script("npm")))
    plan.add(Step("page", pytest(version, "tests/page"), (need, fetched), loud=True))


def core_python(plan: Plan, core: str, name: str) -> str | None:
    """The interpreter to run ansible-core *core* with; says so where there is none."""
    version = plan.newest(CORES[core])
    if version is None:
        plan.leave_out(name, f"needs one of Python {', '.join(CORES[core])}")
    return version


def targets(plan: Plan) -> None:
    """The modules for real: each ansible-core against each Python that it accepts on a target."""
    for core in CORES:
        name = f"targets {core}"
        version = core_python(plan, core, name)
        if version is None:
            continue
        need = plan.environment(f"core-{core}", version, f"ansible-core=={core}.*", "jmespath", "netaddr")
        lowest = environment.number(LOWEST_TARGET[core])
        hosts = [f"{each}={path}" for each, path in plan.pythons.items() if environment.number(each) >= lowest]
        plan.add(Step(name, script("targets", core, os.path.join(venv(f"core-{core}"), "bin"), *hosts), (need,)))


def sanity(plan: Plan) -> None:
    """ansible-test sanity, every test of every supported ansible-core."""
    for core in CORES:
        name = f"sanity {core}"
        version = core_python(plan, core, name)
        if version is None:
            continue
        need = plan.environment(f"core-{core}", version, f"ansible-core=={core}.*", "jmespath", "netaddr")
        plan.add(Step(name, script("sanity", core, os.path.join(venv(f"core-{core}"), "bin")), (need,)))


def molecule(plan: Plan) -> None:
    """The playbooks on containers of three releases, with systemd and sshd."""
    version = controller(plan, "molecule")
    if version is None or not root(plan, "molecule"):
        return
    wanted = [release for release in images.RELEASES if not os.environ.get(images.variable(release))]
    programs = CONTAINER_PROGRAMS + (("mmdebstrap",) if wanted else ())
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        plan.leave_out(
            "molecule", f"needs {', '.join(missing)}; on Debian: apt-get install podman runc mmdebstrap", in_ci()
        )
        return
    need = [plan.environment("molecule", version, RUNTIME, MOLECULE), plan.collections("molecule")]
    need += [plan.add(Step(f"image {release}", script("images", release))) for release in wanted]
    plan.add(Step("molecule", [tool("molecule", "python"), "-m", "tests.tools.scenarios"], tuple(need)))


def lab(plan: Plan) -> None:
    """Real faults in network namespaces."""
    version = controller(plan, "lab")
    if version is None or not root(plan, "lab"):
        return
    need = (plan.environment(version, version, UNIT, RUNTIME), plan.collections(version))
    env = {"ANSIBLE_COLLECTIONS_PATH": third_party.DIRECTORY}
    plan.add(Step("lab", script("lab", tool(version, "python")), need, env, alone=True, loud=True))


def bench(plan: Plan) -> None:
    """The speed goals, in as few rounds as tell something. The scripts have options for more."""
    version = controller(plan, "bench")
    if version is None or not root(plan, "bench"):
        return
    need = (plan.environment(version, version, UNIT, RUNTIME), plan.collections(version))
    env = {"PYTHONPATH": COLLECTIONS, "ANSIBLE_COLLECTIONS_PATH": third_party.DIRECTORY}
    python = tool(version, "python")
    for name, words in BENCHES.items():
        command = [python, os.path.join("tests", "bench", words[0]), *words[1:]]
        plan.add(Step(f"bench {name}", command, need, env, alone=True, loud=True, goal=True))


CHECKS = {
    "lint": lint,
    "site": site,
    "unit": unit,
    "fuzz": fuzz,
    "project": project,
    "page": page,
    "targets": targets,
    "sanity": sanity,
    "molecule": molecule,
    "lab": lab,
    "bench": bench,
}


class Runner:
    """Runs steps as many at a time as there are processors, each as soon as what it needs is there."""

    def __init__(self, steps: list[Step]) -> None:
        self.waiting = list(steps)
        self.results: dict[str, Result] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def run(self) -> list[Result]:
        """Run everything; the results in the order of their end."""
        running: dict[Future[Result], Step] = {}
        slots = max(2, os.cpu_count() or 1)
        with ThreadPoolExecutor(slots) as pool:
            try:
                while self.waiting or running:
                    for step in self._startable(list(running.values()), slots):
                        self.waiting.remove(step)
                        running[pool.submit(self._execute, step)] = step
                    done = wait(running, return_when=FIRST_COMPLETED).done
                    for future in done:
                        self._finish(running.pop(future), future.result())
            except BaseException:
                self._stop()
                raise
        return list(self.results.values())

    def _startable(self, running: list[Step], slots: int) -> list[Step]:
        for step in list(self.waiting):
            broken = [name for name in step.needs if name in self.results and self.results[name].verdict != OK]
            if broken:
                self.waiting.remove(step)
                self._finish(step, Result(step.name, FAILED, 0.0, f"not run: {broken[0]} failed"))
        ready = [step for step in self.waiting if all(name in self.results for name in step.needs)]
        together = [step for step in ready if not step.alone]
        if any(step.alone for step in running):
            return []
        if together or running:
            return together[: slots - len(running)]
        return ready[:1]

    def _execute(self, step: Step) -> Result:
        started = time.monotonic()
        with open(log(step), "wb") as file:
            process = subprocess.Popen(
                step.command,
                cwd=ROOT,
                env={**os.environ, "NO_COLOR": "1", **step.env},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self.processes[step.name] = process
            code = process.wait()
        verdict = OK if code == 0 else MISSED if code == 1 and step.goal else FAILED
        return Result(step.name, verdict, time.monotonic() - started, summary(step))

    def _finish(self, step: Step, result: Result) -> None:
        self.results[step.name] = result
        print(f"{result.verdict:8} {result.name:20} {result.seconds:6.1f} s  {result.detail}", flush=True)
        if result.seconds and (step.loud or result.verdict != OK):
            with open(log(step), encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
            if len(lines) > SHOWN_LINES:
                print(f"    | the first {len(lines) - SHOWN_LINES} lines are in {os.path.relpath(log(step), ROOT)}")
            print("\n".join(f"    | {line}" for line in lines[-SHOWN_LINES:]), flush=True)

    def _stop(self) -> None:
        """End what still runs, with everything that it started."""
        self.waiting.clear()
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)


def log(step: Step) -> str:
    """Where the output of *step* goes."""
    return os.path.join(CACHE, "log", step.name.replace(" ", "-") + ".log")


def summary(step: Step) -> str:
    """The line of the output that tells most: pytest's last one, else the last one there is."""
    with open(log(step), encoding="utf-8", errors="replace") as file:
        lines = [line.strip() for line in file if line.strip()]
    for line in reversed(lines):
        if _SUMMARY.search(line):
            return line.strip("= ")
    return lines[-1][:100] if lines else ""


def prepare() -> None:
    """The folders of a run, and the collection under its own name for imports."""
    os.makedirs(os.path.join(CACHE, "log"), exist_ok=True)
    os.makedirs(os.path.join(CACHE, "dist"), exist_ok=True)
    if not os.path.lexists(LINK):
        os.makedirs(os.path.dirname(LINK), exist_ok=True)
        os.symlink(os.path.relpath(ROOT, os.path.dirname(LINK)), LINK)


def main() -> int:
    """Run the areas that are named on the command line."""
    areas = sys.argv[1:] or list(CHECKS)
    unknown = [area for area in areas if area not in CHECKS]
    if unknown:
        print(f"no such area: {unknown[0]}; there are {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    # Ended from outside, what it has started ends as well.
    signal.signal(signal.SIGTERM, lambda *__: sys.exit(128 + signal.SIGTERM))
    prepare()
    plan = Plan()
    for area in areas:
        CHECKS[area](plan)
    started = time.monotonic()
    results = Runner(plan.steps).run() + plan.left_out
    print(f"\n{'check':20} {'verdict':8} {'time':>8}  said")
    for result in results:
        print(f"{result.name:20} {result.verdict:8} {result.seconds:6.1f} s  {result.detail}")
    counts = Counter(result.verdict for result in results)
    total = ", ".join(f"{counts[verdict]} {verdict}" for verdict in (OK, FAILED, MISSED, LEFT_OUT))
    print(f"\n{total}, in {time.monotonic() - started:.0f} s")
    return 1 if counts[FAILED] or (counts[MISSED] and areas == ["bench"]) else 0


if __name__ == "__main__":
    sys.exit(main())
