"""The attempts of an action: inputs, user code, output, errors of any kind, retries and timeouts."""

from __future__ import annotations

import uuid

import pytest
from celery.result import AsyncResult

from tests.integration.outcomes import ONCE, QUICK, TIMEOUT, output, run, run_one, statuses
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import (
    ActionExecutionState,
    ErrorCategory,
    ExecutionState,
    StateManager,
    Success,
    action_task_id,
    execute_plan,
)


def test_an_action_that_fails_at_first_is_retried(site: Site) -> None:
    """A failed attempt is tried again; every attempt, its error and its times are kept in the trace."""
    state = run(plan(action("a", "test.flaky", inputs={"times": 2, "value": "ok"}, retry=QUICK)))
    done = state.action_states["a"]
    assert (state.status, done.attempts, done.result, done.error) == ("completed", 3, Success(output="ok"), None)
    assert [(a.number, a.outcome) for a in done.trace] == [(1, "failed"), (2, "failed"), (3, "completed")]
    first, second, third = done.trace
    assert first.error is not None
    assert (first.error.category, first.error.message) == (
        "network_connection_refused",
        "ConnectionError: attempt 1 of 2 that fail",
    )
    assert third.error is None
    assert done.started_at == first.started_at
    assert done.completed_at == third.completed_at
    for before, after in ((first, second), (second, third)):
        assert before.completed_at is not None
        assert (after.started_at - before.completed_at).total_seconds() >= 0.01
    assert site.runs(state.id) == {"a": 3}


def test_the_idempotency_key_is_the_same_over_all_attempts(own: Site) -> None:
    """The context's idempotency key does not change from attempt to attempt, and differs between actions."""
    flaky = {"inputs": {"times": 2}, "retry": QUICK}
    state = run(plan(action("a", "test.flaky", **flaky), action("b", "test.flaky", **flaky)))
    keys = {name: own.notes(f"keys:{state.id}:{name}") for name in "ab"}
    assert keys == {name: [action_task_id(state.id, name)] * 3 for name in "ab"}


def test_attempts_run_out(own: Site) -> None:
    """After ``max_attempts`` the last error stands, and the plan fails."""
    state = run(plan(action("a", "test.flaky", inputs={"times": 99}, retry=QUICK)))
    failed = state.action_states["a"]
    assert (failed.status, failed.attempts) == ("failed", 3)
    assert [a.outcome for a in failed.trace] == ["failed"] * 3
    assert failed.error is not None
    assert failed.error.message == "ConnectionError: attempt 3 of 99 that fail"
    assert own.runs(state.id) == {"a": 3}


def test_what_is_not_retryable_is_not_retried(own: Site) -> None:
    """``ActionError(retryable=False)`` ends the action in its first attempt."""
    failed = run_one("test.fail", inputs={"retryable": False}, retry=QUICK)
    assert (failed.status, failed.attempts) == ("failed", 1)


def test_only_the_named_categories_are_retried(own: Site) -> None:
    """A policy with ``categories`` retries errors of these, and no others."""
    policy = {**QUICK, "categories": ["rate_limit_burst"]}
    assert run_one("test.fail", inputs={"category": "rate_limit_burst"}, retry=policy).attempts == 3
    assert run_one("test.fail", inputs={"category": "rate_limit_daily"}, retry=policy).attempts == 1


def test_retry_after_is_honoured(own: Site) -> None:
    """The next attempt waits at least ``retry_after`` seconds, whatever the policy says."""
    failed = run_one("test.fail", inputs={"retry_after": 0.6}, retry={**QUICK, "max_attempts": 2})
    first, second = failed.trace
    assert first.completed_at is not None
    assert (second.started_at - first.completed_at).total_seconds() >= 0.6


def test_a_waiting_retry_shows(own: Site) -> None:
    """Between two attempts the action is ``running``, and what its last attempt said can be read."""
    slow = {"max_attempts": 2, "min_timeout_in_ms": 1500, "max_timeout_in_ms": 1500, "randomize": False}
    result = execute_plan.delay(plan(action("a", "test.flaky", inputs={"times": 1}, retry=slow)))
    manager = StateManager()

    def waiting() -> ActionExecutionState | None:
        if not own.fields(result.id):
            return None
        found = manager.get_full_state(result.id).action_states["a"]
        return found if found.trace and found.trace[-1].outcome == "failed" else None

    waits = wait_until(waiting, TIMEOUT, "the first attempt has failed")
    assert (waits.status, waits.attempts, waits.result) == ("running", 1, None)
    assert AsyncResult(action_task_id(result.id, "a"), app=own.app).result is None
    assert result.get(timeout=TIMEOUT).action_states["a"].attempts == 2


def test_a_long_wait_holds_no_message(fresh: Site) -> None:
    """A retry due after ``long_delay`` waits in Redis; no message stands in the queue or with a worker, and
    the sweeper sends it when it is due.
    """
    fresh.settings(workflow_state={"long_delay": 0.5})
    fresh.start_worker()
    slow = {"max_attempts": 2, "min_timeout_in_ms": 1500, "max_timeout_in_ms": 1500, "randomize": False}
    result = execute_plan.delay(plan(action("a", "test.flaky", inputs={"times": 1}, retry=slow)))
    deadline = f"{fresh.prefix}:deadlines"

    def set_aside() -> bool:
        due = fresh.redis.zscore(deadline, f"{result.id}|a")
        attempts = fresh.redis.hlen(f"{fresh.prefix}:{{{result.id}}}:attempts")
        return due is not None and attempts == 1 and not fresh.redis.hlen("unacked")

    wait_until(set_aside, TIMEOUT, "the retry waits in Redis alone")
    assert fresh.redis.llen(fresh.queue) == 0
    done = result.get(timeout=TIMEOUT).action_states["a"]
    assert done.attempts == 2
    assert (done.trace[1].started_at - done.trace[0].completed_at).total_seconds() >= 1.5


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("${src.output.missing}", "src.output is an object with the fields list, name"),
        ("${src.output.list[7]}", "src.output.list is a list of 2"),
        ("${src.output.name.first}", "src.output.name is a text"),
        ("${src.error.message}", "action 'src' has no error"),
        ("${gone.output}", "action 'gone' was skipped (condition not met"),
        ("${broke.output}", "action 'broke' failed (refused)"),
    ],
)
def test_a_reference_that_finds_nothing(own: Site, reference: str, found: str) -> None:
    """It is a ``validation_failed`` failure of the reader, not retried, saying which reference it was and
    what was there instead; the reader's code does not run.
    """
    state = run(
        plan(
            action("src", "test.value", inputs={"value": {"list": [1, 2], "name": "Ada"}}),
            action("gone", "test.value", "src", condition={"if": "${src.output.name} == 'Bob'"}),
            action("broke", "test.fail", retry=ONCE, error_handling={"continue_on_failure": True}),
            action("reader", "test.value", "src", "gone", "broke", inputs={"value": f"is {reference}"}),
        )
    )
    reader = state.action_states["reader"]
    assert (state.status, reader.status, reader.attempts) == ("failed", "failed", 1)
    assert reader.error is not None
    assert reader.error.category == ErrorCategory.VALIDATION_FAILED
    assert reader.error.message.startswith(f"Reference {reference} finds nothing: {found}")
    assert "reader" not in own.runs(state.id)


def test_inputs_that_do_not_validate(own: Site) -> None:
    """Inputs of the wrong type fail the action once, naming each field and what is wrong, never the value."""
    failed = run_one("test.add", inputs={"a": "s3cret", "c": 1}, retry=QUICK)
    assert (failed.status, failed.attempts) == ("failed", 1)
    assert failed.error is not None
    assert failed.error.category == ErrorCategory.VALIDATION_FAILED
    assert failed.error.message.startswith("Inputs of action definition 'test.add' are not valid: a: ")
    assert {p["field"] for p in failed.error.context["problems"]} == {"a", "c"}
    assert "s3cret" not in failed.model_dump_json()


def test_an_output_of_the_wrong_type_for_its_reader(own: Site) -> None:
    """A reference that finds something of the wrong type fails the reader's validation, not the source."""
    state = run(
        plan(
            action("src", "test.value", inputs={"value": {"n": "many"}}),
            action("sum", "test.add", "src", inputs={"a": "${src.output.n}"}),
        )
    )
    assert statuses(state) == {"src": "completed", "sum": "failed"}
    assert state.action_states["sum"].error.category == ErrorCategory.VALIDATION_FAILED


def test_an_output_that_does_not_validate(own: Site) -> None:
    """A return value that breaks the return annotation fails the action, once."""
    failed = run_one("test.wrong_output", retry=QUICK)
    assert (failed.status, failed.attempts) == ("failed", 1)
    assert failed.error is not None
    assert failed.error.category == ErrorCategory.VALIDATION_FAILED
    assert "Output of action definition 'test.wrong_output' is not valid" in failed.error.message


@pytest.mark.parametrize("kind", ["object", "function", "loop", "bytes", "deep", "surrogate", "codec"])
def test_an_output_that_is_not_json(own: Site, kind: str) -> None:
    """What JSON, or Celery's reading of it, cannot give back is a ``validation_failed`` failure, not retried;
    the execution ends, its state can be read as text, and no worker is lost.
    """
    state = run(plan(action("a", "test.odd_output", inputs={"kind": kind}, retry=QUICK)))
    failed = state.action_states["a"]
    assert (state.status, failed.status, failed.attempts) == ("failed", "failed", 1)
    assert failed.error is not None
    assert failed.error.category == ErrorCategory.VALIDATION_FAILED
    assert "test.odd_output" in failed.error.message
    assert ExecutionState.model_validate_json(state.model_dump_json()) == state


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("unpicklable", "OddError"),
        ("group", "ExceptionGroup: several (2 sub-exceptions)"),
        ("exit", "SystemExit: 3"),
        ("panic", "PanicError: an extension gave up"),
        ("interrupt", "KeyboardInterrupt"),
        ("cancelled", "CancelledError"),
        ("recursion", "RecursionError"),
        ("surrogate", "ValueError: half a pair"),
        ("huge", "ValueError: xxxx"),
    ],
)
def test_an_odd_exception_is_recorded_like_any_other(own: Site, kind: str, message: str) -> None:
    """Whatever user code raises ends the attempt with a readable error; the worker lives, nothing is lost."""
    pids = {own.workers[0].pid}
    state = run(plan(action("a", "test.odd_error", inputs={"kind": kind}, retry=ONCE)))
    failed = state.action_states["a"]
    assert (state.status, failed.status, failed.attempts) == ("failed", "failed", 1)
    assert failed.error is not None
    assert failed.error.category == ErrorCategory.ACTION_FAILED
    assert message in failed.error.message
    assert len(failed.error.message) <= 4000
    assert [a.outcome for a in failed.trace] == ["failed"]
    assert ExecutionState.model_validate_json(state.model_dump_json()) == state
    assert {own.workers[0].pid} == pids
    assert own.workers[0].process.poll() is None


def test_pydantic_models_in_and_out(own: Site) -> None:
    """An action that takes and gives a model gets it validated, and its output is the model's JSON."""
    person = {"name": "Ada", "age": 36, "born": "1815-12-10"}
    state = run(
        plan(
            action("a", "test.person", inputs={"person": person}),
            action("b", "test.value", "a", inputs={"value": "${a.output.born}"}),
        )
    )
    assert (output(state, "a"), output(state, "b")) == (person, "1815-12-10")
    failed = run_one("test.person", inputs={"person": {"name": "Ada", "age": -1}})
    assert failed.error is not None
    assert "person.age: Input should be greater than 0" in failed.error.message


def test_rich_outputs_become_json(own: Site) -> None:
    """Datetimes, decimals, sets and tuples come out as JSON types, for readers as for ``AsyncResult``."""
    state = run(plan(action("a", "test.rich_output")))
    expected = {"at": "2024-02-29T12:00:00", "price": "9.90", "tags": ["one"], "pair": [1, 2]}
    assert output(state, "a") == expected
    assert AsyncResult(action_task_id(state.id, "a"), app=own.app).get(timeout=1) == expected


def test_a_timeout_ends_the_attempt(own: Site) -> None:
    """An action that overruns its timeout fails with ``network_timeout``, and is retried by its policy."""
    state = run(
        plan(
            action(
                "a",
                "test.gate",
                inputs={"name": uuid.uuid4().hex},
                timeout=200,
                retry={**QUICK, "max_attempts": 2},
            )
        )
    )
    failed = state.action_states["a"]
    assert (failed.status, failed.attempts) == ("failed", 2)
    assert failed.error is not None
    assert failed.error.category == ErrorCategory.NETWORK_TIMEOUT
    assert "200 ms" in failed.error.message
    for attempt in failed.trace:
        assert attempt.duration is not None
        # The worker's clock for it starts when it takes the message, a little before the attempt is recorded.
        assert 100 <= attempt.duration < 2000


@pytest.mark.slow
def test_a_timeout_ends_an_action_that_swallows_it(own: Site) -> None:
    """An action that catches every exception is ended by the hard limit, a few seconds later, with its
    process; the attempt is recorded as a timeout, and the worker goes on.
    """
    state = run(
        plan(action("a", "test.deaf", inputs={"name": uuid.uuid4().hex}, timeout=200, retry=ONCE)),
    )
    failed = state.action_states["a"]
    assert (state.status, failed.status, failed.attempts) == ("failed", "failed", 1)
    assert failed.error is not None
    assert failed.error.category == ErrorCategory.NETWORK_TIMEOUT
    assert run_one("test.value", inputs={"value": 1}).result == Success(output=1)


def test_an_async_action(site: Site) -> None:
    """An ``async def`` action runs to its end, and its output is what it awaited."""
    assert run_one("test.async", inputs={"a": 2, "b": 3}).result == Success(output=5)


def test_an_action_knows_where_it_stands(site: Site) -> None:
    """``ActionContext`` has the ids, the attempt, the idempotency key and the cancel check."""
    state = run(plan(action("a", "test.context"), id="the-plan"))
    assert output(state, "a") == {
        "execution_id": state.id,
        "plan_id": "the-plan",
        "action_id": "a",
        "attempt": 1,
        "idempotency_key": action_task_id(state.id, "a"),
        "cancelled": False,
    }
