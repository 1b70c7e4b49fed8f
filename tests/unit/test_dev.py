"""``dev.py`` and its alias, the Makefile: what they promise before and around the tools that they run."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import dev
from tests.support import wait_until

ROOT = Path(dev.__file__).parent


def run_dev(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """``dev.py`` as a user runs it."""
    return subprocess.run(
        [sys.executable, str(ROOT / "dev.py"), *words],
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
        timeout=30,
    )


def make(*words: str) -> str:
    """The commands that ``make`` would run, also when it is a ``make`` that runs these tests."""
    inherited = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", *dev.VARIABLES}
    return subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "-C", str(ROOT), "PYTHON=python3", *words],
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if name not in inherited},
    ).stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder of its own, with this ``dev.py`` and an environment that it holds for finished."""
    shutil.copy(ROOT / "dev.py", tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "requirements.lock").write_text("")
    bin_dir = tmp_path / ".venv" / "bin"
    bin_dir.mkdir(parents=True)
    (bin_dir / "python").symlink_to(sys.executable)
    files = (tmp_path / "requirements.lock", tmp_path / "pyproject.toml")
    stamp = dev.fingerprint(files, sys.version, str(tmp_path.resolve()))
    (tmp_path / ".venv" / ".dev-stamp").write_text(stamp)
    return tmp_path


def put_tool(project: Path, name: str, code: str) -> None:
    """A tool of the environment that runs this Python code."""
    tool = project / ".venv" / "bin" / name
    tool.write_text(f"#!{sys.executable}\n{code}\n")
    tool.chmod(0o755)


@contextmanager
def started(project: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """``dev.py`` running in a process group of its own, as in a terminal, and certainly ended."""
    process = subprocess.Popen(
        [sys.executable, str(project / "dev.py"), *words],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with process:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


class TestStamp:
    def test_the_same_files_and_facts_give_the_same_fingerprint(self, tmp_path: Path) -> None:
        """An environment that is up to date is left alone."""
        lock = tmp_path / "lock"
        lock.write_text("celery==5.7.0")
        assert dev.fingerprint([lock], "3.11", "/x") == dev.fingerprint([lock], "3.11", "/x")

    def test_each_part_counts(self, tmp_path: Path) -> None:
        """Another lock, another Python or another folder makes the environment again."""
        lock = tmp_path / "lock"
        lock.write_text("celery==5.7.0")
        before = dev.fingerprint([lock], "3.11", "/x")
        assert dev.fingerprint([lock], "3.12", "/x") != before
        assert dev.fingerprint([lock], "3.11", "/y") != before
        lock.write_text("celery==5.7.1")
        assert dev.fingerprint([lock], "3.11", "/x") != before

    def test_text_that_moves_from_one_part_to_the_next_counts(self, tmp_path: Path) -> None:
        """Parts do not run into each other."""
        assert dev.fingerprint([], "ab", "c") != dev.fingerprint([], "a", "bc")

    def test_a_ready_environment_needs_no_tool_chain(self, project: Path) -> None:
        """The second run starts no pip and no uv: it works where neither is to be found."""
        done = subprocess.run(
            [sys.executable, str(project / "dev.py"), "setup"],
            capture_output=True,
            text=True,
            env={"PATH": ""},
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[0] == "dev: python --version"

    def test_a_changed_lock_is_noticed(self, project: Path) -> None:
        """Without uv and pip the set-up that is due then fails, and says what to install."""
        (project / "requirements.lock").write_text("celery==5.7.0\n")
        tools = project / ".venv" / "bin"
        # A Python of a bare virtual environment has no pip of its own.
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(project / "bare")], check=True)
        done = subprocess.run(
            [str(project / "bare" / "bin" / "python"), str(project / "dev.py"), "setup"],
            capture_output=True,
            text=True,
            env={"PATH": ""},
        )
        assert done.returncode == 1
        assert "There is no pip to fetch it with" in done.stderr
        assert "Install uv, or pip" in done.stderr
        assert tools.exists()


class TestParse:
    def test_variables(self) -> None:
        """``make demo PLAN=file.json ACTIONS=my.module`` arrives as a target and its variables."""
        assert dev.parse(["demo", "PLAN=a b.json", "ACTIONS=my.module"]) == (
            "demo",
            {"PLAN": "a b.json", "ACTIONS": "my.module"},
        )

    def test_a_value_may_contain_an_equals_sign(self) -> None:
        """Only the first one separates."""
        assert dev.parse(["test", "ARGS=--timeout=5"]) == ("test", {"ARGS": "--timeout=5"})

    def test_an_empty_value_is_none(self) -> None:
        """``make test ARGS=`` is ``make test``."""
        assert dev.parse(["test", "ARGS="]) == ("test", {})

    def test_nothing_is_help(self) -> None:
        """``python3 dev.py`` alone says what there is."""
        assert dev.parse([]) == ("help", {})

    @pytest.mark.parametrize("words", [["deploy"], ["test", "COLOUR=1"], ["test", "-k"], ["test", "ARGS"]])
    def test_unknown_words_are_refused_with_what_is_known(self, words: list[str]) -> None:
        """A mistyped target or variable does nothing but say so."""
        done = run_dev(*words)
        assert done.returncode == 1
        assert repr(words[-1]) in done.stderr
        assert "check" in done.stderr or "ARGS=value" in done.stderr

    def test_arguments_are_split_as_a_shell_does(self) -> None:
        """``ARGS="-k 'a or b'"`` is two words."""
        assert dev.commands("test", {"ARGS": "-k 'a or b'"}) == [[*dev.TEST.split()[:-1], "-k", "a or b"]]

    def test_demo_takes_the_plan_from_where_the_user_stands(self) -> None:
        """Tools run in the project's folder, so a relative plan is made absolute first."""
        [command] = dev.commands("demo", {"PLAN": "plan.json", "ACTIONS": "my.module"})
        assert command == ["workflow-state", "demo", str(Path.cwd() / "plan.json"), "--actions", "my.module"]

    def test_check_is_the_static_checks_and_then_what_test_runs(self) -> None:
        """What CI runs is what a developer runs."""
        commands = dev.commands("check", {"ARGS": "-x"})
        assert commands[-1] == dev.commands("test", {"ARGS": "-x"})[0]
        parts = [part for target in ("lint", "typecheck", "imports", "docs") for part in dev.commands(target, {})]
        assert commands[:-1] == parts


class TestPython:
    @pytest.mark.parametrize("version", [(3, 7, 0), (3, 9, 18), (3, 10, 13), (2, 7, 18)])
    def test_an_old_python_is_refused(self, version: tuple[int, int, int]) -> None:
        """The message names the version that was found, the one that is needed, and what to type."""
        with pytest.raises(dev.DevError, match=re.escape(".".join(map(str, version)))) as refused:
            dev.require_python(version)
        assert "make PYTHON=python3.11" in str(refused.value)

    @pytest.mark.parametrize("version", [(3, 11, 0), (3, 14, 1), (4, 0, 0)])
    def test_a_new_one_is_not(self, version: tuple[int, int, int]) -> None:
        """3.11 and everything after it."""
        dev.require_python(version)

    def test_an_old_python_can_read_the_file(self) -> None:
        """Else the answer would be a SyntaxError."""
        ast.parse((ROOT / "dev.py").read_text(), feature_version=(3, 7))

    def test_the_pythons_are_those_of_the_package(self) -> None:
        """``dev.py`` and ``pyproject.toml`` say the same, of the oldest and of all that are supported."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        classifiers = "\n".join(project["classifiers"])
        assert tuple(re.findall(r"Python :: (3\.\d+)$", classifiers, re.MULTILINE)) == dev.PYTHONS
        assert project["requires-python"] == ">=" + ".".join(map(str, dev.OLDEST_PYTHON))


class TestTargets:
    def test_help_lists_every_target_and_variable(self) -> None:
        """One line each, with what it does."""
        done = run_dev("help")
        assert done.returncode == 0
        for name, meaning in {**dev.TARGETS, **dev.VARIABLES}.items():
            assert re.search(rf"^  {name} +{re.escape(meaning)}$", done.stdout, re.MULTILINE)

    def test_every_target_does_something(self) -> None:
        """A target is run by a function of its own or has commands."""
        assert set(dev.TARGETS) == set(dev.COMMANDS) | set(dev.SYSTEM) | {"help", "pythons", "lock", "clean"}

    def test_the_makefile_has_the_same_targets(self) -> None:
        """The Makefile is an alias: it knows no more and no less."""
        [line] = re.findall(r"^TARGETS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert line.split() == list(dev.TARGETS)

    def test_make_alone_is_make_help(self) -> None:
        """Nothing is installed by a curious ``make``."""
        assert make() == "python3 dev.py help"

    def test_make_passes_variables_on_as_they_were_written(self) -> None:
        """Quotes and spaces survive the shell."""
        line = make("test", "ARGS=-k 'a or b' --x=\"1\"", "PLAN=a b.json")
        echoed = subprocess.run(
            ["sh", "-c", line.replace("python3 dev.py", "printf '%s\\n'")], capture_output=True, text=True
        )
        assert echoed.stdout.splitlines() == ["test", "PLAN=a b.json", "ARGS=-k 'a or b' --x=\"1\""]

    def test_the_exit_code_is_the_tools_and_the_first_failure_ends_it(self, project: Path) -> None:
        """``check`` stops at ruff when ruff complains."""
        put_tool(project, "ruff", "raise SystemExit(7)")
        done = subprocess.run([sys.executable, str(project / "dev.py"), "check"], capture_output=True, text=True)
        assert done.returncode == 7
        assert done.stdout == "dev: ruff check .\n"


class TestBrowser:
    def run(self, project: Path, *, found: list[str]) -> subprocess.CompletedProcess[str]:
        """``dev.py browser`` where nothing but these commands is on the path; each does nothing but succeed."""
        tools = project / "tools"
        tools.mkdir()
        for name in found:
            (tools / name).write_text(f"#!/bin/sh\necho {name} $@ >> {tools}/log\n")
            (tools / name).chmod(0o755)
        command = [sys.executable, str(project / "dev.py"), "browser"]
        return subprocess.run(command, capture_output=True, text=True, env={"PATH": str(tools)}, timeout=30)

    def test_nothing_is_installed_twice(self, project: Path) -> None:
        """Where browser and driver are, ``browser`` says so and touches nothing."""
        done = self.run(project, found=["chromium", "chromedriver", "apt-get"])
        assert (done.returncode, done.stdout) == (0, "dev: there already: chromium, chromedriver\n")
        assert not (project / "tools" / "log").exists()

    def test_it_says_what_it_would_need(self, project: Path) -> None:
        """Without apt nothing can be installed: the message names what is missing and the way out."""
        done = self.run(project, found=["chromium"])
        assert done.returncode == 1
        assert "chromium-driver cannot be installed here: it needs apt-get and root" in done.stderr

    @pytest.mark.skipif(os.geteuid() != 0, reason="installing a package takes root")
    def test_only_what_is_missing_is_installed(self, project: Path) -> None:
        """apt is asked for the package of the missing command, after its lists are read."""
        done = self.run(project, found=["chromium", "apt-get"])
        assert done.returncode == 0, done.stderr
        assert (project / "tools" / "log").read_text().splitlines() == [
            "apt-get update -qq",
            "apt-get install -qq --no-install-recommends chromium-driver",
        ]


class TestSignals:
    # Blocked and waited for, so that a signal that comes early is kept.
    TOOL = (
        "import signal, sys\n"
        "signals = {signal.SIGINT, signal.SIGTERM}\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, signals)\n"
        "print('started', flush=True)\n"
        "print('ended by', signal.Signals(signal.sigwait(signals)).name, flush=True)\n"
        "sys.exit(9)"
    )

    @pytest.mark.parametrize(("number", "to_group"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
    def test_the_tool_ends_in_its_own_way(self, project: Path, number: signal.Signals, to_group: bool) -> None:
        """Ctrl-C reaches the tool, SIGTERM is passed on; the tool is waited for, its exit code is kept."""
        put_tool(project, "mypy", self.TOOL)
        with started(project, "typecheck") as process:
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(2)] == ["dev: mypy\n", "started\n"]
            if to_group:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
            assert process.stdout.read() == f"ended by {number.name}\n"
            assert wait_until(lambda: process.poll(), message="dev.py ends") == 9


class TestPythons:
    def test_it_says_which_it_does_not_find(self, project: Path) -> None:
        """A shim without its version counts as not there; with no supported Python at all nothing is made."""
        tools = project / "tools"
        tools.mkdir()
        (tools / "python3.12").write_text("#!/bin/sh\nexit 127\n")
        (tools / "python3.12").chmod(0o755)
        command = [sys.executable, str(project / "dev.py"), "pythons"]
        done = subprocess.run(command, env={"PATH": str(tools)}, capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stdout == f"dev: found no supported Python; not on PATH: {', '.join(dev.PYTHONS)}\n"
        assert "put one of python3.11" in done.stderr
        assert not (project / "build").exists()


class TestLock:
    def test_it_names_no_place(self) -> None:
        """No index address and no path: the lock is the same wherever it is made."""
        text = (ROOT / "requirements.lock").read_text()
        assert not re.search(r"://|--index|--extra-index|--find-links|file:|/home/|/root/|/tmp/", text)

    def test_it_has_every_dependency_of_the_project_with_hashes(self) -> None:
        """All groups and extras, so that tests, checks and the build need nothing else."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        groups = project["dependency-groups"]
        included = {entry["include-group"] for entry in groups["dev"] if isinstance(entry, dict)}
        assert included == set(groups) - {"dev"}
        wanted = [
            *project["project"]["dependencies"],
            *(word for extra in project["project"]["optional-dependencies"].values() for word in extra),
            *(word for group in groups.values() for word in group if isinstance(word, str)),
        ]
        text = (ROOT / "requirements.lock").read_text()
        locked = set(re.findall(r"^([a-z0-9.-]+)(?:\[[a-z,]+\])?==[^\n]*\\\n    --hash=sha256:", text, re.MULTILINE))
        assert {re.split(r"[\[<>=]", word)[0] for word in wanted} <= locked
