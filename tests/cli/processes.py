"""Running the command line as a user does, and looking at what is left of it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.support import wait_until

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "workflow_state"]
DEMO = [*COMMAND, "demo"]
TIMEOUT = 60.0


def environment(**more: str) -> dict[str, str]:
    """Ours without a server of ours: a command started in it starts its own."""
    kept = {name: value for name, value in os.environ.items() if name not in ("REDIS_URL", "COLUMNS", "LINES")}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def run(
    command: list[str], *, cwd: Path, env: Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end with its input and output in pipes."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=env or environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        input=stdin,
    )


def members(group: int) -> list[int]:
    """The living processes of a process group."""
    if Path("/proc/self/stat").exists():
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, pgrp = path.read_text().rpartition(")")[2].split()[:3]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(pgrp) == group and state not in "ZX":
                found.append(int(path.parent.name))
        return found
    listed = subprocess.run(["ps", "-axo", "pid=,pgid=,state="], capture_output=True, text=True, check=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [int(pid) for pid, pgid, state in rows if int(pgid) == group and not state.startswith("Z")]


def worker_pid(output: str) -> int:
    """The worker's process id, as the demo says it; also that of its process group."""
    found = re.search(r"worker, pid (\d+)", output)
    assert found, output
    return int(found[1])


def server_answers(output: str) -> bool:
    """Whether something still listens at the address that was named in the output."""
    found = re.search(r"redis://\S+", output)
    assert found, output
    address = urlsplit(found[0])
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname or "", address.port or 0)) == 0


def assert_nothing_left(output: str) -> None:
    """The worker, its pool, and the server that the output names are gone."""
    group = worker_pid(output)
    wait_until(lambda: not members(group), 5, f"the worker {group} and its pool have ended")
    wait_until(lambda: not server_answers(output), 5, "the server has ended")


class Terminal:
    """A command in a terminal of its own, of 120 columns and 40 lines."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process, self._master = process, master
        self._seen = bytearray()

    @property
    def text(self) -> str:
        """Everything that was drawn so far, without colours and cursor movements."""
        try:
            while part := os.read(self._master, 65_536):
                self._seen += part
        except (BlockingIOError, OSError):  # nothing new; or, on Linux, nobody writes any more
            pass
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._seen.decode(errors="replace"))

    def wait_for(self, words: str, timeout: float = 30) -> None:
        """Wait until these words were drawn."""
        wait_until(lambda: words in self.text, timeout, f"the terminal shows {words!r}")

    def wait_end(self, timeout: float = 30) -> int:
        """Wait for the end of the command; its exit code."""

        def ended() -> bool:
            _ = self.text  # a full terminal would hold it up
            return self.process.poll() is not None

        wait_until(ended, timeout, "the command has ended")
        return self.process.returncode


@contextmanager
def terminal(command: list[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    """Start a command in a terminal; it is killed if it is still there in the end."""
    master, slave = os.openpty()
    os.set_blocking(master, False)
    env = {**(env or environment()), "COLUMNS": "120", "LINES": "40", "TERM": "xterm"}
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, cwd=cwd, env=env, start_new_session=True
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(master)


@contextmanager
def piped(
    command: list[str], *, cwd: Path, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command with its output in a file; it is killed if it is still there in the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**(env or environment()), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
