"""A service that carries out ``test.remote``, in a process of its own: ``python -m tests.integration.remote_service``.

It notes what it starts, waits at a gate if it is told to, and fails if it is told how.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from tests.integration.actions import EFFECTS, _note, _ran, _wait_at, effects
from tests.integration.apps import own_app
from workflow_state import ActionContext, ActionError, RemoteExecutor

app = own_app.make_app()
executor = RemoteExecutor(app, queue="test-remote-service")


@executor.action("test.remote")
def carry_out(value: Any, context: ActionContext, fail: str = "", gate: str = "") -> Any:
    """Ten times the value; ``fail``: a category, in the first attempt, or ``text`` for an output of the wrong type."""
    _ran(context)
    effects().rpush(f"{EFFECTS}:keys:{context.execution_id}", context.idempotency_key)
    effects().expire(f"{EFFECTS}:keys:{context.execution_id}", 900)
    if gate:
        _note(f"started:{gate}", os.getpid())
        _wait_at(gate)
    if fail == "text":
        return "not a number"
    if fail and context.attempt == 1:
        raise ActionError("busy there", category=fail, status_code=503)
    return value * 10


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: executor.stop())
    executor.declare()
    print("ready", flush=True)  # noqa: T201 - the test waits for it
    executor.run()
    sys.exit(0)
