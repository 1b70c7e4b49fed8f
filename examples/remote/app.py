"""The app that workers, the service and callers share: where the broker is, and what goes into a remote action."""

from __future__ import annotations

from typing import Any, Literal

from celery import Celery
from pydantic import BaseModel

from workflow_state import action

app = Celery("remote", include=["remote.app"])
app.config_from_object("workflow_state.durable")
app.conf.workflow_state = {"prefix": "remote-example"}


class Answer(BaseModel):
    """What a server said."""

    status: int
    body: Any


@action("http.request", remote=True)
def http_request(url: str, method: Literal["GET", "POST"] = "GET", body: Any = None) -> Answer:
    """Never called here: it says, to whoever plans, what goes in and what comes out."""
    raise NotImplementedError


@action("text.join")
def join(parts: list[str]) -> str:
    """A local action, that reads what the remote ones brought."""
    return " ".join(parts)
