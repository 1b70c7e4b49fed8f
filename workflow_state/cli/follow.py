"""Look at an execution until it has ended, or until there is no hope that it will."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence

import click

from workflow_state.cli.worker import WorkerProcess
from workflow_state.errors import ExecutionNotFoundError
from workflow_state.models import ActionStatus, ExecutionState
from workflow_state.state_manager import StateManager
from workflow_state.store.outages import is_outage

#: Seconds between two looks at the state.
POLL = 0.2
#: How many times longer than a look itself took the next one waits at least.
REST = 5
#: Seconds that it waits at most: a look takes long, too, when the server does not answer for a while.
LONGEST_REST = 5.0


class FollowError(click.ClickException):
    """The execution cannot be followed to its end; the message says why. A command exits with 1."""


def follow(
    manager: StateManager,
    execution_id: str,
    show: Callable[[ExecutionState], None],
    *,
    workers: Sequence[WorkerProcess] = (),
    patience: float = math.inf,
    outage: float = 0.0,
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
        outage: seconds that the server may be away.

    Raises:
        WorkerProcessError: a worker ended.
        FollowError: nothing changed for too long, or the server is gone.
        ExecutionNotFoundError: the execution was there, and is no more.
    """
    version, changed_at = 0, time.monotonic()
    view = _View(manager, execution_id, show, outage)
    while True:
        looked_at = time.monotonic()
        state = view.look()
        took = time.monotonic() - looked_at
        if state is not None:
            if state.status.ended:
                return state
            if state.version != version:
                version, changed_at = state.version, time.monotonic()
        for check in (*checks, *(worker.check for worker in workers)):
            check()
        if time.monotonic() - changed_at > patience:
            raise FollowError(_stuck(state, patience, workers))
        # A state of thousands of actions is not read all the time.
        time.sleep(max(POLL, min(REST * took, LONGEST_REST)))


class _View:
    """An execution as it is seen from here, over outages of up to ``outage`` seconds."""

    def __init__(
        self, manager: StateManager, execution_id: str, show: Callable[[ExecutionState], None], outage: float
    ) -> None:
        self._manager, self._execution_id, self._show, self._outage = manager, execution_id, show, outage
        self._away_since: float | None = None
        self._seen = False

    def look(self) -> ExecutionState | None:
        """Read the state and show it; None: no worker has accepted it yet, or the server is away for a moment."""
        try:
            state = self._manager.get_full_state(self._execution_id)
            self._show(state)
        except ExecutionNotFoundError:
            if self._seen:
                raise
            return None
        except Exception as error:
            if not is_outage(error):
                raise
            now = time.monotonic()
            self._away_since = self._away_since or now
            if now - self._away_since >= self._outage:
                raise FollowError(f"The server can no longer be reached: {error}") from error
            return None
        self._seen, self._away_since = True, None
        return state


def _stuck(state: ExecutionState | None, patience: float, workers: Sequence[WorkerProcess]) -> str:
    if state is None:
        what = "No worker has accepted the plan"
    else:
        running = [name for name, a in state.action_states.items() if a.status is ActionStatus.RUNNING]
        what = f"The execution is {state.status}, running are: {', '.join(running[:10]) or 'no actions'}"
    hint = "An action that may take longer needs a larger --patience."
    return "\n".join([f"Nothing has changed for {patience:g} s. {what}. {hint}", *(w.last_words(8) for w in workers)])
