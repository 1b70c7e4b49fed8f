"""``configure_logging`` in a process that is no worker: each test runs one, since logging is a process's own."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from workflow_state import ConfigurationError, configure_logging
from workflow_state.runtime.worker_logs import load_function
from workflow_state.telemetry import get_logger

ROOT = Path(__file__).parents[2]

PROGRAM = """
import logging, sys
import structlog
from workflow_state import ActionError, configure_logging
from workflow_state.testing import run_plan

def track(error, attempt):
    print(f"tracked {error} in {attempt.plan_name}/{attempt.action_id}, attempt {attempt.attempt}")

def sign_in(password: str):
    logging.getLogger("shop").info("signing in with %s", password)
    structlog.get_logger("shop").debug("not at this level")
    raise ActionError("refused", retryable=False)

configure_logging(sys.argv[1], on_error=track, file=sys.argv[2] or None)
structlog.get_logger("caller").info("before", token="t0p", order=17)
signing = {"id": "in", "action_definition_id": "sign", "inputs": {"password": "hunter2-0c9a7f"}}
run_plan({"name": "night", "actions": [signing]}, {"sign": sign_in})
try:
    raise ValueError("broken")
except ValueError:
    logging.getLogger("caller").exception("after")
"""


def run(log_format: str, file: str = "") -> subprocess.CompletedProcess[str]:
    """Run the program; its log is standard error unless a file is given."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, log_format, file],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def test_json_lines_of_a_caller(tmp_path: Path) -> None:
    """A caller's lines, by ``logging`` or structlog, are JSON; those of an action that runs in process are bound to
    its attempt, and what was bound ends with it. They may go to a file.
    """
    done = run("json", str(tmp_path / "log"))
    assert done.stderr == ""
    assert done.stdout == "tracked refused in night/in, attempt 1\n"
    before, inside, after = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert (before["event"], before["order"], before["token"]) == ("before", 17, "[redacted]")
    assert inside["event"] == "signing in with [redacted]"
    assert (inside["action_id"], inside["attempt"], inside["level"]) == ("in", 1, "info")
    assert after["exception"].endswith("ValueError: broken")
    assert [bound for bound in ("execution_id", "action_id", "attempt") if bound in before | after] == []


def test_console_lines_of_a_caller() -> None:
    """For people: one line each, no colour where it is no terminal, a plain traceback without values of variables."""
    done = run("console")
    before, inside, after, *trace = done.stderr.splitlines()
    assert "[info     ] before " in before
    assert "token=[redacted]" in before
    assert "signing in with [redacted]" in inside
    assert "action_id=in" in inside
    assert "[error    ] after" in after
    assert trace[0] == "Traceback (most recent call last):"
    assert "\x1b" not in done.stderr
    assert "hunter2" not in done.stderr


QUOTING = """
import logging, sys
from workflow_state import ActionContext, configure_logging
from workflow_state.testing import run_plan

def sign(private_key: str, context: ActionContext) -> None:
    logging.getLogger("shop").warning("signing with %r", {"key": private_key})
    context.logger.warning(f"by {private_key!r}", keys=[repr(private_key)])

if sys.argv[1]:
    configure_logging(sys.argv[1])
signing = {"id": "in", "action_definition_id": "sign", "inputs": {"private_key": "first\\nk3y\\\\'\\"last"}}
run_plan({"actions": [signing]}, {"sign": sign})
"""


@pytest.mark.parametrize("log_format", ["json", "console", ""])
def test_a_secret_that_was_quoted_is_found(log_format: str) -> None:
    """A line that has a secret of several lines by its ``repr`` does not show it, though the line is quoted again."""
    command = [sys.executable, "-c", QUOTING, log_format]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=True
    )
    own = [line for line in done.stderr.splitlines() if "by " in line]
    assert "[redacted]" in own[0]
    assert "k3y" not in (done.stderr if log_format else own[0])


@pytest.mark.parametrize("options", [{"format": "xml"}, {"level": "LOUD"}])
def test_an_unknown_format_or_level_changes_nothing(options: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """What is not known is refused, naming it, and logging stays as it was."""
    before = list(logging.getLogger().handlers)
    with pytest.raises(ValueError, match=r"'?(xml|LOUD)'?"):
        configure_logging(**options)
    assert logging.getLogger().handlers == before
    get_logger().warning("as before", size=3)
    assert [record.getMessage() for record in caplog.records] == ["event='as before' size=3"]


def test_a_hook_is_given_as_a_function_or_by_its_name() -> None:
    """``celeryconfig.py`` is Python, so the function itself will do; whatever else is said to be no function."""
    assert load_function("on_error", print) is print
    assert load_function("on_error", "json.dumps") is json.dumps
    with pytest.raises(ConfigurationError, match=r"on_error is 'json\.nothing'"):
        load_function("on_error", "json.nothing")
    with pytest.raises(ConfigurationError, match="no function but str"):
        load_function("on_error", "json.__name__")
