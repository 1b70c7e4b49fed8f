"""Records → :class:`ExecutionState`, or the JSON of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from workflow_state.collector import uncollected
from workflow_state.errors import ExecutionNotFoundError
from workflow_state.models import ActionExecutionState, ExecutionState
from workflow_state.program import Outline
from workflow_state.store.newer import reading
from workflow_state.store.reader import SLICE, Reader
from workflow_state.store.records import Json, Record, Snapshot
from workflow_state.store.rendering import render_action, render_state


@uncollected
def read_state(store: Reader, execution_id: str) -> ExecutionState:
    """The state of an execution as it stands in Redis, read at one moment.

    Raises:
        ExecutionNotFoundError: it is unknown.
        NewerSchemaError: a newer version has written it, and nothing here can read it.
    """
    snapshot = store.snapshot(execution_id)
    program = Outline.from_json(snapshot.program)
    completed = [name for name, record in snapshot.stored.items() if record.get("status") == "completed"]
    outputs = store.outputs(execution_id, completed)
    if len(outputs) < len(completed):
        store.check_there(execution_id, whole=False)
    with reading(execution_id):
        return build_state(execution_id, program, snapshot, outputs)


def build_state(execution_id: str, program: Outline, snapshot: Snapshot, outputs: Mapping[str, Any]) -> ExecutionState:
    """Put records and outputs together; actions come in the order of their levels."""
    nothing: Json = {}
    actions = (
        render_action(
            name,
            snapshot.stored.get(name, nothing),
            snapshot.attempts.get(name, ()),
            outputs,
            snapshot.progress.get(name),
        )
        for level in program.levels
        for name in level
    )
    rendered = render_state(execution_id, program, snapshot.fields, actions, snapshot.confirmations)
    return ExecutionState.model_validate(rendered)


@uncollected
def final_state(store: Reader, execution_id: str, program: Outline) -> Json:
    """The state of an execution that has ended, as JSON: what its result is. No more than a page is read at once.

    Args:
        store: where it is.
        execution_id: of the execution.
        program: that it ran.

    Raises:
        ExecutionNotFoundError: it is unknown.
    """
    frame = store.frame(execution_id)
    actions = (
        state
        for names in _pages(program, SLICE)
        for state in _rendered(store, execution_id, names, tried=frame.tried, told=frame.told)
    )
    return render_state(execution_id, program, frame.fields, actions, frame.confirmations)


def iter_states(store: Reader, execution_id: str, page: int) -> Iterator[ActionExecutionState]:
    """The states of all actions in the order of their levels, read ``page`` at a time.

    Raises:
        ExecutionNotFoundError: at once when it is unknown, later when it is gone meanwhile.
        NewerSchemaError: a newer version has written it, and nothing here can read it.
    """
    text = store.program(execution_id)
    if text is None:
        raise ExecutionNotFoundError(execution_id)
    pages = _pages(Outline.from_json(text), page)
    return (state for names in pages for state in _read_states(store, execution_id, names))


def action_state(execution_id: str, action_id: str, record: Record, outputs: Mapping[str, Any]) -> ActionExecutionState:
    """One action's record and its output as users read them, without its earlier attempts.

    Raises:
        NewerSchemaError: a newer version has written it, and nothing here can read it.
    """
    with reading(execution_id):
        return ActionExecutionState.model_validate(render_action(action_id, record.stored(), (), outputs))


def _read_states(store: Reader, execution_id: str, names: list[str]) -> list[ActionExecutionState]:
    with reading(execution_id):
        rendered = _rendered(store, execution_id, names, tried=True, told=False)
    # Last: had it gone before, everything would look as if it were pending, or had no output.
    bare = any(state["status"] == "completed" and state["result"]["output"] is None for state in rendered)
    store.check_there(execution_id, whole=not bare)
    with reading(execution_id):
        return [ActionExecutionState.model_validate(state) for state in rendered]


def _rendered(store: Reader, execution_id: str, names: list[str], *, tried: bool, told: bool) -> list[Json]:
    """Some actions as JSON; ``tried``: with earlier attempts, ``told``: with progress."""
    records, outputs = store.stored_with_outputs(execution_id, names)
    attempts = store.attempts(execution_id, records) if tried else {}
    progress = store.progress(execution_id, names) if told else {}
    return [
        render_action(name, record, attempts.get(name, ()), outputs, progress.get(name))
        for name, record in records.items()
    ]


def _pages(program: Outline, size: int) -> Iterator[list[str]]:
    """The ids of all actions in the order of their levels, so many at a time."""
    names = [name for level in program.levels for name in level]
    return (names[start : start + size] for start in range(0, len(names), size))
