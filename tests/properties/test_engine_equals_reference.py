"""Random plans end alike on a real worker, in process, and in the plain reference interpreter."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from celery.result import AsyncResult
from hypothesis import Phase, given, settings

from tests.behaviour.endings import timeless
from tests.random_plans import act, plans
from tests.reference_interpreter import Ending, Interpreter, Result
from tests.workers import Site
from workflow_state import (
    ActionExecutionState,
    ExecutionPlan,
    ExecutionState,
    Skipped,
    StateManager,
    Success,
    execute_plan,
    find_plan_problems,
)
from workflow_state.testing import run_plan

TIMEOUT = 60
PLANS = 500
BATCHED = 15
BATCH = 25
"""Plans that are at work together: the worker is never idle, and no result is waited for long."""

REASONS = {
    "alternative of ": "not needed",
    "all of its dependencies were skipped": "not taken",
    "condition not met: ": "condition",
    "not started: the execution had halted": "halted",
}
"""How the reason of a skip begins → the interpreter's word for it."""

Summary = dict[str, Any]


def summary_of_result(found: Result) -> Summary:
    """What both must agree on, from the interpreter's result."""
    return {
        "status": found.status,
        "cause": found.halted or found.unmet,
        "actions": {name: summary_of_ending(ending) for name, ending in found.endings.items()},
    }


def summary_of_ending(ending: Ending) -> Summary:
    failed = ["failed"] * (ending.attempts - (ending.error is None))
    return {
        "status": ending.status,
        "attempts": ending.attempts,
        "trace": failed if ending.error or not ending.attempts else [*failed, "completed"],
        "output": ending.output if ending.status == "completed" else None,
        "error": ending.error and ending.error.category,
        "reason": ending.reason,
    }


def summary_of_state(state: ExecutionState) -> Summary:
    """The same, from the final state."""
    cause: Any = []
    if state.error is not None:
        message = state.error.message
        unmet = [f"v{n}" for n in range(3) if f"v{n}: expected " in message]
        cause = state.error.context.get("action_id") or unmet
    actions = {name: summary_of_action(found) for name, found in state.action_states.items()}
    return {"status": state.status.value, "cause": cause, "actions": actions}


def summary_of_action(found: ActionExecutionState) -> Summary:
    reason = found.result.reason if isinstance(found.result, Skipped) else ""
    return {
        "status": found.status.value,
        "attempts": found.attempts,
        "trace": [attempt.outcome for attempt in found.trace],
        "output": found.result.output if isinstance(found.result, Success) else None,
        "error": found.error and found.error.category.value,
        "reason": next((word for start, word in REASONS.items() if reason.startswith(start)), reason),
    }


def expected(plan: dict[str, Any]) -> Summary:
    """What the interpreter makes of a plan."""
    return summary_of_result(Interpreter(plan, act).run())


def check(plan: dict[str, Any], found: Summary) -> None:
    """Fail with the plan and both summaries when they differ."""
    wanted = expected(plan)
    if found != wanted:
        names = [name for name in wanted["actions"] if wanted["actions"][name] != found["actions"][name]]
        differing = {name: {"expected": wanted["actions"][name], "found": found["actions"][name]} for name in names}
        ends = [{"status": s["status"], "cause": s["cause"]} for s in (wanted, found)]
        pytest.fail(f"{json.dumps(plan, indent=1)}\nexpected, found: {ends}\n{json.dumps(differing, indent=1)}")


def run_on_workers(batch: Sequence[dict[str, Any]]) -> list[ExecutionState]:
    """Submit all plans, wait for all, and read all final states."""
    results = [execute_plan.delay(plan) for plan in batch]
    for result in results:
        AsyncResult(result.id, app=result.app).get(timeout=TIMEOUT, propagate=False)
    manager = StateManager()
    return [manager.get_full_state(result.id) for result in results]


@settings(max_examples=600, deadline=None)
@given(plans())
def test_in_process(plan: dict[str, Any]) -> None:
    """``run_plan`` ends every plan as the interpreter does: statuses, outputs, errors, reasons, attempts."""
    check(plan, summary_of_state(run_plan(plan)))


def to_the_letter(state: ExecutionState) -> str:
    """All of a state but its times; which actions are registered differs from process to process."""
    return re.sub(r"registered as '[^\"]*", "registered", json.dumps(timeless(state), indent=1, sort_keys=True))


def drawn(count: int) -> list[dict[str, Any]]:
    """So many different random plans; drawn one by one, since Hypothesis repeats itself inside a list."""
    found: dict[str, dict[str, Any]] = {}

    @settings(max_examples=2 * count, deadline=None, database=None, phases=[Phase.generate])
    @given(plans())
    def collect(plan: dict[str, Any]) -> None:
        if len(found) < count:
            found[json.dumps(plan, sort_keys=True)] = plan

    collect()
    return list(found.values())


def batches(found: list[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    return (found[start : start + size] for start in range(0, len(found), size))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_on_a_real_worker(serial: Site) -> None:
    """500 plans end on a real worker, of one process so that the order is known, as in the interpreter; and in
    process to the letter, with every message and reason.
    """
    found = drawn(PLANS)
    assert len(found) == PLANS
    for batch in batches(found, BATCH):
        for plan, state in zip(batch, run_on_workers(batch), strict=True):
            check(plan, summary_of_state(state))
            assert to_the_letter(run_plan(plan)) == to_the_letter(state), json.dumps(plan, indent=1)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["levels", "dataflow"])
def test_batched(serial: Site, schedule: str) -> None:
    """Plans whose actions share messages end as the interpreter says, in both schedules. Not those that halt:
    what has begun with a failed action ends, and in a batch more of them have.
    """
    going = [plan for plan in drawn(8 * BATCHED) if not expected(plan)["cause"]][:BATCHED]
    assert len(going) == BATCHED
    found = [{**plan, "batch_size": 4, "schedule": schedule} for plan in going]
    for batch in batches(found, BATCH):
        for plan, state in zip(batch, run_on_workers(batch), strict=True):
            check(plan, summary_of_state(state))


@settings(max_examples=500, deadline=None)
@given(plans())
def test_the_linter_keeps_its_word(plan: dict[str, Any]) -> None:
    """What the linter says never runs never runs; a condition that it says always holds skips nobody."""
    endings = Interpreter(plan, act).run().endings
    for warning in find_plan_problems(ExecutionPlan.model_validate(plan)):
        name = plan["actions"][int(re.findall(r"\d+", warning.location)[0])]["id"]
        if warning.code in ("unreachable_action", "condition_never_holds"):
            assert endings[name].attempts == 0
        if warning.code == "condition_always_holds":
            assert endings[name].reason != "condition"
