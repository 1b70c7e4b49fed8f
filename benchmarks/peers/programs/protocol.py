"""How a peer's program speaks: one JSON object a line, requests on its standard input, answers on its output.

A program starts its workers, says ``{"ready": {package: version}}``, and answers every ``{"graph": [[...], ...]}``
with ``{"seconds": 1.5, "note": ""}`` or ``{"error": "..."}``. It ends its workers when its input ends. Whatever
else it prints, or its workers, goes to its error output.

Only the standard library is used here: a peer's environment has the peer in it and nothing of ours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.shapes import Graph

#: Worker processes of every peer that has any: as many as the engine's worker has.
PROCESSES = 2
STOP_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Run:
    """``seconds`` from handing in the work until its last result is known; ``note``: what a reader must know."""

    seconds: float
    note: str = ""


Runner = Callable[[Graph], Run]


def serve(started: Callable[[], AbstractContextManager[Runner]], *packages: str) -> None:
    """Answer requests until the input ends. ``started`` holds the workers; ``packages``: whose versions count."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(answer: dict[str, object]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    with started() as run:
        say({"ready": {package: version(package) for package in packages}})
        for line in sys.stdin:
            try:
                done = run(json.loads(line)["graph"])
            except Exception as error:  # noqa: BLE001 - whatever a peer raises is its answer
                say({"error": f"{type(error).__name__}: {error}"[:500]})
            else:
                say({"seconds": done.seconds, "note": done.note})


@contextmanager
def workers(command: Sequence[str], count: int = 1) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run a command of the peer's environment ``count`` times, for as long as the block lasts."""
    program = [str(Path(sys.executable).parent / command[0]), *command[1:]]
    started: list[subprocess.Popen[bytes]] = []
    try:
        started += [subprocess.Popen(program, stdin=subprocess.DEVNULL) for _ in range(count)]
        yield started
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def until(condition: Callable[[], object], timeout: float = 60.0, poll: float = 0.002) -> None:
    """Wait for something.

    Raises:
        TimeoutError: it did not come within ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing came within {timeout:g} s")
        time.sleep(poll)
