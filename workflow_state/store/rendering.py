"""Stored records → the JSON of the state: the one place where what is stored becomes what is read.

What a plan's result holds is this JSON as it is; the models that users ask for are read from it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from sys import intern
from typing import Any, Final

from workflow_state.models import ErrorDetail, ExecutionStatus
from workflow_state.program import Outline
from workflow_state.store.newer import with_known_category
from workflow_state.store.records import Json

#: The result of an action that gives nothing: one for all of them, which nobody changes.
_NO_OUTPUT: Final[Json] = {"status": "success", "output": None}


def render_state(
    execution_id: str,
    program: Outline,
    fields: Mapping[str, str],
    actions: Iterable[Json],
    confirmations: Mapping[str, Mapping[str, Any]],
) -> Json:
    """The JSON of an ``ExecutionState``.

    Args:
        execution_id: of the execution.
        program: what it runs.
        fields: of its hash.
        actions: as :func:`render_action` gives them, in the order in which they shall be read.
        confirmations: request and answer by action id.
    """
    states = {state["action_id"]: state for state in actions}
    counts = Counter(state["status"] for state in states.values())
    started, ended = fields.get("started_at"), fields.get("completed_at")
    return {
        "id": execution_id,
        "plan_id": program.plan_id,
        "status": status_of(fields).value,
        "started_at": _time(started),
        "completed_at": _time(ended),
        "action_states": states,
        "confirmations": [_confirmation(name, entry) for name, entry in confirmations.items()],
        "error": _error(fields.get("error")),
        "rerun_of": fields.get("rerun_of"),
        "paused": "paused" in fields and "completed_at" not in fields,
        "metrics": {
            "total_actions": len(states),
            "completed_actions": counts["completed"],
            "failed_actions": counts["failed"],
            "skipped_actions": counts["skipped"],
            "total_duration": _duration(started, ended) or 0,
        },
        "version": int(fields["version"]),
    }


def status_of(fields: Mapping[str, str]) -> ExecutionStatus:
    """Where an execution stands; paused for a confirmation is a running one when nothing else can run.

    Raises:
        ValueError: a newer version has written it.
    """
    waiting = int(fields.get("waiting") or 0)
    if fields["status"] == "running" and 0 < waiting >= int(fields["open"]) and not fields.get("cancel"):
        return ExecutionStatus.PAUSED_FOR_CONFIRMATION
    return ExecutionStatus(fields["status"])


def render_action(
    action_id: str,
    record: Mapping[str, Any],
    attempts: Sequence[Mapping[str, Any]],
    outputs: Mapping[str, Any],
    progress: Mapping[str, Any] | None = None,
) -> Json:
    """The JSON of an ``ActionExecutionState``.

    Args:
        action_id: of the action.
        record: as it is stored; what is missing is at its default.
        attempts: its attempts that failed or were lost, as they are stored.
        outputs: of completed actions, by action id.
        progress: as it was told last.
    """
    status, started, ended = record.get("status", "pending"), record.get("started_at"), record.get("ended_at")
    started_at, ended_at = _time(started), _time(ended)
    error, result = _error(record.get("error")), None
    if status == "completed":
        output = outputs.get(action_id)
        result = _NO_OUTPUT if output is None else {"status": "success", "output": output}
    elif status == "skipped":
        result = {"status": "skipped", "reason": record.get("reason", "")}
    elif status == "failed" and error is not None:
        result = {"status": "failure", "error": error, "partial_output": None}
    return {
        "action_id": action_id,
        "status": status,
        "started_at": started_at,
        "completed_at": ended_at,
        "duration": _duration(started, ended),
        "attempts": record.get("attempt", 0),
        "result": result,
        "error": error,
        "trace": _trace(record, attempts, started_at, ended_at),
        "progress": _progress(progress) if progress else None,
    }


def _trace(
    record: Mapping[str, Any],
    attempts: Sequence[Mapping[str, Any]],
    started_at: str | None,
    ended_at: str | None,
) -> list[Json]:
    """All attempts in order; the last one of an action that runs or completed is in the record itself."""
    found = [_attempt(entry) for entry in attempts]
    number = record.get("attempt", 0)
    if number and all(attempt["number"] != number for attempt in found):
        begun = record["attempt_at"]
        found.append(
            {
                "number": number,
                "started_at": started_at if started_at and begun == record["started_at"] else _written(begun),
                "completed_at": ended_at,
                "duration": _duration(begun, record.get("ended_at")),
                # Few names, each in thousands of records: kept once.
                "worker": intern(record.get("worker") or ""),
                "outcome": record.get("status", "pending"),
                "error": None,
            }
        )
    return sorted(found, key=itemgetter("number"))


def _attempt(entry: Mapping[str, Any]) -> Json:
    return {
        "number": entry["number"],
        "started_at": _written(entry["started_at"]),
        "completed_at": _time(entry.get("ended_at")),
        "duration": _duration(entry["started_at"], entry.get("ended_at")),
        "worker": entry.get("worker") or "",
        "outcome": entry["outcome"],
        "error": _error(entry.get("error")),
    }


def _progress(entry: Mapping[str, Any]) -> Json:
    return {
        "fraction": float(entry["fraction"]),
        "message": entry.get("message", ""),
        "attempt": entry.get("attempt", 1),
        "at": _written(entry["at"]),
    }


def _confirmation(action_id: str, entry: Mapping[str, Any]) -> Json:
    return {
        "action_id": action_id,
        "requested_at": _written(entry["requested_at"]),
        "responded_at": _time(entry.get("responded_at")),
        "confirmed": entry.get("confirmed"),
        "user_id": entry.get("user_id"),
    }


def _error(stored: str | Mapping[str, Any] | None) -> Json | None:
    """With all fields, whichever were stored."""
    if not stored:
        return None
    given = json.loads(stored) if isinstance(stored, str) else stored
    return ErrorDetail.model_validate(with_known_category(given), extra="ignore").model_dump(mode="json")


def _time(milliseconds: str | int | None) -> str | None:
    return _written(milliseconds) if milliseconds else None


@lru_cache(maxsize=4096)
def _written(milliseconds: str | int) -> str:
    """A time as pydantic writes it. Kept for a while: often one action begins in the millisecond that ends another."""
    seconds, rest = divmod(int(milliseconds), 1000)
    return f"{_second(seconds)}.{rest:03d}000Z" if rest else f"{_second(seconds)}Z"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()


def _duration(start: str | int | None, end: str | int | None) -> int | None:
    # A server's clock can be set back.
    return max(0, int(end) - int(start)) if start and end else None
