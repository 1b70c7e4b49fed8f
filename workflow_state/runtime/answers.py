"""Answers of remote services, from their queue to the pool: workers that know remote actions read them."""

from __future__ import annotations

from typing import Any

from celery import bootsteps, signals
from kombu.exceptions import OperationalError
from kombu.messaging import Consumer

from workflow_state.actions import registry
from workflow_state.errors import ActionError
from workflow_state.event_types import ANSWER
from workflow_state.events import REQUEST_HEADER, answers_queue, body_of
from workflow_state.json_values import problem_in_message
from workflow_state.runtime.outside import malformed_answer
from workflow_state.settings import Settings
from workflow_state.telemetry import get_logger


class AnswersStep(bootsteps.ConsumerStep):  # type: ignore[misc] # Celery has no types
    """Hands each answer on as a task: recording it takes round trips, for which the main loop has no time."""

    requires = ("celery.worker.consumer:Tasks",)

    def include_if(self, c: Any) -> bool:
        """Only where an action is registered that is remote."""
        return any(registry.is_remote(name) for name in registry)

    def get_consumers(self, channel: Any) -> list[Consumer]:
        """Called by Celery for every new connection."""
        queue = answers_queue(Settings.of(self._app))
        kinds = {"on_message": self._receive, "on_decode_error": self._unreadable, "accept": ["json"]}
        return [Consumer(channel, queues=[queue], prefetch_count=10, **kinds)]

    def stop(self, c: Any) -> None:
        """Called by Celery, also when there is no connection: then its consumers are gone with it."""
        if c.connection is not None:
            super().stop(c)

    def __init__(self, c: Any, **options: Any) -> None:
        super().__init__(c, **options)
        self._app = c.app
        self._log = get_logger()

    def _receive(self, message: Any) -> None:
        try:
            body = body_of(message)
        except (ValueError, RecursionError) as error:
            self._unreadable(message, error)
            return
        if problem := problem_in_message(body):
            # The pool could not carry it, and would end this worker, and then the next that reads it.
            try:
                failed = malformed_answer(body, problem)
            except ActionError as error:
                self._unreadable(message, error)
                return
            body = ANSWER.dump_python(failed, mode="json", by_alias=True)
        try:
            # What a service answers may be secret: it is not shown.
            self._app.tasks["workflow_state.record_answer"].apply_async(
                (body,),
                argsrepr="(<answer>,)",
                add_to_parent=False,
                headers={REQUEST_HEADER: str((message.headers or {}).get(REQUEST_HEADER) or "")},
            )
        except OperationalError:
            message.requeue()
            return
        message.ack()

    def _unreadable(self, message: Any, error: Exception) -> None:
        """Drop what is no JSON: it names no action, and would end this worker, and then the next that reads it."""
        self._log.error("answer cannot be read, dropped", content_type=message.content_type, error=str(error))
        message.reject()


@signals.celeryd_init.connect(weak=False)
def _install_in_worker(instance: Any = None, **_: Any) -> None:
    """Any worker of any app that imported the tasks reads answers, if it has remote actions."""
    instance.app.steps["consumer"].add(AnswersStep)
