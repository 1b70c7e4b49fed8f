"""``workflow-state graph``: a plan as a picture, or an execution of it with the colours of its actions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from workflow_state.cli.completion import execution_ids
from workflow_state.cli.output import json_option, json_text, write_text
from workflow_state.cli.plan_file import load_plan, plan_path
from workflow_state.cli.session import Session, app_option, pass_session
from workflow_state.compiler import compile_plan
from workflow_state.models import ExecutionState
from workflow_state.pictures import plan_to_dot, plan_to_mermaid, plan_to_svg
from workflow_state.program import Program

DRAW: dict[str, Callable[[Program, ExecutionState | None], str]] = {
    "mermaid": plan_to_mermaid,
    "dot": plan_to_dot,
    "svg": plan_to_svg,
}
#: What the name of a file says of the form that is wanted.
SUFFIXES = {".mmd": "mermaid", ".mermaid": "mermaid", ".md": "mermaid", ".dot": "dot", ".gv": "dot", ".svg": "svg"}


@click.command("graph", short_help="Draw a plan or an execution: Mermaid, DOT, SVG.")
@click.argument("plan", metavar="[PLAN]", required=False, type=plan_path)
@click.option(
    "--execution", "execution_id", metavar="ID", shell_complete=execution_ids, help="Draw this execution instead."
)
@click.option("--format", "form", type=click.Choice(sorted(DRAW)), help="By default that of the FILE, or else mermaid.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it there.")
@app_option
@json_option
@pass_session
def graph_command(
    session: Session, plan: str | None, execution_id: str | None, form: str | None, output: Path | None, as_json: bool
) -> None:
    """Draw the plan in the file PLAN (JSON or YAML; - for standard input) as Mermaid, DOT or SVG; needs no server.

    With --execution, the plan of that execution, each action in the colour of its status. With --json, the levels
    and edges.

    Exit code: 0, 2 for a plan that is not valid, 3 when there is no such execution.
    """
    if (plan is None) == (execution_id is None):
        raise click.UsageError("name either a PLAN or an --execution")
    state: ExecutionState | None = None
    if execution_id is not None:
        state, program = session.manager.get_full_state(execution_id), session.program(execution_id)
    else:
        program = compile_plan(load_plan(str(plan)))
    if as_json:
        write_text(json_text(_document(program, state)), output)
        return
    form = form or SUFFIXES.get(output.suffix.lower() if output else "", "mermaid")
    write_text(DRAW[form](program, state), output)


def _document(program: Program, state: ExecutionState | None) -> dict[str, object]:
    statuses = {name: action.status.value for name, action in state.action_states.items()} if state else {}
    return {
        "plan_id": program.plan_id,
        "title": program.title,
        "levels": [list(level) for level in program.levels],
        "edges": [[before, step.id] for step in program.steps.values() for before in step.needs],
        **({"statuses": statuses} if state else {}),
    }
