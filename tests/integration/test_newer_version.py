"""In a rolling deployment a newer version has written what this one does not know: it harms nothing, or is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.outcomes import ONCE, QUICK, TIMEOUT, output, statuses
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import Event, EventListener, ExecutionNotFoundError, NewerSchemaError, StateManager, execute_plan
from workflow_state.event_types import EVENT
from workflow_state.events import events_exchange
from workflow_state.runtime.submission import PlanResult
from workflow_state.settings import Settings

#: With one of each record that is kept: errors of an attempt and of an action, progress, a question.
PLAN = plan(
    action("flaky", "test.flaky", inputs={"times": 1}, retry=QUICK),
    action("broken", "test.fail", retry=ONCE, error_handling={"fallback_value": "instead"}),
    action("told", "test.progress", inputs={"name": "newer"}),
    action("ask", "test.echo", "flaky", "broken", "told", user_confirmation={"title": "?", "message": "?"}),
)


def with_more(value: Any, name: str = "") -> Any:
    """Every object in JSON with a field more, but those whose names are data; JSON text in it, too."""
    match value:
        case dict():
            more = {} if name in ("context", "action_states") else {"of_a_newer_version": {"a": 1}}
            return {**{name: with_more(item, name) for name, item in value.items()}, **more}
        case list():
            return [with_more(item) for item in value]
        case str() if value.startswith("{"):
            return json.dumps(with_more(json.loads(value)))
    return value


def rewrite(site: Site, execution_id: str) -> int:
    """Give more fields to all that is stored as JSON of an execution but its plan; how many records that were."""
    keys = f"{site.prefix}:{{{execution_id}}}"
    written = 0
    for kind in ("actions", "attempts", "confirmations", "progress"):
        for name, text in site.redis.hgetall(f"{keys}:{kind}").items():
            site.redis.hset(f"{keys}:{kind}", name, json.dumps(with_more(json.loads(text))))
            written += 1
    entries = site.redis.xrange(f"{keys}:log")
    site.redis.delete(f"{keys}:log")
    for number, fields in entries:
        site.redis.xadd(f"{keys}:log", {**fields, "data": with_more(fields["data"]), "more": "1"}, id=number)
    return written + len(entries)


def test_records_of_a_newer_version_are_gone_on_with(own: Site) -> None:
    """A plan whose records have fields that nobody here knows goes on to its end, and state and history can be read."""
    own.open_gate("newer")
    result = execute_plan.delay(PLAN)
    manager = StateManager()
    wait_until(lambda: asked(manager, result), TIMEOUT)
    before, events = manager.get_full_state(result.id), manager.history(result.id)
    assert rewrite(own, result.id) > len(events) + len(PLAN["actions"])
    assert manager.get_full_state(result.id) == before
    assert manager.history(result.id) == events
    manager.confirm_action(result.id, "ask", True)
    state = result.get(timeout=TIMEOUT)
    assert statuses(state) == dict.fromkeys(("flaky", "broken", "told", "ask"), "completed")
    assert output(state, "broken") == "instead"
    assert state == manager.get_full_state(result.id)


def asked(manager: StateManager, result: PlanResult) -> bool:
    """Whether a plan waits for its answer."""
    try:
        return manager.get_full_state(result.id).status == "paused_for_confirmation"
    except ExecutionNotFoundError:
        # Not accepted yet.
        return False


def test_a_result_and_an_event_of_a_newer_version_can_be_read(own: Site) -> None:
    """What a newer worker has stored as result, or sent as event, comes without the fields that nobody here knows."""
    failing = action("a", "test.fail", retry=ONCE, error_handling={"continue_on_failure": True})
    result = execute_plan.delay(plan(failing))
    state = result.get(timeout=TIMEOUT)
    key = own.app.backend.get_key_for_task(state.id)
    stored = own.app.backend.decode(own.app.backend.get(key))
    own.redis.set(key, json.dumps({**stored, "result": with_more(stored["result"])}), keepttl=True)
    assert PlanResult(state.id, app=own.app).get(timeout=TIMEOUT) == state
    sent = [event for event in StateManager().history(state.id) if event.type == "action.execute.failed"]
    seen: list[Event] = []
    listener = EventListener(own.app, queue="newer")
    listener.on("*")(seen.append)
    listener.on("*")(lambda _: listener.stop())
    listener.declare()
    with own.app.producer_or_acquire() as producer:
        exchange = events_exchange(Settings.of(own.app))
        body = with_more(EVENT.dump_python(sent[0], mode="json", by_alias=True))
        producer.publish(body, exchange=exchange, routing_key=sent[0].type, declare=[exchange])
    try:
        listener.run()
    finally:
        # The workers are shared: others look at what listeners leave behind, and the queue would gather their events.
        listener.delete()
    assert seen == sent


def key_of(site: Site, execution_id: str, kind: str) -> str:
    """The key of one kind of an execution's records."""
    return f"{site.prefix}:{{{execution_id}}}:{kind}"


def test_what_only_a_newer_version_has_as_event_is_left_out(own: Site) -> None:
    """History and watching give the events that are known, with their own numbers; an unknown category is a failure."""
    failing = action("a", "test.fail", retry=ONCE, error_handling={"continue_on_failure": True})
    result = execute_plan.delay(plan(failing))
    state = result.get(timeout=TIMEOUT)
    manager, log = StateManager(), key_of(own, state.id, "log")
    events = manager.history(state.id)
    entries = own.redis.xrange(log)
    own.redis.delete(log)
    for number, fields in entries:
        changed = {**fields}
        if fields["type"] == "action.execute.requested":
            changed["type"] = "action.execute.dreamt"
        changed["data"] = fields["data"].replace('"action_failed"', '"of_a_newer_version"')
        own.redis.xadd(log, changed, id=number)
    own.redis.expire(log, 60)
    known = [event for event in events if event.type != "action.execute.requested"]
    assert len(known) == len(events) - 1
    assert manager.history(state.id) == known
    assert list(manager.watch(state.id)) == known


def test_a_category_of_a_newer_version_counts_as_a_failed_action(own: Site) -> None:
    """A state with an error of a kind that nobody here knows can be read, and is otherwise as it was."""
    state = execute_plan.delay(plan(action("a", "test.fail", retry=ONCE))).get(timeout=TIMEOUT, propagate=False)
    execution_id = state.execution_id
    before = StateManager().get_full_state(execution_id)
    for kind in ("actions", "attempts"):
        for name, text in own.redis.hgetall(key_of(own, execution_id, kind)).items():
            assert "action_failed" in text
            changed = text.replace("action_failed", "of_a_newer_version")
            own.redis.hset(key_of(own, execution_id, kind), name, changed)
    assert StateManager().get_full_state(execution_id) == before
    assert list(StateManager().iter_action_states(execution_id)) == list(before.action_states.values())


def test_a_status_of_a_newer_version_is_named(own: Site) -> None:
    """Whoever reads it is told which execution needs a newer version; a list shows the others."""
    manager = StateManager()
    strange, other = (manager.initialize_state(plan(action("a", "any")), start=False).id for _ in range(2))
    manager.update_action_status(strange, "a", "running")
    for kind, name, readers in (
        ("actions", "a", ("get_full_state", "iter_action_states", "get_action_result")),
        ("execution", "status", ("get_full_state", "wait", "watch")),
    ):
        before = own.redis.hget(key_of(own, strange, kind), name)
        own.redis.hset(key_of(own, strange, kind), name, before.replace("running", "dreaming"))
        for read in readers:
            with pytest.raises(NewerSchemaError, match=f"{strange}.*newer version"):
                list(getattr(manager, read)(strange, *(["a"] if read == "get_action_result" else [])))
        listed = [found.id for found in manager.list_executions(limit=20).items]
        assert other in listed
        assert (strange in listed) is (kind == "actions")
        own.redis.hset(key_of(own, strange, kind), name, before)
    manager.update_action_status(strange, "a", "completed")
    manager.cancel_execution(other)
    assert [manager.delete(found) for found in (strange, other)] == [True, True]


def test_a_result_with_a_status_of_a_newer_version_is_named(own: Site) -> None:
    """The result of a plan that nobody here can read says why, and which execution it is of."""
    state = execute_plan.delay(plan(action("a", "test.echo"))).get(timeout=TIMEOUT)
    key = own.app.backend.get_key_for_task(state.id)
    stored = own.app.backend.decode(own.app.backend.get(key))
    own.redis.set(key, json.dumps({**stored, "result": {**stored["result"], "status": "dreaming"}}), keepttl=True)
    with pytest.raises(NewerSchemaError, match=state.id):
        PlanResult(state.id, app=own.app).get(timeout=TIMEOUT)
