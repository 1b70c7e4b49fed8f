"""The command line: ``workflow-state``, ``python -m workflow_state``, or ``celery -A app workflow``."""

from __future__ import annotations

import click

from workflow_state import __version__
from workflow_state.cli.control import (
    cancel_command,
    confirm_command,
    delete_command,
    pause_command,
    resume_command,
)
from workflow_state.cli.demo import demo_command
from workflow_state.cli.doctor import doctor_command
from workflow_state.cli.events import events_command
from workflow_state.cli.exits import Group
from workflow_state.cli.graph import graph_command
from workflow_state.cli.history import history_command
from workflow_state.cli.init import init_command
from workflow_state.cli.listing import list_command
from workflow_state.cli.report import report_command
from workflow_state.cli.rerun import rerun_command
from workflow_state.cli.run import run_command
from workflow_state.cli.server import server_command
from workflow_state.cli.session import APP_VARIABLE, READY_MADE, Session
from workflow_state.cli.status import status_command
from workflow_state.cli.validate import validate_command
from workflow_state.cli.watch import watch_command


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="workflow-state")
@click.option(
    "-A",
    "--app",
    "target",
    metavar="APP",
    envvar=APP_VARIABLE,
    show_envvar=True,
    help=f"The Celery app, as `celery -A` names it; {READY_MADE} when left out.",
)
@click.pass_context
def main(ctx: click.Context, target: str | None) -> None:
    """Run plans, DAGs of actions, on Celery workers."""
    ctx.obj = Session.of(ctx, target)


for _command in (
    run_command,
    validate_command,
    status_command,
    watch_command,
    list_command,
    history_command,
    events_command,
    confirm_command,
    cancel_command,
    pause_command,
    resume_command,
    rerun_command,
    delete_command,
    graph_command,
    report_command,
    init_command,
    server_command,
    doctor_command,
    demo_command,
):
    main.add_command(_command)
