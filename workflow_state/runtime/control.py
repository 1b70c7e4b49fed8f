"""What people do to an execution: answer a confirmation, pause and resume, cancel, delete."""

from __future__ import annotations

import time

from workflow_state.errors import ActionNotFoundError, ExecutionNotFoundError, InvalidTransitionError
from workflow_state.program import Program
from workflow_state.runtime import canvas
from workflow_state.runtime.engine import Engine
from workflow_state.store.closing import ask_to_delete

#: Seconds that ``delete`` waits for the end of an execution to be carried out, and between two looks.
ENDING, LOOK = 2.0, 0.02
#: Why an execution was cancelled where nobody says.
NO_REASON = "The execution was cancelled"


def cancel(engine: Engine, execution_id: str, reason: str) -> bool:
    """Cancel an execution; False when it had ended already.

    Raises:
        ExecutionNotFoundError: it is unknown.
    """
    # An empty one would be no cancel to whoever reads it.
    answer, _ = engine.store.cancel(execution_id, reason or NO_REASON, engine.settings.lease_ms)
    if answer == "unknown":
        raise ExecutionNotFoundError(execution_id)
    if answer == "ended":
        return False
    engine.stop(execution_id)
    return True


def pause(engine: Engine, execution_id: str) -> bool:
    """Have nothing new of an execution start; False when it had ended already.

    Raises:
        ExecutionNotFoundError: it is unknown.
    """
    answer, _ = engine.store.pause(execution_id, True)
    if answer == "unknown":
        raise ExecutionNotFoundError(execution_id)
    return answer != "ended"


def resume(engine: Engine, execution_id: str) -> bool:
    """Let a paused execution go on; False when it had ended already. One that is not paused is not changed.

    Raises:
        ExecutionNotFoundError: it is unknown.
    """
    answer, _ = engine.store.pause(execution_id, False)
    if answer == "unknown":
        raise ExecutionNotFoundError(execution_id)
    if answer == "ok":
        engine.take_up(execution_id)
    return answer != "ended"


def delete(engine: Engine, execution_id: str) -> bool:
    """Remove all of an ended execution; False when a worker has its end still to carry out, and removes it then.

    Raises:
        ExecutionNotFoundError: it is unknown.
        InvalidTransitionError: it has not ended.
    """
    answer, status = ask_to_delete(engine.store, execution_id, engine.settings.lease_ms)
    if answer == "unknown":
        raise ExecutionNotFoundError(execution_id)
    if answer == "open":
        raise InvalidTransitionError(
            f"Execution {execution_id!r} is {status}; only one that has ended can be deleted: cancel it first "
            "(cancel_execution), or wait() for its end"
        )
    if answer == "closed":
        engine.close(execution_id)
    until = time.monotonic() + ENDING
    while (there := engine.store.head(execution_id) is not None) and time.monotonic() < until:
        time.sleep(LOOK)
    engine.programs.forget(execution_id)
    return not there


def give_up(engine: Engine, execution_id: str) -> None:
    """End an execution that was stored to be started at once, by a caller that died before it did."""
    cancel(engine, execution_id, "It was never started: its caller was gone before")
    engine.store.start(execution_id, engine.settings.lease_ms)
    engine.advance(execution_id)


def confirm(engine: Engine, execution_id: str, action_id: str, confirmed: bool, user_id: str) -> None:
    """Answer a confirmation: the action runs, or the execution is cancelled. The same answer again: no effect.

    Raises:
        ExecutionNotFoundError, ActionNotFoundError: no such execution or action.
        InvalidTransitionError: the action does not wait for a confirmation, or the other answer was given.
        TypeError: the answer is no bool.
    """
    if not isinstance(confirmed, bool):
        # A form's "no" would be an approval.
        raise TypeError(f"The answer to {action_id!r} of {execution_id!r} is {confirmed!r}; expected True or False")
    program = _program(engine, execution_id, action_id)
    answer, status = engine.store.confirm(execution_id, action_id, confirmed, user_id, engine.settings.lease_ms)
    if answer == "unknown":
        raise ExecutionNotFoundError(execution_id)
    if answer == "contrary":
        given = "rejected" if confirmed else "confirmed"
        raise InvalidTransitionError(
            f"Action {action_id!r} of execution {execution_id!r} was {given} before; an answer cannot be changed"
        )
    if answer == "not waiting":
        raise InvalidTransitionError(
            f"Action {action_id!r} of execution {execution_id!r} does not wait for a confirmation: it is {status}; "
            "get_full_state(...).confirmations lists those that do"
        )
    if not confirmed:
        reject(engine, execution_id, action_id, user_id)
    elif answer == "answered":
        signature = canvas.action_signature(engine.app, program, program.steps[action_id], execution_id)
        canvas.publish(engine.app, [signature])


def reject(engine: Engine, execution_id: str, action_id: str, user_id: str) -> None:
    """Do what follows from a rejected confirmation; ``user_id``: who rejected it, or ""."""
    by = f" by {user_id}" if user_id else ""
    cancel(engine, execution_id, f"The confirmation of action {action_id!r} was rejected{by}")


def confirmation_timed_out(engine: Engine, execution_id: str, action_id: str) -> None:
    """No answer in time rejects."""
    answer, _ = engine.store.confirm(execution_id, action_id, False, "", engine.settings.lease_ms)
    if answer in ("answered", "repeated"):
        cancel(engine, execution_id, f"The confirmation of action {action_id!r} was not given in time")


def _program(engine: Engine, execution_id: str, action_id: str) -> Program:
    program = engine.programs.get(execution_id)
    if program is None:
        raise ExecutionNotFoundError(execution_id)
    if action_id not in program.steps:
        raise ActionNotFoundError(execution_id, action_id, program.steps)
    return program
