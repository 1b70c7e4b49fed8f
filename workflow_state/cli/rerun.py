"""``workflow-state rerun``: go on with an execution that has ended, as a new one."""

from __future__ import annotations

import json
from collections import defaultdict

import click
from pydantic import JsonValue

from workflow_state.cli.completion import action_ids, execution_argument
from workflow_state.cli.output import console, json_option, print_json, say
from workflow_state.cli.session import Session, app_option, pass_session
from workflow_state.cli.watch import leave, timeout_option, wait, watch
from workflow_state.errors import ActionNotFoundError


@click.command("rerun", short_help="Go on with one that ended: what completed is kept.")
@execution_argument
@click.option("--from", "from_action", metavar="ACTION", shell_complete=action_ids, help="Run it and all behind it.")
@click.option("--skip", multiple=True, metavar="ACTION", shell_complete=action_ids, help="Skip it; repeatable.")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    nargs=2,
    metavar="ACTION NAME=VALUE",
    help="Another value for one of its inputs, as JSON or else as text; repeatable. Its other inputs stay.",
)
@click.option(
    "--result",
    "results",
    multiple=True,
    nargs=2,
    metavar="ACTION VALUE",
    help="An output, as JSON or else as text, that stands for running it; repeatable.",
)
@click.option("--watch", "watching", is_flag=True, help="Show what happens until it has ended.")
@click.option("--wait", "waiting", is_flag=True, help="Say nothing until it has ended.")
@timeout_option
@app_option
@json_option
@pass_session
def rerun_command(
    session: Session,
    execution_id: str,
    from_action: str | None,
    skip: tuple[str, ...],
    inputs: tuple[tuple[str, str], ...],
    results: tuple[tuple[str, str], ...],
    watching: bool,
    waiting: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Run the ended execution ID again as a new one: what completed is taken over, the rest runs.

    Prints the id of the new execution. Exit code as for `run`; 5 when ID has not ended.
    """
    if timeout is not None and not (watching or waiting):
        raise click.UsageError("--timeout goes with --watch or --wait")
    new_id = session.manager.rerun(
        execution_id,
        from_action,
        inputs=_inputs(session, execution_id, inputs),
        skip=skip,
        results={name: _value(text) for name, text in results},
    ).id
    if not (watching or waiting):
        if as_json:
            print_json({"execution_id": new_id, "rerun_of": execution_id})
        else:
            click.echo(new_id)
        return
    if not as_json:
        say(console(), f"execution {new_id}, a rerun of {execution_id}")
    follow = watch if watching else wait
    leave(follow(session, new_id, timeout=timeout, as_json=as_json))


def _inputs(session: Session, execution_id: str, given: tuple[tuple[str, str], ...]) -> dict[str, dict[str, JsonValue]]:
    """The inputs of the actions named, with the values given in place of those of the plan."""
    changed: dict[str, dict[str, JsonValue]] = defaultdict(dict)
    for action_id, text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{text!r} for {action_id!r} is not NAME=VALUE", param_hint="--input")
        changed[action_id][name] = _value(value)
    if not changed:
        return {}
    known = {action.id: dict(action.inputs) for action in session.plan(execution_id).actions}
    for action_id in changed:
        if action_id not in known:
            raise ActionNotFoundError(execution_id, action_id, known)
    return {action_id: known[action_id] | values for action_id, values in changed.items()}


def _value(text: str) -> JsonValue:
    """JSON, or else the text itself: ``5`` is a number, ``paid`` needs no quotes."""
    try:
        found: JsonValue = json.loads(text)
    except ValueError:
        return text
    except RecursionError as error:
        raise click.UsageError("a value nests too deep to be read as JSON") from error
    return found
