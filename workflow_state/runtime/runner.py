"""One attempt of one action: begin → inputs → user code → finish → what follows."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from celery.exceptions import Ignore, Retry, SoftTimeLimitExceeded
from kombu.exceptions import EncodeError

from workflow_state import rules
from workflow_state.actions import ActionContext, registry
from workflow_state.errors import ActionError, ActionFailedError, WorkflowStateError
from workflow_state.models import ErrorCategory, ErrorDetail
from workflow_state.program import Program, Step
from workflow_state.references import MISSING, Outcome
from workflow_state.runtime import canvas
from workflow_state.runtime.attempt import failed, run_attempt
from workflow_state.runtime.engine import Engine, new_owner
from workflow_state.runtime.failures import describe_error
from workflow_state.runtime.observers import WatchedAttempt
from workflow_state.runtime.points import reached
from workflow_state.store.keys import action_task_id
from workflow_state.store.reader import outcome_of
from workflow_state.store.records import Begun, Head
from workflow_state.telemetry import AttemptInfo

#: How often, a second apart, a worker tries to record how an attempt ended while the server is away.
RESULT_TRIES = 600


class Delivery:
    """One delivery of one action's message to one worker.

    Args:
        engine: of the worker's app.
        task: the bound ``execute_action`` task, for its request and its retry.
        execution_id, action_id, attempt: what the message asks for.
        tries: how often, a second apart, to record how the attempt ended while the server is away.
    """

    def __init__(
        self,
        engine: Engine,
        task: Any,
        execution_id: str,
        action_id: str,
        attempt: int,
        tries: int = RESULT_TRIES,
    ) -> None:
        self.engine = engine
        self.task = task
        self.execution_id = execution_id
        self.action_id = action_id
        self.attempt = attempt
        self.tries = tries
        self.log = engine.log.bind(execution_id=execution_id, action_id=action_id)
        self.watched: WatchedAttempt | None = None

    def handle(self) -> None:
        """Carry the message out.

        Raises:
            Ignore: nothing to do, or nothing more: the message is acknowledged without a result.
            Retry: the attempt failed, and the next is on its way.
            ActionFailedError: the action failed for good; its record says so already.
        """
        program = self.engine.programs.get(self.execution_id)
        step = program.steps.get(self.action_id) if program else None
        if program is None or step is None:
            self.log.warning("message for an unknown execution or action dropped")
            raise Ignore("unknown execution or action")
        store, settings = self.engine.store, self.engine.settings
        owner = new_owner(self.task.request.hostname)
        begun = store.begin(
            self.execution_id, self.action_id, self.attempt, owner, settings.lease_ms, step.sources, step.level
        )
        if begun.answer != "lease":
            self._refused(begun)
            raise Ignore(begun.answer)
        self.log = self.log.bind(plan_id=program.plan_id, attempt=begun.attempt)
        info = AttemptInfo.of(program, step, self.execution_id, begun.attempt)
        self.watched = self.engine.observers.start(info, self.task.request, lost=begun.attempt > self.attempt)
        with self.engine.leases.hold(self.execution_id, self.action_id, begun.token):
            result = self._attempt(program, step, begun)
        delay = self._record(step, begun, result)
        if delay is not None:
            self._try_again(begun.attempt + 1, delay, result.error)

    def timed_out(self) -> None:
        """Record an attempt whose process was ended by the hard time limit; runs in the worker's main process.

        The child could not do it any more. Without this its lease would end a little later, and the
        attempt would count as lost rather than as timed out.
        """
        program = self.engine.programs.get(self.execution_id)
        record = self.engine.store.records(self.execution_id, [self.action_id])[self.action_id]
        running = record.status == "running" and record.phase != "retry"
        # Another attempt means another delivery took over: its lease is not ours to end.
        if program is None or not running or record.attempt != self.attempt:
            return
        step = program.steps[self.action_id]
        begun = Begun("lease", record.attempt, record.token, record.lost)
        info = AttemptInfo.of(program, step, self.execution_id, record.attempt)
        self.watched = self.engine.observers.overran(info, (step.timeout or 0) / 1000 + canvas.HARD_LIMIT_GRACE)
        try:
            delay = self._record(step, begun, _Result(error=describe_error(SoftTimeLimitExceeded(), step.timeout)))
        except (Ignore, ActionFailedError) as ended:
            self.log.info("timed-out attempt recorded", answer=str(ended))
            return
        if delay is not None and delay < self.engine.settings.long_delay * 1000:
            app, attempt = self.engine.app, record.attempt + 1
            signature = canvas.action_signature(app, program, step, self.execution_id, attempt)
            canvas.publish(app, [signature.set(countdown=delay / 1000)])

    def _refused(self, begun: Begun) -> None:
        """Nothing to run; but what should have followed an ended action may have been lost with a worker."""
        self.log.debug("delivery refused", answer=begun.answer)
        head = begun.head
        if begun.answer == "halted":
            head = self.engine.stop_open(self.execution_id, [self.action_id], begun.halted)
        if head is not None and head.open == 0:
            self.engine.advance(self.execution_id, head)

    def _attempt(self, program: Program, step: Step, begun: Begun) -> _Result:
        """Run the user's code; an exception of any kind becomes an error in the result."""
        if begun.lost >= self.engine.settings.max_lost:
            message = f"{begun.lost} workers were lost while they ran this action; it is not tried again"
            return _Result(error=ErrorDetail(category=ErrorCategory.WORKER_LOST, message=message, retryable=False))
        context = self._context(program, begun)
        if begun.lost and context.is_cancelled():
            message = "The execution was cancelled and the worker lost that ran this action; it is not started again"
            return _Result(error=ErrorDetail(category=ErrorCategory.USER_CANCELLED, message=message, retryable=False))
        reached("before user code")
        limit, redactor = self.engine.settings.max_input_size, self.engine.redactor
        result = run_attempt(program, step, self._sources(step, begun), registry, context, limit, redactor)
        reached("after user code")
        if result.error is not None:
            return _Result(error=result.error, traceback=result.traceback)
        return self._encode(step, result.output)

    def _sources(self, step: Step, begun: Begun) -> Mapping[str, Outcome]:
        results = self.engine.store.results
        return {
            name: outcome_of(record, MISSING if payload is None else results.output(payload))
            if record.status == "completed"
            else outcome_of(record)
            for name, record, payload in zip(step.sources, begun.records, begun.results, strict=True)
        }

    def _context(self, program: Program, begun: Begun) -> ActionContext:
        store, execution_id = self.engine.store, self.execution_id
        return ActionContext(
            execution_id=execution_id,
            plan_id=program.plan_id,
            action_id=self.action_id,
            attempt=begun.attempt,
            idempotency_key=action_task_id(execution_id, self.action_id),
            logger=self.log,
            cancel_check=lambda: store.fields(execution_id, "cancel") != [""],
        )

    def _encode(self, step: Step, output: Any) -> _Result:
        """The output as the backend stores it; one that cannot be stored, or is too large, fails the action."""
        limit = self.engine.settings.max_result_size
        try:
            payload = self.engine.store.results.success(self.execution_id, self.action_id, output)
            if len(payload) <= limit:
                return _Result(payload)
            problem = f"The output is too large: {len(payload)} bytes as JSON, with a limit of {limit}"
        except EncodeError as error:
            problem = f"The output cannot be stored: {error}"
        hint = "store large data elsewhere and return where it is, or raise max_result_size"
        refused = ActionError(
            problem, category=ErrorCategory.VALIDATION_FAILED, code="output_refused", retryable=False, suggestion=hint
        )
        result = failed(refused, step)
        return _Result(error=result.error, traceback=result.traceback)

    def _record(self, step: Step, begun: Begun, result: _Result) -> int | None:
        """Write how the attempt ended, and do what follows from it.

        Returns milliseconds until the next attempt, if there is to be one; raises ``ActionFailedError``
        when the action failed for good.
        """
        error, results = result.error, self.engine.store.results
        if error is None:
            self._follow(self._finish(begun, "completed", payload=result.payload))
            return None
        what = {"error": error, "traceback": result.traceback}
        delay = rules.retry_delay(step, begun.attempt, begun.lost, error, random.random())
        if delay is not None:
            self._finish(begun, "retry", delay_ms=delay, **what)
            self.log.info("attempt failed, to be tried again", category=error.category.value, delay_ms=delay)
            return delay
        if step.fallback is not None:
            payload = results.success(self.execution_id, self.action_id, step.fallback[0])
            self._follow(self._finish(begun, "completed", payload=payload, **what))
            return None
        payload = results.failure(self.execution_id, self.action_id, error, result.traceback)
        self._follow(self._finish(begun, "failed", payload=payload, halts=step.on_failure == "halt", **what))
        message = f"Action {self.action_id!r} failed: {error.message}"
        raise ActionFailedError(message, self.action_id, error.model_dump(mode="json"))

    def _finish(self, begun: Begun, outcome: str, **what: Any) -> Head | None:
        answer, head = self.engine.store.finish(
            self.execution_id,
            self.action_id,
            begun.token,
            outcome,
            look_after_ms=self.engine.settings.lease_ms,
            tries=self.tries,
            **what,
        )
        if answer == "stale":
            self.log.warning("result refused: the lease went to another delivery")
            raise Ignore("lease lost")
        if self.watched is not None:
            self.watched.ended(outcome, what.get("error"))
        return head

    def _follow(self, head: Head | None) -> None:
        if head is not None and head.open == 0:
            reached("recorded")
            self.engine.advance(self.execution_id, head)
        elif head is not None and head.halted == self.action_id:
            self.engine.stop_level(self.execution_id)

    def _try_again(self, attempt: int, delay_ms: int, error: ErrorDetail | None) -> NoReturn:
        """Send the next attempt; a long wait is left to the sweeper, so no worker holds the message."""
        reason = WorkflowStateError(f"{error.category}: {error.message}" if error else "")
        if delay_ms >= self.engine.settings.long_delay * 1000:
            raise Retry(exc=reason, when=delay_ms / 1000)
        args = (self.execution_id, self.action_id, attempt)
        raise self.task.retry(args=args, countdown=delay_ms / 1000, exc=reason)


@dataclass(frozen=True, slots=True)
class _Result:
    """How user code ended: with a payload, or with an error."""

    payload: bytes | str = ""
    error: ErrorDetail | None = None
    traceback: str = ""
