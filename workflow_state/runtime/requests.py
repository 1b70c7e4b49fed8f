"""The engine's tasks as a worker knows them while they run; only workers import this."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from celery.exceptions import Reject
from celery.worker.request import Request

from workflow_state.store.outages import is_outage


class QuietRequest(Request):  # type: ignore[misc] # Celery has no types
    """Shown by ``inspect active``, ``reserved`` and ``scheduled`` with what was sent to be shown, not the arguments."""

    def info(self, safe: bool = False) -> dict[str, Any]:
        """As ``Request.info(safe=True)``."""
        found: dict[str, Any] = super().info(safe=True)
        return found

    def cancel(self, pool: Any, signal: Any = None, emit_retry: bool = True) -> None:
        """As ``Request.cancel``, where the pool can end a task. One of threads and the solo pool cannot, and say so
        by an error: raised in the handler of the signal that ends the worker, it would hit the code that runs.

        ``RETRY`` is not stored, as Celery does when it ends tasks over a lost connection: it would take the place of
        a failure that is on record, for ever.
        """
        with suppress(NotImplementedError):
            super().cancel(pool, signal, emit_retry=False)


class LastingRequest(QuietRequest):
    """A step of an accepted execution: revoking it does not stop it, only an expiry that has passed.

    A worker that drops it remembers the id for hours, and drops what the sweeper sends again as well.
    """

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """As ``Request.terminate``, of a step that runs. One that waits begins all the same: Celery would end it then,
        which takes down a process for nothing, and in a pool of threads loses the message and its place for good.
        """
        if self.time_start:
            super().terminate(pool, signal)

    def revoked(self) -> bool:
        """As ``Request.revoked``, where the message has expired."""
        return bool(self.maybe_expire() and super().revoked())

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """As ``Request.on_failure``, but for an outage that hit Celery's own code, such as a server too full for the
        result of an execution: that is no failure of it, and the message comes again.
        """
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(error, Exception) and is_outage(error):
            exc_info.exception = Reject(error, requeue=True)
        return super().on_failure(exc_info, send_failed_event, return_ok)


class PlanRequest(QuietRequest):
    """``execute_plan``: also when it was sent by its name alone, with Celery's own picture of the arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not str(self.argsrepr).startswith("(<plan"):
            self._argsrepr = self.request_dict["argsrepr"] = "(<plan>,)"
        self._kwargsrepr = self.request_dict["kwargsrepr"] = "{}"
