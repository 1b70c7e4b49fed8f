"""Who is measured beside us, and on which terms. A new peer is an entry here and a program in ``programs``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Peer:
    """One system that runs plans.

    ``requirements``: what its environment has in it. ``settings``: how it is set, for the reader of the table.
    ``sizes``: for each shape that it cannot bear in full, the size it gets instead; ``remark`` says why.
    ``environ``: for its program; ``{port}`` is a free one, ``{folder}`` is empty and its own.
    ``programs``: the package that its program is in.
    """

    name: str
    title: str
    requirements: tuple[str, ...]
    settings: str
    sizes: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)
    programs: str = "benchmarks.peers.programs"

    @property
    def program(self) -> str:
        """The module that runs in its environment."""
        return f"{self.programs}.on_{self.name}"


PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            "celery",
            "Celery canvas",
            ("celery[redis]>=5.7,<6",),
            "one worker of 2 processes, late acknowledgement, prefetch 1; results in Redis, as chords need them",
        ),
        Peer(
            "dyrygent",
            "celery-dyrygent",
            ("celery-dyrygent>=0.8,<1", "celery[redis]>=5.7,<6"),
            "one worker of 2 processes, late acknowledgement, prefetch 1; it looks every second, its shortest pause",
            {"chain": "chain of 20"},
            "a chain moves by one action each time it looks",
        ),
        Peer(
            "director",
            "celery-director",
            ("celery-director>=0.10,<1",),
            "one worker of 2 processes; states in SQLite, results in Redis; its last task sleeps for half a second",
            {"grid": "10 x 10", "fan": "1 -> 100 -> 1"},
            "it makes one canvas of the plan, and a row a task; larger ones take minutes",
        ),
        Peer(
            "dramatiq",
            "dramatiq",
            ("dramatiq[redis]>=2,<3",),
            "2 processes of 8 threads, as by default; results stored, barriers of groups in Redis",
        ),
        Peer(
            "rq",
            "rq",
            # 3.0.0 left jobs of the grid deferred for ever in three runs of five; 2.12 never did.
            ("rq>=2.12,<3",),
            "2 workers that fork for no job, its faster way; results stored; 2.12, since 3.0.0 loses jobs of the grid",
        ),
        Peer(
            "dask",
            "dask.distributed",
            ("distributed>=2025.1",),
            "2 worker processes of one thread; everything in memory, nothing outlives the scheduler",
        ),
        Peer(
            "prefect",
            "Prefect 3",
            ("prefect>=3,<4",),
            "one server with SQLite; the flow and its tasks in threads of one process, results stored",
            environ={
                "PREFECT_API_URL": "http://127.0.0.1:{port}/api",
                "PREFECT_HOME": "{folder}/prefect",
                "PREFECT_LOGGING_LEVEL": "ERROR",
                "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
                "DO_NOT_TRACK": "1",
            },
        ),
        Peer(
            "dbos",
            "DBOS",
            ("dbos>=2,<4",),
            "steps of one workflow in one process, as 2 processes would need Postgres; recorded in SQLite",
        ),
    )
}
