"""Entries of an execution's log → typed events: what the log leaves out is in the program.

An event that only a newer version knows is left out, with a word in the log: ``sequence`` shows the gap.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from workflow_state.errors import ExecutionNotFoundError, NewerSchemaError
from workflow_state.event_types import EVENT, LAST, Event
from workflow_state.models import ExecutionStatus
from workflow_state.program import Program
from workflow_state.store.keys import action_task_id
from workflow_state.store.newer import reading, with_known_category
from workflow_state.store.reader import SLICE, Reader
from workflow_state.store.records import Head, LogEntry
from workflow_state.telemetry import get_logger

#: Seconds that one wait for the next event takes at most.
WAIT = 5.0


def read_events(store: Reader, program: Program, execution_id: str, after: int = 0) -> Iterator[Event]:
    """What has happened so far, in order, read in slices.

    Raises:
        ExecutionNotFoundError: at the end, when it has gone meanwhile.
    """
    while entries := store.log(execution_id, after):
        yield from events_of(execution_id, program, entries)
        after = entries[-1].number
        if len(entries) < SLICE:
            break
    store.check_there(execution_id, whole=True)


def check_known(store: Reader, execution_id: str) -> Head | None:
    """Where an execution stands; None while it was sent and no worker has accepted it.

    Raises:
        ExecutionNotFoundError: it is unknown.
    """
    head = store.head(execution_id)
    if head is None and not store.is_sent(execution_id):
        # Or it was accepted between the two looks.
        head = store.head(execution_id)
        if head is None:
            raise ExecutionNotFoundError(execution_id)
    return head


def await_events(
    store: Reader, program_of: Callable[[str], Program], execution_id: str, after: int = 0
) -> Iterator[Event]:
    """What has happened and what happens, until the last event of the execution, or until its records are gone.

    ``program_of``: reads the program of an execution, once it is accepted.

    Raises:
        ExecutionNotFoundError: it is unknown, or no worker will accept it any more.
        NewerSchemaError: whether it has ended only a newer version knows.
    """
    while check_known(store, execution_id) is None:
        store.await_log(execution_id, 0, WAIT)
    program = program_of(execution_id)
    while True:
        entries = store.await_log(execution_id, after, WAIT)
        for entry in entries:
            yield from events_of(execution_id, program, [entry])
            after = entry.number
            if entry.kind in LAST:
                return
        head = None if entries else store.head(execution_id)
        if not entries and (head is None or (_has_ended(execution_id, head) and not store.log(execution_id, after, 1))):
            return


def await_end(store: Reader, execution_id: str, timeout: float | None) -> bool:
    """Wait until an execution has ended, up to ``timeout`` seconds (None: for ever); whether it has.

    Raises:
        ExecutionNotFoundError: it is unknown, or no worker will accept it any more.
        NewerSchemaError: whether it has ended only a newer version knows.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    after = store.log_length(execution_id)
    while True:
        head = check_known(store, execution_id)
        if head is not None and _has_ended(execution_id, head):
            return True
        left = WAIT if deadline is None else min(WAIT, deadline - time.monotonic())
        if left <= 0:
            return False
        if entries := store.await_log(execution_id, after, left):
            after = entries[-1].number


def event_of(execution_id: str, program: Program, entry: LogEntry) -> Event:
    """One entry as an event.

    Raises:
        NewerSchemaError: only a newer version knows such events.
    """
    found: dict[str, Any] = {
        "id": event_id(execution_id, entry.number, entry.at),
        "sequence": entry.number,
        "type": entry.kind,
        "time": datetime.fromtimestamp(entry.at / 1000, UTC),
        "execution_id": execution_id,
        "plan_id": program.plan_id,
        **entry.data,
    }
    if entry.action_id:
        found["action_id"] = entry.action_id
    if isinstance(error := found.get("error"), dict):
        found["error"] = with_known_category(error)
    with reading(execution_id):
        return EVENT.validate_python({**found, **_from_program(execution_id, program, entry)}, extra="ignore")


def events_of(execution_id: str, program: Program, entries: Sequence[LogEntry]) -> Iterator[Event]:
    """Those of the entries that this version knows."""
    for entry in entries:
        try:
            yield event_of(execution_id, program, entry)
        except NewerSchemaError as error:
            get_logger().warning("event left out", type=entry.kind, sequence=entry.number, reason=str(error))


def _has_ended(execution_id: str, head: Head) -> bool:
    with reading(execution_id):
        return ExecutionStatus(head.status).ended


def event_id(execution_id: str, number: int, at: int) -> str:
    """The id of an event. The time is part of it: after a crash the server may count a lost second's numbers again."""
    return f"{execution_id}/{number}/{at}"


def _from_program(execution_id: str, program: Program, entry: LogEntry) -> Mapping[str, Any]:
    step = program.steps.get(entry.action_id)
    match entry.kind:
        case "plan.execution.started":
            return {"plan_name": program.title, "total_actions": len(program.steps)}
        case "action.execute.requested" if step is not None:
            key = action_task_id(execution_id, step.id)
            return {"action_definition_id": step.definition, "idempotency_key": key, "timeout": step.timeout}
        case "user.confirmation.requested" if step is not None and step.confirmation is not None:
            asked = step.confirmation
            return {"title": asked.title, "message": asked.message, "timeout": asked.timeout}
    return {}
