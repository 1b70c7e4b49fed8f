"""One peer's program while it runs: its questions and answers, each within a time, and its end."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.peers.catalogue import Peer
from benchmarks.shapes import Graph
from benchmarks.worker import ROOT, BenchmarkError

START_TIMEOUT = 90.0
STOP_TIMEOUT = 20.0


class PeerError(BenchmarkError):
    """The peer did not start, did not answer in time, or could not do what it was asked."""


class Conversation:
    """What is said with a program that has said that it is ready. Use ``started``."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process, self._log, self._heard = process, log, b""
        self.versions: dict[str, str] = self._hear(START_TIMEOUT)["ready"]

    def run(self, graph: Graph, timeout: float) -> tuple[float, str]:
        """The seconds that the peer took for a graph, and its note.

        Raises:
            PeerError: an error of the peer, or no answer within ``timeout`` seconds; the program is of no use then.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"graph": graph}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise PeerError(f"it has ended: {self._last_words()}") from error
        answer = self._hear(timeout)
        if "error" in answer:
            raise PeerError(answer["error"])
        return float(answer["seconds"]), str(answer["note"])

    def _hear(self, timeout: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        descriptor, deadline = self._process.stdout.fileno(), time.monotonic() + timeout
        while b"\n" not in self._heard:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise PeerError(f"not done within {timeout:g} s")
            heard = os.read(descriptor, 65536)
            if not heard:
                raise PeerError(f"it has ended: {self._last_words()}")
            self._heard += heard
        line, _, self._heard = self._heard.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1][-300:] if lines else "it said nothing"


@contextmanager
def started(
    peer: Peer, python: Path, url: str, folder: Path, stop_timeout: float = STOP_TIMEOUT
) -> Iterator[Conversation]:
    """Start a peer's program and end it, and all that it started, with the block. ``folder``: empty, for its files.

    ``stop_timeout``: seconds that it has to end its workers.

    Raises:
        PeerError: it was not ready in time; the message ends with its last words.
    """
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(python), "-m", peer.program],
            cwd=folder,
            env=_environ(peer, url, folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield Conversation(process, log)
    finally:
        _end(process, stop_timeout)


def _environ(peer: Peer, url: str, folder: Path) -> Mapping[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {name: value.format(port=port, folder=folder) for name, value in peer.environ.items()}
    return {**os.environ, "PYTHONPATH": str(ROOT), "REDIS_URL": url, **own}


def _end(process: subprocess.Popen[bytes], timeout: float) -> None:
    """Its input ends, so that it may end its workers; what is left of its own process group is killed then."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.terminate()
    with suppress(ProcessLookupError):  # as it is when nothing was left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
