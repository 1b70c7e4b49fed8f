"""``workflow-state validate``: every problem of a plan at once, without any server."""

from __future__ import annotations

from collections.abc import Iterator

import click

from workflow_state.actions import registry
from workflow_state.cli.exits import Exit
from workflow_state.cli.output import console, json_option, print_json, say
from workflow_state.cli.plan_file import plan_argument, read_plan, shown_name
from workflow_state.cli.progress import count
from workflow_state.cli.session import Session, app_option, pass_session
from workflow_state.compiler import compile_plan
from workflow_state.errors import PlanProblem, PlanValidationError
from workflow_state.hints import Names
from workflow_state.models import ExecutionPlan
from workflow_state.validation import find_plan_problems, validate_execution_plan


@click.command("validate", short_help="List every problem of a plan; needs no server.")
@plan_argument
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@app_option
@json_option
@pass_session
def validate_command(session: Session, plan: str, strict: bool, as_json: bool) -> None:
    """Check the plan in the file PLAN (JSON or YAML; - for standard input) in form and logic; needs no server.

    Where an app is named, actions that it does not know are warned of.

    Exit code: 0 for a plan that can run, 2 otherwise.
    """
    try:
        checked = validate_execution_plan(read_plan(plan))
        problems = [*find_plan_problems(checked), *(_unknown(session, checked) if session.is_named else ())]
        summary = f"{count(len(checked.actions), 'action')}"
    except PlanValidationError as error:
        problems = list(error.errors)
    valid = not any(problem.severity == "error" or strict for problem in problems)
    if as_json:
        print_json({"valid": valid, "problems": [problem.to_dict() for problem in problems]})
    else:
        _print(shown_name(plan), problems)
        if valid:
            levels = count(len(compile_plan(checked).levels), "level")
            say(console(), f"{shown_name(plan)} is valid: {summary} in {levels}")
    click.get_current_context().exit(Exit.DONE if valid else Exit.BAD_INPUT)


def _unknown(session: Session, plan: ExecutionPlan) -> Iterator[PlanProblem]:
    """What the app does not know; workers of another app may, so that it is no error."""
    session.load_actions()
    names = Names(registry)
    for number, action in enumerate(plan.actions):
        wanted = action.action_definition_id
        if wanted not in registry:
            message = f"The app {session.target} has no action {wanted!r}"
            place = f"actions[{number}].action_definition_id"
            yield PlanProblem("unknown_action", place, message, names.nearest(wanted), severity="warning")


def _print(name: str, problems: list[PlanProblem]) -> None:
    """In the form that editors and CI read: file, place, kind, message."""
    screen = console()
    for problem in problems:
        say(screen, f"{name}: {problem.severity}: {problem}")
