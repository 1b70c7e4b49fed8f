"""Values of a run as text to show: without secrets, and not longer than a page can bear."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from pydantic import JsonValue

from workflow_state.models import ErrorDetail, ExecutionState, Skipped, Success
from workflow_state.program import Program
from workflow_state.redaction import Redactor

#: Characters of all values of a page together, and of one value, at least and at most.
ALL: Final = 3_000_000
LEAST: Final = 300
MOST: Final = 20_000


def secrets_of(redactor: Redactor, program: Program | None, state: ExecutionState) -> set[str]:
    """Every text that bears a secret name in an input or an output: it is taken out wherever else it got to."""
    found: set[str] = set()
    for step in program.steps.values() if program else ():
        found |= redactor.secrets_in(step.inputs)
        found |= redactor.secrets_in(list(step.fallback or ()))
    for action in state.action_states.values():
        if isinstance(action.result, Success):
            found |= redactor.secrets_in(action.result.output)
    return found


def shown(value: JsonValue, limit: int) -> str:
    """A cleaned value as JSON for people, cut at ``limit`` characters, with a word on what was cut."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return text if len(text) <= limit else f"{text[:limit]}\n… cut: {len(text):,} characters in all"


def limit_for(actions: int) -> int:
    """How many characters of one value are shown in a page of so many actions."""
    return max(LEAST, min(MOST, ALL // max(1, actions * 2)))


def texts_of(state: ExecutionState, action_id: str) -> dict[str, Any]:
    """What a run left of an action in free form, not cleaned yet: output, reason, error, errors of its attempts."""
    action = state.action_states[action_id]
    return {
        "output": [action.result.output] if isinstance(action.result, Success) else [],
        "reason": action.result.reason if isinstance(action.result, Skipped) else "",
        "error": _error(action.error),
        "attempts": [_error(attempt.error) for attempt in action.trace],
    }


def error_lines(error: ErrorDetail | None) -> Iterable[tuple[str, JsonValue]]:
    """An error as names and values; what is not set is left out."""
    if error is None:
        return
    yield "category", error.category.value
    yield "message", error.message
    for name in ("code", "status_code", "retry_after", "suggestion"):
        value = getattr(error, name)
        if value is not None:
            yield name, value
    if error.context:
        yield "context", error.context


def _error(error: ErrorDetail | None) -> dict[str, JsonValue]:
    return dict(error_lines(error))
