"""``workflow-state run``: hand a plan to the workers, and stay with it if asked to."""

from __future__ import annotations

import uuid

import click
from kombu.exceptions import OperationalError

from workflow_state.cli.exits import CommandError, Exit, sentence
from workflow_state.cli.output import console, json_option, print_json, say
from workflow_state.cli.plan_file import load_plan, plan_argument
from workflow_state.cli.session import Session, app_option, pass_session
from workflow_state.cli.watch import leave, timeout_option, wait, watch
from workflow_state.models import ExecutionPlan


@click.command("run", short_help="Run a plan on the app's workers.")
@plan_argument
@click.option("--id", "execution_id", metavar="ID", help="The id of the execution; one that is there is not run again.")
@click.option("--watch", "watching", is_flag=True, help="Show what happens until it has ended.")
@click.option("--wait", "waiting", is_flag=True, help="Say nothing until it has ended.")
@timeout_option
@app_option
@json_option
@pass_session
def run_command(
    session: Session,
    plan: str,
    execution_id: str | None,
    watching: bool,
    waiting: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Run the plan in the file PLAN (JSON or YAML; - for standard input) on the app's workers.

    Prints the id of the execution. Exit code: 0 when the plan was handed over; with --watch or --wait, when it
    completed, and 1 when it failed or was cancelled.
    """
    if timeout is not None and not (watching or waiting):
        raise click.UsageError("--timeout goes with --watch or --wait")
    # An empty one, as of a variable that a script has not set, is none: it would run the plan each time.
    execution_id = str(uuid.uuid4()) if execution_id is None else execution_id
    new = _start(session, load_plan(plan), execution_id)
    if not (watching or waiting):
        _print_started(session, execution_id, new=new, as_json=as_json)
        return
    if not as_json:
        say(console(), f"execution {execution_id}" if new else _there_already(execution_id))
    follow = watch if watching else wait
    leave(follow(session, execution_id, timeout=timeout, as_json=as_json))


def _start(session: Session, plan: ExecutionPlan, execution_id: str) -> bool:
    """Whether it is a new execution."""
    if session.app.conf.task_always_eager:
        hint = "turn task_always_eager off, or use workflow_state.testing.run_plan"
        message = f"The app {session.target} runs its tasks in process, so no worker would get the plan: {hint}"
        raise CommandError(message, Exit.BAD_INPUT)
    if session.engine.store.head(execution_id) is not None:
        return False
    try:
        session.manager.initialize_state(plan, execution_id=execution_id)
    except OperationalError as error:
        cancel = session.command("cancel", execution_id)
        message = f"The broker cannot be reached: {sentence(error)}, unless `{cancel}` ends it"
        raise CommandError(message, Exit.AWAY) from error
    return True


def _print_started(session: Session, execution_id: str, *, new: bool, as_json: bool) -> None:
    if as_json:
        print_json({"execution_id": execution_id, "created": new})
    elif console().is_terminal:
        screen = console()
        say(screen, f"execution {execution_id}" if new else _there_already(execution_id))
        say(screen, (session.command("watch", execution_id), "dim"))
    else:
        # Alone on its line, for ID=$(workflow-state run plan.json)
        click.echo(execution_id)


def _there_already(execution_id: str) -> str:
    return f"execution {execution_id} is there already; nothing was started"
