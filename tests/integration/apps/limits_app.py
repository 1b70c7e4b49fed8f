"""An app with low limits, and actions that exceed them."""

from __future__ import annotations

from celery import Celery

from tests.integration.apps import own_app
from workflow_state import ActionContext, ActionError, action

LIMITS = {"max_actions": 20, "max_plan_size": 5_000, "max_input_size": 10_000, "max_result_size": 10_000}


@action("limits.make")
def make(size: int) -> str:
    """An output of that size."""
    return "x" * size


@action("limits.huge_error")
def huge_error(ctx: ActionContext) -> None:
    """Says far too much of what went wrong."""
    much = "y" * 1_000_000
    raise ActionError(much, code=much, suggestion=much, context={"dump": [much]}, retryable=False)


def make_app() -> Celery:
    """The app; a test process makes one for each database that it talks to."""
    made = own_app.make_app()
    made.conf.imports = ["tests.integration.actions", "tests.integration.apps.limits_app"]
    made.conf.workflow_state = {**own_app.SETTINGS, **LIMITS}
    return made


app = make_app()
