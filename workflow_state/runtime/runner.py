"""One attempt of one action: begin → inputs → user code → finish → what follows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from celery.exceptions import Ignore, Retry, SoftTimeLimitExceeded
from structlog.stdlib import BoundLogger

from workflow_state.actions import ActionContext, registry
from workflow_state.errors import WorkflowStateError
from workflow_state.models import ErrorCategory, ErrorDetail
from workflow_state.program import Program, Step
from workflow_state.references import MISSING, Outcome
from workflow_state.runtime import remote
from workflow_state.runtime.attempt import AttemptResult, run_attempt
from workflow_state.runtime.engine import Engine, new_owner
from workflow_state.runtime.failures import describe_error
from workflow_state.runtime.points import reached
from workflow_state.runtime.recording import RESULT_TRIES, AttemptEnd, Recording
from workflow_state.runtime.soft_limit import through_limit
from workflow_state.store.keys import action_task_id
from workflow_state.store.outages import is_outage
from workflow_state.store.reader import outcome_of
from workflow_state.store.records import Begun
from workflow_state.telemetry import AttemptInfo

#: Seconds between two notes of an action's progress.
PROGRESS_INTERVAL = 0.5


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
        self.recording = Recording(engine, execution_id, action_id, tries)
        self.task = task
        self.execution_id = execution_id
        self.action_id = action_id
        self.attempt = attempt

    @property
    def log(self) -> BoundLogger:
        """With the ids of execution and action; made when something is logged."""
        return self.recording.log

    def handle(self) -> str:
        """Carry the message out; in a word, how the action completed.

        Raises:
            Ignore: nothing to do, or nothing more: the message is acknowledged without a result.
            Retry: the attempt failed, and the next is on its way.
            ActionFailedError: the action failed for good; its record says so already.
        """
        owner = new_owner(self.task.request.hostname)
        program, step, begun = through_limit(lambda: self._begin(owner))
        if begun.answer == "other":
            # The id was used again since this process has read the program.
            self.engine.programs.forget(self.execution_id)
            program, step, begun = through_limit(lambda: self._begin(owner))
        if begun.answer != "lease":
            self.refused(begun)
            raise Ignore(begun.answer)
        with self.engine.leases.hold(self.execution_id, begun.created, (self.action_id, begun.token)):
            self.engine.tell_listeners(self.execution_id)
            result = self.run(program, step, begun)
        if result is None:
            if self.recording.watched is not None:
                self.recording.watched.left()
            remote.leave(self.engine, step, self.execution_id, begun)
            raise Ignore("a remote service has been asked")
        delay = self.recording.record(program, step, begun, result)
        if delay is not None:
            following, reason = begun.attempt + 1, result.error
            through_limit(lambda: self._try_again(following, delay, reason))
        return "completed" if result.error is None else "completed with its fallback value"

    def _begin(self, owner: str) -> tuple[Program, Step, Begun]:
        """Ask for the lease, by what this process knows of the execution."""
        kept = self.engine.programs.recent(self.execution_id, [self.action_id])
        step = kept[0].steps.get(self.action_id) if kept else None
        if kept is None or step is None:
            self.log.warning("message for an unknown execution or action dropped")
            raise Ignore("unknown execution or action")
        program, created = kept
        begun = self.engine.store.begin(
            self.execution_id,
            self.action_id,
            self.attempt,
            owner,
            self.engine.settings.lease_ms,
            step.sources,
            step.level,
            remote=registry.is_remote(step.definition),
            created=created,
        )
        return program, step, begun

    def timed_out(self) -> None:
        """Record an attempt whose process was ended by the hard time limit; runs in the worker's main process.

        The child could not do it any more. Without this its lease would end a little later, and the
        attempt would count as lost rather than as timed out.
        """
        created = self.engine.store.created(self.execution_id)
        program = self.engine.programs.get(self.execution_id, created)
        record = self.engine.store.records(self.execution_id, [self.action_id])[self.action_id]
        running = record.status == "running" and record.phase is None
        # Another attempt means another delivery took over: its lease is not ours to end.
        if program is None or not running or record.attempt != self.attempt:
            return
        step = program.steps[self.action_id]
        begun = Begun.on_record(record, created)
        end = AttemptEnd(error=describe_error(SoftTimeLimitExceeded(), step.timeout))
        try:
            self.recording.record_from_outside(step, begun, end)
        except Ignore as refused:
            self.log.info("timed-out attempt not recorded", answer=str(refused))

    def refused(self, begun: Begun) -> None:
        """Nothing to run; but what should have followed an ended action may have been lost with a worker."""
        self.log.debug("delivery refused", answer=begun.answer)
        engine, head = self.engine, begun.head
        if begun.answer == "halted":
            ids, cancelled = [self.action_id], not begun.halted
            head = engine.settling.stop_open(self.execution_id, ids, begun.halted, cancelled=cancelled)
        if head is not None:
            engine.catch_up(self.execution_id, self.action_id, head)

    def run(self, program: Program, step: Step, begun: Begun) -> AttemptEnd | None:
        """Run the user's code, or ask the service that has it (None: it was asked).

        An exception of any kind becomes an error in the result.
        """
        info = AttemptInfo.of(program, step, self.execution_id, begun.attempt)
        lost = begun.attempt > self.attempt
        self.recording.watched = watched = self.engine.observers.start(info, self.task.request, lost=lost)
        try:
            return self._run(program, step, begun, info)
        except SoftTimeLimitExceeded as error:
            # It came when our own code ran, before the user's or after it.
            return AttemptEnd(error=describe_error(error, step.timeout))
        finally:
            if watched is not None:
                watched.ran()

    def _run(self, program: Program, step: Step, begun: Begun, info: AttemptInfo) -> AttemptEnd | None:
        if begun.lost >= self.engine.settings.max_lost:
            message = f"{begun.lost} workers were lost while they ran this action; it is not tried again"
            return AttemptEnd(error=ErrorDetail(category=ErrorCategory.WORKER_LOST, message=message, retryable=False))
        if begun.lost and self._is_cancelled():
            message = "The execution was cancelled and the worker lost that ran this action; it is not started again"
            return AttemptEnd(
                error=ErrorDetail(category=ErrorCategory.USER_CANCELLED, message=message, retryable=False)
            )
        if registry.is_remote(step.definition):
            sources = self._sources(step, begun)
            return remote.request(self.engine, registry, program, step, self.execution_id, begun, sources)
        reached("before user code")
        limit, redactor = self.engine.settings.max_input_size, self.engine.redactor
        sources = self._sources(step, begun)

        def context() -> ActionContext:
            return self._context(program, begun)

        # No exception of user code may get out: it would end the process, or the whole pool of threads.
        caught = (BaseException,)
        result = run_attempt(program, step, sources, registry, info, context, limit, redactor, caught)
        return through_limit(lambda: self._end_of(step, result))

    def _end_of(self, step: Step, result: AttemptResult) -> AttemptEnd:
        reached("after user code")
        if result.error is not None:
            return AttemptEnd(error=result.error, traceback=result.traceback)
        return self.recording.encode(step, result.output)

    def _sources(self, step: Step, begun: Begun) -> Mapping[str, Outcome]:
        results = self.engine.store.results
        return {
            name: outcome_of(record, MISSING if payload is None else results.output(payload))
            if record.status == "completed"
            else outcome_of(record)
            for name, record, payload in zip(step.sources, begun.records, begun.results, strict=True)
        }

    def _is_cancelled(self) -> bool:
        return self.engine.store.fields(self.execution_id, "cancel") != [""]

    def _context(self, program: Program, begun: Begun) -> ActionContext:
        execution_id = self.execution_id
        return ActionContext(
            execution_id=execution_id,
            plan_id=program.plan_id,
            action_id=self.action_id,
            attempt=begun.attempt,
            idempotency_key=action_task_id(execution_id, self.action_id),
            logger=self.log.bind(plan_id=program.plan_id, attempt=begun.attempt),
            cancel_check=self._is_cancelled,
            progress_report=self._progress_report(begun),
        )

    def _progress_report(self, begun: Begun) -> Callable[[float, str], object]:
        store, execution_id, action_id, last = self.engine.store, self.execution_id, self.action_id, [-math.inf]

        def report(fraction: float, message: str) -> None:
            if time.monotonic() - last[0] < PROGRESS_INTERVAL and fraction < 1:
                return
            last[0] = time.monotonic()
            try:
                store.report_progress(execution_id, action_id, begun.token, fraction, message, begun.created)
            except Exception as error:
                if not is_outage(error):
                    raise
                self.log.warning("progress not noted", error=str(error))

        return report

    def _try_again(self, attempt: int, delay_ms: int, error: ErrorDetail | None) -> NoReturn:
        """Send the next attempt; a long wait is left to the sweeper, so no worker holds the message."""
        reason = WorkflowStateError(f"{error.category}: {error.message}" if error else "")
        if delay_ms >= self.engine.settings.long_delay * 1000:
            raise Retry(exc=reason, when=delay_ms / 1000)
        args = (self.execution_id, self.action_id, attempt)
        raise self.task.retry(args=args, countdown=delay_ms / 1000, exc=reason)
