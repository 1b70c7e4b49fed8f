"""Run the graph of a real pipeline: its actions, its dependencies, and its runtimes, scaled.

::

    python examples/real_pipeline.py --list
    python examples/real_pipeline.py viralrecon                 # 203 actions in 18 levels
    python examples/real_pipeline.py viralrecon --schedule dataflow
    python examples/real_pipeline.py mag --scale 0.02 --workers 2

A server is started when REDIS_URL names none; the workers are its own. Plans and their source: examples/plans.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import click
from celery import Celery
from rich.console import Console

from workflow_state import ExecutionPlan, PlannedAction, StateManager, action, compile_plan, execute_plan
from workflow_state.cli.follow import follow
from workflow_state.cli.progress import count, progress_for
from workflow_state.cli.summary import print_end
from workflow_state.cli.worker import WorkerProcess
from workflow_state.embedded import ensure_server

HERE = Path(__file__).resolve().parent
PLANS = {path.stem: path for path in sorted((HERE / "plans").glob("*.json"))}
#: Seconds of the critical path, when no scale is given.
CRITICAL_PATH = 4.0
#: Pool processes of each worker; a step sleeps, so there may be more of them than cores.
CONCURRENCY = 8

app = Celery("real_pipeline", config_source="workflow_state.durable")
# A queue and a key prefix of its own: a server that other apps use stays undisturbed.
app.conf.update(task_default_queue="real-pipeline", workflow_state={"prefix": "real-pipeline"})


@action("pipeline.step")
def step(seconds: float) -> float:
    """Take as long as the real step did, scaled."""
    time.sleep(seconds)
    return seconds


class Pipeline:
    """The recorded graph: ``runtime`` in seconds and ``parents`` by task id."""

    def __init__(self, name: str) -> None:
        data: dict[str, Any] = json.loads(PLANS[name].read_text())
        self.name, self.source = name, data["source"]
        self.runtime = {task["id"]: float(task["runtime_s"]) for task in data["tasks"]}
        self.parents = {task["id"]: tuple(task["parents"]) for task in data["tasks"]}
        self.levels = compile_plan(self.plan(1.0)).levels
        self.work = sum(self.runtime.values())

    def plan(self, scale: float, schedule: Literal["levels", "dataflow"] = "levels") -> ExecutionPlan:
        """The graph as a plan whose actions take ``scale`` times as long."""
        actions = tuple(
            PlannedAction(
                id=name,
                action_definition_id="pipeline.step",
                inputs={"seconds": seconds * scale},
                dependencies=self.parents[name],
            )
            for name, seconds in self.runtime.items()
        )
        return ExecutionPlan(id=self.name, name=self.name, description=self.source, actions=actions, schedule=schedule)

    @property
    def critical_path(self) -> float:
        """Seconds of the longest chain: no machine of any size is faster."""
        ends: dict[str, float] = {}
        for level in self.levels:
            for name in level:
                start = max((ends[parent] for parent in self.parents[name]), default=0.0)
                ends[name] = start + self.runtime[name]
        return max(ends.values())

    @property
    def level_path(self) -> float:
        """Seconds of the slowest action of each level: a level waits for all of the one before."""
        return sum(max(self.runtime[name] for name in level) for level in self.levels)


def describe(pipeline: Pipeline) -> str:
    """One line: how large it is."""
    return (
        f"{pipeline.name}: {count(len(pipeline.runtime), 'action')} in {count(len(pipeline.levels), 'level')}, "
        f"{pipeline.work:.0f} s of work, critical path {pipeline.critical_path:.0f} s"
    )


@click.command()
@click.argument("name", required=False, type=click.Choice(list(PLANS)))
@click.option("--list", "show_list", is_flag=True, help="List the pipelines and end.")
@click.option("--scale", type=click.FloatRange(0), help="Factor of the runtimes; else fits the critical path.")
@click.option("--schedule", default="levels", show_default=True, type=click.Choice(["levels", "dataflow"]))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="Worker processes.")
def main(
    name: str | None, show_list: bool, scale: float | None, schedule: Literal["levels", "dataflow"], workers: int
) -> None:
    """Run the pipeline NAME; the exit code is 0 when it completed."""
    if show_list or name is None:
        for known in PLANS:
            click.echo(describe(Pipeline(known)))
        return
    console, pipeline = Console(highlight=False, soft_wrap=True), Pipeline(name)
    factor = CRITICAL_PATH / pipeline.critical_path if scale is None else scale
    console.print(describe(pipeline))
    console.print(
        f"scaled by {factor:.4g}: critical path {pipeline.critical_path * factor:.2f} s, "
        f"level by level at least {pipeline.level_path * factor:.2f} s"
    )
    with ExitStack() as stack:
        url = stack.enter_context(ensure_server())
        app.conf.update(broker_url=url, result_backend=url)
        crew = [
            WorkerProcess("real_pipeline", cwd=HERE, concurrency=CONCURRENCY, environ={"REDIS_URL": url})
            for _ in range(workers)
        ]
        for worker in crew:
            stack.callback(worker.stop)
            worker.start()
        for worker in crew:
            worker.wait_ready()
        console.print(f"server: {url}, {count(workers, 'worker')} of {CONCURRENCY} processes")
        result = execute_plan.delay(pipeline.plan(factor, schedule))
        console.print(f"execution: {result.id}")
        with progress_for(console, pipeline.levels, name) as progress:
            state = follow(StateManager(app), result.id, progress.show, workers=crew, patience=600)
    print_end(console, state)
    makespan = state.metrics.total_duration / 1000
    console.print(
        f"makespan {makespan:.2f} s, critical path {pipeline.critical_path * factor:.2f} s, "
        f"{pipeline.work * factor / makespan:.1f} actions at a time on average"
    )
    raise SystemExit(0 if state.status == "completed" else 1)


if __name__ == "__main__":
    main()
