"""The engine: what each message does. The tasks are thin around it; every step is safe to repeat."""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from celery import Celery

from workflow_state import rules
from workflow_state.compiler import compile_plan
from workflow_state.models import ErrorCategory, ErrorDetail, ExecutionPlan, ExecutionState
from workflow_state.program import SCHEMA_VERSION, Program, Step
from workflow_state.redaction import Redactor
from workflow_state.runtime import canvas
from workflow_state.runtime.leases import LeaseKeeper
from workflow_state.runtime.observers import observers_of
from workflow_state.runtime.points import reached
from workflow_state.runtime.programs import ProgramCache
from workflow_state.settings import Settings
from workflow_state.store.records import Head, Settled
from workflow_state.store.redis import Store
from workflow_state.store.results import ActionResults
from workflow_state.store.state import read_state
from workflow_state.telemetry import get_logger


class Engine:
    """Drives executions for one Celery app.

    Raises:
        BackendNotSupportedError: the app's result backend is not Redis-compatible.
    """

    def __init__(self, app: Celery) -> None:
        self.app = app
        self.settings = Settings.of(app)
        self.store = Store(ActionResults(app), self.settings.prefix)
        self.leases = LeaseKeeper(self.store, self.settings.lease_ms)
        self.programs = ProgramCache(self.store, self.settings.programs_cached)
        self.redactor = Redactor(self.settings.secret_names)
        self.log = get_logger(self.redactor)
        self.observers = observers_of(app)

    def accept(
        self,
        plan: ExecutionPlan,
        execution_id: str,
        caller: Mapping[str, Any],
        driver: str = "workers",
        *,
        started: bool = True,
        extra: Mapping[str, str | int] | None = None,
    ) -> bool:
        """Store an execution, once; False when it was there.

        Args:
            plan: a valid one.
            execution_id: of the new execution.
            caller: what to carry on with when it has ended.
            driver: ``workers``, or ``manual``: nothing of it starts by itself.
            started: False holds it back until ``store.start``.
            extra: more fields of the execution.
        """
        program = compile_plan(plan)
        fields: dict[str, str | int] = {
            "schema": SCHEMA_VERSION,
            "plan_id": plan.id,
            "plan_name": plan.title,
            "total": len(plan.actions),
            "caller": json.dumps(caller),
            "driver": driver,
            **self.observers.execution_accepted(execution_id, program),
            **(extra or {}),
        }
        text = plan.model_dump_json(by_alias=True, exclude_unset=True)
        look_after = self.settings.lease_ms if driver == "workers" and started else None
        accepted = self.store.create(execution_id, text, program.to_json(), fields, look_after)
        reached("accepted")
        return accepted

    def advance(self, execution_id: str, head: Head | None = None) -> None:
        """Open the next level if nothing of the current one is open, and publish it; at the end, finish.

        Whoever ends the last action of a level calls this, and so does anyone who doubts that it was
        done: the store lets it happen once.
        """
        program = self.programs.get(execution_id)
        while program is not None:
            head = head or self.store.head(execution_id)
            if head is None or not head.active or head.open > 0:
                return
            level = head.cursor + 1
            if level == len(program.levels) or head.stopping:
                self._end(execution_id, program, head)
                self.publish_finish(execution_id)
                return
            if head.paused:
                return
            ready, settled, halted = self._decide_level(execution_id, program, level, head)
            waiting = _waiting(program, ready)
            now = [name for name in ready if name not in waiting]
            parts = -(-len(program.levels[level]) // self.settings.part_size) if now else 0
            opener, look_after = uuid.uuid4().hex, self.settings.lease_ms
            if not self.store.advance(
                execution_id, level, len(ready), parts, settled, halted, opener, look_after, waiting
            ):
                return
            reached("level opened")
            if now:
                self._publish_level(execution_id, program, level, parts, now)
            if ready:
                return
            head = None

    def publish_part(self, execution_id: str, level: int, part: int) -> None:
        """Publish those actions of one part of a level that have not begun; again, if need be."""
        program = self.programs.get(execution_id)
        head = self.store.head(execution_id)
        if program is None or head is None or not head.active or head.paused or head.cursor != level:
            return
        size = self.settings.part_size
        ids = program.levels[level][part * size : (part + 1) * size]
        records = self.store.records(execution_id, ids)
        self._publish(execution_id, program, level, part, [i for i in ids if records[i].may_begin])

    def take_up(self, execution_id: str) -> None:
        """After a pause: publish again what had its turn and did not begin, or waits for its next attempt."""
        program, head = self.programs.get(execution_id), self.store.head(execution_id)
        if program is None or head is None or not head.active or head.paused:
            return
        if head.open == 0 or head.stopping:
            self.stop_level(execution_id) if head.stopping else self.advance(execution_id, head)
            return
        level, size = program.levels[head.cursor], self.settings.part_size
        parts = [canvas.part_signature(self.app, execution_id, head.cursor, n) for n in range(-(-len(level) // size))]
        now, signatures = self.store.now(), []
        for name, record in self.store.records(execution_id, level).items():
            wait = max(0, (record.due or 0) - now) / 1000
            # What waits longer is sent by the sweeper.
            if record.phase == "retry" and wait < self.settings.long_delay:
                step, attempt = program.steps[name], record.attempt + 1
                signatures.append(
                    canvas.action_signature(self.app, program, step, execution_id, attempt).set(countdown=wait)
                )
        canvas.publish(self.app, [*parts, *signatures])

    def publish_finish(self, execution_id: str) -> None:
        """Send the task that ends the execution: the execution's own task id, and all that its caller hung on it."""
        (caller,) = self.store.fields(execution_id, "caller")
        options = json.loads(caller or "{}")
        finish = self.app.tasks["workflow_state.finish"]
        finish.apply_async((execution_id,), task_id=execution_id, add_to_parent=False, **options)

    def complete(self, execution_id: str, owner: str) -> ExecutionState | None:
        """Give the final state of an execution that has ended, to be stored as its result.

        None when there is nothing to end: it is unknown, still has open actions, another delivery is at
        it, or it was closed before. ``owner`` is unique to the delivery.
        """
        program = self.programs.get(execution_id)
        head = self.store.head(execution_id)
        if program is None or head is None or head.open > 0:
            return None
        claim = self.store.claim_end(execution_id, owner, self.settings.lease_ms)
        if claim == "closed":
            # Closing may have been cut off half way; it is safe to repeat.
            self.close(execution_id)
        if claim != "claimed":
            return None
        reached("ending")
        if not head.ended:
            self._end(execution_id, program, head)
        return read_state(self.store, execution_id)

    def tell_ended(self, state: ExecutionState) -> None:
        """Tell the observers of an execution's end."""
        if self.observers and (program := self.programs.get(state.id)):
            self.observers.tell("execution_ended", program, state)

    def close(self, execution_id: str) -> None:
        """The execution's result is stored and its caller carried on: give all of its keys their TTL."""
        reached("closing")
        program = self.programs.get(execution_id)
        if program is not None:
            self.store.close(execution_id, list(program.steps), self.store.results.expires)

    def stop_level(self, execution_id: str) -> None:
        """After a halt or a cancel: end what is open and has not begun; what runs ends by itself."""
        program, head = self.programs.get(execution_id), self.store.head(execution_id)
        if program is None or head is None or not head.active or not head.stopping:
            return
        if head.open > 0:
            head = self.stop_open(execution_id, program.levels[head.cursor], head.halted) or head
        if head.open == 0:
            self.advance(execution_id, head)

    def stop_open(self, execution_id: str, action_ids: Sequence[str], halted: str) -> Head | None:
        """End those of these open actions that must not start, as the execution halted or ("") was cancelled.

        Between two attempts an action goes on when the execution halted: it has begun. A cancel ends it.
        """
        records = self.store.records(execution_id, action_ids)
        settled = [
            self.skip(execution_id, name, rules.not_started(halted))
            for name, record in records.items()
            if record.status == "pending"
        ]
        settled += [
            self._stopped_between(execution_id, name, record.error)
            for name, record in records.items()
            if record.phase == "retry" and record.error and not halted
        ]
        look_after = self.settings.lease_ms
        return self.store.settle(execution_id, settled, were_open=True, look_after_ms=look_after)

    def _decide_level(
        self, execution_id: str, program: Program, level: int, head: Head
    ) -> tuple[Sequence[str], list[Settled], str]:
        """Which actions of a level run, which end by decision, and which of these halts the execution."""
        ids: Sequence[str] = program.levels[level]
        if head.all_well and program.plain_levels[level]:
            return ids, [], ""
        if head.seeded:
            records = self.store.records(execution_id, ids)
            ids = [name for name in ids if records[name].may_begin]
        seen = rules.looked_at(program, ids)
        outcomes = self.store.outcomes(execution_id, seen, with_outputs=not program.plain_levels[level])
        decided = rules.decide_level(program, ids, outcomes, self.redactor)
        settled = [self.settled(execution_id, program.steps[name], decision) for name, decision in decided.ended]
        return decided.run, settled, decided.halted

    def _publish_level(self, execution_id: str, program: Program, level: int, parts: int, ready: Sequence[str]) -> None:
        """Publish a level; a wide one in parts, all but the first by whichever workers are free."""
        others = [canvas.part_signature(self.app, execution_id, level, part) for part in range(1, parts)]
        if others:
            canvas.publish(self.app, others)
            first = set(program.levels[level][: self.settings.part_size])
            ready = [name for name in ready if name in first]
        self._publish(execution_id, program, level, 0, ready)

    def _publish(self, execution_id: str, program: Program, level: int, part: int, ids: Sequence[str]) -> None:
        signatures = canvas.level_group(self.app, program, execution_id, ids).tasks
        canvas.publish(self.app, signatures)
        reached("level published")
        self.store.published(execution_id, level, part, self.settings.lease_ms)

    def _end(self, execution_id: str, program: Program, head: Head) -> None:
        """Settle what never ran, check the expected outcome, and set the final status. Safe to repeat."""
        if head.stopping:
            self._settle_unstarted(execution_id, program, head.halted)
        error = self._final_error(execution_id, program, head)
        status = "cancelled" if head.cancel else "failed" if error else "completed"
        self.store.finalize(execution_id, status, error, self.settings.lease_ms)
        reached("ended")

    def _settle_unstarted(self, execution_id: str, program: Program, halted: str) -> None:
        records = self.store.records(execution_id, list(program.steps))
        settled = [
            self.skip(execution_id, name, rules.not_started(halted))
            for name, record in records.items()
            if record.status == "pending"
        ]
        self.store.settle(execution_id, settled, were_open=False, look_after_ms=self.settings.lease_ms)

    def _final_error(self, execution_id: str, program: Program, head: Head) -> ErrorDetail | None:
        if head.cancel:
            return ErrorDetail(category=ErrorCategory.USER_CANCELLED, message=head.cancel, retryable=False)
        if head.halted:
            outcomes = self.store.outcomes(execution_id, [head.halted], with_outputs=False)
            return rules.final_error(head.halted, outcomes, [])
        if program.expected_outcome is None:
            return None
        outcomes = self.store.outcomes(execution_id, rules.outcome_sources(program), with_outputs=True)
        return rules.final_error("", outcomes, rules.outcome_problems(program, outcomes, self.redactor))

    def settled(self, execution_id: str, step: Step, decision: rules.Decision) -> Settled:
        """An action ended by a decision, as the store takes it."""
        if decision.error is None:
            return self.skip(execution_id, step.id, decision.reason)
        error = decision.error.model_dump_json()
        if decision.kind == "fall_back" and step.fallback is not None:
            payload = self.store.results.success(execution_id, step.id, step.fallback[0])
            return Settled(step.id, "completed", payload, error=error)
        payload = self.store.results.failure(execution_id, step.id, decision.error)
        return Settled(step.id, "failed", payload, error=error)

    def _stopped_between(self, execution_id: str, action_id: str, error: str) -> Settled:
        payload = self.store.results.failure(execution_id, action_id, ErrorDetail.model_validate_json(error))
        return Settled(action_id, "failed", payload, error=error, between_attempts=True)

    def skip(self, execution_id: str, action_id: str, reason: str) -> Settled:
        """An action ended as skipped, as the store takes it."""
        payload = self.store.results.skipped(execution_id, action_id, reason)
        return Settled(action_id, "skipped", payload, reason=reason)


def _waiting(program: Program, ready: Sequence[str]) -> dict[str, int | None]:
    """Of the actions whose turn has come, those that a person must agree to, with their timeouts."""
    asked = ((name, program.steps[name].confirmation) for name in ready)
    return {name: confirmation.timeout for name, confirmation in asked if confirmation is not None}


_engines: WeakKeyDictionary[Celery, Engine] = WeakKeyDictionary()


def engine_of(app: Celery) -> Engine:
    """The engine of an app, made once per process."""
    found = _engines.get(app)
    if found is None:
        found = _engines[app] = Engine(app)
    return found


def new_owner(hostname: str | None) -> str:
    """A name for one delivery: worker and process, for people, and a part that makes it unique."""
    return f"{hostname or socket.gethostname()}:{os.getpid()}/{uuid.uuid4().hex}"
