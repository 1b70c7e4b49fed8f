"""Events on the broker: one durable topic exchange for what happens, one for the answers of remote services.

========================  ==================================================================
``<prefix>.events``       from the engine; the routing key is the event's ``type``
``<prefix>.answers``      to the engine: ``action.execute.completed`` and ``action.execute.failed``
========================  ==================================================================

Messages are JSON with camelCase names. They are delivered at least once: an event's ``id`` is the same in every
copy, and its ``sequence`` shows what is missing.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from celery import Celery, current_app
from kombu.entity import Exchange, Queue, binding
from kombu.mixins import ConsumerMixin
from kombu.transport import virtual
from pydantic import ValidationError

from workflow_state.arguments import checked, checked_methods
from workflow_state.event_types import ANSWER, EVENT, ActionRequested, Answer, Event
from workflow_state.settings import Settings
from workflow_state.store.outages import is_outage
from workflow_state.telemetry import get_logger

Handler = Callable[[Event], object]
#: Ids of events that a listener remembers, to drop repeats; likewise of those whose handlers have failed.
REMEMBERED = 10_000
#: Seconds that a queue of its own outlives a listener on Redis: who sends at this moment may make it anew.
LINGER = 0.5


def events_exchange(settings: Settings) -> Exchange:
    """Where the engine says what happens."""
    return Exchange(f"{settings.prefix}.events", type="topic", durable=True)


def answers_queue(settings: Settings) -> Queue:
    """Where workers read the answers of remote services; with its exchange."""
    exchange = Exchange(f"{settings.prefix}.answers", type="topic", durable=True)
    return Queue(exchange.name, exchange, routing_key="action.execute.#", durable=True)


def body_of(message: Any) -> Any:
    """The JSON of a message as it was sent: kombu would make Python's types of objects with keys of its own.

    Raises:
        ValueError, RecursionError: it is no JSON.
    """
    if message.content_type != "application/json":
        raise ValueError(f"The content type is {message.content_type}; expected application/json")
    return json.loads(message.body)


def publish_events(
    app: Celery, settings: Settings, events: Iterable[Event], headers: Mapping[str, str] | None = None
) -> None:
    """Send events, in order; ``headers``: of their messages.

    Raises:
        kombu.exceptions.OperationalError: the broker is away.
    """
    messages = [(event.type, EVENT.dump_python(event, **_WIRE)) for event in events]
    _publish(app, events_exchange(settings), messages, headers=headers)


#: The header of an answer's message in which the ``id`` of the request stands that it is to.
REQUEST_HEADER = "request"


@checked
def publish_answer(app: Celery, answer: Answer, request: ActionRequested | None = None) -> None:
    """Send the answer to an ``action.execute.requested`` of a remote action.

    ``request``: that event. With it an answer that comes when the id of its execution is in use again, by another,
    is dropped.

    Raises:
        kombu.exceptions.OperationalError: the broker is away.

    Example:
        >>> counting = manager.initialize_state({"actions": [
        ...     {"id": "count", "actionDefinitionId": "stock.count", "inputs": {"article": "ink"}},
        ... ]})
        >>> asked = next(e for e in manager.watch(counting.id) if e.type == "action.execute.requested")
        >>> error = ErrorDetail(category="auth_expired", message="log in again", retryable=False)
        >>> publish_answer(app, FailedAnswer(execution_id=asked.execution_id, action_id="count", error=error))
        >>> manager.wait(counting.id, timeout=30).action_states["count"].error.message
        'log in again'
    """
    queue = answers_queue(Settings.of(app))
    headers = {REQUEST_HEADER: request.id} if request else {}
    body = ANSWER.dump_python(answer, **_WIRE)
    _publish(app, queue.exchange, [(answer.type, body)], declare=[queue], headers=headers)


_WIRE: dict[str, Any] = {"mode": "json", "by_alias": True}


def _publish(
    app: Celery,
    exchange: Exchange,
    messages: Iterable[tuple[str, Any]],
    declare: Iterable[Queue] = (),
    headers: Mapping[str, str] | None = None,
) -> None:
    policy = app.conf.task_publish_retry_policy
    with app.producer_or_acquire() as producer:
        for key, body in messages:
            producer.publish(
                body,
                exchange=exchange,
                routing_key=key,
                serializer="json",
                headers=dict(headers or {}),
                declare=[exchange, *declare],
                retry=True,
                retry_policy=policy,
            )


@checked_methods
class EventListener(ConsumerMixin):  # type: ignore[misc] # untyped in kombu
    """Calls handlers for events, for as long as it runs; reconnects by itself.

    An event is acknowledged after its handlers; when one raises, the event is delivered once more, and dropped with
    an error in the log if that fails too. An outage of broker or store does not count: it is waited out.

    Args:
        app: for its broker and its settings; the current app when None.
        queue: a name, for a durable queue that gathers events while nobody listens, and is shared by all who
            name it. None: a queue of its own, gone with the listener.

    Raises:
        ValueError: the name is empty.

    Events are only sent where the workers' setting ``events`` is on; requests of remote actions always are.

    Example:
        >>> listener = EventListener(app, queue="billing")
        >>> @listener.on("plan.execution.*")
        ... def note(event: Event) -> None:
        ...     print(event.type, event.execution_id)
        >>> listener.queue.name
        'billing'

        ``listener.run()`` then calls it for each of them.
    """

    #: Messages that it holds at once, where the broker hands out more than one.
    _prefetch = 10

    def __init__(self, app: Celery | None = None, queue: str | None = None) -> None:
        self._app = app or current_app._get_current_object()
        self._settings = Settings.of(self._app)
        if queue == "":
            # Shared by nobody, and left behind for ever: a variable of the environment that is not set.
            raise ValueError("The queue's name is empty; expected a name that others can share, or None")
        self._queue_name = queue or f"{events_exchange(self._settings).name}.{uuid.uuid4().hex}"
        self._shared = queue is not None
        self._handlers: list[tuple[str, Handler]] = []
        self._handled: OrderedDict[str, None] = OrderedDict()
        self._failed: OrderedDict[str, None] = OrderedDict()
        self._log = get_logger()
        self.connection: Any = self._app.connection_for_read()

    def on(self, pattern: str) -> Callable[[Handler], Handler]:
        """Decorator: call this function for every event whose ``type`` matches.

        Args:
            pattern: a type, or one with ``*`` for any text, such as ``action.*`` or ``*``.
        """

        def register(handler: Handler) -> Handler:
            self._handlers.append((pattern, handler))
            return handler

        return register

    def stop(self) -> None:
        """Have ``run`` return soon; from any thread, or a signal handler."""
        self.should_stop = True

    def get_consumers(self, consumer: Any, channel: Any) -> list[Any]:  # noqa: ARG002 - what kombu gives
        """Called by kombu for every new connection."""
        kinds = {"on_message": self._receive, "accept": ["json"], "prefetch_count": self._prefetch}
        return [consumer(queues=[self.queue], **kinds)]

    @property
    def queue(self) -> Queue:
        """The queue that it reads, with bindings for all of its handlers."""
        exchange = events_exchange(self._settings)
        bindings = [binding(exchange, routing_key=key) for key in sorted({_key(p) for p, _ in self._handlers})]
        if self._shared:
            return Queue(self._queue_name, bindings=bindings, durable=True)
        return Queue(self._queue_name, bindings=bindings, durable=False, auto_delete=True, exclusive=True)

    def declare(self) -> None:
        """Have a named queue gather events from now on, before ``run`` reads it.

        Raises:
            ValueError: the queue has no name, and so is there only while its listener runs.
            kombu.exceptions.OperationalError: the broker is away.
        """
        if not self._shared:
            raise ValueError("Only a queue with a name gathers events while nobody listens: EventListener(queue=...)")
        with self._app.connection_for_write() as connection, connection.channel() as channel:
            self.queue(channel).declare()

    def delete(self) -> None:
        """Delete a named queue, with what it has gathered, when nobody reads it any more and nobody will.

        The listener needs the handlers that it had: what their patterns bound to the queue goes with it.

        Raises:
            kombu.exceptions.OperationalError: the broker is away.
        """
        with self._app.connection_for_write() as connection, connection.channel() as channel:
            self._delete(channel)

    def run(self, *args: Any, **options: Any) -> None:
        """Listen until ``stop``; a queue of its own is gone afterwards, also when a signal ended it."""
        try:
            super().run(*args, **options)
        finally:
            if not self._shared:
                self._forget_queue()

    def _forget_queue(self) -> None:
        """Delete the queue where its broker does not: on Redis it would gather events for ever.

        Not on the connection that was listened on: closing that one gives unread messages back to the queue.
        """
        try:
            with self._app.connection_for_write() as connection, connection.channel() as channel:
                if isinstance(channel, virtual.Channel):
                    self._delete(channel)
                    # A publisher that had looked up who listens, and sends only now, has made the queue anew.
                    time.sleep(LINGER)
                    channel.queue_purge(self._queue_name)  # type: ignore[no-untyped-call]
        except Exception as error:
            if not is_outage(error):
                raise
            self._log.warning("broker away, queue left behind", queue=self._queue_name, error=str(error))

    def _delete(self, channel: Any) -> None:
        queue = self.queue(channel)
        # Which makes its bindings known to this channel.
        queue.declare()
        queue.delete()

    def on_connection_error(self, exc: Exception, interval: float) -> None:
        """Called by kombu while the broker is away."""
        self._log.warning("broker away, to be tried again", error=str(exc), seconds=interval)

    def _receive(self, message: Any) -> None:
        try:
            body = body_of(message)
        except (ValueError, RecursionError) as error:
            self._log.error("event is no JSON, dropped", content_type=message.content_type, error=str(error))
            message.reject()
            return
        try:
            event = EVENT.validate_python(body, extra="ignore")
        except ValidationError as error:
            # A newer version may know more types; what cannot be read now can never be.
            self._log.error("event cannot be read, dropped", problems=error.error_count(), type=_type_of(body))
            message.reject()
            return
        if event.id in self._handled:
            message.ack()
            return
        try:
            for handler in self._matching(event.type):
                handler(event)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises: the event is not handled
            # That the broker says it is redelivered may have other reasons: a listener that died, an outage.
            outage = is_outage(error)
            again = outage or event.id not in self._failed
            if not outage:
                _remember(self._failed, event.id)
            self._log.error("event not handled", type=event.type, event_id=event.id, again=again, exc_info=error)
            message.requeue() if again else message.reject()
            return
        _remember(self._handled, event.id)
        message.ack()

    def _matching(self, kind: str) -> Iterator[Handler]:
        return (handler for pattern, handler in self._handlers if fnmatchcase(kind, pattern))


def _remember(ids: OrderedDict[str, None], event_id: str) -> None:
    ids[event_id] = None
    while len(ids) > REMEMBERED:
        ids.popitem(last=False)


def _key(pattern: str) -> str:
    """The narrowest binding key under which everything arrives that a pattern matches."""
    words: list[str] = []
    for word in pattern.split("."):
        if any(char in word for char in "*?["):
            return ".".join([*words, "#"])
        words.append(word)
    return pattern


def _type_of(body: object) -> object:
    return body.get("type") if isinstance(body, dict) else type(body).__name__
