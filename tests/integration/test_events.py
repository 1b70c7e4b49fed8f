"""Events on the exchange: typed, in order, at least once, and only where they are asked for.

The listeners run on the broker of the site: Redis always, RabbitMQ in ``test_events_on_rabbitmq``.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis
from celery import Celery

from tests.integration.apps import own_app
from tests.integration.outcomes import QUICK, TIMEOUT, run
from tests.support import wait_until, work_for
from tests.workers import Site, action, plan
from workflow_state import Event, EventListener, RemoteExecutor, StateManager, execute_plan, publish_answer
from workflow_state.event_types import ANSWER, EVENT, LAST
from workflow_state.events import events_exchange, publish_events
from workflow_state.runtime.engine import Engine, engine_of
from workflow_state.runtime.forwarding import Forwarder
from workflow_state.runtime.sweeper import Sweeper, SweeperStep
from workflow_state.settings import Settings

SETTINGS = {**own_app.SETTINGS, "events": True}


@pytest.fixture(scope="module")
def loud_site(database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The user's app with events on, and its worker."""
    found = Site(own_app.make_app(), own_app.__name__, database(), tmp_path_factory.mktemp("loud"))
    found.app.conf.workflow_state = SETTINGS
    found.settings(workflow_state={"events": True})
    try:
        found.start_worker()
        yield found
    finally:
        found.close()


@pytest.fixture
def loud(loud_site: Site) -> Iterator[Site]:
    """That app is the current one."""
    with loud_site.current():
        yield loud_site


@contextmanager
def listening(listener: EventListener) -> Iterator[None]:
    """Run a listener in a thread for as long as the block lasts; it listens when the block begins."""
    ready = threading.Event()
    listener.on_consume_ready = lambda *_, **__: ready.set()
    thread = threading.Thread(target=listener.run, daemon=True)
    thread.start()
    assert ready.wait(TIMEOUT)
    try:
        yield
    finally:
        listener.stop()
        thread.join(TIMEOUT)
        assert not thread.is_alive()


def collector(site: Site, pattern: str = "*", queue: str | None = None) -> tuple[EventListener, list[Event]]:
    """A listener and the events that it got."""
    listener, seen = EventListener(site.app, queue), []
    listener.on(pattern)(seen.append)
    return listener, seen


def of(seen: list[Event], execution_id: str) -> list[Event]:
    """Of one execution, repeats dropped."""
    return list({event.sequence: event for event in seen if event.execution_id == execution_id}.values())


def ended(seen: list[Event], execution_id: str) -> bool:
    """Whether the last event of an execution has come."""
    return any(event.type in LAST for event in seen if event.execution_id == execution_id)


def test_listeners_get_what_the_history_has(loud: Site) -> None:
    """One message for everything that happens, in order, numbered without a gap; O4: one request a started attempt."""
    listener, seen = collector(loud)
    with listening(listener):
        retried = action("a", "test.flaky", inputs={"times": 1}, retry=QUICK)
        skipped = action("c", "test.echo", "a", condition={"if": "${a.status} != 'completed'"})
        state = run(plan(retried, action("b", "test.echo", "a"), skipped))
        wait_until(lambda: ended(seen, state.id), TIMEOUT)
    assert of(seen, state.id) == StateManager().history(state.id)
    requests = [(e.action_id, e.attempt) for e in of(seen, state.id) if e.type == "action.execute.requested"]
    assert sorted(requests) == [("a", 1), ("a", 2), ("b", 1)]


def test_handlers_get_the_types_they_ask_for(loud: Site) -> None:
    """A pattern chooses types; a listener without a name gets what happens while it listens."""
    listener, confirmations = collector(loud, "user.confirmation.*")
    completed: list[Event] = []
    listener.on("plan.execution.completed")(completed.append)
    with listening(listener):
        asks = action("a", user_confirmation={"title": "Sure?", "message": "It costs", "timeout": 60000})
        result = execute_plan.delay(plan(asks))
        wait_until(lambda: confirmations, TIMEOUT)
        StateManager().confirm_action(result.id, "a", True, user_id="ada")
        result.get(timeout=TIMEOUT)
        wait_until(lambda: completed, TIMEOUT)
    requested, received = confirmations
    assert (requested.type, requested.title, requested.message, requested.timeout) == (
        *("user.confirmation.requested", "Sure?", "It costs", 60000),
    )
    assert (received.type, received.confirmed, received.user_id) == ("user.confirmation.received", True, "ada")


def test_a_named_queue_gathers_while_nobody_listens(loud: Site) -> None:
    """A queue that was declared is there when its listener comes, and what it has is acknowledged once handled."""
    name = f"gathers-{uuid.uuid4().hex}"
    first, seen = collector(loud, queue=name)
    first.declare()
    state = run(plan(action("a")))
    wait_until(lambda: loud.fields(state.id).get("closed") == "1", TIMEOUT)
    again, seen = collector(loud, queue=name)
    with listening(again):
        wait_until(lambda: ended(seen, state.id), TIMEOUT)
        wait_until(lambda: not loud.redis.exists("unacked"), TIMEOUT)
    assert of(seen, state.id) == StateManager().history(state.id)
    assert not loud.redis.exists(name)
    again.delete()


def test_a_named_queue_that_is_deleted_gathers_no_more(loud: Site) -> None:
    """What it had is gone, and what happens afterwards does not come back to it."""
    name = f"deleted-{uuid.uuid4().hex}"
    listener, _ = collector(loud, "plan.*", queue=name)
    listener.declare()
    first = run(plan(action("a")))
    wait_until(lambda: loud.redis.llen(name) == 2, TIMEOUT, "its start and end are gathered")
    listener.delete()
    second = run(plan(action("a")))
    wait_until(lambda: loud.fields(second.id).get("closed") == "1", TIMEOUT)
    assert first.status == second.status == "completed"
    assert not list(loud.redis.scan_iter(f"*{name}*"))
    assert not [bound for bound in loud.redis.smembers(f"_kombu.binding.{loud.prefix}.events") if name in bound]


def test_nothing_is_left_of_listeners_that_come_and_go(loud: Site) -> None:
    """While events are sent without a pause, no message that was on its way makes a queue anew that is gone."""
    story = StateManager().history(run(plan(action("a", "test.echo"))).id)
    over, exchange = threading.Event(), events_exchange(Settings.of(loud.app)).name

    def send() -> None:
        while not over.is_set():
            publish_events(loud.app, Settings.of(loud.app), story[:1] * 50)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        for _ in range(8):
            with listening(collector(loud)[0]):
                pass
    finally:
        over.set()
        sender.join()
    assert [key for key in loud.all_keys() if key.startswith(f"{exchange}.")] == []


def test_a_queue_without_a_name_cannot_gather(loud: Site) -> None:
    """It is there only while its listener runs, and says so."""
    with pytest.raises(ValueError, match="EventListener\\(queue="):
        EventListener(loud.app).declare()


def test_an_empty_name_is_no_name(loud: Site) -> None:
    """As from a variable that is not set: it made a durable queue under a name of chance, which nobody would share and
    nothing would ever remove, and processes of one service each carried out every request.
    """
    for make in (lambda: EventListener(loud.app, queue=""), lambda: RemoteExecutor(loud.app, queue="")):
        with pytest.raises(ValueError, match="The queue's name is empty; expected a name that others can share"):
            make()
    with pytest.raises(TypeError, match="queue is None; expected a text"):
        RemoteExecutor(loud.app, queue=None)  # type: ignore[arg-type]


def test_a_decorator_without_its_pattern_is_refused(loud: Site) -> None:
    """``@listener.on`` without a pattern took the function for one, and never called it."""
    with pytest.raises(TypeError, match=r"EventListener\.on: pattern is of type function; expected a text"):

        @EventListener(loud.app).on  # type: ignore[arg-type]
        def note(event: Event) -> None:
            """Never called."""


def test_an_answer_is_one_of_the_answers(loud: Site) -> None:
    """A dict that looks like one is told what is expected; nothing is sent."""
    with pytest.raises(TypeError, match="answer is of type dict; expected CompletedAnswer or FailedAnswer"):
        publish_answer(loud.app, {"execution_id": "e", "action_id": "a", "output": 1})  # type: ignore[arg-type]


def test_a_handler_that_raises_gets_the_event_once_more(loud: Site) -> None:
    """An event is acknowledged after it was handled: one failure is tried again, a second one drops it."""
    listener, tries = EventListener(loud.app), []

    @listener.on("plan.execution.completed")
    def fails(event: Event) -> None:
        tries.append(event.id)
        raise ValueError("on purpose")

    _, seen = collector(loud)
    listener.on("plan.execution.started")(seen.append)
    with listening(listener):
        state = run(plan(action("a")))
        wait_until(lambda: len(tries) == 2, TIMEOUT)
        other = run(plan(action("a")))
        wait_until(lambda: len(tries) == 4, TIMEOUT)
    assert len(set(tries)) == 2
    assert [event.execution_id for event in seen] == [state.id, other.id]


def test_an_outage_is_no_failure_of_a_handler(loud: Site) -> None:
    """An event that came again since the store was away is still delivered once more when its handler fails."""
    listener, tries = EventListener(loud.app), []

    @listener.on("plan.execution.completed")
    def fails(event: Event) -> None:
        tries.append(event.id)
        if len(tries) < 3:
            raise redis.ConnectionError("away") if len(tries) == 1 else ValueError("on purpose")

    with listening(listener):
        run(plan(action("a")))
        wait_until(lambda: len(tries) == 3, TIMEOUT)
    assert len(set(tries)) == 1


def test_a_repeat_is_dropped_and_rubbish_too(loud: Site) -> None:
    """An event that comes twice is handled once; a message that is no event harms nobody."""
    listener, seen = collector(loud)
    state = run(plan(action("a")))
    events = StateManager().history(state.id)
    with listening(listener):
        with loud.app.producer_or_acquire() as producer:
            exchange = events_exchange(Settings.of(loud.app))
            producer.publish({"type": "no.such"}, exchange=exchange, routing_key="no.such", declare=[exchange])
        publish_events(loud.app, Settings.of(loud.app), [*events, *events])
        wait_until(lambda: len(of(seen, state.id)) == len(events), TIMEOUT)
        publish_events(loud.app, Settings.of(loud.app), StateManager().history(run(plan(action("b"))).id)[-1:])
        wait_until(lambda: seen[-1].execution_id != state.id, TIMEOUT)
    assert [event.id for event in seen if event.execution_id == state.id] == [event.id for event in events]


def test_off_means_nothing_is_sent(own: Site) -> None:
    """By default there are no events, and the engine has no part that would send any."""
    listener, seen = collector(own)
    with listening(listener):
        state = run(plan(action("a")))
        wait_until(lambda: own.fields(state.id).get("closed") == "1", TIMEOUT)
    assert seen == []
    assert engine_of(own.app).forwarder is None
    assert len(StateManager().history(state.id)) == 4


def test_nothing_secret_is_in_events(loud: Site) -> None:
    """Inputs, outputs and what errors say of secrets are in no event."""
    listener, seen = collector(loud)
    with listening(listener):
        state = run(plan(action("a", inputs={"password": "hunter2hunter2", "other": "visible-value"})))
        wait_until(lambda: ended(seen, state.id), TIMEOUT)
    text = b"".join(EVENT.dump_json(event) for event in of(seen, state.id)).decode()
    assert "hunter2hunter2" not in text
    assert "visible-value" not in text


def test_the_schema_in_the_documentation_is_the_one_in_force() -> None:
    """``docs/events.schema.json`` is the JSON Schema of all events and answers, as they are on the wire."""
    path = Path(__file__).parents[2] / "docs" / "events.schema.json"
    assert json.loads(path.read_text("utf-8")) == {
        "event": EVENT.json_schema(by_alias=True),
        "answer": ANSWER.json_schema(by_alias=True),
    }


def sending_by(publish: Callable[[Celery, Settings, Iterable[Event]], None], engine: Engine) -> None:
    """Have an engine send its events by another function than the one to the broker."""
    engine.forwarder = Forwarder(engine.app, engine.settings, engine.store, engine.programs, publish)
    engine.store.on_change = engine.forwarder.forward


def test_events_that_take_longer_than_a_lease_are_sent_by_one(database: Callable[[], str]) -> None:
    """One process at a time sends the events of an execution, also where the broker is slow and there are many. Whoever
    came when the lease was over took them for a dead one's, and sent all of them again, as did the next one.
    """
    app, url = Celery("slow", set_as_current=False), database()
    # A claim is renewed about every half of a lease, so that a machine may stand still for the other half.
    settings = {"prefix": "slow", "events": True, "lease": 4.0}
    app.conf.update(broker_url=url, result_backend=url, workflow_state=settings)
    engine, done = engine_of(app), threading.Event()
    sent: list[int] = []

    def slowly(_app: Celery, _settings: Settings, events: Iterable[Event]) -> None:
        for event in events:
            work_for(0.035)
            sent.append(event.sequence)

    sending_by(slowly, engine)
    manager = StateManager(app)
    started = manager.initialize_state(plan(*(action(f"a{n}") for n in range(150))), start=False)
    assert engine.forwarder is not None
    forward = engine.forwarder.forward

    def keep_forwarding() -> None:
        while not done.is_set():
            forward(started.id)
            work_for(0.02)

    other = threading.Thread(target=keep_forwarding)
    other.start()
    manager.cancel_execution(started.id)
    wait_until(lambda: len(sent) >= len(manager.history(started.id)) > 150, TIMEOUT)
    done.set()
    other.join(TIMEOUT)
    assert sent == [event.sequence for event in manager.history(started.id)]


def test_a_lease_is_kept_while_events_are_sent(database: Callable[[], str]) -> None:
    """Who begins an action sends what has happened first, which may take longer than a lease: a worker that lives, and
    whose action waits for that, must not count as lost.
    """
    app, url = Celery("slow", set_as_current=False), database()
    settings = {"prefix": "slow", "events": True, "lease": 2.5}
    app.conf.update(broker_url=url, result_backend=url, workflow_state=settings)
    engine = engine_of(app)
    held: list[bool] = []

    def slowly(_app: Celery, _settings: Settings, events: Iterable[Event]) -> None:
        for event in events:
            if event.type == "action.execute.requested":
                work_for(3)
                record = engine.store.records(event.execution_id, ["a"])["a"]
                held.append((record.lease or 0) > engine.store.now())

    sending_by(slowly, engine)
    # Nobody has to know the action: its attempt has begun before that is found.
    execution = StateManager(app).initialize_state(plan(action("a", "test.unknown"))).id
    engine.advance(execution)
    app.tasks["workflow_state.execute_action"].apply((execution, "a"))
    assert held == [True]
    assert StateManager(app).get_full_state(execution).action_states["a"].attempts == 1


def test_an_event_of_a_newer_version_is_passed_over(database: Callable[[], str]) -> None:
    """A worker that cannot read one sends those after it, as the history has them. It stopped there, and with its claim
    kept the others from sending, too.
    """
    app, url, sent = Celery("newer", set_as_current=False), database(), list[Event]()
    app.conf.update(broker_url=url, result_backend=url, workflow_state={"prefix": "newer", "events": True})
    engine, manager = engine_of(app), StateManager(app)
    sending_by(lambda _app, _settings, events: sent.extend(events), engine)
    execution = manager.initialize_state(plan(action("a"))).id
    log = engine.store.keys.log(execution)
    new = {"at": engine.store.now(), "type": "action.execute.dreamt", "action": "a", "data": "{}"}
    engine.store.results.client.xadd(log, new, id=f"{len(manager.history(execution)) + 1}-0")
    manager.cancel_execution(execution)
    assert sent == manager.history(execution)
    assert [event.sequence for event in sent] == [1, 3, *range(4, sent[-1].sequence + 1)]


def test_whoever_sends_events_goes_on_with_its_work(database: Callable[[], str]) -> None:
    """An action's end waits for its events, not for those that others add meanwhile: what is left is sent by the next
    change or a sweeper, in order. A pool's process sent those of all the others for as long as there were any.
    """
    app, url = Celery("turns", set_as_current=False), database()
    app.conf.update(broker_url=url, result_backend=url)
    app.conf.workflow_state = {"prefix": "turns", "events": True, "sweep_interval": 0.1}
    engine, sent, others = engine_of(app), list[int](), threading.Event()

    def while_others_add(_app: Celery, _settings: Settings, events: Iterable[Event]) -> None:
        for event in events:
            sent.append(event.sequence)
            if others.is_set() and len(sent) < 100:
                work_for(0.05)
                engine.store.pause(event.execution_id, len(sent) % 2 == 1)

    manager = StateManager(app)
    sending_by(while_others_add, engine)
    others.set()
    execution = manager.initialize_state(plan(action("a"))).id
    assert 1 < len(sent) < 100, "the call has returned while there was more to send"
    others.clear()
    sweeper, before = Sweeper(engine), len(sent)
    wait_until(lambda: sweeper.sweep() == 0 and len(sent) > before, TIMEOUT)
    assert sent == [event.sequence for event in manager.history(execution)]


def test_a_worker_with_many_events_to_send_takes_messages(database: Callable[[], str]) -> None:
    """What is left to send is sent in a part of the sweeper's interval at a time: it has the worker's main loop, which
    did nothing else before a hundred thousand events were sent.
    """
    app, url = Celery("many", set_as_current=False), database()
    app.conf.update(broker_url=url, result_backend=url)
    app.conf.workflow_state = {"prefix": "many", "events": True, "sweep_interval": 0.4}
    engine, sent, ticks = engine_of(app), list[int](), list[Callable[[], None]]()

    def away(_app: Celery, _settings: Settings, _events: Iterable[Event]) -> None:
        raise redis.ConnectionError("on purpose")

    def slowly(_app: Celery, _settings: Settings, events: Iterable[Event]) -> None:
        for event in events:
            work_for(0.01)
            sent.append(event.sequence)

    manager = StateManager(app)
    sending_by(away, engine)
    execution = manager.initialize_state(plan(*(action(f"a{n}") for n in range(150))), start=False).id
    manager.cancel_execution(execution)
    client = engine.store.results.client
    client.hdel(engine.store.keys.execution(execution), "forwarder")
    client.zadd(engine.store.keys.deadlines, {f"{execution}|": 1})
    sending_by(slowly, engine)
    timer = SimpleNamespace(call_repeatedly=lambda _seconds, tick: ticks.append(tick))
    worker = SimpleNamespace(app=app, timer=timer)
    SweeperStep(worker).start(worker)
    sent_by = list[int]()
    while not sent_by or sent_by[-1] < len(sent):
        sent_by.append(len(sent))
        ticks[0]()
    history = [event.sequence for event in manager.history(execution)]
    assert sent == history
    assert len(history) > 150
    assert sent_by[1] < 100, "the first look has sent a part"
