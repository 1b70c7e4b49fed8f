"""What failures do: to what depends on the failed action, to the execution, and what a plan says against it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from celery.result import AsyncResult

from tests.integration.outcomes import ONCE, QUICK, TIMEOUT, output, run, run_one, statuses
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import (
    ErrorCategory,
    Failure,
    PlanExecutionError,
    Skipped,
    StateManager,
    Success,
    action_task_id,
    execute_plan,
)


def test_a_failing_action_fails_the_execution(site: Site) -> None:
    """An action that fails for good ends the execution ``failed``: what runs beside it finishes, nothing new
    starts, every action that never ran is ``skipped`` with the reason, and the error names the action.
    """
    gate, breaking = uuid.uuid4().hex, uuid.uuid4().hex
    result = execute_plan.delay(
        plan(
            action("sibling", "test.gate", inputs={"name": gate}),
            action("breaks", "test.gate", inputs={"name": breaking, "then_fail": "out of paper"}, retry=ONCE),
            action("child", "test.echo", "breaks"),
            action("grandchild", "test.echo", "child", "sibling"),
            action("other", "test.echo", "sibling"),
            id="print-1",
            name="print",
        )
    )
    failed_task = AsyncResult(action_task_id(result.id, "breaks"), app=site.app)
    site.wait_started(gate)
    site.open_gate(breaking)
    wait_until(failed_task.ready, TIMEOUT, "the failing action has failed")
    watched = StateManager().get_full_state(result.id)
    assert (watched.status, watched.action_states["sibling"].status) == ("running", "running")
    site.open_gate(gate)
    with pytest.raises(PlanExecutionError) as failed:
        result.get(timeout=TIMEOUT)
    assert str(failed.value) == (
        f"Plan 'print' ended failed (execution {result.id}): Action 'breaks' failed: out of paper"
    )
    assert failed.value.failed_actions == {"breaks": "out of paper"}
    state = StateManager().get_full_state(result.id)
    assert state.status == "failed"
    assert statuses(state) == {
        "sibling": "completed",
        "breaks": "failed",
        "child": "skipped",
        "other": "skipped",
        "grandchild": "skipped",
    }
    for name in ("child", "grandchild", "other"):
        skipped = state.action_states[name].result
        assert isinstance(skipped, Skipped)
        assert "'breaks'" in skipped.reason
        assert AsyncResult(action_task_id(result.id, name), app=site.app).state == "REVOKED"
    assert state.error is not None
    assert (state.error.category, state.error.context) == ("action_failed", {"action_id": "breaks"})
    metrics = state.metrics
    assert (metrics.completed_actions, metrics.failed_actions, metrics.skipped_actions) == (1, 1, 3)
    assert site.runs(result.id) == {"sibling": 1, "breaks": 1}
    assert result.state == "FAILURE"


def test_actions_that_fail_at_the_same_time(own: Site) -> None:
    """Two of three parallel actions fail: both are ``failed``, both are named, the third is kept."""
    gate = uuid.uuid4().hex
    result = execute_plan.delay(
        plan(
            action("one", "test.gate", inputs={"name": gate, "then_fail": "first"}, retry=ONCE),
            action("two", "test.gate", inputs={"name": gate, "then_fail": "second"}, retry=ONCE),
            action("three", "test.gate", inputs={"name": gate}),
            action("join", "test.echo", "one", "two", "three"),
        )
    )
    own.wait_started(gate, 3)
    own.open_gate(gate, 3)
    with pytest.raises(PlanExecutionError) as failed:
        result.get(timeout=TIMEOUT)
    state = StateManager().get_full_state(result.id)
    assert statuses(state) == {"one": "failed", "two": "failed", "three": "completed", "join": "skipped"}
    assert failed.value.failed_actions == {"one": "first", "two": "second"}


def test_the_whole_error_is_recorded(own: Site) -> None:
    """What ``ActionError`` was given is in the state: category, code, status, context, suggestion."""
    failed = run_one("test.fail", inputs={"category": "auth_expired", "details": {"tried": ["a"]}}, retry=ONCE).error
    assert failed is not None
    assert failed.model_dump(mode="json") == {
        "category": "auth_expired",
        "message": "refused",
        "code": "E42",
        "status_code": 503,
        "retryable": True,
        "retry_after": None,
        "context": {"tried": ["a"]},
        "suggestion": "ask somebody",
    }


def test_fallback_value(site: Site) -> None:
    """With ``fallback_value`` the failed action completes with it; its error stays visible; readers get it."""
    state = run(
        plan(
            action(
                "rate",
                "test.fail",
                inputs={"message": "no rates"},
                retry=ONCE,
                error_handling={"fallback_value": {"eur": 1.1}},
            ),
            action("use", "test.value", "rate", inputs={"value": "${rate.output.eur}"}),
        )
    )
    rate = state.action_states["rate"]
    assert (state.status, rate.status, rate.result) == ("completed", "completed", Success(output={"eur": 1.1}))
    assert rate.error is not None
    assert rate.error.message == "no rates"
    assert [a.outcome for a in rate.trace] == ["failed"]
    assert output(state, "use") == 1.1
    assert (state.metrics.completed_actions, state.metrics.failed_actions) == (2, 0)
    assert AsyncResult(action_task_id(state.id, "rate"), app=site.app).get(timeout=1) == {"eur": 1.1}


def test_null_is_a_fallback_value(own: Site) -> None:
    """``fallback_value: null`` counts: the action completes with null."""
    done = run_one("test.fail", retry=ONCE, error_handling={"fallback_value": None})
    assert (done.status, done.result) == ("completed", Success(output=None))


def test_the_fallback_counts_after_the_retries(own: Site) -> None:
    """The attempts are used up before the fallback stands in."""
    done = run_one("test.fail", retry=QUICK, error_handling={"fallback_value": 0})
    assert (done.attempts, done.result) == (3, Success(output=0))


def test_continue_on_failure_of_the_failed_action(site: Site) -> None:
    """With ``continue_on_failure`` the plan goes on, dependents run and can read the error, the execution is
    ``completed``, and the failure shows in the metrics.
    """
    state = run(
        plan(
            action("mail", "test.fail", retry=ONCE, error_handling={"continue_on_failure": True}),
            action(
                "report",
                "test.echo",
                "mail",
                inputs={"why": "${mail.error.message}", "sent": "${mail.output.id ?? null}"},
            ),
        )
    )
    assert (state.status, statuses(state)) == ("completed", {"mail": "failed", "report": "completed"})
    assert output(state, "report") == {"why": "refused", "sent": None}
    assert (state.metrics.failed_actions, state.metrics.completed_actions) == (1, 1)
    assert isinstance(state.action_states["mail"].result, Failure)


def test_continue_on_failure_of_the_dependent(own: Site) -> None:
    """The flag on every action that depends on it tolerates the failure as well."""
    state = run(
        plan(
            action("mail", "test.fail", retry=ONCE),
            action("report", "test.value", "mail", error_handling={"continue_on_failure": True}),
        )
    )
    assert (state.status, statuses(state)) == ("completed", {"mail": "failed", "report": "completed"})


def test_an_alternative_stands_in(site: Site) -> None:
    """``alternative_action_id``: the alternative runs, and references to the failed action read its output."""
    state = run(
        plan(
            action("card", "test.fail", retry=ONCE, error_handling={"alternative_action_id": "cash"}),
            action("cash", "test.value", inputs={"value": {"paid": 5}}),
            action("ship", "test.value", "card", inputs={"value": "${card.output.paid}"}),
        )
    )
    assert (state.status, statuses(state)) == (
        "completed",
        {"card": "failed", "cash": "completed", "ship": "completed"},
    )
    assert output(state, "ship") == 5


def test_an_alternative_that_is_not_needed_does_not_run(own: Site) -> None:
    """An alternative never runs otherwise: it is ``skipped``, and its user code was not called."""
    state = run(
        plan(
            action("card", "test.value", inputs={"value": 4}, error_handling={"alternative_action_id": "cash"}),
            action("cash", "test.value", inputs={"value": 5}),
            action("ship", "test.value", "card", inputs={"value": "${card.output}"}),
        )
    )
    assert statuses(state) == {"card": "completed", "cash": "skipped", "ship": "completed"}
    assert output(state, "ship") == 4
    assert own.runs(state.id) == {"card": 1, "ship": 1}


def test_an_alternative_that_fails_too(own: Site) -> None:
    """When the alternative fails as well, the execution fails on it."""
    state = run(
        plan(
            action("card", "test.fail", retry=ONCE, error_handling={"alternative_action_id": "cash"}),
            action("cash", "test.fail", inputs={"message": "no cash"}, retry=ONCE),
            action("ship", "test.value", "card"),
        )
    )
    assert statuses(state) == {"card": "failed", "cash": "failed", "ship": "skipped"}
    assert state.status == "failed"
    assert state.error is not None
    assert "no cash" in state.error.message


def test_a_condition_that_fails_the_action(own: Site) -> None:
    """``else: fail``: the action fails with ``condition_not_met`` and the values that were found."""
    state = run(
        plan(
            action("a", "test.value", inputs={"value": 3}),
            action("b", "test.value", "a", condition={"if": "${a.output} > 5", "else": "fail"}),
        )
    )
    failed = state.action_states["b"]
    assert (state.status, failed.status, failed.attempts) == ("failed", "failed", 0)
    assert failed.error is not None
    assert failed.error.category == ErrorCategory.CONDITION_NOT_MET
    assert "${a.output} = 3" in failed.error.message


def test_a_condition_that_cannot_be_evaluated(own: Site) -> None:
    """A condition that compares what has no order fails the action, saying so; the worker goes on."""
    state = run(
        plan(
            action("a", "test.value", inputs={"value": [1]}),
            action("b", "test.value", "a", condition={"if": "${a.output} < 5"}),
        )
    )
    failed = state.action_states["b"]
    assert (state.status, failed.status) == ("failed", "failed")
    assert failed.error is not None
    assert failed.error.category == ErrorCategory.VALIDATION_FAILED


def test_a_branch_not_taken_stays_not_taken(own: Site) -> None:
    """What only skipped actions lead to is skipped; a join runs when one of its branches ran."""
    state = run(
        plan(
            action("check", "test.value", inputs={"value": "premium"}),
            action("gold", "test.value", "check", condition={"if": "${check.output} == 'premium'"}),
            action("plain", "test.value", "check", condition={"if": "${check.output} != 'premium'"}),
            action("letter", "test.value", "plain"),
            action("join", "test.value", "gold", "letter"),
        )
    )
    assert state.status == "completed"
    assert statuses(state) == {
        "check": "completed",
        "gold": "completed",
        "plain": "skipped",
        "letter": "skipped",
        "join": "completed",
    }
    assert state.action_states["letter"].result == Skipped(reason="all of its dependencies were skipped: 'plain'")


@pytest.mark.parametrize(
    ("operator", "value", "met"),
    [("equals", 3, True), ("equals", 4, False), ("exists", None, True), ("contains", 1, False)],
)
def test_the_expected_outcome(own: Site, operator: str, value: Any, met: bool) -> None:
    """The expected outcome is checked after the last action; one that is not met fails the execution by
    name, with everything that was done kept.
    """
    check = {"name": "three", "reference": "${a.output}", "operator": operator, "value": value}
    state = run(plan(action("a", "test.value", inputs={"value": 3}), expected_outcome={"validations": [check]}))
    assert state.status == ("completed" if met else "failed")
    assert output(state, "a") == 3
    if not met:
        assert state.error is not None
        assert state.error.category == ErrorCategory.OUTCOME_NOT_MET
        assert "three: expected ${a.output}" in state.error.message
