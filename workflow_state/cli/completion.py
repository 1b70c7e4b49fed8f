"""Ids for shell completion: of recent executions, and of an execution's actions. Silent where there is no server."""

from __future__ import annotations

import click
from redis.exceptions import RedisError

from workflow_state.cli.session import Session
from workflow_state.errors import WorkflowStateError


def action_ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Ids of the actions of the execution whose id stands before on the line."""
    try:
        program = _session(ctx).program(str(ctx.params["execution_id"]))
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


execution_argument = click.argument("execution_id", metavar="ID")
action_argument = click.argument("action_id", metavar="ACTION", shell_complete=action_ids)
