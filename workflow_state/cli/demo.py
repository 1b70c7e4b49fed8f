"""``workflow-state demo``: a plan on a real worker, from nothing, and nothing is left of it."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import click
from redis.exceptions import RedisError
from rich.console import Console

from workflow_state.cli.demo_app import NAMESPACE_VARIABLE, app, forget_run, use_server
from workflow_state.cli.exits import CommandError, Exit
from workflow_state.cli.follow import FollowError, follow
from workflow_state.cli.interrupt import Interrupt
from workflow_state.cli.output import console
from workflow_state.cli.plan_file import load_plan
from workflow_state.cli.progress import progress_for, waiting
from workflow_state.cli.seconds import Seconds
from workflow_state.cli.server import wrong_url
from workflow_state.cli.summary import print_summary
from workflow_state.cli.worker import WorkerProcess
from workflow_state.compiler import compile_plan
from workflow_state.embedded import ensure_server
from workflow_state.errors import EmbeddedServerError
from workflow_state.models import ExecutionPlan, ExecutionState, ExecutionStatus
from workflow_state.redaction import hide_password
from workflow_state.runtime.tasks import execute_plan
from workflow_state.state_manager import StateManager
from workflow_state.validation import prepare_plan

EXAMPLE = files("workflow_state.cli") / "plans" / "nightly-report.json"
TARGET = "workflow_state.cli.demo_app"
ACTIONS = "workflow_state.cli.demo_actions"
#: Seconds that a worker gets to end when the run did not: nobody needs what it is at.
IMPATIENCE = 1.0


@click.command("demo", short_help="See a plan run, from nothing.")
@click.argument("plan", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--actions", multiple=True, metavar="MODULE", help="Module that registers the plan's actions; repeatable."
)
@click.option("--concurrency", default=4, show_default=True, type=click.IntRange(1), help="Pool processes.")
@click.option(
    "--patience",
    default=300.0,
    show_default=True,
    type=Seconds(),
    help="Seconds without any change after which the run is given up.",
)
def demo_command(plan: Path | None, actions: tuple[str, ...], concurrency: int, patience: float) -> None:
    """Run an example plan, or the plan in the file PLAN, on a real Celery worker, and watch it.

    A server is started when REDIS_URL names none. Actions of the example, and demo.sleep, which takes
    SECONDS and gives back its inputs, are there for plans of yours as well.

    Exit code: 0 when the plan completed, 1 when it did not, 2 for a plan or module that cannot be used, 4 when
    there is no server.
    """
    screen = console()
    loaded = _load(plan)
    for module in actions:
        _check_module(module)
    interrupt = Interrupt()
    try:
        state = _run(screen, loaded, [ACTIONS, *actions], concurrency, patience, interrupt)
    except KeyboardInterrupt:
        click.echo("Interrupted: the worker is ended, nothing is left running.", err=True)
        sys.exit(Exit.INTERRUPTED)
    sys.exit(Exit.DONE if state.status is ExecutionStatus.COMPLETED else Exit.FAILED)


def _run(
    screen: Console,
    plan: ExecutionPlan,
    actions: list[str],
    concurrency: int,
    patience: float,
    interrupt: Interrupt,
) -> ExecutionState:
    levels = compile_plan(plan).levels
    with _server(screen) as (url, namespace):
        environ = {
            "REDIS_URL": url,
            "WORKFLOW_STATE_ACTIONS": ",".join(actions),
            NAMESPACE_VARIABLE: namespace,
        }
        queues = [app.conf.task_default_queue, *sorted({a.queue for a in plan.actions if a.queue})]
        worker = WorkerProcess(TARGET, concurrency=concurrency, queues=queues, environ=environ)
        try:
            worker.start()
            with waiting(screen, f"worker: starting (celery -A {TARGET} worker, pid {worker.pid})"):
                worker.wait_ready()
            execution_id = execute_plan.delay(plan).id
            with progress_for(screen, levels, plan.title) as progress:

                def show(state: ExecutionState) -> None:
                    progress.show(state)
                    _check_nobody_is_asked(state)

                manager, checks = StateManager(app), [interrupt.check]
                state = follow(manager, execution_id, show, workers=[worker], patience=patience, checks=checks)
            print_summary(screen, state, levels, f"{plan.title}, execution {execution_id}")
            with screen.status("worker: ending"):
                worker.stop()
        finally:
            worker.stop(IMPATIENCE)
    return state


@contextmanager
def _server(screen: Console) -> Iterator[tuple[str, str]]:
    """A server that answers: its URL, and the prefix for the keys of this run."""
    namespace = f"workflow-state-demo-{uuid.uuid4().hex[:8]}"
    given = os.environ.get("REDIS_URL")
    if given and urlsplit(given).scheme not in ("redis", "rediss"):
        raise click.UsageError(
            f"REDIS_URL is {hide_password(given)!r}; expected an address such as redis://localhost:6379/0, "
            "or nothing, to have a server started"
        )
    try:
        with ensure_server() as url:
            shown = hide_password(url)
            use_server(url, namespace)
            try:
                app.backend.client.ping()
            except RedisError as error:
                raise CommandError(f"No server answers at {shown} (REDIS_URL): {error}", Exit.AWAY) from error
            except (ImportError, ValueError) as error:
                raise CommandError(wrong_url(url, error), Exit.BAD_INPUT) from error
            screen.print(f"server: {shown} ({'from REDIS_URL' if given else 'started for this run'})")
            try:
                yield url, namespace
            finally:
                if given:
                    forget_run(namespace)
    except EmbeddedServerError as error:
        raise CommandError(str(error), Exit.AWAY) from error


def _load(path: Path | None) -> ExecutionPlan:
    return load_plan(str(path)) if path else prepare_plan(EXAMPLE.read_bytes())


def _check_nobody_is_asked(state: ExecutionState) -> None:
    if state.status is ExecutionStatus.PAUSED_FOR_CONFIRMATION:
        waiting = [asked.action_id for asked in state.confirmations if asked.confirmed is None]
        raise FollowError(
            f"The plan waits for a person to confirm {', '.join(waiting)}, which cannot be done here: run it on an "
            "app and server of your own, and answer with `workflow-state confirm` or StateManager.confirm_action"
        )


def _check_module(name: str) -> None:
    """Name a mistyped module before anything is started; the worker imports it, this process does not."""
    top = name.partition(".")[0]
    if PathFinder.find_spec(top, [os.getcwd(), *sys.path]) is None:
        raise click.BadParameter(
            f"there is no module {top!r} in {os.getcwd()} or among the installed packages", param_hint="--actions"
        )
