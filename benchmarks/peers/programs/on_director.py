"""celery-director: levels are the groups of a workflow in YAML; a database row for each task says how it is.

Its workflows become one canvas of Celery, so that, as there, a task stands between two groups.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.peers.programs import protocol
from benchmarks.shapes import Graph, levels

HOME = Path.cwd() / "director-home"
TASKS = """
from director import task

@task(name="NOOP")
def noop(*args, **kwargs):
    pass
"""


def prepare() -> None:
    """Its home folder, its settings, and its database."""
    (HOME / "tasks").mkdir(parents=True)
    (HOME / "static").mkdir()
    (HOME / "tasks" / "noop.py").write_text(TASKS)
    (HOME / "workflows.yml").write_text("bench.SINGLE:\n  tasks:\n    - NOOP\n")
    os.environ.update(
        DIRECTOR_HOME=str(HOME),
        DIRECTOR_DATABASE_URI=f"sqlite:///{HOME / 'director.db'}?timeout=30",
        DIRECTOR_BROKER_URI=os.environ["REDIS_URL"],
        DIRECTOR_RESULT_BACKEND_URI=os.environ["REDIS_URL"],
        PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    )
    subprocess.run(["director", "db", "upgrade"], check=True)


def tasks(graph: Graph) -> list[Any]:
    """The graph's levels, as the list of tasks of a workflow."""
    found: list[Any] = []
    for number, level in enumerate(levels(graph)):
        group = {f"LEVEL{number}": {"type": "group", "tasks": ["NOOP"] * len(level)}}
        found += ["NOOP"] if len(level) == 1 else [group, "NOOP"]
    return found


@contextmanager
def started() -> Iterator[protocol.Runner]:
    """One worker of two processes; the database is SQLite."""
    prepare()
    # Not at the top: importing director reads what prepare() has just written.
    from director._auto import app  # noqa: PLC0415
    from director.builder import WorkflowBuilder  # noqa: PLC0415
    from director.extensions import cel, cel_workflows, db  # noqa: PLC0415
    from director.models import StatusType  # noqa: PLC0415
    from director.models.workflows import Workflow  # noqa: PLC0415

    def status(workflow_id: str) -> StatusType:
        db.session.remove()
        return db.session.query(Workflow.status).filter_by(id=workflow_id).scalar()

    def run(graph: Graph) -> protocol.Run:
        cel_workflows.workflows["bench.PLAN"] = {"tasks": tasks(graph)}
        start = time.perf_counter()
        workflow = Workflow(project="bench", name="PLAN", payload={})
        workflow.save()
        workflow_id = workflow.id
        WorkflowBuilder(workflow_id).run()
        protocol.until(lambda: status(workflow_id) in (StatusType.success, StatusType.error), 600, poll=0.01)
        seconds = time.perf_counter() - start
        return protocol.Run(seconds, "" if status(workflow_id) == StatusType.success else "it ended with an error")

    command = ["director", "celery", "worker", "-c", str(protocol.PROCESSES)]
    with app.app_context(), protocol.workers(command):
        protocol.until(lambda: cel.control.ping(timeout=0.5))
        yield run


if __name__ == "__main__":
    protocol.serve(started, "celery-director", "celery", "redis")
