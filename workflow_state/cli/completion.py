"""Ids for shell completion: of recent executions, and of an execution's actions. Silent where there is no server."""

from __future__ import annotations

import click
from redis.exceptions import RedisError

from workflow_state.cli.session import Session
from workflow_state.errors import WorkflowStateError

#: Executions among which completion looks: newer ones are those that one types.
RECENT = 200


def execution_ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Ids of recent executions, the newest first."""
    try:
        page = _session(ctx).manager.list_executions(limit=RECENT)
    except (click.ClickException, RedisError, WorkflowStateError):
        return []
    return [item.id for item in page.items if item.id.startswith(incomplete)]


def action_ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Ids of the actions of the execution whose id stands before on the line."""
    # Behind an option without its value click has parsed nothing, and leaves the words as they are.
    words = [ctx.params.get("execution_id"), *(word for word in ctx.args if not word.startswith("-"))]
    try:
        program = _session(ctx).program(next((word for word in words if word), ""))
    except (click.ClickException, RedisError, WorkflowStateError):
        return []
    return [name for name in program.steps if name.startswith(incomplete)]


def _session(ctx: click.Context) -> Session:
    """As the group would make it: while completing, its callback does not run."""
    here: click.Context | None = ctx
    while here is not None:
        if "target" in here.params:
            return Session.of(here, here.params["target"])
        here = here.parent
    return Session()


execution_argument = click.argument("execution_id", metavar="ID", shell_complete=execution_ids)
action_argument = click.argument("action_id", metavar="ACTION", shell_complete=action_ids)
