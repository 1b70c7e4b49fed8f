"""``workflow-state history``: what has happened in an execution, in order."""

from __future__ import annotations

import click

from workflow_state.cli.completion import execution_argument
from workflow_state.cli.event_text import event_line
from workflow_state.cli.output import console, json_option, print_json, say
from workflow_state.cli.session import Session, app_option, pass_session

#: No event has a higher number: the server counts no further.
MOST = 2**63


@click.command("history", short_help="What has happened in an execution.")
@execution_argument
@click.option(
    "--after", default=0, type=click.IntRange(0, MOST), metavar="N", help="Only what came after event number N."
)
@app_option
@json_option
@pass_session
def history_command(session: Session, execution_id: str, after: int, as_json: bool) -> None:
    """List what has happened in the execution ID, in order, each event with its number and time.

    With --json each event is a line.
    """
    screen = console()
    for event in session.manager.history(execution_id, after=after):
        if as_json:
            print_json(event.model_dump(mode="json"), lines=True)
        else:
            say(screen, f"{event.sequence:6}  {event.time:%Y-%m-%d %H:%M:%S.%f}"[:-3], f"  {event_line(event)}")
