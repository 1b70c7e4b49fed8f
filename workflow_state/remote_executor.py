"""The other side of a remote action: a service of its own, in its own process, that carries such actions out.

::

    executor = RemoteExecutor(app, queue="http-executor")

    @executor.action("http.get")
    def get(url: str, context: ActionContext) -> dict[str, Any]:
        return httpx.get(url, headers={"Idempotency-Key": context.idempotency_key}).json()

    executor.run()

A service in another language does the same: it reads ``action.execute.requested`` from the exchange
``<prefix>.events``, and answers on ``<prefix>.answers``; the JSON Schema of both is in the documentation.
"""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections.abc import Callable
from typing import TypeVar

from celery import Celery, current_app
from kombu.exceptions import OperationalError

from workflow_state.actions import ActionContext, ActionRegistry
from workflow_state.arguments import checked
from workflow_state.event_types import ActionRequested, Answer, CompletedAnswer, Event, FailedAnswer
from workflow_state.events import EventListener, publish_answer
from workflow_state.redaction import Redactor
from workflow_state.runtime.failures import describe_error
from workflow_state.settings import Settings
from workflow_state.telemetry import AttemptInfo, AttemptSecrets, attempt_bound, get_logger, report_error

F = TypeVar("F", bound=Callable[..., object])
#: Between two tries to send an answer while the broker is away.
RETRY_SECONDS = 1.0


class _Requests(EventListener):
    """Takes no request before it is done with the one before: another process, or the next that starts, may be idle."""

    _prefetch = 1


class RemoteExecutor:
    """Carries out remote actions and answers; one at a time, so start as many processes as should work at once.

    A request is acknowledged after its answer has been sent. One whose process dies comes back with the broker's
    visibility timeout, or is asked for again when the action's ``timeout`` has passed, whichever is first; so a
    function may run again for the same ``idempotency_key``.

    Args:
        app: for its broker and its settings (the same ``prefix`` as the workers'); the current app when None.
        queue: its durable queue; services that do different things need different ones, processes of the same
            service share one.

    Raises:
        ValueError: the queue's name is empty.

    Example:
        >>> import threading
        >>> executor = RemoteExecutor(app, queue="stock")
        >>> @executor.action("stock.count")
        ... def count(article: str, context: ActionContext) -> int:
        ...     return len(article)
        >>> executor.declare()  # from here on the queue gathers requests
        >>> service = threading.Thread(target=executor.run)
        >>> service.start()
        >>> counting = execute_plan.delay({"actions": [
        ...     {"id": "count", "actionDefinitionId": "stock.count", "inputs": {"article": "card"}, "timeout": 5000},
        ... ]})
        >>> counting.get(timeout=30).action_states["count"].result.output
        4
        >>> executor.stop()
        >>> service.join()
    """

    @checked
    def __init__(self, app: Celery | None = None, *, queue: str) -> None:
        self._app = app or current_app._get_current_object()
        self._actions = ActionRegistry()
        self._redactor = Redactor(Settings.of(self._app).secret_names)
        self._listener = _Requests(self._app, queue)
        self._listener.on("action.execute.requested")(self._handle)
        self._log = get_logger(self._redactor)

    def action(self, definition_id: str) -> Callable[[F], F]:
        """Decorator: this function (plain or async) carries out the actions of a definition.

        Inputs, output, :class:`ActionContext` and errors are as those of ``@action``; ``is_cancelled`` is never true,
        and ``progress`` is kept nowhere. ``SystemExit`` and ``KeyboardInterrupt`` end the service, as a signal's
        handler may mean them to: the request is not answered, and comes back.
        """
        return self._actions.action(definition_id)

    def declare(self) -> None:
        """Have its queue gather requests from now on, before ``run`` reads them.

        Without it they are gathered from the first ``run`` on.

        Raises:
            kombu.exceptions.OperationalError: the broker is away.
        """
        self._listener.declare()

    def delete(self) -> None:
        """Delete its queue, with the requests in it, when no process of the service runs any more and none will.

        Raises:
            kombu.exceptions.OperationalError: the broker is away.
        """
        self._listener.delete()

    def run(self) -> None:
        """Carry out requests until :meth:`stop`; reconnects by itself."""
        self._listener.run()

    def stop(self) -> None:
        """Have ``run`` return soon, after what it is at; from any thread, or a signal handler."""
        self._listener.stop()

    def _handle(self, event: Event) -> None:
        if not isinstance(event, ActionRequested) or not event.remote:
            return
        if event.action_definition_id not in self._actions:
            # Another service's.
            return
        log = self._log.bind(execution_id=event.execution_id, action_id=event.action_id, attempt=event.attempt)
        context = ActionContext(
            execution_id=event.execution_id,
            plan_id=event.plan_id,
            action_id=event.action_id,
            attempt=event.attempt,
            idempotency_key=event.idempotency_key,
            logger=log,
            cancel_check=lambda: False,
        )
        ids = {"execution_id": event.execution_id, "action_id": event.action_id, "attempt": event.attempt}
        where = (event.execution_id, event.plan_id, event.plan_id, event.action_id)
        info = AttemptInfo(*where, event.action_definition_id, event.attempt)
        secrets = AttemptSecrets(lambda: self._secrets(event))
        with attempt_bound(info, secrets):
            try:
                output = self._actions.get(event.action_definition_id).run(event.inputs or {}, context)
            except (Exception, CancelledError) as error:  # noqa: BLE001 - whatever it raises is the answer
                report_error(error, info)
                detail = describe_error(error, event.timeout, self._redactor, secrets())
                self._answer(FailedAnswer.model_validate({**ids, "error": detail}), event)
                log.info("remote action failed", error_type=type(error).__name__)
                return
        self._answer(CompletedAnswer.model_validate({**ids, "output": output}), event)

    def _answer(self, answer: Answer, event: ActionRequested) -> None:
        """Send an answer; while the broker is away again and again, since the work is done."""
        while True:
            try:
                publish_answer(self._app, answer, event)
                return
            except OperationalError as error:
                if self._listener.should_stop:
                    raise
                self._log.warning("broker away, answer to be sent again", error=str(error))
                time.sleep(RETRY_SECONDS)

    def _secrets(self, event: ActionRequested) -> set[str]:
        """What is secret among the inputs."""
        inputs = event.inputs or {}
        return self._redactor.secrets_in(inputs) | self._actions.get(event.action_definition_id).secrets_in(inputs)
