"""A program that speaks as a peer's does; what it does depends on how many actions it is asked to run."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.programs import protocol
from benchmarks.shapes import Graph

ERROR, HANG, END = 2, 3, 4


def run(graph: Graph) -> protocol.Run:
    """One action is done at once."""
    sys.stdout.write("a library says hello\n")
    if len(graph) == ERROR:
        raise ValueError("two are too many")
    if len(graph) == HANG:
        signal.pause()
    if len(graph) == END:
        sys.exit("gone")
    return protocol.Run(0.25, "quick")


@contextmanager
def started() -> Iterator[protocol.Runner]:
    """With a worker that would outlive it for long."""
    with protocol.workers([Path(sys.executable).name, "-c", "import signal; signal.pause()"]) as crew:
        Path("worker.pid").write_text(str(crew[0].pid))
        yield run


if __name__ == "__main__":
    protocol.serve(started, "celery")
