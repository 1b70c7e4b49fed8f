"""The command line as people and scripts use it: in a terminal, and with its output in a pipe."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.cli.processes import COMMAND, Terminal, environment, run, terminal
from tests.workers import Site
from workflow_state import StateManager
from workflow_state.cli import main

APP = "tests.integration.apps.own_app"


class CommandLine:
    """Calls of ``workflow-state -A own_app …``, each in a process of its own."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.manager = StateManager(site.app)
        self.env = environment(REDIS_URL=site.url)
        self.cwd = Path(tempfile.gettempdir())

    def piped(self, *words: str, stdin: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end with its output in pipes; it has to end with ``code``."""
        return self.typed([*COMMAND, "-A", APP, *words], stdin=stdin, code=code)

    def typed(self, command: list[str], *, stdin: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run any command so."""
        done = run(command, cwd=self.cwd, env=self.env, stdin=stdin)
        assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        assert "\x1b" not in done.stdout, "no colours or cursor movements in a pipe"
        return done

    def json(self, *words: str, stdin: str = "", code: int = 0) -> Any:
        """The JSON document that a command prints."""
        return json.loads(self.piped(*words, "--json", stdin=stdin, code=code).stdout)

    def lines(self, *words: str, stdin: str = "", code: int = 0) -> list[Any]:
        """The JSON documents that a command prints, one a line."""
        return [json.loads(line) for line in self.piped(*words, "--json", stdin=stdin, code=code).stdout.splitlines()]

    def refused(self, *words: str, stdin: str = "", code: int) -> str:
        """What a command that fails says; it prints nothing else.

        In this process: that errors leave other processes in the same way, ``test_app_option`` sees to.
        """
        globals()["app"] = self.site.app
        done = CliRunner().invoke(main, ["-A", f"{__name__}:app", *words], input=stdin)
        assert done.exit_code == code, f"{done.exit_code}: {done.output}"
        assert done.stdout == ""
        return done.stderr

    @contextmanager
    def terminal(self, *words: str) -> Iterator[Terminal]:
        """Start a command in a terminal."""
        with terminal([*COMMAND, "-A", APP, *words], cwd=self.cwd, env=self.env) as shown:
            yield shown

    def shown(self, *words: str, code: int = 0) -> str:
        """What a command draws in a terminal until it ends, which has to be with ``code``."""
        with self.terminal(*words) as shown:
            ended = shown.wait_end()
            assert ended == code, f"{ended}: {shown.text}"
            assert "Traceback" not in shown.text
            return shown.text

    def hint(self, *words: str) -> str:
        """A command as the command line suggests it: it can be copied."""
        return " ".join(["python -m workflow_state -A", APP, *words])
