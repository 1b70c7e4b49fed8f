"""1.4 "Idempotent start" and ``task_always_eager``: one execution per id, and the same plan in process."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.behaviour import app
from tests.behaviour.endings import QUICK, timeless
from tests.integration import actions as actions_to_register
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import ExecutionState, PlanExecutionError, PlanValidationError, StateManager, execute_plan

TIMEOUT = 30
PLAN = plan(
    action("card", "test.fail", inputs={"retryable": False}, error_handling={"alternative_action_id": "cash"}),
    action("cash", "test.value", inputs={"value": 5}),
    action("flaky", "test.flaky", inputs={"times": 1, "value": 1}, retry=QUICK),
    action("gone", "test.value", condition={"if": "false"}),
    action("after", "test.value", "gone"),
    action("sum", "test.add", "card", "flaky", inputs={"a": "${card.output}", "b": "${flaky.output}"}),
    id="eager",
    expected_outcome={"validations": [{"name": "six", "reference": "${sum.output}", "operator": "equals", "value": 6}]},
)


def test_the_same_id_twice_is_one_execution(behaviour: Site) -> None:
    """The same execution id, while it runs and after it has ended, is one execution: every action runs once."""
    execution_id, gate = str(uuid.uuid4()), uuid.uuid4().hex
    wanted = plan(action("a", "test.gate", inputs={"name": gate}), action("b", "test.value", "a"))
    first = execute_plan.apply_async((wanted,), task_id=execution_id)
    behaviour.wait_started(gate)
    second = execute_plan.apply_async((wanted,), task_id=execution_id)
    behaviour.open_gate(gate)
    state = first.get(timeout=TIMEOUT)
    assert second.get(timeout=TIMEOUT) == state
    third = execute_plan.apply_async((wanted,), task_id=execution_id)
    wait_until(lambda: behaviour.redis.llen(behaviour.queue) == 0 and behaviour.redis.hlen("unacked") == 0, TIMEOUT)
    assert third.get(timeout=TIMEOUT) == state
    assert StateManager().get_full_state(execution_id) == state
    assert behaviour.runs(execution_id) == {"a": 1, "b": 1}


def test_another_plan_under_the_same_id_changes_nothing(behaviour: Site) -> None:
    """The first plan of an id is its plan."""
    execution_id = str(uuid.uuid4())
    state = execute_plan.apply_async((plan(action("a"), id="first"),), task_id=execution_id).get(timeout=TIMEOUT)
    other = execute_plan.apply_async((plan(action("b"), id="second"),), task_id=execution_id).get(timeout=TIMEOUT)
    assert other == state
    assert state.plan_id == "first"


def test_two_executions_of_a_plan_have_ids_of_their_own(behaviour: Site) -> None:
    """Without an id of the caller's each start is an execution of its own."""
    first, second = execute_plan.delay(plan(action("a"))), execute_plan.delay(plan(action("a")))
    assert first.get(timeout=TIMEOUT).id != second.get(timeout=TIMEOUT).id


@pytest.fixture
def eager(behaviour: Site) -> Iterator[Site]:
    """The current app runs its tasks in this process; the actions' side effects need a server all the same."""
    assert actions_to_register.__name__ in behaviour.app.conf.imports
    made = app.make_app()
    made.conf.update(task_always_eager=True, broker_url="memory://", result_backend="cache+memory://")
    made.conf.result_compression = None
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("REDIS_URL", behaviour.url)
        made.set_current()
        try:
            yield behaviour
        finally:
            behaviour.app.set_current()


def test_eager_gives_the_same_state(behaviour: Site, request: pytest.FixtureRequest) -> None:
    """With ``task_always_eager``, ``delay`` runs the plan in process, and ``get()`` returns the same state."""
    on_worker = execute_plan.delay(PLAN).get(timeout=TIMEOUT)
    request.getfixturevalue("eager")
    here = execute_plan.delay(PLAN)
    state = here.get(timeout=1)
    assert (here.state, isinstance(state, ExecutionState), state.id) == ("SUCCESS", True, here.id)
    assert timeless(state) == timeless(on_worker)


def test_eager_raises_the_same_error(behaviour: Site, request: pytest.FixtureRequest) -> None:
    """A plan that fails raises ``PlanExecutionError`` in process as well; a bad one ``PlanValidationError``."""
    request.getfixturevalue("eager")
    failed = execute_plan.delay(plan(action("a", "test.fail", inputs={"retryable": False})))
    assert failed.state == "FAILURE"
    with pytest.raises(PlanExecutionError, match="Action 'a' failed: refused") as raised:
        failed.get(timeout=1)
    assert raised.value.failed_actions == {"a": "refused"}
    with pytest.raises(PlanValidationError):
        execute_plan.delay(plan())


def test_eager_waits_for_nothing(eager: Site) -> None:
    """Waits between attempts are skipped in process: an hour takes no time."""
    patient = {"max_attempts": 3, "min_timeout_in_ms": 3_600_000, "max_timeout_in_ms": 3_600_000, "randomize": False}
    state = execute_plan.delay(plan(action("a", "test.flaky", inputs={"times": 2}, retry=patient))).get(timeout=1)
    assert state.action_states["a"].attempts == 3
    assert state.metrics.total_duration >= 2 * 3_600_000
