"""dask.distributed: every action is a future that is given those it waits for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client, LocalCluster

from benchmarks.peers.programs import protocol
from benchmarks.peers.programs.work import noop
from benchmarks.shapes import Graph


@contextmanager
def started() -> Iterator[protocol.Runner]:
    """Two worker processes of one thread each, and a scheduler in this process; no dashboard."""
    with (
        LocalCluster(
            n_workers=protocol.PROCESSES, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):

        def run(graph: Graph) -> protocol.Run:
            start = time.perf_counter()
            futures = []
            for dependencies in graph:
                futures.append(client.submit(noop, *(futures[other] for other in dependencies), pure=False))
            client.gather(futures)
            return protocol.Run(time.perf_counter() - start)

        run([[]])
        yield run


if __name__ == "__main__":
    protocol.serve(started, "distributed")
