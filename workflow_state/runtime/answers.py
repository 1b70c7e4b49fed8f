"""Answers of remote services, from their queue to the pool: workers that know remote actions read them."""

from __future__ import annotations

from typing import Any

from celery import bootsteps, signals
from kombu.exceptions import OperationalError
from kombu.messaging import Consumer

from workflow_state.actions import registry
from workflow_state.events import answers_queue
from workflow_state.settings import Settings


class AnswersStep(bootsteps.ConsumerStep):  # type: ignore[misc] # Celery has no types
    """Hands each answer on as a task: recording it takes round trips, for which the main loop has no time."""

    requires = ("celery.worker.consumer:Tasks",)

    def include_if(self, c: Any) -> bool:
        """Only where an action is registered that is remote."""
        return any(registry.is_remote(name) for name in registry)

    def get_consumers(self, channel: Any) -> list[Consumer]:
        """Called by Celery for every new connection."""
        queue = answers_queue(Settings.of(self._app))
        return [Consumer(channel, queues=[queue], callbacks=[self._receive], accept=["json"], prefetch_count=10)]

    def __init__(self, c: Any, **options: Any) -> None:
        super().__init__(c, **options)
        self._app = c.app

    def _receive(self, body: Any, message: Any) -> None:
        try:
            # What a service answers may be secret: it is not shown.
            self._app.tasks["workflow_state.record_answer"].apply_async(
                (body,), argsrepr="(<answer>,)", add_to_parent=False
            )
        except OperationalError:
            message.requeue()
            return
        message.ack()


@signals.celeryd_init.connect(weak=False)
def _install_in_worker(instance: Any = None, **_: Any) -> None:
    """Any worker of any app that imported the tasks reads answers, if it has remote actions."""
    instance.app.steps["consumer"].add(AnswersStep)
