"""``workflow-state report``: an execution as one HTML file."""

from __future__ import annotations

from pathlib import Path

import click

from workflow_state.cli.completion import execution_argument
from workflow_state.cli.output import json_option, print_json, write_text
from workflow_state.cli.session import Session, app_option, pass_session


@click.command("report", short_help="Write an execution into one HTML file.")
@execution_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="By default ID.html; - for standard output.",
)
@click.option("--open", "opening", is_flag=True, help="Show it in a browser.")
@app_option
@json_option
@pass_session
def report_command(session: Session, execution_id: str, output: Path | None, opening: bool, as_json: bool) -> None:
    """Write what became of the execution ID into one HTML file that needs no other file and no network: its graph,
    a timeline, the critical path, and each action's inputs, output and errors without their secrets.

    Exit code: 0, 2 when the file cannot be written, 3 when there is no such execution.
    """
    to_stdout = output == Path("-")
    if to_stdout and (as_json or opening):
        raise click.UsageError("--json and --open need a file, and - is none")
    file = None if to_stdout else output or Path(f"{execution_id}.html")
    # Inputs that an action declares as secret are known from its function alone.
    session.load_actions()
    write_text(session.manager.report(execution_id), file)
    if as_json:
        print_json({"execution_id": execution_id, "file": str(file)})
    if opening:
        click.launch(str(file))
