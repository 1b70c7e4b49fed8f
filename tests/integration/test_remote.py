"""Remote actions: another service carries them out, no worker is held, and the rules are those of every action."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator

from tests.integration.outcomes import ONCE, QUICK, TIMEOUT, output, run, statuses
from tests.integration.services import Service, running_service
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import (
    ActionContext,
    ActionRegistry,
    ActionRequested,
    CompletedAnswer,
    ErrorDetail,
    ExecutionState,
    FailedAnswer,
    Failure,
    InvalidTransitionError,
    RemoteExecutor,
    StateManager,
    execute_plan,
    publish_answer,
)
from workflow_state.events import answers_queue
from workflow_state.runtime import outside
from workflow_state.runtime.engine import engine_of
from workflow_state.runtime.failures import MESSAGE_LIMIT
from workflow_state.runtime.recording import AttemptEnd
from workflow_state.settings import Settings
from workflow_state.testing import run_plan


@pytest.fixture(scope="module")
def service(own_site: Site) -> Iterator[Service]:
    """The service of ``test.remote``, beside the user's own app and its worker."""
    with running_service(own_site) as found:
        yield found
    # Its queue would gather what others send on the site that it shares with them.
    RemoteExecutor(own_site.app, queue="test-remote-service").delete()


def busy(site: Site) -> bool:
    """Whether a worker runs a task, or has one in hand."""
    inspect = site.app.control.inspect(timeout=1, limit=1)
    return any(tasks for found in (inspect.active(), inspect.reserved()) for tasks in (found or {"": [1]}).values())


def is_waiting(execution_id: str, name: str = "a") -> bool:
    """Whether a service has been asked for an action."""
    requests = [e for e in StateManager().history(execution_id) if isinstance(e, ActionRequested)]
    return any(e.action_id == name and e.remote for e in requests) and not held_by_worker(execution_id, name)


def held_by_worker(execution_id: str, name: str) -> bool:
    """Whether a worker still has the lease of an action."""
    return StateManager()._store.records(execution_id, [name])[name].phase != "remote"


def started(*actions: dict[str, object]) -> ExecutionState:
    """An execution whose action ``a`` waits for its service's answer."""
    state = StateManager().initialize_state(plan(*actions))
    wait_until(lambda: is_waiting(state.id), TIMEOUT, "the service has been asked")
    return state


def test_a_remote_action_runs_in_its_service(own: Site, service: Service) -> None:
    """Its inputs are resolved and sent, its answer is the output, typed as the annotations say, and read by others;
    the service is given the same idempotency key that a worker would give.
    """
    first = action("first", "test.value", inputs={"value": 4})
    remote = action("a", "test.remote", "first", inputs={"value": "${first.output}"})
    state = run(plan(first, remote, action("last", "test.value", "a", inputs={"value": "${a.output}"})))
    assert state.status == "completed"
    assert output(state, "last") == 40
    assert own.runs(state.id) == {"first": 1, "a": 1, "last": 1}
    (requested,) = [e for e in StateManager().history(state.id) if getattr(e, "remote", False)]
    assert own.notes(f"keys:{state.id}") == [requested.idempotency_key]


def test_what_is_asked_before_the_first_start_is_carried_out(own: Site) -> None:
    """From ``declare`` on the queue of a service gathers requests, so that the service may come after them."""
    executor = RemoteExecutor(own.app, queue="test-late-service")

    @executor.action("test.unserved")
    def carry_out(value: int) -> int:
        executor.stop()
        return value + 1

    executor.declare()
    state = started(action("a", "test.unserved", inputs={"value": 1}))
    executor.run()
    ended = StateManager().wait(state.id, TIMEOUT)
    executor.delete()
    assert output(ended, "a") == 2
    assert ended.action_states["a"].attempts == 1


def test_no_worker_is_held_meanwhile(own: Site, service: Service) -> None:
    """While the service is at it, no message is held and the worker does other work; the state says running."""
    gate = uuid.uuid4().hex
    result = execute_plan.delay(plan(action("a", "test.remote", inputs={"value": 1, "gate": gate})))
    own.wait_started(gate)
    wait_until(lambda: not busy(own))
    assert statuses(StateManager().get_full_state(result.id)) == {"a": "running"}
    assert run(plan(action("other"))).status == "completed"
    own.open_gate(gate)
    assert result.get(timeout=TIMEOUT).status == "completed"


def test_the_retry_policy_holds_for_answers(own: Site, service: Service) -> None:
    """A failed answer is tried again as the policy says; category and status code are the service's."""
    state = run(plan(action("a", "test.remote", inputs={"value": 1, "fail": "rate_limit_burst"}, retry=QUICK)))
    found = state.action_states["a"]
    assert (found.status, found.attempts) == ("completed", 2)
    assert found.trace[0].error is not None
    assert (found.trace[0].error.category, found.trace[0].error.status_code) == ("rate_limit_burst", 503)


def test_failure_policies_hold_for_answers(own: Site, service: Service) -> None:
    """Without attempts left: a fallback value, or a failed plan that names the action."""
    broken = {"inputs": {"value": 1, "fail": "auth_expired"}, "retry": ONCE}
    state = run(plan(action("a", "test.remote", **broken, error_handling={"fallback_value": 7}), action("b")))
    assert output(state, "a") == 7
    state = run(plan(action("a", "test.remote", **broken), action("b", "test.echo", "a")))
    assert state.status == "failed"
    assert statuses(state) == {"a": "failed", "b": "skipped"}


def test_inputs_and_outputs_are_validated(own: Site, service: Service) -> None:
    """Inputs of the wrong form never reach the service; an output of the wrong type fails the action."""
    state = run(plan(action("a", "test.remote", inputs={"value": "many"})))
    assert state.action_states["a"].error is not None
    assert state.action_states["a"].error.category == "validation_failed"
    assert own.runs(state.id) == {}
    state = run(plan(action("a", "test.remote", inputs={"value": 1, "fail": "text"})))
    assert state.action_states["a"].error is not None
    assert state.action_states["a"].error.category == "validation_failed"
    assert own.runs(state.id) == {"a": 1}


@pytest.mark.parametrize("kind", ["datetime", "of ours"])
def test_inputs_that_celery_would_read_as_python_reach_the_service(own: Site, kind: str) -> None:
    """They are the plan's JSON, as in a worker. The service dropped the request, and nobody answered it."""
    executor = RemoteExecutor(own.app, queue="test-plain-service")
    given = {"__type__": kind, "__value__": "2026-01-31T00:00:00"}

    @executor.action("test.unserved")
    def carry_out(value: Any) -> int:
        executor.stop()
        return int(value == given)

    executor.declare()
    state = started(action("a", "test.unserved", inputs={"value": given}, retry=ONCE))
    service = threading.Thread(target=executor.run)
    service.start()
    try:
        assert output(StateManager().wait(state.id, TIMEOUT), "a") == 1
    finally:
        executor.stop()
        service.join()
        executor.delete()
        StateManager().cancel_execution(state.id)


def test_a_cancelled_await_is_an_answer(own: Site) -> None:
    """As in a worker: the attempt fails. It ended the service, and each that got the request after it."""
    executor = RemoteExecutor(own.app, queue="test-cancelled-service")

    @executor.action("test.unserved")
    async def carry_out(value: int) -> int:
        executor.stop()
        waiting = asyncio.ensure_future(asyncio.sleep(60))
        waiting.cancel()
        await waiting
        return value

    executor.declare()
    state = started(action("a", "test.unserved", inputs={"value": 1}, retry=ONCE))
    try:
        executor.run()
    finally:
        executor.delete()
    error = StateManager().wait(state.id, TIMEOUT).action_states["a"].error
    assert error is not None
    assert error.message == "CancelledError"


def test_a_service_that_is_killed_loses_nothing(fresh: Site) -> None:
    """kill -9 of the service in the middle: the attempt runs out of time, another asks again under the same key, and
    one result is recorded.
    """
    gate = uuid.uuid4().hex
    fresh.start_worker()
    # Each 2 s that the next service takes to start are another attempt.
    retry = {**QUICK, "max_attempts": 50}
    slow = action("a", "test.remote", inputs={"value": 5, "gate": gate}, timeout=2000, retry=retry)
    with running_service(fresh) as service:
        result = execute_plan.delay(plan(slow))
        fresh.wait_started(gate)
        service.kill()
    with running_service(fresh):
        fresh.open_gate(gate, retry["max_attempts"])
        state = result.get(timeout=TIMEOUT)
    found = state.action_states["a"]
    assert (found.status, output(state, "a")) == ("completed", 50)
    assert found.attempts >= 2
    assert found.trace[0].error is not None
    assert found.trace[0].error.category == "network_timeout"
    assert len(set(fresh.notes(f"keys:{state.id}"))) == 1
    # What the killed service held would come back with the broker's visibility timeout.
    fresh.redis.delete("unacked", "unacked_index")


def test_an_answer_that_is_gone_is_asked_for_again(fresh: Site) -> None:
    """Redis has handed it to a worker that died at that moment: when the attempt's time is up, the service is asked
    again under the same key, and its next answer is taken.
    """
    executor = RemoteExecutor(fresh.app, queue="test-heard-service")
    keys: list[str] = []

    @executor.action("test.unserved")
    def carry_out(value: int, context: ActionContext) -> int:
        keys.append(context.idempotency_key)
        return value

    executor.declare()
    worker = fresh.start_worker()
    state = started(action("a", "test.unserved", inputs={"value": 7}, timeout=3000, retry=QUICK))
    worker.stop()
    service = threading.Thread(target=executor.run)
    service.start()
    try:
        answers = answers_queue(Settings.of(fresh.app)).name
        wait_until(lambda: fresh.redis.delete(answers), TIMEOUT, "it has answered")
        fresh.start_worker()
        found = StateManager().wait(state.id, TIMEOUT)
    finally:
        executor.stop()
        service.join()
        executor.delete()
    assert [attempt.outcome for attempt in found.action_states["a"].trace] == ["failed", "completed"]
    assert output(found, "a") == 7
    assert keys == [keys[0]] * 2


def test_anyone_may_answer(own: Site) -> None:
    """A message of plain JSON is an answer; one for another attempt, a second one, and one that nobody waits for
    change nothing.
    """
    state = started(action("a", "test.unserved", inputs={"value": 1}))
    publish_answer(own.app, CompletedAnswer(execution_id=state.id, action_id="a", attempt=7, output=0))
    publish_answer(own.app, CompletedAnswer(execution_id="no-such", action_id="a", output=0))
    publish_answer(own.app, CompletedAnswer(execution_id=state.id, action_id="no-such", output=0))
    publish_answer(own.app, CompletedAnswer(execution_id=state.id, action_id="a", attempt=1, output=11))
    publish_answer(own.app, CompletedAnswer(execution_id=state.id, action_id="a", attempt=1, output=12))
    recorded = output(StateManager().wait(state.id, TIMEOUT), "a")
    # They are taken side by side, so either may be first.
    assert recorded in (11, 12)
    assert run(plan(action("other"))).status == "completed"
    assert output(StateManager().get_full_state(state.id), "a") == recorded


def test_an_answer_that_cannot_be_read_fails_the_attempt(own: Site) -> None:
    """What a service sends may be anything: the attempt fails as ``api_response_malformed``, and says why."""
    state = started(action("a", "test.unserved", inputs={"value": 1}, retry=ONCE))
    answer = FailedAnswer.model_construct(type="action.execute.failed", execution_id=state.id, action_id="a", error=3)
    with pytest.warns(UserWarning, match="serialized value"):
        publish_answer(own.app, answer)
    error = StateManager().wait(state.id, TIMEOUT).action_states["a"].error
    assert error is not None
    assert (error.category, "error" in error.message) == ("api_response_malformed", True)


@pytest.mark.parametrize(
    "field",
    [
        '"output": ' + "[" * 900 + "]" * 900,
        '"error": {"message": "\\ud800"}',
        '"output": {"__type__": 1, "__value__": 2}',
    ],
    ids=["deep", "no text", "of a Python type"],
)
def test_an_answer_that_cannot_be_kept_fails_the_attempt(own: Site, field: str) -> None:
    """Half of a surrogate pair in an error, what nests too deep for the pool, or what Celery would read as a type of
    Python's, ends the attempt, not a worker.
    """
    state = started(action("a", "test.unserved", inputs={"value": 1}, retry=ONCE))
    kind = "completed" if "output" in field else "failed"
    ids = f'"type": "action.execute.{kind}", "executionId": "{state.id}", "actionId": "a"'
    send_raw(own, f"{{{ids}, {field}}}".replace('{"message"', '{"category": "auth_expired", "message"').encode())
    error = StateManager().wait(state.id, TIMEOUT).action_states["a"].error
    assert error is not None
    assert error.category == "api_response_malformed"


def test_a_huge_error_of_a_service_is_cut(own: Site) -> None:
    """What a service says of its failure is kept in part, as what an action raises is: records stay small."""
    state = started(action("a", "test.unserved", inputs={"value": 1}, retry=ONCE))
    much = "y" * 200_000
    told = ErrorDetail(category="auth_expired", message=much, code=much, suggestion=much, context={"dump": [much]})
    publish_answer(own.app, FailedAnswer(execution_id=state.id, action_id="a", error=told))
    error = StateManager().wait(state.id, TIMEOUT).action_states["a"].error
    assert error is not None
    assert (error.category, error.retryable) == ("auth_expired", True)
    assert error.message == "y" * (MESSAGE_LIMIT - 1) + "…"
    assert len(error.model_dump_json()) < 20_000


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"{no json", "application/json"), (b"\xff", "application/json"), (b"<answer/>", "text/xml"), (b"[" * 900, "")],
    ids=["no json", "no text", "another type", "deep"],
)
def test_what_is_no_answer_harms_nobody(own: Site, body: bytes, content_type: str) -> None:
    """A message that is no JSON, or names no action, is dropped with a word in the log; the next answer is taken."""
    said = "answer cannot be read, dropped"
    state, before = started(action("a", "test.unserved", inputs={"value": 1})), own.workers[0].output.count(said)
    send_raw(own, body if content_type else body + b"]" * 900, content_type or "application/json")
    wait_until(lambda: own.workers[0].output.count(said) > before, TIMEOUT, "it has been dropped")
    publish_answer(own.app, CompletedAnswer(execution_id=state.id, action_id="a", output=5))
    assert output(StateManager().wait(state.id, TIMEOUT), "a") == 5


def send_raw(site: Site, body: bytes, content_type: str = "application/json") -> None:
    """Send bytes as an answer."""
    queue = answers_queue(Settings.of(site.app))
    with site.app.producer_or_acquire() as producer:
        producer.publish(
            body,
            exchange=queue.exchange,
            routing_key="action.execute.failed",
            content_type=content_type,
            content_encoding="utf-8",
            declare=[queue],
        )


def test_a_result_by_hand_ends_a_remote_action(own: Site) -> None:
    """``record_action_result`` answers in the service's place; afterwards it is refused, as it is for what a worker
    runs.
    """
    manager = StateManager()
    state = started(
        action("a", "test.unserved", inputs={"value": 1}), action("b", "test.value", "a", inputs={"value": 2})
    )
    with pytest.raises(InvalidTransitionError, match="pending"):
        manager.record_action_result(state.id, "b", 1)
    manager.record_action_result(state.id, "a", 3)
    ended = manager.wait(state.id, TIMEOUT)
    assert output(ended, "a") == 3
    with pytest.raises(InvalidTransitionError, match="completed"):
        manager.record_action_result(state.id, "a", 4)


BUSY = Failure(error=ErrorDetail(category="action_failed", message="busy"))


@pytest.mark.parametrize(("first", "second"), [(1, 2), (1, BUSY), (BUSY, 2)], ids=["both", "late failure", "retried"])
def test_of_two_results_at_the_same_moment_one_is_taken(
    own: Site, monkeypatch: pytest.MonkeyPatch, first: Any, second: Any
) -> None:
    """Whose result does not count is told so: both were told that theirs was recorded."""
    state, manager, end_of = started(action("a", "test.unserved", inputs={"value": 1})), StateManager(), outside._end_of

    left = [first]

    def after_another(*given: Any) -> AttemptEnd:
        if left:
            manager.record_action_result(state.id, "a", left.pop())
        return end_of(*given)

    monkeypatch.setattr(outside, "_end_of", after_another)
    with pytest.raises(InvalidTransitionError, match="not waited for any more"):
        manager.record_action_result(state.id, "a", second)
    found = manager.get_full_state(state.id).action_states["a"]
    assert [attempt.outcome for attempt in found.trace] == ["completed" if first == 1 else "failed"]
    manager.cancel_execution(state.id)
    manager.wait(state.id, TIMEOUT)


def test_a_failure_by_hand_follows_the_policies(own: Site) -> None:
    """A failure given by hand that is not retryable fails the action, and with it the plan."""
    state = started(action("a", "test.unserved", inputs={"value": 1}), action("b", "test.echo", "a"))
    error = {"category": "user_cancelled", "message": "not today", "retryable": False}
    StateManager().record_action_result(state.id, "a", Failure.model_validate({"error": error}))
    ended = StateManager().wait(state.id, TIMEOUT)
    assert (ended.status, statuses(ended)) == ("failed", {"a": "failed", "b": "skipped"})


def test_a_result_by_hand_ends_an_action_that_waits_for_a_person(own: Site) -> None:
    """Somebody did by hand what needed a confirmation: the plan goes on without it."""
    asks = action("a", "test.echo", user_confirmation={"title": "Sure?"})
    state = StateManager().initialize_state(plan(asks, action("b", "test.value", "a", inputs={"value": "${a.output}"})))
    wait_until(lambda: StateManager().get_full_state(state.id).status == "paused_for_confirmation", TIMEOUT)
    StateManager().record_action_result(state.id, "a", "done by hand")
    ended = StateManager().wait(state.id, TIMEOUT)
    assert (ended.status, output(ended, "b")) == ("completed", "done by hand")
    assert own.runs(state.id) == {"b": 1}


def test_a_result_by_hand_waits_for_the_end_of_a_pause(own: Site) -> None:
    """While the execution is paused a result for an action that waits for a person is refused, and nothing is changed:
    the confirmation is still to be given, and the action does not run when the execution is resumed.
    """
    manager = StateManager()
    state = manager.initialize_state(plan(action("a", "test.echo", user_confirmation={"title": "Sure?"})))
    wait_until(lambda: manager.get_full_state(state.id).status == "paused_for_confirmation", TIMEOUT)
    manager.pause_execution(state.id)
    with pytest.raises(InvalidTransitionError, match=r"resume_execution\(\) first; nothing was changed"):
        manager.record_action_result(state.id, "a", "done by hand")
    assert manager.get_full_state(state.id).confirmations[0].confirmed is None
    manager.resume_execution(state.id)
    manager.record_action_result(state.id, "a", "done by hand")
    assert output(manager.wait(state.id, TIMEOUT), "a") == "done by hand"
    assert own.runs(state.id) == {}


def test_a_cancel_ends_what_a_service_was_asked_for(own: Site) -> None:
    """Nobody waits for the service any more: the execution ends ``cancelled`` at once, a late answer is dropped."""
    state = started(action("a", "test.unserved", inputs={"value": 1}))
    StateManager().cancel_execution(state.id)
    ended = StateManager().wait(state.id, TIMEOUT)
    assert (ended.status, statuses(ended)) == ("cancelled", {"a": "failed"})
    publish_answer(own.app, CompletedAnswer(execution_id=state.id, action_id="a", output=1))
    assert run(plan(action("other"))).status == "completed"
    assert statuses(StateManager().get_full_state(state.id)) == {"a": "failed"}


@pytest.mark.usefixtures("both_schedules")
def test_a_cancel_ends_what_has_begun_when_the_execution_had_halted(own: Site) -> None:
    """What has begun goes on after a failure that nothing tolerates. A cancel ends it all the same: neither the
    service nor an attempt that is due in an hour is waited for.
    """
    gate, hour = uuid.uuid4().hex, {"max_attempts": 2, "min_timeout_in_ms": 3_600_000, "max_timeout_in_ms": 3_600_000}
    state = started(
        action("a", "test.unserved", inputs={"value": 1}),
        action("waits", "test.fail", inputs={"message": "busy"}, retry=hour),
        action("bad", "test.gate", inputs={"name": gate, "then_fail": "no"}, retry=ONCE),
    )
    manager = StateManager()
    wait_until(lambda: manager.get_full_state(state.id).action_states["waits"].error is not None, TIMEOUT)
    own.open_gate(gate)
    wait_until(lambda: own.fields(state.id).get("halted") == "bad", TIMEOUT)
    assert manager.get_full_state(state.id).status == "running"
    manager.cancel_execution(state.id)
    ended = manager.wait(state.id, TIMEOUT)
    assert (ended.status, statuses(ended)) == ("cancelled", {"a": "failed", "waits": "failed", "bad": "failed"})
    assert [ended.action_states[name].error.category for name in ("a", "waits")] == ["user_cancelled", "action_failed"]


def test_without_a_function_a_remote_action_fails_in_process() -> None:
    """``run_plan`` asks no service; it takes a function in its place, and says so where there is none."""
    wanted = plan(action("a", "test.unserved", inputs={"value": 1}))
    actions = ActionRegistry()
    actions.action("test.unserved", remote=True)(lambda value: value)
    state = run_plan(wanted, actions)
    assert state.action_states["a"].error is not None
    assert "run_plan(plan, actions=" in (state.action_states["a"].error.suggestion or "")
    assert output(run_plan(wanted, {"test.unserved": lambda value: value + 1}), "a") == 2


def test_progress_is_seen_while_an_action_runs(own: Site) -> None:
    """What an action says of its progress is in the state, within bounds, and stays there when it has ended."""
    gate = uuid.uuid4().hex
    result = execute_plan.delay(plan(action("a", "test.progress", inputs={"name": gate})))
    own.wait_started(gate)
    progress = StateManager().get_full_state(result.id).action_states["a"].progress
    assert progress is not None
    assert (progress.fraction, progress.message, progress.attempt) == (1.0, "beyond the end", 1)
    own.open_gate(gate)
    assert result.get(timeout=TIMEOUT).action_states["a"].progress == progress


def use_again(execution_id: str, waiting: dict[str, Any]) -> None:
    """End and delete an execution, and give its id to the next one, of a plan that waits for its service."""
    manager = StateManager()
    manager.cancel_execution(execution_id)
    manager.wait(execution_id, TIMEOUT)
    manager.delete(execution_id)
    wait_until(lambda: gone(execution_id), TIMEOUT)
    manager.initialize_state(waiting, execution_id=execution_id)
    wait_until(lambda: is_waiting(execution_id), TIMEOUT)


def test_an_answer_is_none_of_the_next_execution_of_its_id(own: Site) -> None:
    """Who records an answer may sleep until its execution was deleted and the id is in use again, by one that waits
    for its service in an attempt of the same number: that one goes on waiting.
    """
    waiting = plan(action("a", "test.unserved", inputs={"value": 1}))
    manager, execution_id = StateManager(), started(*waiting["actions"]).id
    checked: list[int] = []

    def slowly(output: int) -> int:
        use_again(execution_id, waiting)
        checked.append(output)
        return output

    def unserved(value: int) -> int:
        raise AssertionError("a remote action ran in a worker")

    unserved.__annotations__["return"] = Annotated[int, AfterValidator(slowly)]
    slow = ActionRegistry()
    slow.register("test.unserved", unserved, remote=True)
    answer = CompletedAnswer(execution_id=execution_id, action_id="a", attempt=1, output=7)
    outside.take_answer(engine_of(own.app), slow, answer)
    assert checked == [7]
    assert statuses(manager.get_full_state(execution_id)) == {"a": "running"}
    manager.cancel_execution(execution_id)
    manager.wait(execution_id, TIMEOUT)


@pytest.mark.parametrize("told", [True, False])
def test_a_late_answer_is_none_of_the_next_execution_of_its_id(own: Site, told: bool) -> None:
    """A service may answer when the execution that asked it was deleted, and another of its id waits in an attempt of
    the same number: where the answer says to which request it is, that one goes on waiting for its own.
    """
    waiting = plan(action("a", "test.unserved", inputs={"value": 1}))
    manager, execution_id = StateManager(), started(*waiting["actions"]).id
    first = request_of(execution_id)
    use_again(execution_id, waiting)
    second = request_of(execution_id)
    assert (first.attempt, first.id == second.id) == (second.attempt, False)
    ids = {"execution_id": execution_id, "action_id": "a", "attempt": 1}
    publish_answer(own.app, CompletedAnswer(**ids, output=6), first if told else None)
    if told:
        said = "answer dropped: it is to another request"
        wait_until(lambda: any(said in worker.output for worker in own.workers), TIMEOUT)
        publish_answer(own.app, CompletedAnswer(**ids, output=7), second)
    assert output(manager.wait(execution_id, TIMEOUT), "a") == (7 if told else 6)


def request_of(execution_id: str) -> ActionRequested:
    """What a service was asked of action ``a``."""
    (found,) = [e for e in StateManager().history(execution_id) if isinstance(e, ActionRequested)]
    return found


def gone(execution_id: str) -> bool:
    """Whether nothing is known of an execution."""
    return StateManager()._store.head(execution_id) is None
