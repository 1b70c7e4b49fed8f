"""Records → :class:`ExecutionState`: the one place where stored records become what users read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from workflow_state.errors import ExecutionNotFoundError
from workflow_state.models import (
    ActionExecutionState,
    ActionResult,
    ActionStatus,
    Attempt,
    ConfirmationState,
    ErrorDetail,
    ExecutionMetrics,
    ExecutionState,
    ExecutionStatus,
    Failure,
    Progress,
    Skipped,
    Success,
)
from workflow_state.program import Outline
from workflow_state.store.reader import Reader
from workflow_state.store.records import Record, Snapshot


def read_state(store: Reader, execution_id: str) -> ExecutionState:
    """The state of an execution as it stands in Redis.

    Raises:
        ExecutionNotFoundError: it is unknown.
    """
    snapshot = store.snapshot(execution_id)
    program = Outline.from_json(snapshot.program)
    completed = [name for name, record in snapshot.actions.items() if record.status == "completed"]
    return build_state(execution_id, program, snapshot, store.outputs(execution_id, completed))


def iter_states(store: Reader, execution_id: str, page: int) -> Iterator[ActionExecutionState]:
    """The states of all actions in the order of their levels, read ``page`` at a time.

    Raises:
        ExecutionNotFoundError: at once when it is unknown, later when it is gone meanwhile.
    """
    text = store.program(execution_id)
    if text is None:
        raise ExecutionNotFoundError(execution_id)
    names = [name for level in Outline.from_json(text).levels for name in level]
    parts = (names[start : start + page] for start in range(0, len(names), page))
    return (state for part in parts for state in _read_states(store, execution_id, part))


def _read_states(store: Reader, execution_id: str, names: list[str]) -> list[ActionExecutionState]:
    records = store.records(execution_id, names)
    attempts = store.attempts(execution_id, records)
    outputs = store.outputs(execution_id, [name for name, record in records.items() if record.status == "completed"])
    # Last: had it gone before, everything would look as if it were pending.
    store.fields(execution_id, "status")
    return [action_state(name, record, attempts.get(name, []), outputs) for name, record in records.items()]


def build_state(execution_id: str, program: Outline, snapshot: Snapshot, outputs: Mapping[str, Any]) -> ExecutionState:
    """Put records and outputs together; actions come in the order of their levels."""
    fields = snapshot.fields
    states = {
        name: action_state(
            name,
            snapshot.actions.get(name, Record()),
            snapshot.attempts.get(name, []),
            outputs,
            snapshot.progress.get(name),
        )
        for level in program.levels
        for name in level
    }
    started, ended = _time(fields.get("started_at")), _time(fields.get("completed_at"))
    counts = Counter(state.status for state in states.values())
    return ExecutionState(
        id=execution_id,
        plan_id=program.plan_id,
        status=status_of(fields),
        started_at=started,
        completed_at=ended,
        action_states=states,
        confirmations=tuple(_confirmation(name, entry) for name, entry in snapshot.confirmations.items()),
        error=_error(fields.get("error")),
        rerun_of=fields.get("rerun_of"),
        paused="paused" in fields and "completed_at" not in fields,
        metrics=ExecutionMetrics(
            total_actions=len(states),
            completed_actions=counts[ActionStatus.COMPLETED],
            failed_actions=counts[ActionStatus.FAILED],
            skipped_actions=counts[ActionStatus.SKIPPED],
            total_duration=_duration(fields.get("started_at"), fields.get("completed_at")) or 0,
        ),
        version=int(fields["version"]),
    )


def status_of(fields: Mapping[str, str]) -> ExecutionStatus:
    """Where an execution stands; paused for a confirmation is a running one when nothing else can run."""
    waiting = int(fields.get("waiting") or 0)
    if fields["status"] == "running" and 0 < waiting >= int(fields["open"]) and not fields.get("cancel"):
        return ExecutionStatus.PAUSED_FOR_CONFIRMATION
    return ExecutionStatus(fields["status"])


def _confirmation(action_id: str, entry: Mapping[str, Any]) -> ConfirmationState:
    return ConfirmationState(
        action_id=action_id,
        requested_at=datetime.fromtimestamp(entry["requested_at"] / 1000, UTC),
        responded_at=_time(entry.get("responded_at")),
        confirmed=entry.get("confirmed"),
        user_id=entry.get("user_id"),
    )


def action_state(
    action_id: str,
    record: Record,
    attempts: list[dict[str, Any]],
    outputs: Mapping[str, Any],
    progress: Mapping[str, Any] | None = None,
) -> ActionExecutionState:
    """One action's record, its earlier attempts and its output as users read them."""
    error = _error(record.error)
    return ActionExecutionState(
        action_id=action_id,
        status=ActionStatus(record.status),
        started_at=_time(record.started_at),
        completed_at=_time(record.ended_at),
        duration=_duration(record.started_at, record.ended_at),
        attempts=record.attempt,
        result=_result(action_id, record, error, outputs),
        error=error,
        trace=_trace(record, attempts),
        progress=_progress(progress) if progress else None,
    )


def _result(
    action_id: str, record: Record, error: ErrorDetail | None, outputs: Mapping[str, Any]
) -> ActionResult | None:
    match record.status:
        case "completed":
            return Success(output=outputs.get(action_id))
        case "failed" if error is not None:
            return Failure(error=error)
        case "skipped":
            return Skipped(reason=record.reason)
    return None


def _trace(record: Record, attempts: list[dict[str, Any]]) -> tuple[Attempt, ...]:
    """All attempts in order; the last one of an action that runs or completed is in the record itself."""
    found = {entry["number"]: _attempt(entry) for entry in attempts}
    if record.attempt and record.attempt not in found:
        outcome = "running" if record.status == "running" else record.status
        last = {
            "number": record.attempt,
            "started_at": record.attempt_at,
            "ended_at": record.ended_at,
            "worker": record.worker,
            "outcome": outcome,
        }
        found[record.attempt] = _attempt(last)
    return tuple(found[number] for number in sorted(found))


def _attempt(entry: Mapping[str, Any]) -> Attempt:
    started, ended = entry["started_at"], entry.get("ended_at")
    return Attempt(
        number=entry["number"],
        started_at=datetime.fromtimestamp(started / 1000, UTC),
        completed_at=_time(ended),
        duration=_duration(started, ended),
        worker=entry.get("worker") or "",
        outcome=entry["outcome"],
        error=ErrorDetail.model_validate(entry["error"], extra="ignore") if entry.get("error") else None,
    )


def _progress(entry: Mapping[str, Any]) -> Progress:
    return Progress.model_validate({**entry, "at": datetime.fromtimestamp(entry["at"] / 1000, UTC)}, extra="ignore")


def _error(text: str | None) -> ErrorDetail | None:
    return ErrorDetail.model_validate(json.loads(text), extra="ignore") if text else None


def _time(milliseconds: str | int | None) -> datetime | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None


def _duration(start: str | int | None, end: str | int | None) -> int | None:
    # A server's clock can be set back.
    return max(0, int(end) - int(start)) if start and end else None
