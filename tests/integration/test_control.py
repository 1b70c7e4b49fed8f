"""What people do to executions: answer confirmations, cancel, drive by hand, run again."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from celery import Celery

from tests.integration.apps import own_app
from tests.integration.outcomes import ONCE, TIMEOUT, output, statuses
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import (
    ActionNotFoundError,
    ExecutionNotFoundError,
    ExecutionState,
    InvalidTransitionError,
    PlanExecutionError,
    PlanValidationError,
    StateManager,
    Success,
    execute_plan,
)

ASK = {"required": True, "title": "Really?", "message": "This spends money"}

pytestmark = pytest.mark.usefixtures("both_schedules")


def state_when(execution_id: str, status: str) -> ExecutionState:
    """The state once the execution has a status; it may not be accepted yet."""

    def reached() -> bool:
        try:
            return StateManager().get_full_state(execution_id).status == status
        except ExecutionNotFoundError:
            return False

    wait_until(reached, TIMEOUT, f"the execution is {status}")
    return StateManager().get_full_state(execution_id)


def asking_plan(**confirmation: object) -> dict[str, object]:
    """first → (ask | sibling) → last, where ``ask`` waits for a person."""
    return plan(
        action("first", "test.value", inputs={"value": 1}),
        action("ask", "test.value", "first", inputs={"value": 2}, user_confirmation={**ASK, **confirmation}),
        action("sibling", "test.value", "first", inputs={"value": 3}),
        action("last", "test.value", "ask", "sibling", inputs={"value": "${ask.output}"}),
    )


def test_a_confirmation_pauses_and_approval_resumes(library: Site) -> None:
    """O5, O6: an action that needs a confirmation waits while its siblings go on; the execution is paused once
    nothing else can run; approval lets it run, and the answer is kept with who gave it.
    """
    result = execute_plan.delay(asking_plan())
    paused = state_when(result.id, "paused_for_confirmation")
    assert statuses(paused) == {"first": "completed", "ask": "pending", "sibling": "completed", "last": "pending"}
    assert [(c.action_id, c.confirmed) for c in paused.confirmations] == [("ask", None)]
    assert StateManager().get_available_actions(result.id) == []
    StateManager().confirm_action(result.id, "ask", True, user_id="ada")
    state = result.get(timeout=TIMEOUT)
    assert output(state, "last") == 2
    (answered,) = state.confirmations
    assert (answered.confirmed, answered.user_id) == (True, "ada")
    assert answered.responded_at is not None
    assert answered.responded_at >= answered.requested_at


@pytest.mark.parametrize("answer", ["no", "false", "", 0, 1, None])
def test_an_answer_that_is_no_bool_is_none(library: Site, answer: Any) -> None:
    """A form's "no" approved what it refused, and None refused: neither is an answer; no user is no error."""
    result = execute_plan.delay(asking_plan())
    state_when(result.id, "paused_for_confirmation")
    with pytest.raises(TypeError, match="expected True or False"):
        StateManager().confirm_action(result.id, "ask", answer)
    assert StateManager().get_full_state(result.id).confirmations[0].confirmed is None
    StateManager().confirm_action(result.id, "ask", True, user_id=None)
    assert result.get(timeout=TIMEOUT).confirmations[0].user_id is None


def test_a_rejected_confirmation_cancels(library: Site) -> None:
    """O7: rejecting cancels the execution; what was done is kept, what was asked for never runs."""
    result = execute_plan.delay(asking_plan())
    state_when(result.id, "paused_for_confirmation")
    StateManager().confirm_action(result.id, "ask", False, user_id="eve")
    with pytest.raises(PlanExecutionError, match="'ask' was rejected by eve"):
        result.get(timeout=TIMEOUT)
    state = StateManager().get_full_state(result.id)
    assert state.status == "cancelled"
    assert statuses(state) == {"first": "completed", "ask": "skipped", "sibling": "completed", "last": "skipped"}


def test_a_confirmation_that_times_out_rejects(library: Site) -> None:
    """O8: no answer within the timeout is a rejection."""
    result = execute_plan.delay(asking_plan(timeout=200))
    with pytest.raises(PlanExecutionError, match="not given in time"):
        result.get(timeout=TIMEOUT)
    assert StateManager().get_full_state(result.id).status == "cancelled"


def test_a_confirmation_is_answered_once(library: Site) -> None:
    """The same answer again changes nothing; the other answer, and answers nobody asked for, are refused."""
    result = execute_plan.delay(asking_plan())
    state_when(result.id, "paused_for_confirmation")
    manager = StateManager()
    with pytest.raises(InvalidTransitionError, match=r"'last'.*does not wait"):
        manager.confirm_action(result.id, "last", True)
    manager.confirm_action(result.id, "ask", True)
    manager.confirm_action(result.id, "ask", True)
    with pytest.raises(InvalidTransitionError, match="was confirmed before"):
        manager.confirm_action(result.id, "ask", False)
    assert result.get(timeout=TIMEOUT).action_states["ask"].attempts == 1
    with pytest.raises(ActionNotFoundError):
        manager.confirm_action(result.id, "nobody", True)
    with pytest.raises(ExecutionNotFoundError):
        manager.confirm_action(str(uuid.uuid4()), "ask", True)


def test_a_waiting_confirmation_holds_no_worker_and_no_message(fresh: Site) -> None:
    """It waits as a state: all workers may stop meanwhile, nothing is unacknowledged, and an approval given
    while none runs is carried out when one comes back.
    """
    first = fresh.start_worker()
    result = execute_plan.delay(asking_plan())
    state_when(result.id, "paused_for_confirmation")
    first.stop()
    assert not fresh.redis.exists("unacked")
    assert fresh.redis.llen(fresh.queue) == 0
    StateManager().confirm_action(result.id, "ask", True)
    fresh.start_worker()
    assert result.get(timeout=TIMEOUT).status == "completed"


def test_a_failure_beside_a_waiting_confirmation_ends_the_execution(library: Site) -> None:
    """A failure that nothing tolerates does not wait for an answer that may never come."""
    result = execute_plan.delay(
        plan(action("ask", "test.value", user_confirmation=ASK), action("breaks", "test.fail", retry=ONCE))
    )
    with pytest.raises(PlanExecutionError, match="'breaks' failed"):
        result.get(timeout=TIMEOUT)
    assert statuses(StateManager().get_full_state(result.id)) == {"ask": "skipped", "breaks": "failed"}


def test_cancel_keeps_what_was_done(library: Site) -> None:
    """O12: after a cancel nothing new starts, what runs ends by itself and is kept, the state ends cancelled."""
    gate = uuid.uuid4().hex
    result = execute_plan.delay(
        plan(action("runs", "test.gate", inputs={"name": gate}), action("next", "test.value", "runs"))
    )
    library.wait_started(gate)
    assert StateManager().cancel_execution(result.id, "no longer needed") is True
    assert StateManager().cancel_execution(result.id, "again") is True
    library.open_gate(gate)
    with pytest.raises(PlanExecutionError, match="no longer needed"):
        result.get(timeout=TIMEOUT)
    state = StateManager().get_full_state(result.id)
    assert (state.status, statuses(state)) == ("cancelled", {"runs": "completed", "next": "skipped"})
    assert StateManager().cancel_execution(result.id) is False


def test_cancel_ends_an_action_between_two_attempts(library: Site) -> None:
    """An action that waits for its next attempt does not get one; it keeps the error of its last."""
    hour = {"max_attempts": 2, "min_timeout_in_ms": 3_600_000, "max_timeout_in_ms": 3_600_000}
    result = execute_plan.delay(plan(action("waits", "test.fail", inputs={"message": "busy"}, retry=hour)))
    wait_until(
        lambda: state_when(result.id, "running").action_states["waits"].error is not None, TIMEOUT, "one attempt failed"
    )
    StateManager().cancel_execution(result.id)
    state = state_when(result.id, "cancelled")
    assert state.action_states["waits"].status == "failed"
    assert state.action_states["waits"].error is not None
    assert state.action_states["waits"].error.message == "busy"


def test_an_execution_driven_by_hand(library: Site) -> None:
    """S1, S6, S8: stored with every action pending, available actions follow the rules, conditions included, and
    the execution ends by itself with the last result.
    """
    manager = StateManager()
    state = manager.initialize_state(
        plan(
            action("a", "any"),
            action("b", "any", "a", condition={"if": "${a.output.go} == true"}),
            action("c", "any", "a", condition={"if": "${a.output.go} == false"}),
            action("d", "any", "b", "c"),
        ),
        start=False,
    )
    assert (state.status, set(statuses(state).values())) == ("initializing", {"pending"})
    assert manager.get_available_actions(state.id) == ["a"]
    manager.update_action_status(state.id, "a", "running")
    assert manager.get_available_actions(state.id) == []
    manager.record_action_result(state.id, "a", {"go": True})
    assert manager.get_available_actions(state.id) == ["b"]
    assert statuses(manager.get_full_state(state.id))["c"] == "skipped"
    for name in ("b", "d"):
        manager.update_action_status(state.id, name, "running")
        manager.record_action_result(state.id, name, Success(output=name))
    assert manager.get_full_state(state.id).status == "completed"
    assert execute_plan.AsyncResult(state.id).get(timeout=TIMEOUT).status == "completed"


def test_storing_one_that_workers_drive_changes_nothing(library: Site) -> None:
    """``start=False`` with the id of an execution that is there decides nothing for the workers that drive it."""
    manager, gate = StateManager(), str(uuid.uuid4())
    wanted = plan(
        action("a", inputs={"value": 1}),
        action("waits", "test.gate", inputs={"name": gate}),
        action("never", "test.echo", "a", condition={"if": "${a.output} == 5"}),
        schedule="levels",
    )
    execution_id = manager.initialize_state(wanted).id
    library.wait_started(gate)
    wait_until(lambda: statuses(manager.get_full_state(execution_id))["a"] == "completed", TIMEOUT)
    there = manager.initialize_state(wanted, start=False, execution_id=execution_id)
    assert statuses(there) == {"a": "completed", "waits": "running", "never": "pending"}
    library.open_gate(gate)
    assert statuses(manager.wait(execution_id, TIMEOUT))["never"] == "skipped"


def test_skipping_an_alternative_by_hand_leaves_the_failure(library: Site) -> None:
    """An alternative that is called for and skipped stands in for nothing: the failure halts the execution, as it
    does on workers; one that is skipped before anything called for it halts nothing.
    """
    manager = StateManager()
    steps = plan(
        action("a", "any", error_handling={"alternative_action_id": "x"}), action("x", "any"), action("b", "any", "a")
    )
    execution_id = manager.initialize_state(steps, start=False).id
    manager.update_action_status(execution_id, "a", "running")
    manager.update_action_status(execution_id, "a", "failed")
    assert manager.get_available_actions(execution_id) == ["x"]
    manager.update_action_status(execution_id, "x", "skipped")
    state = manager.get_full_state(execution_id)
    assert (state.status, statuses(state)) == ("failed", {"a": "failed", "x": "skipped", "b": "skipped"})
    early = manager.initialize_state(steps, start=False).id
    manager.update_action_status(early, "x", "skipped")
    assert manager.get_available_actions(early) == ["a"]
    manager.cancel_execution(early)


def test_an_alternative_that_is_skipped_first_handles_no_failure_either(library: Site) -> None:
    """Skipped by hand before it is called for, or by a rerun, an alternative stands in for nothing: the failure that
    would call for it halts the execution, that of a condition too, unless a flag tolerates it.
    """
    manager = StateManager()
    handled = {"error_handling": {"alternative_action_id": "x"}, "retry": ONCE}
    first = action("first", "test.value", inputs={"value": 1})
    x, last = action("x", "test.fail", retry=ONCE), action("last", "test.value", "a")
    untrue = {"if": "${first.output} > 1", "else": "fail"}
    ways = [
        action("a", "test.fail", "first", **handled),
        action("a", "test.value", "first", condition=untrue, **handled),
    ]
    for failing in ways:
        for tolerated, ends in ((False, ("failed", "skipped")), (True, ("completed", "completed"))):
            dependent = {**last, "error_handling": {"continue_on_failure": tolerated}}
            alternative = {**x, "error_handling": {"continue_on_failure": tolerated}}
            steps = plan(first, failing, alternative, dependent)

            by_hand = manager.initialize_state(steps, start=False).id
            manager.update_action_status(by_hand, "x", "skipped")
            while available := manager.get_available_actions(by_hand):
                manager.update_action_status(by_hand, available[0], "running")
                failed = (available[0], failing["action_definition_id"]) == ("a", "test.fail")
                done = {"status": "failure", "error": {"category": "action_failed", "message": "no"}} if failed else 1
                manager.record_action_result(by_hand, available[0], done)

            before = manager.wait(manager.initialize_state(steps).id, TIMEOUT)
            again = manager.wait(manager.rerun(before.id, skip=["x"]).id, TIMEOUT)
            for state in (manager.get_full_state(by_hand), again):
                found = statuses(state)
                assert (state.status, found["a"], found["x"], found["last"]) == (ends[0], "failed", "skipped", ends[1])


def test_illegal_transitions_are_refused(library: Site) -> None:
    """S2, S3: an illegal change raises and changes nothing."""
    manager = StateManager()
    execution_id = manager.initialize_state(plan(action("a", "any"), action("b", "any", "a")), start=False).id
    manager.update_action_status(execution_id, "a", "running")
    before = manager.get_full_state(execution_id)
    for change in (
        lambda: manager.update_action_status(execution_id, "a", "running"),
        lambda: manager.update_action_status(execution_id, "a", "pending"),
        lambda: manager.update_action_status(execution_id, "b", "running"),
        lambda: manager.record_action_result(execution_id, "b", 1),
    ):
        with pytest.raises(InvalidTransitionError):
            change()
    assert manager.get_full_state(execution_id) == before
    manager.record_action_result(execution_id, "a", 1)
    with pytest.raises(InvalidTransitionError, match="is completed and cannot become running"):
        manager.update_action_status(execution_id, "a", "running")
    manager.cancel_execution(execution_id)
    assert manager.get_full_state(execution_id).status == "cancelled"


def test_workers_record_their_own_results(library: Site) -> None:
    """On an execution that workers drive, results by hand would fight the engine: refused."""
    gate = uuid.uuid4().hex
    result = execute_plan.delay(plan(action("runs", "test.gate", inputs={"name": gate})))
    library.wait_started(gate)
    with pytest.raises(InvalidTransitionError, match="a worker records"):
        StateManager().record_action_result(result.id, "runs", 1)
    library.open_gate(gate)
    result.get(timeout=TIMEOUT)


def test_a_cycle_is_refused_at_initialise(library: Site) -> None:
    """S7: nothing of a plan with a circular dependency is stored."""
    before = set(library.redis.keys("workflow-state:{*"))
    with pytest.raises(PlanValidationError, match="Circular dependency"):
        StateManager().initialize_state(plan(action("a", "any", "b"), action("b", "any", "a")), start=False)
    assert set(library.redis.keys("workflow-state:{*")) == before


def test_a_rerun_with_the_broker_away_starts_later(own: Site, caplog: pytest.LogCaptureFixture) -> None:
    """It is stored and has an id, and must not be asked for again: a worker finds it, and it completes."""
    result = execute_plan.delay(plan(action("kept", "test.add", inputs={"a": 1, "b": 2})))
    assert result.get(timeout=TIMEOUT).status == "completed"
    cut_off = own_app.make_app()
    cut_off.conf.update(broker_url="redis://127.0.0.1:1/0", result_backend=own.url)
    again = StateManager(cut_off).rerun(result.id, "kept")
    cut_off.close()
    assert "the rerun goes on later" in caplog.text
    wait_until(lambda: StateManager().get_full_state(again.id).status == "completed", TIMEOUT, "a worker has found it")
    assert StateManager().get_full_state(again.id).action_states["kept"].attempts == 1


def test_rerun_takes_over_what_completed(library: Site) -> None:
    """A failed execution runs again as a new one, linked to it: what completed is not run again, the rest is,
    with new inputs, results given by hand, or actions skipped.
    """
    result = execute_plan.delay(
        plan(
            action("kept", "test.add", inputs={"a": 1, "b": 2}),
            action("broken", "test.fail", "kept", retry=ONCE),
            action("after", "test.add", "broken", inputs={"a": "${broken.output}", "b": "${kept.output}"}),
        )
    )
    with pytest.raises(PlanExecutionError):
        result.get(timeout=TIMEOUT)
    state = StateManager().rerun(result.id, results={"broken": 10}).get(timeout=TIMEOUT)
    assert (state.rerun_of, state.status, output(state, "after")) == (result.id, "completed", 13)
    assert {name: found.attempts for name, found in state.action_states.items()} == {
        "kept": 0,
        "broken": 0,
        "after": 1,
    }
    again = StateManager().rerun(state.id, inputs={"after": {"a": 5, "b": 5}}).get(timeout=TIMEOUT)
    assert output(again, "after") == 10
    last = StateManager().rerun(again.id, skip=["broken"]).get(timeout=TIMEOUT)
    assert statuses(last) == {"kept": "completed", "broken": "skipped", "after": "skipped"}


def test_an_action_has_one_wish_in_a_rerun(own: Site) -> None:
    """To skip it and to give its result, or to run it, exclude each other: one of them was dropped in silence."""
    manager = StateManager()
    done = manager.initialize_state(plan(action("a"), action("b")), start=False, execution_id=f"hand-{uuid.uuid4()}").id
    manager.cancel_execution(done)
    there = own.redis.zcard(f"{own.prefix}:executions")
    wishes: list[tuple[dict[str, Any], str]] = [
        ({"skip": ["a"], "results": {"a": 1}}, "Action 'a' is named in skip and in results"),
        ({"skip": ["a"], "inputs": {"a": {}}}, "Action 'a' is named in inputs and in skip"),
        ({"results": {"a": 1}, "inputs": {"a": {}}}, "Action 'a' is named in inputs and in results"),
        ({"skip": ["a"], "from_action": "a"}, "Action 'a' is named in from_action and in skip"),
    ]
    for given, said in wishes:
        with pytest.raises(PlanValidationError, match=said):
            manager.rerun(done, **given)
    assert own.redis.zcard(f"{own.prefix}:executions") == there


UNREADABLE = [float("nan"), {"__type__": "x", "__value__": 1}, "\ud800", {"at": datetime.now(UTC)}]


@pytest.mark.parametrize("value", UNREADABLE, ids=["nan", "codec", "surrogate", "datetime"])
def test_a_result_that_cannot_be_read_back_is_refused(library: Site, value: Any) -> None:
    """A result by hand or of a rerun that is no JSON is refused before anything is stored: kept, no state with it
    could be read.
    """
    manager = StateManager()
    by_hand = manager.initialize_state(plan(action("a")), start=False, execution_id=f"hand-{uuid.uuid4()}").id
    manager.update_action_status(by_hand, "a", "running")
    with pytest.raises(ValueError, match=r"JSON|finite"):
        manager.record_action_result(by_hand, "a", value)
    assert statuses(manager.get_full_state(by_hand)) == {"a": "running"}
    manager.record_action_result(by_hand, "a", 1)
    there = library.redis.zcard(f"{library.prefix}:executions")
    with pytest.raises(PlanValidationError, match="result given for action 'a'"):
        manager.rerun(by_hand, results={"a": value})
    assert library.redis.zcard(f"{library.prefix}:executions") == there


@pytest.mark.parametrize(
    "result", [{"key": {"s3cret"}}, {"status": "success", "output": {"s3cret"}}, {"status": "failure"}]
)
def test_the_error_of_such_a_result_has_no_value_in_it(library: Site, result: Any) -> None:
    """It says where it is wrong and that nothing was changed; what was given may be secret."""
    manager = StateManager()
    by_hand = manager.initialize_state(plan(action("a")), start=False).id
    manager.update_action_status(by_hand, "a", "running")
    with pytest.raises(ValueError, match=r"output|error: Field required.*; nothing was changed$") as refused:
        manager.record_action_result(by_hand, "a", result)
    assert "s3cret" not in str(refused.value)
    manager.record_action_result(by_hand, "a", 1)


def test_a_manager_is_of_its_own_app(own: Site, database: Callable[[], str]) -> None:
    """Where another app is the current one, a manager's plans still run on the workers of its own, once, and what it
    gives back reads their results; nothing reaches the other app.
    """
    other = Celery("other", broker=database(), backend=database())
    other.set_current()
    manager = StateManager(own.app)
    started = manager.initialize_state(plan(action("a", inputs={"value": 7})))
    assert manager.wait(started.id, TIMEOUT).status == "completed"
    assert manager.rerun(started.id, "a").get(timeout=TIMEOUT).rerun_of == started.id
    with redis.Redis.from_url(other.conf.broker_url) as its_broker:
        assert not its_broker.keys()
    other.close()


@pytest.mark.parametrize(("given", "place"), [(5, ""), ([], ""), (None, ""), ({"value": {1, 2}}, ".value")])
def test_new_inputs_that_are_none_are_problems_of_the_plan(
    library: Site, given: Any, place: str, recwarn: pytest.WarningsRecorder
) -> None:
    """Whatever a rerun is given as inputs of an action: the error says where it stands and what was found."""
    result = execute_plan.delay(plan(action("a", "test.value", inputs={"value": 1})))
    result.get(timeout=TIMEOUT)
    with pytest.raises(PlanValidationError) as refused:
        StateManager().rerun(result.id, inputs={"a": given})
    assert [problem.location for problem in refused.value.errors] == [f"actions[0].inputs{place}"]
    assert not [str(warned.message) for warned in recwarn if "serialize" in str(warned.message)]


def test_only_an_ended_execution_runs_again(library: Site) -> None:
    """A rerun of one that runs, of an unknown one, or from an unknown action is refused."""
    gate = uuid.uuid4().hex
    result = execute_plan.delay(plan(action("runs", "test.gate", inputs={"name": gate})))
    library.wait_started(gate)
    with pytest.raises(InvalidTransitionError, match="only one that has ended"):
        StateManager().rerun(result.id)
    library.open_gate(gate)
    result.get(timeout=TIMEOUT)
    with pytest.raises(ActionNotFoundError):
        StateManager().rerun(result.id, "nobody")
    with pytest.raises(ExecutionNotFoundError):
        StateManager().rerun(str(uuid.uuid4()))
