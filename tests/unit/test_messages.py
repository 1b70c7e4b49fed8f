"""Messages sent by the hundred are those that ``apply_async`` would send, without the headers that say nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import Celery
from celery.app.task import Context
from celery.canvas import Signature
from celery.signals import after_task_publish, before_task_publish

from workflow_state import compile_plan, execute_plan, validate_execution_plan
from workflow_state.runtime.canvas import action_signature, part_signature, publish

E = "0f3d4e1c-6d0f-4b6e-9a52-8f1b3a1f7e11"
PLAN = {
    "name": "Order 7",
    "actions": [
        {"id": "plain", "action_definition_id": "x"},
        {"id": "timed", "action_definition_id": "x", "timeout": 1500},
        {"id": "aside", "action_definition_id": "x", "queue": "aside", "priority": 7},
    ],
}
#: Different in each message, of its sender alone, what ``apply_async`` says twice (in headers and in properties), or
#: for those who wait for a reply.
PASSING = ("delivery_tag", "reply_to", "correlation_id", "argsrepr", "kwargsrepr")


def make_app(**settings: Any) -> Celery:
    """An app of its own on a broker in this process; importing the tasks above has given it them."""
    app = Celery(set_as_current=False, broker="memory://", backend="cache+memory://")
    app.conf.update({"task_send_sent_event": False, **settings})
    app.finalize()
    assert execute_plan.name in app.tasks
    return app


def signatures(app: Celery) -> list[Signature]:
    """Of every kind that the engine sends."""
    program = compile_plan(validate_execution_plan(PLAN))
    return [action_signature(app, program, step, E) for step in program.steps.values()] + [
        part_signature(app, E, (0, 1)).set(task_id="part")
    ]


def received(app: Celery, queue: str) -> list[dict[str, Any]]:
    """Takes all messages from a queue."""
    found = []
    with app.connection_for_read() as connection, connection.channel() as channel:
        while message := channel.basic_get(queue, no_ack=True):
            properties = {name: value for name, value in message.properties.items() if name not in PASSING}
            found.append({"headers": message.headers, "body": message.payload, **properties})
    return found


def meaning(message: dict[str, Any]) -> dict[str, Any]:
    """What a worker makes of a message: a header that is left out has the value of Celery's own context."""
    args, kwargs, embedded = message["body"]
    context = Context(message["headers"], args=args, kwargs=kwargs, **embedded)
    known = {name: getattr(context, name) for name in vars(Context) if not name.startswith("_")}
    hidden = ("origin", "stamps", "timelimit", "children")
    read = {name: value for name, value in known.items() if name not in hidden and not callable(value)}
    rest = {name: message[name] for name in message if name not in ("headers", "body")}
    shown = {name: message["headers"][name] for name in ("task", "argsrepr")}
    # Left out, the arguments themselves are shown.
    shown["kwargsrepr"] = message["headers"].get("kwargsrepr") or repr(kwargs)
    # Left out, the task's own counts, and each of these ignores its result.
    shown["ignore_result"] = message["headers"].get("ignore_result", True)
    return {**read, **rest, **shown}


@contextmanager
def counted(signal: Any) -> Iterator[list[str]]:
    """The ids of the tasks that a signal of Celery is sent for."""
    ids: list[str] = []

    def note(headers: dict[str, Any], **_: Any) -> None:
        ids.append(headers["id"])

    signal.connect(note)
    try:
        yield ids
    finally:
        signal.disconnect(note)


def by_arguments(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **_: Any) -> Any:
    """A router of a user's own."""
    return {"queue": "odd"} if args[1] == "timed" else None


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"task_routes": {"workflow_state.execute_action": {"queue": "actions", "priority": 3}}},
        {"task_routes": (by_arguments,)},
        {"task_annotations": {"workflow_state.execute_action": {"priority": 2, "soft_time_limit": 9.0}}},
        {"task_default_queue": "other", "task_default_priority": 5, "task_compression": "zlib"},
        {"task_protocol": 2, "task_send_sent_event": True},
    ],
    ids=["default", "routed", "router", "annotated", "defaults", "events"],
)
def test_same_as_celery_sends(settings: dict[str, Any]) -> None:
    """Queue, priority, time limits, routes, annotations and what is shown of a task are those of ``apply_async``."""
    queues = {"celery", "aside", "actions", "odd", "other"}
    sent = {}
    for sender in ("apply_async", "publish"):
        app = make_app(**settings)
        if sender == "publish":
            publish(app, signatures(app))
        else:
            for signature in signatures(app):
                signature.apply_async(add_to_parent=False)
        sent[sender] = {queue: [meaning(message) for message in received(app, queue)] for queue in queues}
    assert sent["publish"] == sent["apply_async"]
    assert sum(map(len, sent["publish"].values())) == 4


def test_celery_signals_are_sent() -> None:
    """Tracing hangs on ``before_task_publish`` and ``after_task_publish``: both are sent for every message."""
    app = make_app()
    with counted(before_task_publish) as before, counted(after_task_publish) as after:
        publish(app, signatures(app))
    ids = [message["headers"]["id"] for queue in ("celery", "aside") for message in received(app, queue)]
    assert sorted(before) == sorted(after) == sorted(ids)
    assert len(ids) == 4


def test_a_delay_is_kept() -> None:
    """A retry that waits is sent with its time."""
    app = make_app()
    publish(app, [signatures(app)[0].set(countdown=30)])
    (message,) = received(app, "celery")
    assert message["headers"]["eta"]


def test_short() -> None:
    """The message of an action stays below 680 bytes, as it is written to the server twice."""
    app = make_app()
    publish(app, signatures(app)[:1])
    with app.connection_for_read() as connection, connection.channel() as channel:
        raw = json.dumps(channel.basic_get("celery", no_ack=True).serializable())
    assert len(raw) < 680
