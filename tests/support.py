"""What tests of real processes share: waiting for a fact instead of sleeping for a while."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Answer = TypeVar("Answer")

POLL = 0.02
"""Seconds between two looks at a condition."""


def work_for(seconds: float) -> None:
    """What an action of a test does that takes time, and a poll does between two looks; no test waits by it."""
    time.sleep(seconds)


def wait_until(predicate: Callable[[], Answer], timeout: float = 10.0, message: str = "") -> Answer:
    """Ask until the answer is true, and return that answer.

    Args:
        predicate: asked at once and then every ``POLL`` seconds, one last time at the deadline.
        timeout: seconds.
        message: what was waited for, for the failure.

    Raises:
        AssertionError: the answer was still false after ``timeout``; names the last answer.
    """
    deadline = time.monotonic() + timeout
    while True:
        late = time.monotonic() >= deadline
        answer = predicate()
        if answer:
            return answer
        if late:
            raise AssertionError(f"{message or 'the condition'}: not within {timeout:g} s, last was {answer!r}")
        work_for(POLL)


def alive(pid: int) -> bool:
    """Whether that process exists and is not only waiting to be collected by its parent."""
    if Path("/proc/self/stat").exists():
        try:
            # After the name, which may contain anything but is in parentheses, comes the state.
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
    else:
        command = ["ps", "-o", "state=", "-p", str(pid)]
        state = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return state[:1] not in {"", "Z", "X"}
