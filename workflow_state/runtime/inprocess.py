"""Run a plan in this process, with no broker and no worker: same rules, same state, no waiting.

Messages are a queue ordered by time, and time is a clock that jumps over waits, so a retry after an
hour takes none. One action runs at a time, first come first served, as on a worker with one process.
What this cannot show is what only processes have: timeouts are not enforced, nothing dies.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from workflow_state import rules
from workflow_state.actions import ActionContext, ActionRegistry
from workflow_state.models import ErrorCategory, ErrorDetail, ExecutionState
from workflow_state.program import Program, Step
from workflow_state.references import MISSING, Outcome
from workflow_state.runtime.attempt import AttemptResult, run_attempt
from workflow_state.store.keys import action_task_id
from workflow_state.store.reader import outcome_of
from workflow_state.store.records import Record, Snapshot
from workflow_state.store.state import build_state
from workflow_state.telemetry import AttemptInfo, get_logger


class InProcessRun:
    """One execution of a program.

    Args:
        program: the plan, compiled.
        execution_id: of the run.
        actions: where definitions are looked up.
        now: milliseconds since the epoch; waits are added to it.
        jitter: a number from 0 to 1 for each retry delay.
        confirm: the answer to an action's confirmation, by its id; a rejection cancels the execution.
    """

    def __init__(
        self,
        program: Program,
        execution_id: str,
        actions: ActionRegistry,
        now: Callable[[], int] | None = None,
        jitter: Callable[[], float] = random.random,
        confirm: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._program = program
        self._id = execution_id
        self._actions = actions
        self._now = now or (lambda: time.time_ns() // 1_000_000)
        self._jitter = jitter
        self._confirm = confirm
        self._waited = 0
        self._records: dict[str, Record] = {}
        self._attempts: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._outputs: dict[str, Any] = {}
        self._halted = ""
        self._cancelled = ""
        self._confirmations: dict[str, dict[str, Any]] = {}
        #: When it is due, its number, action id, attempt.
        self._queue: list[tuple[int, int, str, int]] = []
        self._order = itertools.count()
        self._asked: list[str] = []
        self._met: dict[str, int] = defaultdict(int)
        self._log = get_logger(execution_id=execution_id, plan_id=program.plan_id)

    def run(self) -> ExecutionState:
        """Run to the end and give the final state; a failed plan raises nothing."""
        started = self._clock()
        levels = self._program.levels
        # Where actions start as their own needs end, those of the first level make the turn of all others.
        for turns in levels if self._program.schedule == "levels" else levels[:1]:
            self._take(turns)
            self._work()
            if self._stopping:
                break
        for name in self._program.steps:
            if name not in self._records:
                self._skip(name, rules.not_started(self._halted))
        return self._final_state(started)

    @property
    def _stopping(self) -> bool:
        return bool(self._halted or self._cancelled)

    def _take(self, turns: Sequence[str]) -> None:
        """Decide on actions whose turn has come, and on those whose turn comes by that; queue those that run."""
        run: list[str] = []
        while turns and not self._stopping:
            outcomes = self._outcomes(rules.looked_at(self._program, turns))
            decided = rules.decide_all(self._program, turns, outcomes)
            for name, decision in decided.ended:
                self._settle(self._program.steps[name], decision)
            self._halted = decided.halted
            run += decided.run
            turns = [freed for name, _ in decided.ended for freed in self._freed_by(name)]
        if not self._stopping:
            self._asked += [name for name in run if self._program.steps[name].confirmation]
            self._enqueue(name for name in run if not self._program.steps[name].confirmation)

    def _freed_by(self, name: str) -> list[str]:
        """Whose turn comes by the end of an action; nobody's in levels."""
        freed = []
        for other, needs in self._program.waiting_for(name):
            self._met[other] += 1
            if self._met[other] == needs:
                freed.append(other)
        return freed

    def _work(self) -> None:
        """Run what is queued; then ask for confirmations, until nobody is to be asked."""
        self._drain()
        while self._asked and not self._stopping:
            asked, self._asked = self._asked, []
            self._enqueue([name for name in asked if self._agreed(name)])
            self._drain()

    def _enqueue(self, ids: Iterable[str]) -> None:
        for name in ids:
            heapq.heappush(self._queue, (self._clock(), next(self._order), name, 1))

    def _drain(self) -> None:
        while self._queue:
            due, _, name, attempt = heapq.heappop(self._queue)
            self._waited += max(0, due - self._clock())
            if self._stopping and attempt == 1:
                self._skip(name, rules.not_started(self._halted))
                continue
            delay = self._attempt(self._program.steps[name], attempt)
            if delay is not None:
                heapq.heappush(self._queue, (self._clock() + delay, next(self._order), name, attempt + 1))
            elif not self._stopping:
                self._take(self._freed_by(name))

    def _agreed(self, name: str) -> bool:
        """Ask for an action's confirmation, after all that does not wait for one has run."""
        if self._stopping:
            return False
        asked = self._clock()
        agreed = self._confirm(name)
        self._confirmations[name] = {"requested_at": asked, "responded_at": self._clock(), "confirmed": agreed}
        if not agreed:
            self._cancelled = f"The confirmation of action {name!r} was rejected"
        return agreed

    def _attempt(self, step: Step, attempt: int) -> int | None:
        """Run one attempt; milliseconds until the next, or None when the action has ended."""
        begun = self._clock()
        record = self._records.get(step.id, Record(started_at=begun))
        record = self._records[step.id] = replace(
            record, status="running", attempt=attempt, attempt_at=begun, worker="in-process"
        )
        info = AttemptInfo.of(self._program, step, self._id, attempt)
        outcomes = self._outcomes(step.sources)
        result = run_attempt(self._program, step, outcomes, self._actions, info, lambda: self._context(info))
        return self._record(step, record, result)

    def _context(self, attempt: AttemptInfo) -> ActionContext:
        return ActionContext(
            execution_id=self._id,
            plan_id=attempt.plan_id,
            action_id=attempt.action_id,
            attempt=attempt.attempt,
            idempotency_key=action_task_id(self._id, attempt.action_id),
            logger=self._log.bind(action_id=attempt.action_id, attempt=attempt.attempt),
            cancel_check=lambda: False,
        )

    def _record(self, step: Step, record: Record, result: AttemptResult) -> int | None:
        ended = self._clock()
        if result.error is None:
            self._outputs[step.id] = result.output
            self._records[step.id] = replace(record, status="completed", ended_at=ended, error=None)
            return None
        self._attempts[step.id].append(
            {
                "number": record.attempt,
                "started_at": record.attempt_at,
                "ended_at": ended,
                "worker": record.worker,
                "outcome": "failed",
                "error": result.error.model_dump(mode="json"),
                "traceback": result.traceback,
            }
        )
        record = replace(record, error=result.error.model_dump_json())
        delay = rules.retry_delay(step, record.attempt, 0, result.error, self._jitter())
        if delay is not None:
            self._records[step.id] = replace(record, phase="retry")
            return delay
        if step.fallback is not None:
            self._outputs[step.id] = step.fallback[0]
            self._records[step.id] = replace(record, status="completed", ended_at=ended)
            return None
        self._records[step.id] = replace(record, status="failed", ended_at=ended)
        if step.on_failure == "halt":
            self._halted = self._halted or step.id
        return None

    def _settle(self, step: Step, decision: rules.Decision) -> None:
        """End an action by decision."""
        if decision.error is None:
            self._skip(step.id, decision.reason)
            return
        status = "failed"
        if decision.kind == "fall_back" and step.fallback is not None:
            status = "completed"
            self._outputs[step.id] = step.fallback[0]
        error = decision.error.model_dump_json()
        self._records[step.id] = Record(status=status, ended_at=self._clock(), error=error)

    def _skip(self, name: str, reason: str) -> None:
        self._records[name] = Record(status="skipped", ended_at=self._clock(), reason=reason)

    def _outcomes(self, ids: Sequence[str]) -> dict[str, Outcome]:
        return {name: outcome_of(self._records.get(name, Record()), self._outputs.get(name, MISSING)) for name in ids}

    def _final_state(self, started: int) -> ExecutionState:
        outcomes = self._outcomes([*rules.outcome_sources(self._program), *([self._halted] if self._halted else [])])
        unmet = [] if self._halted else rules.outcome_problems(self._program, outcomes)
        error = rules.final_error(self._halted, outcomes, unmet)
        if self._cancelled:
            error = ErrorDetail(category=ErrorCategory.USER_CANCELLED, message=self._cancelled, retryable=False)
        fields = {
            "status": "cancelled" if self._cancelled else "failed" if error else "completed",
            "started_at": str(started),
            "completed_at": str(self._clock()),
            "version": str(len(self._records)),
        }
        if error is not None:
            fields["error"] = json.dumps(error.model_dump(mode="json"))
        stored = {name: record.stored() for name, record in self._records.items()}
        snapshot = Snapshot(fields, b"", b"", stored, self._attempts, self._confirmations)
        return build_state(self._id, self._program, snapshot, self._outputs)

    def _clock(self) -> int:
        return self._now() + self._waited
