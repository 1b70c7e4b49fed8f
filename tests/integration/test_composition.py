"""``execute_plan`` is a Celery task like any other: what is hung on it runs when the plan has ended."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from celery import chain, chord, group
from celery.result import AsyncResult

from tests.integration.actions import (
    become,
    collect,
    make_bad_plan,
    make_plan,
    notify,
    on_error,
    prepare,
    ran,
    start_plan,
)
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import (
    ExecutionState,
    PlanExecutionError,
    PlanValidationError,
    StateManager,
    Success,
    execute_plan,
)

TIMEOUT = 20


def good(number: int = 1) -> dict[str, Any]:
    """Two levels; the last action's output is ``number + 1``."""
    return plan(
        action("first", "test.value", inputs={"value": number}),
        action("last", "test.add", "first", inputs={"a": "${first.output}", "b": 1}),
        id=f"good-{number}",
    )


def bad() -> dict[str, Any]:
    """Fails at once, before its second level."""
    return plan(
        action("breaks", "test.fail", inputs={"message": "out of paper", "retryable": False}),
        action("never", "test.echo", "breaks"),
        id="bad",
    )


def last_output(state: ExecutionState | dict[str, Any]) -> Any:
    """The output of the action ``last`` of a final state."""
    if isinstance(state, dict):
        state = ExecutionState.model_validate(state)
    assert state.status == "completed"
    result = state.action_states["last"].result
    assert isinstance(result, Success)
    return result.output


@pytest.fixture
def name() -> str:
    """A name for this test's notes and gates."""
    return uuid.uuid4().hex


@pytest.fixture
def parked(own: Site, name: str) -> Iterator[str]:
    """A queue that nobody consumes until the test lets the worker of ``own`` do it."""
    yield name
    own.app.control.cancel_consumer(name, destination=[own.workers[0].address], reply=True)


def consume(site: Site, queue: str) -> None:
    """From now on the site's worker consumes that queue too."""
    assert site.app.control.add_consumer(queue, destination=[site.workers[0].address], reply=True, timeout=5)


def test_what_follows_in_a_chain_gets_the_final_state(site: Site) -> None:
    """In ``chain(prepare, execute_plan, notify)`` the plan runs after the first and before the last task, and
    the last one gets the final state, not that the plan was accepted.
    """
    work = chain(prepare.s(), execute_plan.si(good()), notify.s())
    result = work.apply_async()
    told = result.get(timeout=TIMEOUT)
    assert last_output(told["given"]) == 2
    assert told["seen"] == told["given"]
    # Celery calls what follows before it stores the result of the task before.
    assert result.parent.get(timeout=TIMEOUT) == ExecutionState.model_validate(told["given"])
    assert result.parent.parent.get(timeout=TIMEOUT) == "prepared"


def test_what_follows_waits_while_the_plan_runs(site: Site, name: str) -> None:
    """As long as an action of the plan runs, the next task of the chain has not begun."""
    held = plan(
        action("held", "test.gate", inputs={"name": name}),
        action("last", "test.value", "held", inputs={"value": 1}),
    )
    result = chain(execute_plan.s(held), ran.s(name=name)).apply_async()
    site.wait_started(name)
    execute_plan.delay(good()).get(timeout=TIMEOUT)  # other work of the same queue goes through meanwhile
    assert site.notes(f"ran:{name}") == []
    assert not result.parent.ready()
    site.open_gate(name)
    result.get(timeout=TIMEOUT)
    assert site.notes(f"ran:{name}") == ["1"]


def test_a_plan_produced_by_the_task_before(site: Site) -> None:
    """``chain(make_plan.s(3), execute_plan.s())``: a partial runs the plan that the task before returned."""
    result = chain(make_plan.s(3), execute_plan.s(), notify.s()).apply_async()
    told = result.get(timeout=TIMEOUT)
    assert last_output(told["given"]) == {"a0": 1, "a1": 2, "a2": 3}


def test_a_bad_plan_produced_by_the_task_before(site: Site, name: str) -> None:
    """An invalid plan from the task before makes ``execute_plan`` fail with its problems; nothing hangs, and
    the task that produced it stays successful.
    """
    result = chain(make_bad_plan.s(3), execute_plan.s(), ran.s(name=name)).apply_async()
    with pytest.raises(PlanValidationError, match="depends on 'nobody'"):
        result.parent.get(timeout=TIMEOUT)
    assert result.parent.state == "FAILURE"
    # Celery calls what follows before it stores the result of the task before.
    assert result.parent.parent.get(timeout=TIMEOUT)["actions"]
    assert site.notes(f"ran:{name}") == []


def test_a_bad_plan_for_a_group_and_for_a_link(site: Site, name: str) -> None:
    """A bad plan handed to partials in a group, and as a callback, fails these and no other task."""
    result = chain(make_bad_plan.s(1), group(execute_plan.s(), execute_plan.s())).apply_async()
    for one in result.children:
        with pytest.raises(PlanValidationError, match="depends on 'nobody'"):
            one.get(timeout=TIMEOUT)
    # Celery calls what follows before it stores the result of the task before.
    assert result.parent.get(timeout=TIMEOUT)["actions"]
    execution_id = str(uuid.uuid4())
    linked = make_bad_plan.apply_async((1,), link=execute_plan.s().set(task_id=execution_id))
    with pytest.raises(PlanValidationError, match="depends on 'nobody'"):
        execute_plan.AsyncResult(execution_id).get(timeout=TIMEOUT)
    assert linked.get(timeout=TIMEOUT)["actions"]


def test_a_plan_started_by_a_task(site: Site) -> None:
    """A task may start a plan itself; a bad one is its own error, raised where it is started."""
    started = start_plan.delay(good(3)).get(timeout=TIMEOUT)
    assert last_output(execute_plan.AsyncResult(started).get(timeout=TIMEOUT)) == 4
    with pytest.raises(PlanValidationError, match="at least one action"):
        start_plan.delay({"actions": []}).get(timeout=TIMEOUT)


def test_a_task_that_replaces_itself_by_a_plan(site: Site, name: str) -> None:
    """``self.replace(execute_plan.s(plan))``: the plan takes the task's place and id in its chain."""
    result = chain(become.s(good(6)), notify.s()).apply_async()
    told = result.get(timeout=TIMEOUT)
    assert last_output(told["given"]) == 7
    assert told["given"]["id"] == result.parent.id


def test_an_ignored_result(site: Site) -> None:
    """``ignore_result=True``: the plan runs and its state can be read, its task keeps no result."""
    result = execute_plan.apply_async((good(),), ignore_result=True)
    manager = StateManager()
    wait_until(lambda: site.fields(result.id).get("closed"), TIMEOUT, "the plan has ended")
    assert last_output(manager.get_full_state(result.id)) == 2
    assert not site.redis.exists(f"celery-task-meta-{result.id}")


def test_two_plans_in_a_chain(site: Site) -> None:
    """Two plans one after the other: the second starts when the first has ended."""
    result = chain(execute_plan.s(good(1)), execute_plan.si(good(5))).apply_async()
    second = result.get(timeout=TIMEOUT)
    # Celery calls what follows before it stores the result of the task before.
    first = result.parent.get(timeout=TIMEOUT)
    assert (last_output(first), last_output(second)) == (2, 6)
    assert first.completed_at <= second.started_at


def test_a_failing_plan_stops_its_chain(site: Site, name: str) -> None:
    """What follows a failed plan does not run; ``.get()`` raises ``PlanExecutionError`` at every place after
    it, naming the failed actions.
    """
    result = chain(prepare.s(), execute_plan.si(bad()), ran.s(name=name)).apply_async()
    with pytest.raises(PlanExecutionError, match="out of paper") as failed:
        result.get(timeout=TIMEOUT)
    assert failed.value.execution_id == result.parent.id
    assert failed.value.failed_actions == {"breaks": "out of paper"}
    assert result.parent.state == "FAILURE"
    execute_plan.delay(good()).get(timeout=TIMEOUT)
    assert site.notes(f"ran:{name}") == []


def test_a_group_of_plans(site: Site) -> None:
    """``group(execute_plan.s(p) for p in plans)`` gives the final states, in order."""
    result = group(execute_plan.s(good(n)) for n in range(4)).apply_async()
    assert [last_output(state) for state in result.get(timeout=TIMEOUT)] == [1, 2, 3, 4]
    assert [last_output(one.get(timeout=1)) for one in result.children] == [1, 2, 3, 4]
    ids = [one.id for one in result.children]
    assert [StateManager().get_full_state(i).plan_id for i in ids] == [f"good-{n}" for n in range(4)]


def test_a_group_with_a_failing_plan(site: Site) -> None:
    """One failing plan of a group fails alone; the group's ``get`` raises its error."""
    result = group(execute_plan.s(good(1)), execute_plan.s(bad()), execute_plan.s(good(2))).apply_async()
    with pytest.raises(PlanExecutionError, match="out of paper"):
        result.get(timeout=TIMEOUT)
    assert [last_output(result.children[n].get(timeout=TIMEOUT)) for n in (0, 2)] == [2, 3]


def test_plans_as_a_chord_header(site: Site) -> None:
    """The body of a chord over plans gets the list of final states, after the last plan has ended."""
    header = [execute_plan.s(good(n)) for n in range(3)]
    states = chord(header, collect.s()).apply_async().get(timeout=TIMEOUT)
    assert [last_output(state) for state in states] == [1, 2, 3]


def test_a_chord_waits_for_its_slowest_plan(site: Site, name: str) -> None:
    """The body does not run while one plan of the header does."""
    held = plan(action("held", "test.gate", inputs={"name": name}))
    header = [execute_plan.s(good(1)), execute_plan.s(held)]
    result = chord(header, ran.s(name=name)).apply_async()
    site.wait_started(name)
    wait_until(result.parent.children[0].ready, TIMEOUT)
    assert site.notes(f"ran:{name}") == []
    site.open_gate(name)
    result.get(timeout=TIMEOUT)
    assert site.notes(f"ran:{name}") == ["1"]


def test_a_failing_plan_in_a_chord_header(site: Site, name: str) -> None:
    """The chord fails with the plan's error, its body does not run, its errback does."""
    body = ran.s(name=name).on_error(on_error.s(name=name))
    result = chord([execute_plan.s(good(1)), execute_plan.s(bad())], body).apply_async()
    with pytest.raises(Exception, match="out of paper"):
        result.get(timeout=TIMEOUT)
    (noted,) = wait_until(lambda: site.notes(f"errors:{name}"), TIMEOUT, "the body's errback ran")
    assert "out of paper" in noted
    assert site.notes(f"ran:{name}") == []


def test_a_plan_as_a_chord_body(site: Site) -> None:
    """``execute_plan`` as a body (``si``) runs when the header has ended."""
    result = chord([prepare.s(1), prepare.s(2)], execute_plan.si(good(7))).apply_async()
    assert last_output(result.get(timeout=TIMEOUT)) == 8


def test_a_group_of_plans_inside_a_chain(site: Site) -> None:
    """``chain(task, group(plans), task)``: Celery makes a chord of it, and the states arrive together."""
    work = chain(prepare.s(), group(execute_plan.si(good(n)) for n in range(3)), collect.s())
    assert [last_output(state) for state in work.apply_async().get(timeout=TIMEOUT)] == [1, 2, 3]


def test_a_chain_of_plans_inside_a_group(site: Site) -> None:
    """Chains that hold plans, side by side."""
    work = group(chain(execute_plan.s(good(n)), execute_plan.si(good(n + 10))) for n in range(2))
    assert [last_output(state) for state in work.apply_async().get(timeout=TIMEOUT)] == [11, 12]


def test_link_gets_the_final_state(site: Site) -> None:
    """``link=`` is called with the final state, once, when the plan has ended."""
    result = execute_plan.apply_async((good(),), link=notify.s())
    state = result.get(timeout=TIMEOUT)
    (child,) = wait_until(lambda: AsyncResult(result.id, app=site.app).children, TIMEOUT)
    assert child.get(timeout=TIMEOUT)["given"] == state.to_json_dict()


def test_link_of_a_failed_plan_is_not_called_but_link_error_is(site: Site, name: str) -> None:
    """``link_error=`` gets the request and ``PlanExecutionError``, once; ``link=`` is not called."""
    result = execute_plan.apply_async((bad(),), link=ran.s(name=name), link_error=on_error.s(name=name))
    with pytest.raises(PlanExecutionError):
        result.get(timeout=TIMEOUT)
    wait_until(lambda: site.notes(f"errors:{name}"), TIMEOUT, "the errback ran")
    execute_plan.delay(good()).get(timeout=TIMEOUT)
    (noted,) = site.notes(f"errors:{name}")
    assert noted.startswith("PlanExecutionError: Plan 'bad' ended failed")
    assert site.notes(f"ran:{name}") == []


def test_link_error_of_a_completed_plan_is_not_called(site: Site, name: str) -> None:
    """A plan that completes calls no errback."""
    execute_plan.apply_async((good(),), link_error=on_error.s(name=name)).get(timeout=TIMEOUT)
    execute_plan.delay(good()).get(timeout=TIMEOUT)
    assert site.notes(f"errors:{name}") == []


def test_countdown(site: Site) -> None:
    """``countdown=`` holds the whole plan back: nothing of it is known before, then it runs."""
    sent = datetime.now().astimezone()
    result = execute_plan.apply_async((good(),), countdown=0.5)
    state = result.get(timeout=TIMEOUT)
    assert last_output(state) == 2
    assert (state.started_at - sent).total_seconds() >= 0.5


def test_queue(own: Site, parked: str, name: str) -> None:
    """``queue=`` sends the plan to that queue, and its end is handled there too; its actions are not."""
    held = plan(action("held", "test.gate", inputs={"name": name}), action("last", "test.value", "held"))
    result = execute_plan.apply_async((held,), queue=parked)
    assert own.redis.llen(parked) == 1
    assert own.fields(result.id) == {}
    consume(own, parked)
    own.wait_started(name)
    own.app.control.cancel_consumer(parked, destination=[own.workers[0].address], reply=True)
    own.open_gate(name)
    wait_until(lambda: own.redis.llen(parked) >= 1, TIMEOUT, "the finishing message is in the plan's queue")
    assert own.runs(result.id) == {"held": 1, "last": 1}
    assert not result.ready()
    consume(own, parked)
    assert last_output(result.get(timeout=TIMEOUT)) is None


def test_priority(own: Site, parked: str) -> None:
    """``priority=`` reaches the broker with the plan's message."""
    result = execute_plan.apply_async((good(),), queue=parked, priority=6)
    assert own.redis.llen(f"{parked}\x06\x166") == 1
    consume(own, parked)
    assert last_output(result.get(timeout=TIMEOUT)) == 2


def test_queue_and_priority_of_an_action(own: Site, parked: str) -> None:
    """An action's own ``queue`` and ``priority`` are those of its message; other actions are not held up."""
    result = execute_plan.delay(
        plan(
            action("free", "test.value", inputs={"value": 1}),
            action("bound", "test.value", queue=parked, priority=3, inputs={"value": 2}),
            action("last", "test.add", "free", "bound", inputs={"a": "${free.output}", "b": "${bound.output}"}),
        )
    )
    wait_until(lambda: own.redis.llen(f"{parked}\x06\x163") >= 1, TIMEOUT, "the action is in its queue")
    wait_until(lambda: own.runs(result.id) == {"free": 1}, TIMEOUT, "the other action has run")
    consume(own, parked)
    assert last_output(result.get(timeout=TIMEOUT)) == 3


def test_task_id_in_a_signature(site: Site) -> None:
    """``execute_plan.s(plan).set(task_id=...)`` names the execution inside a canvas as well."""
    execution_id = str(uuid.uuid4())
    chain(execute_plan.s(good()).set(task_id=execution_id), collect.s()).apply_async().get(timeout=TIMEOUT)
    assert last_output(StateManager().get_full_state(execution_id)) == 2


def test_a_signature_survives_json(site: Site) -> None:
    """A signature can be stored as JSON and sent by somebody else later."""
    stored = site.app.signature(dict(chain(execute_plan.s(good()), notify.s())))
    assert last_output(stored.apply_async().get(timeout=TIMEOUT)["given"]) == 2
