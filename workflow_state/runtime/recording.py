"""How an attempt ended, written down: record, result, and what follows from them, whoever reports it.

A worker reports what its function did, its main process an overrun that killed the function, a remote service
what it did elsewhere, and the sweeper that no answer came.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from celery.canvas import Signature
from celery.exceptions import Ignore
from kombu.exceptions import EncodeError
from structlog.stdlib import BoundLogger

from workflow_state import rules
from workflow_state.errors import ActionError, ActionFailedError
from workflow_state.models import ErrorCategory, ErrorDetail
from workflow_state.program import Program, Step
from workflow_state.runtime import canvas
from workflow_state.runtime.attempt import failed
from workflow_state.runtime.engine import Engine
from workflow_state.runtime.observers import WatchedAttempt
from workflow_state.runtime.soft_limit import through_limit
from workflow_state.runtime.submission import LARGE_HINT, over_limit
from workflow_state.store.records import Begun, Head
from workflow_state.telemetry import AttemptInfo

#: How often, a second apart, a worker tries to record how an attempt ended while the server is away.
RESULT_TRIES = 600


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    """How an attempt ended: with a payload for the result backend, or with an error."""

    payload: bytes | str = ""
    error: ErrorDetail | None = None
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of an action: ``completed``, ``failed`` or ``retry``, and how the store is told.

    ``delay``: milliseconds until the next attempt, if there is to be one.
    """

    outcome: str
    what: Mapping[str, Any]
    delay: int | None = None
    error: ErrorDetail | None = None


class Recording:
    """Records the ends of attempts of one action.

    Args:
        engine: of the worker's app.
        execution_id, action_id: which action.
        tries: how often, a second apart, to write while the server is away; None: as the backend's policy says.
        finish: writes the end, as ``Store.finish`` does; that one when None.
    """

    def __init__(
        self,
        engine: Engine,
        execution_id: str,
        action_id: str,
        tries: int | None = RESULT_TRIES,
        finish: Callable[..., tuple[str, Head | None]] | None = None,
    ) -> None:
        self.engine = engine
        self.execution_id = execution_id
        self.action_id = action_id
        self.tries = tries
        self.watched: WatchedAttempt | None = None
        self._write = finish or engine.store.finish
        self._outside = False

    @property
    def log(self) -> BoundLogger:
        """With the ids of execution and action; made when something is logged."""
        return self.engine.log.bind(execution_id=self.execution_id, action_id=self.action_id)

    def encode(self, step: Step, output: Any) -> AttemptEnd:
        """The output as the backend stores it; one that cannot be stored, or is too large, fails the action."""
        results = self.engine.store.results
        try:
            payload = results.success(self.execution_id, self.action_id, output)
            said = over_limit(results.size(payload), self.engine.settings)
            if not said:
                return AttemptEnd(payload)
            problem = f"The output is {said}"
        except EncodeError as error:
            problem = f"The output cannot be stored: {error}"
        category = ErrorCategory.VALIDATION_FAILED
        refused = ActionError(problem, category=category, code="output_refused", retryable=False, suggestion=LARGE_HINT)
        result = failed(refused, step)
        return AttemptEnd(error=result.error, traceback=result.traceback)

    def record(self, program: Program | None, step: Step, begun: Begun, end: AttemptEnd) -> int | None:
        """Write how the attempt ended, and do what follows from it.

        Returns milliseconds until the next attempt, if there is to be one.

        Raises:
            ActionFailedError: the action has failed for good.
            Ignore: the attempt is not the current one any more; nothing was changed.
        """
        verdict = self.decide(program, step, begun, end)
        head = through_limit(lambda: self._finish(begun, verdict))
        through_limit(lambda: self.told(verdict))
        if verdict.outcome != "retry":
            if head is not None:
                through_limit(lambda: self.engine.follow(self.execution_id, self.action_id, head))
            if verdict.outcome == "failed" and end.error is not None:
                message = f"Action {self.action_id!r} failed: {end.error.message}"
                raise ActionFailedError(message, self.action_id, end.error.model_dump(mode="json"))
        return verdict.delay

    def decide(self, program: Program | None, step: Step, begun: Begun, end: AttemptEnd) -> Verdict:
        """What becomes of an action whose attempt ended so: nothing is written yet.

        ``program``: None when the execution is gone.
        """
        error, results = end.error, self.engine.store.results
        common: dict[str, Any] = {"look_after_ms": self.engine.settings.lease_ms, "created": begun.created}
        if program is not None:
            common["waiting"] = program.waiting_for(self.action_id)
            common["then"] = program.level_after(self.action_id, self.engine.settings.part_size)
        if error is None:
            return Verdict("completed", {**common, "payload": end.payload})
        common |= {"error": error, "traceback": end.traceback}
        delay = rules.retry_delay(step, begun.attempt, begun.lost, error, random.random())
        if delay is not None:
            return Verdict("retry", {**common, "delay_ms": delay}, delay, error)
        if step.fallback is not None:
            payload = results.success(self.execution_id, self.action_id, step.fallback[0])
            return Verdict("completed", {**common, "payload": payload}, error=error)
        payload = results.failure(self.execution_id, self.action_id, error, end.traceback)
        return Verdict("failed", {**common, "payload": payload, "halts": step.on_failure == "halt"}, error=error)

    def told(self, verdict: Verdict) -> None:
        """Tell observers and log of an end that is written."""
        if self.watched is not None:
            self.watched.ended(verdict.outcome, verdict.error)
        if verdict.outcome == "retry" and verdict.error is not None:
            category = verdict.error.category.value
            self.log.info("attempt failed, to be tried again", category=category, delay_ms=verdict.delay)

    def refused(self) -> None:
        """Log that somebody else's result counts."""
        self.log.warning("result refused: the lease went to another delivery")

    def next_attempt(self, program: Program, step: Step, attempt: int, delay_ms: int | None) -> list[Signature]:
        """The message of the next attempt; none where it is left to the sweeper, as a longer wait is everywhere."""
        if delay_ms is None or delay_ms >= self.engine.settings.long_delay * 1000:
            return []
        signature = canvas.action_signature(self.engine.app, program, step, self.execution_id, attempt)
        return [signature.set(countdown=delay_ms / 1000)]

    def record_from_outside(self, step: Step, begun: Begun, end: AttemptEnd) -> None:
        """As :meth:`record`, where no Celery task of the action runs that could retry or fail: nothing is raised
        but ``Ignore``, and the next attempt's message is sent from here.
        """
        self._outside = True
        program = self.engine.programs.get(self.execution_id)
        if program is not None:
            attempt = AttemptInfo.of(program, step, self.execution_id, begun.attempt)
            self.watched = self.engine.observers.outside(attempt, begun.at)
        try:
            delay = self.record(program, step, begun, end)
        except ActionFailedError as error:
            self.log.info("action failed", reason=str(error))
            return
        if program is not None:
            canvas.publish(self.engine.app, self.next_attempt(program, step, begun.attempt + 1, delay))

    def _finish(self, begun: Begun, verdict: Verdict) -> Head | None:
        answer, head = self._write(
            self.execution_id, self.action_id, begun.token, verdict.outcome, tries=self.tries, **verdict.what
        )
        if answer == "stale":
            self.refused()
            raise Ignore("lease lost")
        if answer == "repeated" and self._outside and not self._is_stored(verdict):
            raise Ignore("another answer was first")
        return head

    def _is_stored(self, verdict: Verdict) -> bool:
        """Whether an end that was there already is this one: of all who answer, none holds a token of its own."""
        store = self.engine.store
        if verdict.outcome == "retry":
            return store.records(self.execution_id, [self.action_id])[self.action_id].status == "running"
        payload = verdict.what["payload"]
        key = store.results.key(self.execution_id, self.action_id)
        stored = store.results.ensure(lambda: store.results.client.get(key), self.tries)
        return bool(stored == (payload.encode() if isinstance(payload, str) else payload))
