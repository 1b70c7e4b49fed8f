"""Rerun: a new execution of an old one's plan that takes over what completed and runs the rest."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from kombu.exceptions import OperationalError
from pydantic import JsonValue

from workflow_state import graph
from workflow_state.errors import (
    ActionNotFoundError,
    ExecutionNotFoundError,
    InvalidTransitionError,
    PlanProblem,
    PlanValidationError,
)
from workflow_state.json_values import problem_in
from workflow_state.models import ExecutionPlan
from workflow_state.program import Program
from workflow_state.runtime.engine import Engine
from workflow_state.runtime.submission import LARGE_HINT, over_limit
from workflow_state.store.records import Record, Settled
from workflow_state.validation import prepare_plan


def rerun(
    engine: Engine,
    execution_id: str,
    new_id: str,
    *,
    from_action: str | None,
    inputs: Mapping[str, Mapping[str, JsonValue]],
    skip: Collection[str],
    results: Mapping[str, JsonValue],
) -> None:
    """Store the new execution with what it takes over, and start it.

    Raises:
        ExecutionNotFoundError: the old execution is unknown, or its records have expired.
        ActionNotFoundError: its plan has no such action.
        InvalidTransitionError: it has not ended.
        PlanValidationError: with the new inputs the plan is not valid, a result is not JSON or too large, or an action
            is to run, to be skipped or to have a result at the same time; nothing is stored.
    """
    snapshot = engine.store.snapshot(execution_id)
    if snapshot.fields["status"] not in ("completed", "failed", "cancelled"):
        raise InvalidTransitionError(
            f"Execution {execution_id!r} is {snapshot.fields['status']}; only one that has ended can be run again"
        )
    plan = _edited(prepare_plan(snapshot.plan), inputs)
    program = Program.from_json(snapshot.program)
    for name in (*([from_action] if from_action else []), *inputs, *skip, *results):
        if not isinstance(name, str) or name not in program.steps:  # type: ignore[redundant-expr] # not to who has no types
            raise ActionNotFoundError(execution_id, name, program.steps)
    _check_one_wish_each(from_action, inputs, skip, results)
    given = _checked(engine, new_id, results)
    records = snapshot.actions
    kept = _kept(program, records, {*inputs, *skip, *results, *([from_action] if from_action else [])})
    outputs = engine.store.outputs(execution_id, sorted(kept))
    if len(outputs) < len(kept):
        # It is being deleted, or has expired just now: results go before records.
        raise ExecutionNotFoundError(execution_id)
    told: dict[str, str | int] = {"rerun_of": execution_id, "seeded": 1}
    ended = dict.fromkeys(skip, "skipped") | dict.fromkeys([*kept, *given], "completed")
    engine.accept(plan, new_id, {}, started=False, extra=told, given=ended)
    seeds = [_taken_over(engine, new_id, execution_id, name, records[name], outputs[name]) for name in kept]
    seeds += [_given(engine, new_id, name, output) for name, output in given.items()]
    seeds += [engine.settling.skipped(new_id, name, "skipped by the rerun") for name in skip]
    engine.store.settle(new_id, seeds, were_open=False, look_after_ms=engine.settings.lease_ms)
    engine.store.start(new_id, engine.settings.lease_ms)
    try:
        engine.app.tasks["workflow_state.advance"].apply_async((new_id,))
    except OperationalError as error:
        # It has started, and must not be asked for again: a sweeper sends the message in our place.
        engine.log.warning("broker away, the rerun goes on later", execution_id=new_id, error=str(error))


def _check_one_wish_each(
    from_action: str | None, inputs: Mapping[str, object], skip: Collection[str], results: Mapping[str, object]
) -> None:
    wished = {"inputs": inputs, "from_action": [from_action], "skip": skip, "results": results}
    problems = []
    for name in dict.fromkeys((*skip, *results)):
        wishes = [wish for wish, names in wished.items() if name in names]
        if len(wishes) > 1:
            message = f"Action {name!r} is named in {' and in '.join(wishes)}"
            hint = "an action runs, is skipped, or has a result given"
            problems.append(PlanProblem("invalid_value", f"{wishes[-1]}.{name}", message, hint))
    if problems:
        raise PlanValidationError(problems)


def _edited(plan: ExecutionPlan, inputs: Mapping[str, Mapping[str, JsonValue]]) -> ExecutionPlan:
    if not inputs:
        return plan
    edited = plan.model_dump(exclude_unset=True)
    for action in edited["actions"]:
        if action["id"] in inputs:
            action["inputs"] = inputs[action["id"]]
    return prepare_plan(edited)


def _checked(engine: Engine, new_id: str, results: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The outputs given, as they will be read: one that could not be would make the whole execution unreadable."""
    checked: dict[str, JsonValue] = {}
    problems = []
    for name, output in results.items():
        try:
            checked[name] = json.loads(json.dumps(output))
            problem = problem_in(checked[name])
        except (TypeError, ValueError, RecursionError) as error:
            problem = str(error)
        if problem:
            message = f"The result given for action {name!r} cannot be kept as JSON: {problem}"
            problems.append(PlanProblem("invalid_value", f"results.{name}", message))
            continue
        stored = engine.store.results
        if said := over_limit(stored.size(stored.success(new_id, name, checked[name])), engine.settings):
            message = f"The result given for action {name!r} is {said}"
            problems.append(PlanProblem("result_too_large", f"results.{name}", message, LARGE_HINT))
    if problems:
        raise PlanValidationError(problems)
    return checked


def _kept(program: Program, records: Mapping[str, Record], changed: set[str]) -> list[str]:
    """Completed actions that nothing changed leads to."""
    after = graph.successors({name: step.needs for name, step in program.steps.items()})
    stale, stack = set(changed), list(changed)
    while stack:
        for name in after[stack.pop()]:
            if name not in stale:
                stale.add(name)
                stack.append(name)
    return [name for name, record in records.items() if record.status == "completed" and name not in stale]


def _taken_over(engine: Engine, new_id: str, old_id: str, name: str, record: Record, output: Any) -> Settled:
    payload = engine.store.results.success(new_id, name, output)
    times = {"started_at": record.started_at, "ended_at": record.ended_at}
    return Settled(name, "completed", payload, f"taken over from execution {old_id}", record.error, times=times)


def _given(engine: Engine, new_id: str, name: str, output: JsonValue) -> Settled:
    payload = engine.store.results.success(new_id, name, output)
    return Settled(name, "completed", payload, "result given by the rerun")
