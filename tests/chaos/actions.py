"""What the plans of the chaos tests do. Every action says when it starts and ends, in a file outside Redis.

The file is the witness that no server restart can roll back: one line a write, appended whole. A line
``start`` without its ``end`` is user code that was cut off.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded

from tests.support import work_for
from workflow_state import ActionContext, ActionError, action

JOURNAL = "CHAOS_JOURNAL"
"""Environment variable: the file that the actions write to."""

GATE_TIMEOUT = 120.0
"""Seconds an action waits for its gate, so that a broken test leaves no process that waits for ever."""


def _note(what: str, ctx: ActionContext) -> None:
    _write(what, ctx.execution_id, ctx.action_id, ctx.attempt)


def _write(what: str, execution_id: str, action_id: str, attempt: int) -> None:
    line = json.dumps([what, execution_id, action_id, attempt, os.getpid(), time.time()]) + "\n"
    # Without the variable the action runs in the process of a test, which wants its result alone.
    file = os.open(os.environ.get(JOURNAL, os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


@action("chaos.work")
def work(ctx: ActionContext, number: int, pause: int, values: list[Any]) -> dict[str, Any]:
    """A value that depends on the inputs alone, after a pause of so many milliseconds."""
    _note("start", ctx)
    work_for(pause / 1000)
    digest = hashlib.sha256(json.dumps([number, values]).encode()).digest()
    _note("end", ctx)
    return {"value": int.from_bytes(digest[:6]), "read": len(values)}


@action("chaos.flaky")
def flaky(ctx: ActionContext, number: int) -> int:
    """Fails in its first attempt, if that comes to its end."""
    _note("start", ctx)
    _note("end", ctx)
    if ctx.attempt == 1:
        raise ActionError("not yet")
    return number


@action("chaos.fail")
def fail(ctx: ActionContext, number: int) -> None:
    """Fails for good."""
    _note("start", ctx)
    _note("end", ctx)
    raise ActionError(f"number {number} never works", retryable=False)


@action("chaos.wait")
def wait(ctx: ActionContext, gate: str) -> dict[str, int]:
    """Ends when the file ``gate`` is there, or ``gate.<attempt>``; says which process and attempt it was."""
    _note("start", ctx)
    deadline = time.monotonic() + GATE_TIMEOUT
    while not Path(gate).exists() and not Path(f"{gate}.{ctx.attempt}").exists():
        if time.monotonic() > deadline:
            raise ActionError(f"nobody opened {gate}", retryable=False)
        work_for(0.01)
    _note("end", ctx)
    return {"pid": os.getpid(), "attempt": ctx.attempt}


@action("chaos.last")
def last(ctx: ActionContext, seconds: float) -> int:
    """Takes so long."""
    _note("start", ctx)
    work_for(seconds)
    _note("end", ctx)
    return ctx.attempt


@action("chaos.die")
def die(ctx: ActionContext, times: int) -> int:
    """Takes its process down in each of the first attempts."""
    _note("start", ctx)
    if ctx.attempt <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    _note("end", ctx)
    return ctx.attempt


@action("chaos.remote", remote=True)
def remote(number: int) -> int:
    """Carried out by a service of the test's."""
    raise AssertionError("a remote action ran in a worker")


@shared_task(name="chaos.follow", ignore_result=True)
def follow(execution_id: str) -> None:
    """A task of its own, such as one that follows a plan."""
    _write("start", execution_id, "follow", 1)
    _write("end", execution_id, "follow", 1)


@action("chaos.stubborn")
def stubborn(ctx: ActionContext, seconds: float) -> int:
    """Goes on over its timeout in its first attempt, so that only the end of its process ends it."""
    _note("start", ctx)
    deadline = time.monotonic() + (seconds if ctx.attempt == 1 else 0)
    while time.monotonic() < deadline:
        with contextlib.suppress(SoftTimeLimitExceeded):
            work_for(0.1)
    _note("end", ctx)
    return ctx.attempt


@action("chaos.hog")
def hog(ctx: ActionContext, seconds: int) -> int:
    """Keeps the interpreter's lock for so long: no other thread of its process runs meanwhile."""
    _note("start", ctx)
    ctypes.PyDLL(None).sleep(seconds)
    _note("end", ctx)
    return ctx.attempt
