#!/usr/bin/env python3
"""Set up and run everything in this project: ``python3 dev.py help`` lists what it can do.

It needs Python 3.11+ and nothing else, so that a fresh clone runs at once: it finds or fetches ``uv``, makes
``.venv`` with exactly the packages of ``requirements.lock``, and installs the project there. A stamp keeps
what that was done for, so that later runs start without it. The Makefile is an alias of this file.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TOOLS = ROOT / ".tools"
VENV = ROOT / ".venv"
BIN, STAMP = VENV / "bin", VENV / ".dev-stamp"
BUILD = ROOT / "build"
LOCK, PYPROJECT = ROOT / "requirements.lock", ROOT / "pyproject.toml"
OLDEST_PYTHON = (3, 11)
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
UV = "uv>=0.9,<1"
TARGETS = {
    "help": "list these targets",
    "setup": "make .venv with what the other targets need; they do it themselves, too",
    "demo": "run an example plan on a real worker and watch it; PLAN and ACTIONS for one of yours",
    "test": "run the tests",
    "pythons": "run the unit tests on every supported Python that is on PATH",
    "browser": "install Debian's chromium and its driver, for the tests of pages; needs apt and root",
    "rabbitmq": "install Debian's RabbitMQ, for the tests of events on it; needs apt and root",
    "node": "install Debian's node, on which pyright runs, for the tests of the public types; needs apt and root",
    "chaos": "kill workers and servers under running plans, with 20 seeds; twenty minutes",
    "lint": "ruff: rules and formatting",
    "typecheck": "mypy, strict",
    "imports": "import-linter: the layers of the architecture",
    "docs": "build the documentation strictly, into build/docs",
    "check": "lint, typecheck, imports, docs, test: what CI runs",
    "format": "let ruff repair what it can, and format",
    "bench": "measure the engine against raw Celery tasks and beside eight other systems; twenty minutes",
    "lock": "write requirements.lock anew from pyproject.toml; ARGS=--upgrade for newer versions",
    "clean": "remove environment, tools and caches",
}
VARIABLES = {
    "PLAN": "a plan file, for demo",
    "ACTIONS": "the module that defines the plan's actions, for demo",
    "ARGS": 'more arguments for the tool, as in: make test ARGS="-k name"',
}
# Every warning is an error: a link that leads nowhere, a name in a docstring that is not there, a page without a link.
DOCS = "sphinx-build --builder html --fail-on-warning --keep-going --quiet --fresh-env docs build/docs"
LINT = ["ruff check .", "ruff format --check ."]
#: Modules stay whole, as their fixtures are workers and servers.
TEST = "python -m pytest -n 3 --dist loadfile ARGS"
COMMANDS = {
    "setup": ["python --version"],
    "demo": ["workflow-state demo PLAN ACTIONS ARGS"],
    "test": [TEST],
    "chaos": ["python -m pytest -n 4 --dist load tests/chaos --chaos-seeds 20 ARGS"],
    "lint": LINT,
    "typecheck": ["mypy"],
    "imports": ["lint-imports"],
    "docs": [DOCS],
    "check": [*LINT, "mypy", "lint-imports", DOCS, TEST],
    "format": ["ruff check --fix .", "ruff format ."],
    "bench": ["python -m benchmarks ARGS"],
}
#: What some tests start, and the Debian package that has it.
SYSTEM = {
    "browser": {"chromium": "chromium", "chromedriver": "chromium-driver"},
    "rabbitmq": {"rabbitmqctl": "rabbitmq-server"},
    "node": {"node": "nodejs"},
}
CACHES = (".hypothesis", ".import_linter_cache", ".mypy_cache", ".pytest_cache", ".ruff_cache")


class DevError(Exception):
    """Something to tell the developer, who can do something about it."""


def say(text: str) -> None:
    """One short line per step, ahead of what the step itself prints."""
    print(f"dev: {text}", flush=True)


def run(command: Sequence[str | Path]) -> int:
    """Run a tool in the foreground and return its exit code."""
    process = subprocess.Popen([str(word) for word in command], cwd=ROOT)
    # Ctrl-C reaches the tool from the terminal, as it does us (see main); SIGTERM reaches only us.
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    code = process.wait()
    return code if code >= 0 else 128 - code


def answer(command: Sequence[str]) -> str:
    """What a command prints, or "" when there is no such command, or it fails (as the shims of pyenv do)."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def step(what: str, command: Sequence[str | Path]) -> None:
    """A step of the set-up: it has to succeed."""
    say(what)
    code = run(command)
    if code:
        raise DevError(f"{what} failed with exit code {code}; its own message is above")


def require_python(version: Sequence[int]) -> None:
    """Refuse a Python that is too old, which can read this file from 3.7 on."""
    if tuple(version[:2]) < OLDEST_PYTHON:
        found, needed = ".".join(map(str, version[:3])), ".".join(map(str, OLDEST_PYTHON))
        raise DevError(
            f"Python {needed} or newer is needed, this is {found} ({sys.executable}). "
            f"Use a newer one: `python{needed} dev.py ...` or `make PYTHON=python{needed} ...`"
        )


def fingerprint(files: Iterable[Path], *facts: str) -> str:
    """What an environment was made for; another value means that it has to be made again."""
    parts = [*(path.read_bytes() for path in files), *(fact.encode() for fact in facts)]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def install_uv() -> None:
    """Put uv into ``.tools`` by any pip there is, as uv's wheel is made for every Python."""
    say(f"fetching uv into {TOOLS.name}")
    said = "There is no pip to fetch it with."
    # --target changes nothing of the system, so its rules for packages (PEP 668) need not stop it.
    settings = {"USER": "0", "REQUIRE_VIRTUALENV": "0", "BREAK_SYSTEM_PACKAGES": "1", "NO_INPUT": "1"}
    env = {**os.environ, **{f"PIP_{name}": value for name, value in settings.items()}}
    on_path = [[path] for path in map(shutil.which, ("pip3", "pip")) if path]
    for pip in [[sys.executable, "-m", "pip"], *on_path]:
        if answer([*pip, "--version"]):
            command = [*pip, "install", "--quiet", "--upgrade", "--target", str(TOOLS), UV]
            done = subprocess.run(command, env=env, capture_output=True, text=True)
            if done.returncode == 0:
                return
            said = f"`{shlex.join(command)}` said: {done.stderr.strip()[-1500:]}"
    raise DevError(
        f"uv, which makes the environment, is not on PATH and could not be fetched. {said}\n"
        "Install uv, or pip (your system's python3-pip, or `python3 -m ensurepip`), and run this again."
    )


def find_uv() -> str:
    """The uv on PATH, else the one in ``.tools``, fetched when it is not there yet."""
    own = str(TOOLS / "bin" / "uv")
    for uv in (shutil.which("uv"), own):
        if uv and answer([uv, "--version"]):
            return uv
    install_uv()
    return own


def ensure_environment() -> None:
    """Make ``.venv`` what ``requirements.lock`` and ``pyproject.toml`` say, unless it is already."""
    wanted = fingerprint((LOCK, PYPROJECT), sys.version, str(ROOT))
    if STAMP.exists() and STAMP.read_text() == wanted and (BIN / "python").exists():
        return
    uv = find_uv()
    # Without a stamp the last set-up did not end; what it left may look more complete than it is.
    python = answer([str(BIN / "python"), "-c", "import sys; print(sys.version)"]) if STAMP.exists() else ""
    STAMP.unlink(missing_ok=True)
    if python != sys.version:
        shutil.rmtree(VENV, ignore_errors=True)
        step("making .venv", [uv, "venv", "--quiet", "--python", sys.executable, VENV])
    install(uv, BIN / "python")
    STAMP.write_text(wanted)


def install(uv: str, python: Path) -> None:
    """Put the locked packages and the project into the environment of a Python."""
    into = ["--quiet", "--python", str(python)]
    locked = ["--require-hashes", "--compile-bytecode", str(LOCK)]
    step("installing the locked packages", [uv, "pip", "sync", *into, *locked])
    project = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    step("installing the project", [uv, "pip", "install", *into, *project])


def test_on_pythons(arguments: Sequence[str]) -> int:
    """Run the unit tests on every supported Python there is; the exit code is that of the first that fails."""
    # A shim may be on PATH for a version that is not installed.
    found = {v: shutil.which(f"python{v}") for v in PYTHONS if answer([f"python{v}", "--version"])}
    missing = [version for version in PYTHONS if version not in found]
    say(f"found {', '.join(found) or 'no supported Python'}; not on PATH: {', '.join(missing) or 'none'}")
    if not found:
        raise DevError(f"put one of {', '.join(f'python{version}' for version in PYTHONS)} on PATH")
    uv = find_uv()
    for version, path in found.items():
        venv = BUILD / f"python{version}"
        step(f"making {venv.relative_to(ROOT)}", [uv, "venv", "--quiet", "--clear", "--python", str(path), venv])
        install(uv, venv / "bin" / "python")
        say(f"unit tests on Python {version}")
        code = run([venv / "bin" / "python", "-m", "pytest", "tests/unit", "-q", *arguments])
        if code:
            return code
    return 0


def show_help() -> None:
    """Print every target and variable."""
    print("usage: make TARGET [VARIABLE=value], or: python3 dev.py TARGET [VARIABLE=value]\n")
    for name, meaning in {**TARGETS, **VARIABLES}.items():
        print(f"  {name:10} {meaning}")


def lock(arguments: Sequence[str]) -> None:
    """Resolve every extra and group for every platform, and look that nothing of this machine got in."""
    scope = ["--universal", "--python-version", "3.11", "--all-extras", "--group", "dev"]
    form = ["--quiet", "--generate-hashes", "--custom-compile-command", "python3 dev.py lock"]
    step("locking", [find_uv(), "pip", "compile", PYPROJECT.name, *scope, *form, "-o", LOCK.name, *arguments])
    foreign = ("://", "--index", "--find-links", str(ROOT), str(Path.home()))
    found = [text for text in foreign if text in LOCK.read_text()]
    if found:
        raise DevError(f"{LOCK.name} contains {found}: no address and no path of this machine may be in it")


def clean() -> None:
    """Remove what this file and its tools made, and nothing else."""
    for path in (TOOLS, VENV, BUILD, *(ROOT / name for name in CACHES), *ROOT.rglob("__pycache__")):
        shutil.rmtree(path, ignore_errors=True)


def install_system(target: str) -> None:
    """Put what a target names on the system by Debian's packages, unless it is there.

    Nothing that anybody is surprised by: it is asked for by name, as tests that need it say when they skip, and
    by CI.
    """
    wanted = SYSTEM[target]
    # Debian has servers where only root looks.
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    missing = [package for command, package in wanted.items() if not shutil.which(command, path=path)]
    if not missing:
        say(f"there already: {', '.join(wanted)}")
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise DevError(
            f"{' and '.join(missing)} cannot be installed here: it needs apt-get and root. "
            f"Install {' and '.join(wanted)} by the system's own means; the tests look for them on PATH"
        )
    # A server's package would start it; the tests start one of their own.
    os.environ.update(DEBIAN_FRONTEND="noninteractive", RUNLEVEL="1")
    step("reading the lists of packages", ["apt-get", "update", "-qq"])
    step(f"installing {', '.join(missing)}", ["apt-get", "install", "-qq", "--no-install-recommends", *missing])


def commands(target: str, given: Mapping[str, str]) -> list[list[str]]:
    """The tools that a target runs, one after the other; the words in capitals are filled in."""
    values = {
        "ARGS": shlex.split(given.get("ARGS", "")),
        "PLAN": [os.path.abspath(given["PLAN"])] if "PLAN" in given else [],
        "ACTIONS": ["--actions", given["ACTIONS"]] if "ACTIONS" in given else [],
    }
    lines = [line.split() for line in COMMANDS[target]]
    return [[word for part in line for word in values.get(part, [part])] for line in lines]


def run_target(target: str, given: Mapping[str, str]) -> int:
    """Run one target; the exit code is that of the first tool that fails."""
    if target == "help":
        show_help()
    elif target == "clean":
        clean()
    elif target in SYSTEM:
        install_system(target)
    elif target == "pythons":
        return test_on_pythons(shlex.split(given.get("ARGS", "")))
    elif target == "lock":
        lock(shlex.split(given.get("ARGS", "")))
    else:
        ensure_environment()
        for command in commands(target, given):
            say(shlex.join(command))
            code = run([BIN / command[0], *command[1:]])
            if code:
                return code
    return 0


def parse(words: Sequence[str]) -> tuple[str, dict[str, str]]:
    """``["test", "ARGS=-x"]`` as ``("test", {"ARGS": "-x"})``; no target means ``help``."""
    target, *rest = words or ["help"]
    if target not in TARGETS:
        raise DevError(f"there is no target {target!r}; there are: {', '.join(TARGETS)}")
    given = {}
    for word in rest:
        name, equals, value = word.partition("=")
        if not equals or name not in VARIABLES:
            raise DevError(f"{word!r} is not one of: {', '.join(f'{known}=value' for known in VARIABLES)}")
        if value:
            given[name] = value
    return target, given


def main(words: Sequence[str]) -> int:
    """Run one target; the exit code is the tool's, or 1 when it did not come to that."""
    # The tool in the foreground gets Ctrl-C as well; how it ends, and its exit code, is what counts.
    signal.signal(signal.SIGINT, lambda *_: None)
    # A company's certificate authority is known to the system, not to the list that uv carries.
    if ssl.get_default_verify_paths().cafile:
        os.environ.setdefault("UV_SYSTEM_CERTS", "1")
    try:
        require_python(sys.version_info[:3])
        return run_target(*parse(words))
    except DevError as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
