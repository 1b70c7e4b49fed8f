"""Whether messages wait in a queue: what the sweeper asks of the broker, once a look for each queue.

A message that is not where it should be may just be waiting there. To ask takes a connection of its own, some
milliseconds, which is too long to do it for each of the thousands of executions that may wait in one queue.
"""

from __future__ import annotations

from celery import Celery
from celery.canvas import Signature


class Queues:
    """Answers stay the same until :meth:`forget`."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._empty: dict[str, bool] = {}

    def forget(self) -> None:
        """Ask the broker again from here on."""
        self._empty.clear()

    def is_empty(self, signature: Signature) -> bool:
        """Whether the queue that a signature's message goes to holds no message that a worker could take.

        Raises:
            kombu.exceptions.OperationalError: the broker cannot be reached.
        """
        name = self._name(signature)
        if name not in self._empty:
            self._empty[name] = self._ask(name)
        return self._empty[name]

    def _name(self, signature: Signature) -> str:
        options = {name: signature.options[name] for name in ("queue",) if name in signature.options}
        route = self._app.amqp.router.route(options, signature.task, signature.args, signature.kwargs)
        queue = route.get("queue", self._app.conf.task_default_queue)
        return str(getattr(queue, "name", queue))

    def _ask(self, name: str) -> bool:
        with self._app.connection_for_read() as connection, connection.channel() as channel:
            try:
                found = channel.queue_declare(queue=name, passive=True)
            except connection.channel_errors:
                return True
            return int(found.message_count) == 0
