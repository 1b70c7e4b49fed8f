"""In a rolling deployment a newer version has written fields that this one does not know: they harm nothing."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.outcomes import ONCE, QUICK, TIMEOUT, output, statuses
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import Event, EventListener, ExecutionNotFoundError, StateManager, execute_plan
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
    listener.run()
    assert seen == sent
