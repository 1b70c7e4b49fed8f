"""Signatures → messages, many at a time: what ``apply_async`` works out for each is worked out once for all of a kind.

A level is published by the worker that ended the one before, while others wait for it. ``Signature.apply_async``
takes 160 µs of processor time a message, this 35 µs (docs/decisions/0006); both use the same public parts of
Celery, ``app.amqp``, so routes, signals, priorities and time limits are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from celery import Celery
from celery.canvas import Signature
from kombu.utils.uuid import uuid

#: Attributes of a task, by its definition or by ``task_annotations``, that Celery takes as options of its messages.
_OF_TASK = (
    *("queue", "exchange", "routing_key", "priority", "serializer", "compression", "delivery_mode"),
    *("expires", "time_limit", "soft_time_limit"),
)
#: Options that describe the task; all others say how its message is sent.
_OF_MESSAGE = ("root_id", "parent_id", "shadow", "time_limit", "soft_time_limit", "argsrepr", "kwargsrepr", "expires")
#: Headers that a worker takes as given when they are left out, and what it takes them for. ``origin`` is for people.
#: Without ``ignore_result`` the task's own counts.
_IMPLIED = {
    "retries": 0,
    "timelimit": [None, None],
    "replaced_task_nesting": 0,
    "stamps": {},
    "ignore_result": False,
    "kwargsrepr": "{}",
    "lang": "py",
}


def send_all(app: Celery, signatures: Iterable[Signature], sent: Callable[[], None]) -> None:
    """Send signatures of tasks that keep no result, in one batch where the transport can.

    Args:
        app: whose broker they go to.
        signatures: without links, chains and chords.
        sent: called after each.

    Raises:
        kombu.exceptions.OperationalError: the broker cannot be reached; some may have been sent.
    """
    with app.producer_or_acquire() as producer, producer.batch():
        sender = _Sender(app, producer)
        for signature in signatures:
            sender.send(signature)
            sent()


class _Sender:
    """Sends messages by one producer, and keeps what is the same for many."""

    def __init__(self, app: Celery, producer: Any) -> None:
        self._app = app
        self._producer = producer
        self._common: dict[tuple[str, str | None], tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
        # A delay may need another exchange, and an event for each sent message its dispatcher: Celery knows how.
        self._plainly = not app.conf.task_send_sent_event and not app.conf.task_always_eager
        # Within a batch nothing is sent that could be tried again, and the queue's declaration is tried by itself.
        self._retry = not producer.supports_batch_publish and app.conf.task_publish_retry

    def send(self, signature: Signature) -> None:
        given = signature.options
        if not self._plainly or "countdown" in given or "eta" in given:
            signature.apply_async(producer=self._producer, add_to_parent=False)
            return
        described, delivery = self._common_to(signature)
        described = {**described, **{name: given[name] for name in _OF_MESSAGE if name in given}}
        message = self._app.amqp.create_task_message(
            given.get("task_id") or uuid(), signature.task, signature.args, signature.kwargs, **described
        )
        delivery = {**delivery, **{name: given[name] for name in ("priority", "headers") if name in given}}
        self._app.amqp.send_task_message(self._producer, signature.task, _shortened(message), **delivery)

    def _common_to(self, signature: Signature) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """What describes all tasks of this kind, and how their messages are delivered."""
        key = signature.task, signature.options.get("queue")
        found = self._common.get(key)
        if found is None:
            task = self._app.tasks[signature.task]
            options = {name: getattr(task, name, None) for name in _OF_TASK}
            options = {name: value for name, value in options.items() if value is not None}
            if signature.options.get("queue") is not None:
                options["queue"] = signature.options["queue"]
            options = self._app.amqp.router.route(options, signature.task, signature.args, signature.kwargs, task)
            found = self._declared(options)
            # A router may look at the arguments.
            if not self._app.amqp.router.routes:
                self._common[key] = found
        return found

    def _declared(self, options: dict[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        described = {name: options.pop(name) for name in _OF_MESSAGE if name in options}
        if (queue := options.get("queue")) is not None:
            policy = self._app.conf.task_publish_retry_policy
            self._producer.maybe_declare(queue, retry=self._app.conf.task_publish_retry, **policy)
        return described, {"declare": [], "retry": self._retry, **options}


def _shortened(message: Any) -> Any:
    """A message without the headers that say nothing: it is written to the server twice, by us and by its worker."""
    headers, properties, body = message.headers, message.properties, message.body
    for name, value in list(headers.items()):
        if value is None or name == "origin" or _IMPLIED.get(name, ...) == value:
            del headers[name]
    if not properties.get("reply_to"):
        properties.pop("reply_to", None)
        # Says whom a reply is for, and is the task's id.
        properties.pop("correlation_id", None)
    if isinstance(body, tuple):
        args, kwargs, embedded = body
        body = args, kwargs, {name: value for name, value in embedded.items() if value is not None}
    return message._replace(body=body)
