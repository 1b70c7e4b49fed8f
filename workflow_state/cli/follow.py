"""Look at an execution until it has ended, or until there is no hope that it will."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence

import click
from redis.exceptions import RedisError

from workflow_state.cli.worker import WorkerProcess
from workflow_state.errors import ExecutionNotFoundError
from workflow_state.models import ActionStatus, ExecutionState
from workflow_state.state_manager import StateManager

#: Seconds between two looks at the state.
POLL = 0.2
#: How many times longer than a look itself took the next one waits at least.
REST = 5


class FollowError(click.ClickException):
    """The execution cannot be followed to its end; the message says why. A command exits with 1."""


def follow(
    manager: StateManager,
    execution_id: str,
    show: Callable[[ExecutionState], None],
    *,
    workers: Sequence[WorkerProcess] = (),
    patience: float = math.inf,
    checks: Iterable[Callable[[], None]] = (),
) -> ExecutionState:
    """Show every state of an execution, and return the final one.

    Args:
        manager: reads the state.
        execution_id: what ``execute_plan.delay`` gave.
        show: called at every look, also when nothing has changed, as time has passed.
        workers: who runs it; they must live.
        checks: called at every look; what they raise ends the following.
        patience: seconds without any change after which the execution counts as stuck.

    Raises:
        WorkerProcessError: a worker ended.
        FollowError: nothing changed for too long, or the server is gone.
    """
    version, changed_at = 0, time.monotonic()
    while True:
        looked_at = time.monotonic()
        state = _read(manager, execution_id)
        took = time.monotonic() - looked_at
        if state is not None:
            show(state)
            if state.status.ended:
                return state
            if state.version != version:
                version, changed_at = state.version, time.monotonic()
        for check in (*checks, *(worker.check for worker in workers)):
            check()
        if time.monotonic() - changed_at > patience:
            raise FollowError(_stuck(state, patience, workers))
        # A state of thousands of actions is not read all the time.
        time.sleep(max(POLL, REST * took))


def _read(manager: StateManager, execution_id: str) -> ExecutionState | None:
    """The state; None as long as no worker has accepted the execution."""
    try:
        return manager.get_full_state(execution_id)
    except ExecutionNotFoundError:
        return None
    except RedisError as error:
        raise FollowError(f"The server can no longer be reached: {error}") from error


def _stuck(state: ExecutionState | None, patience: float, workers: Sequence[WorkerProcess]) -> str:
    if state is None:
        what = "No worker has accepted the plan"
    else:
        running = [name for name, a in state.action_states.items() if a.status is ActionStatus.RUNNING]
        what = f"The execution is {state.status}, running are: {', '.join(running[:10]) or 'no actions'}"
    hint = "An action that may take longer needs a larger --patience."
    return "\n".join([f"Nothing has changed for {patience:g} s. {what}. {hint}", *(w.last_words(8) for w in workers)])
