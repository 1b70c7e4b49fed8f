"""A message that names several tiny actions: begun in one step, run one after the other, recorded in one step.

To the store each is an action like any other, with its own lease, attempt, retries and result; what they share is
the transport. A worker that dies in a batch loses its leases, and each action is recovered alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from celery.canvas import Signature
from celery.exceptions import Ignore

from workflow_state.actions import registry
from workflow_state.models import ErrorCategory, ErrorDetail
from workflow_state.program import Program, Step
from workflow_state.runtime import canvas
from workflow_state.runtime.engine import Engine, new_owner
from workflow_state.runtime.points import reached
from workflow_state.runtime.recording import RESULT_TRIES, AttemptEnd
from workflow_state.runtime.runner import Delivery
from workflow_state.runtime.soft_limit import through_limit
from workflow_state.store.batches import BatchStore, End
from workflow_state.store.records import Begun, Head
from workflow_state.telemetry import AttemptInfo

#: Seconds after which results are recorded before the rest of the batch runs: what a crash can make run again.
RECORD_EVERY = 0.2


@dataclass(frozen=True, slots=True)
class _Item:
    """One action of the batch, with its lease."""

    delivery: Delivery
    step: Step
    begun: Begun


class Batch:
    """One delivery of a batch's message to one worker.

    Args:
        engine: of the worker's app.
        task: the bound ``execute_batch`` task, for its request.
        execution_id, action_ids: what the message asks for.
    """

    def __init__(self, engine: Engine, task: Any, execution_id: str, action_ids: Sequence[str]) -> None:
        self.engine = engine
        self.task = task
        self.execution_id = execution_id
        self.action_ids = action_ids
        self._store = BatchStore(engine.store)
        self._cancelled = False

    def handle(self) -> str:
        """Carry the message out; in words, what became of it.

        Raises:
            Ignore: nothing to do.
        """
        programs = self.engine.programs
        kept = programs.recent(self.execution_id, self.action_ids)
        if kept is None:
            self.engine.log.warning("message for an unknown execution dropped", execution_id=self.execution_id)
            raise Ignore("unknown execution")
        program, created = kept
        steps = [program.steps[name] for name in dict.fromkeys(self.action_ids) if name in program.steps]
        if any(registry.is_remote(step.definition) for step in steps):
            return self._send_alone()
        owner, lease_ms = new_owner(self.task.request.hostname), self.engine.settings.lease_ms
        answers = through_limit(lambda: self._store.begin(self.execution_id, steps, 1, owner, lease_ms, created))
        if any(begun.answer == "other" for begun in answers):
            # The id was used again since this process has read the program.
            programs.forget(self.execution_id)
            return self.handle()
        items = [
            _Item(Delivery(self.engine, self.task, self.execution_id, step.id, 1), step, begun)
            for step, begun in zip(steps, answers, strict=True)
        ]
        taken = [item for item in items if item.begun.answer == "lease"]
        leases = [(item.step.id, item.begun.token) for item in taken]
        with self.engine.leases.hold(self.execution_id, created, *leases) as let_go:
            self.engine.tell_listeners(self.execution_id)
            self._run(program, taken, let_go)
        for item in items:
            if item.begun.answer != "lease":
                item.delivery.refused(item.begun)
        return f"{len(taken)} of {len(items)} actions begun"

    def _send_alone(self) -> str:
        """What a service carries out takes no time here, and is asked for one by one.

        Nothing is begun by that, so the store does not make sure of the program: it is looked up.
        """
        program = self.engine.programs.get(self.execution_id)
        if program is None:
            raise Ignore("unknown execution")
        steps = [program.steps[name] for name in self.action_ids if name in program.steps]
        alone = [canvas.action_signature(self.engine.app, program, step, self.execution_id) for step in steps]
        canvas.publish(self.engine.app, alone)
        return f"{len(steps)} actions sent one by one"

    def _run(self, program: Program, items: Sequence[_Item], let_go: Callable[[Iterable[str]], None]) -> None:
        """Run all of them, and record what has ended, now and then and at the end."""
        ended: list[tuple[_Item, AttemptEnd]] = []
        recorded_at = time.monotonic()
        for item in items:
            if ended and time.monotonic() - recorded_at >= RECORD_EVERY:
                self._record(program, ended, let_go)
                ended, recorded_at = [], time.monotonic()
                reached("batch half done")
            if (end := self._attempt(program, item)) is not None:
                ended.append((item, end))
        if ended:
            self._record(program, ended, let_go)

    def _attempt(self, program: Program, item: _Item) -> AttemptEnd | None:
        if self._cancelled:
            attempt = AttemptInfo.of(program, item.step, self.execution_id, item.begun.attempt)
            item.delivery.recording.watched = self.engine.observers.outside(attempt, item.begun.at)
            message = "The execution was cancelled before the action's turn in its batch came"
            return AttemptEnd(
                error=ErrorDetail(category=ErrorCategory.USER_CANCELLED, message=message, retryable=False)
            )
        return item.delivery.run(program, item.step, item.begun)

    def _record(
        self, program: Program, ended: Sequence[tuple[_Item, AttemptEnd]], let_go: Callable[[Iterable[str]], None]
    ) -> None:
        """Write how attempts ended, in one step, and do what follows."""
        verdicts = [(item, item.delivery.recording.decide(program, item.step, item.begun, end)) for item, end in ended]
        ends = [End(item.step.id, item.begun.token, verdict.outcome, verdict.what) for item, verdict in verdicts]
        let_go(item.step.id for item, _ in ended)
        answers, head = through_limit(lambda: self._store.finish(self.execution_id, ends, RESULT_TRIES))
        again: list[Signature] = []
        for (item, verdict), answer in zip(verdicts, answers, strict=True):
            recording = item.delivery.recording
            if answer == "stale":
                recording.refused()
                continue
            recording.told(verdict)
            if verdict.outcome == "failed" and verdict.error is not None:
                recording.log.info("action failed", reason=verdict.error.message)
            again += recording.next_attempt(program, item.step, item.begun.attempt + 1, verdict.delay)
        if again:
            through_limit(lambda: canvas.publish(self.engine.app, again))
        if head is not None:
            through_limit(lambda: self._follow(head, {item.step.id for item, _ in ended}))

    def _follow(self, head: Head, ids: Iterable[str]) -> None:
        self._cancelled = bool(head.cancel)
        if head.leads_on or head.halted in ids:
            self.engine.follow(self.execution_id, head.halted, head)
