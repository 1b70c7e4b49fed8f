"""A user's own app that calls functions of its own when any task has failed or returned, as Celery's manual shows."""

from __future__ import annotations

from typing import Any

from tests.integration.actions import EFFECTS, effects
from tests.integration.apps.own_app import make_app


def failed(self: Any, exc: BaseException, *_: Any) -> None:
    """Note the task and its error."""
    effects().rpush(f"{EFFECTS}:failed", f"{self.name} {type(exc).__name__}")


def returned(self: Any, status: str, *_: Any) -> None:
    """Note the task and its state."""
    effects().rpush(f"{EFFECTS}:returned", f"{self.name} {status}")


app = make_app()
app.conf.task_annotations = {"*": {"on_failure": failed, "after_return": returned}}
