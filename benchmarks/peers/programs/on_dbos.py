"""DBOS: a durable workflow whose steps, one for each action, run level by level; what each did is in its database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dbos import DBOS, DBOSConfig

from benchmarks.peers.programs import protocol
from benchmarks.shapes import Graph, levels


@DBOS.step()
async def noop() -> None:
    """The step that does nothing."""


@DBOS.workflow()
async def plan(widths: list[int]) -> int:
    """The levels one after the other; how many steps ran."""
    for width in widths:
        await asyncio.gather(*(noop() for _ in range(width)))
    return sum(widths)


def run(graph: Graph) -> protocol.Run:
    """One workflow, in this process."""
    start = time.perf_counter()
    DBOS.start_workflow(plan, [len(level) for level in levels(graph)]).get_result()
    return protocol.Run(time.perf_counter() - start)


@contextmanager
def started() -> Iterator[protocol.Runner]:
    """DBOS in this process, with SQLite."""
    database = "sqlite:///dbos.sqlite"
    DBOS(config=DBOSConfig(name="benchmark", system_database_url=database, run_admin_server=False))
    DBOS.launch()
    try:
        run([[]])
        yield run
    finally:
        DBOS.destroy()


if __name__ == "__main__":
    protocol.serve(started, "dbos")
