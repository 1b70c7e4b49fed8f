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
from celery.canvas import Signature

from workflow_state import rules
from workflow_state.compiler import compile_plan
from workflow_state.models import ErrorCategory, ErrorDetail, ExecutionPlan, ExecutionState
from workflow_state.program import Program
from workflow_state.redaction import Redactor
from workflow_state.runtime.dataflow import Dataflow
from workflow_state.runtime.forwarding import Forwarder
from workflow_state.runtime.leases import LeaseKeeper
from workflow_state.runtime.levels import Levels
from workflow_state.runtime.observers import observers_of
from workflow_state.runtime.points import reached
from workflow_state.runtime.programs import ProgramCache
from workflow_state.runtime.queues import Queues
from workflow_state.runtime.schedule import Means, Schedule
from workflow_state.runtime.settling import Settling
from workflow_state.runtime.submission import check_limits, fallback_sizes
from workflow_state.settings import Settings
from workflow_state.store.closing import close
from workflow_state.store.records import Head, Json
from workflow_state.store.redis import Store
from workflow_state.store.results import ActionResults
from workflow_state.store.state import final_state
from workflow_state.telemetry import get_logger

#: Milliseconds after which an execution that was stored to be started in a moment, and was not, is given up.
HELD_BACK_MS = 15 * 60 * 1000
#: Seconds that a heartbeat waits for an answer at least. Up to a sixth of the lease: on a connection that has died in
#: silence it would wait as long as the lease lasts.
SHORTEST_PATIENCE = 2.0
#: Actions of the largest plan whose program is kept as it was compiled. It shares much with the plan, in memory that
#: cannot be given back then; one that is read takes half of it.
KEPT_AT_ONCE = 20_000


class Engine:
    """Drives executions for one Celery app.

    Raises:
        BackendNotSupportedError: the app's result backend is not Redis-compatible.
    """

    def __init__(self, app: Celery) -> None:
        self.app = app
        self.settings = Settings.of(app)
        self.store = Store(ActionResults(app), self.settings.prefix)
        renewals = ActionResults(app, patience=max(SHORTEST_PATIENCE, self.settings.lease / 6))
        self.leases = LeaseKeeper(Store(renewals, self.settings.prefix), self.settings.lease_ms)
        self.programs = ProgramCache(self.store, self.settings.programs_cached)
        self.redactor = Redactor(self.settings.secret_names)
        self.log = get_logger(self.redactor)
        self.forwarder = Forwarder(app, self.settings, self.store, self.programs) if self.settings.events else None
        if self.forwarder is not None:
            self.store.on_change = self.forwarder.forward
        self.observers = observers_of(app)
        self.settling = Settling(self.store, self.settings.lease_ms)
        self.queues = Queues(app)
        tools = (self.settling, self.redactor, self.observers, self.log, self.queues)
        means = Means(app, self.settings, self.store, *tools)
        self._schedules: dict[str, Schedule] = {"levels": Levels(means), "dataflow": Dataflow(means)}

    def accept(
        self,
        plan: ExecutionPlan,
        execution_id: str,
        caller: Mapping[str, Any],
        driver: str = "workers",
        *,
        started: bool = True,
        keep: bool = False,
        extra: Mapping[str, str | int] | None = None,
        given: Mapping[str, str] | None = None,
    ) -> Head | None:
        """Store an execution, once; where it stands, or None when it was there.

        Args:
            plan: a valid one.
            execution_id: of the new execution.
            caller: what to carry on with when it has ended.
            driver: ``workers``, or ``manual``: nothing of it starts by itself.
            started: False holds it back until ``store.start``; the sweeper cancels what is held back too long.
            keep: this process goes on with it, and so keeps its program.
            extra: more fields of the execution.
            given: the statuses of actions that its caller ends before it starts.

        Raises:
            PlanValidationError: it is larger than the settings allow.
        """
        text = plan.model_dump_json(by_alias=True, exclude_unset=True)
        check_limits(len(plan.actions), len(text), self.settings, fallback_sizes(plan))
        program = compile_plan(plan, self.settings.schedule).seeded_with(given or {})
        fields: dict[str, str | int] = {
            "schema": program.schema_version,
            "plan_id": plan.id,
            "plan_name": plan.title,
            "total": len(plan.actions),
            "caller": json.dumps(caller),
            "driver": driver,
            **self.observers.execution_accepted(execution_id, program),
            **(extra or {}),
        }
        started = started and driver == "workers"
        look_after = self.settings.lease_ms if started or driver == "manual" else HELD_BACK_MS
        compiled = program.to_json()
        head = self.store.create(execution_id, text, compiled, fields, look_after, started=started)
        reached("accepted")
        if head is not None and keep and len(program.steps) <= KEPT_AT_ONCE:
            self.programs.keep(execution_id, program, head.created, len(compiled))
        return head

    def standing(self, execution_id: str, head: Head | None = None) -> tuple[Program | None, Head | None]:
        """The program of an execution, and where it stands (``head``, if just read). None for what is unknown."""
        head = head or self.store.head(execution_id)
        return self.programs.get(execution_id, head.created if head else ""), head

    def advance(self, execution_id: str, head: Head | None = None) -> None:
        """Start what can be started if its time has come; at the end, finish.

        Whoever ends an action calls this, and so does anyone who doubts that it was done: the store lets each
        thing happen once.
        """
        program, head = self.standing(execution_id, head)
        if program is not None and head is not None and head.active:
            self._end_if(execution_id, program, self._schedules[program.schedule].advance(execution_id, program, head))

    def tell_listeners(self, execution_id: str) -> None:
        """Send what has happened, if there are events; it may take longer than a lease lasts, so hold one before."""
        if self.forwarder is not None:
            self.forwarder.forward(execution_id)

    def follow(self, execution_id: str, action_id: str, head: Head) -> None:
        """Do what follows from the end of an action, which led to this head."""
        if head.leads_on:
            reached("recorded")
            self.advance(execution_id, head)
        elif head.halted == action_id:
            self.stop(execution_id)

    def catch_up(self, execution_id: str, action_id: str, head: Head) -> None:
        """Do again what follows from the end of an action: it may be lost."""
        if (program := self.programs.get(execution_id, head.created)) is not None:
            head = self._schedules[program.schedule].catch_up(execution_id, program, action_id, head)
            self.advance(execution_id, head)

    def publish_part(self, execution_id: str, part: Sequence[Any]) -> None:
        """Publish a part of what is open, as the execution's schedule names it; again, if need be."""
        program, head = self.standing(execution_id)
        if program is not None and head is not None and head.active:
            schedule = self._schedules[program.schedule]
            self._end_if(execution_id, program, schedule.publish_part(execution_id, program, head, part))

    def look(self, execution_id: str, head: Head) -> None:
        """For the sweeper, when all seems well: find what is open, and whose message must be lost."""
        program = self.programs.get(execution_id, head.created)
        if program is not None:
            self._end_if(execution_id, program, self._schedules[program.schedule].look(execution_id, program, head))

    def take_up(self, execution_id: str) -> None:
        """After a pause: publish again what had its turn and did not begin, or waits for its next attempt."""
        program, head = self.standing(execution_id)
        if program is None or head is None or not head.active or head.paused:
            return
        if head.stopping:
            self.stop(execution_id)
        else:
            self._end_if(execution_id, program, self._schedules[program.schedule].take_up(execution_id, program, head))

    def stop(self, execution_id: str) -> None:
        """After a halt or a cancel: end what is open and has not begun; what runs ends by itself."""
        program, head = self.standing(execution_id)
        if program is None or head is None or not head.active or not head.stopping:
            return
        head = self._schedules[program.schedule].stop(execution_id, program, head)
        if head.open == 0:
            self._end_if(execution_id, program, head)

    def publish_finish(self, execution_id: str, created: str, title: str, caller: str) -> None:
        """Send the task that ends the execution: the execution's own task id, and all that its caller hung on it."""
        options = json.loads(caller)
        # It is shown as the task that the caller started, with what is shown of that one's arguments.
        options.setdefault("argsrepr", f"(<plan {title!r}>,)")
        finish = self.app.tasks["workflow_state.finish"]
        finish.apply_async((execution_id, created), task_id=execution_id, add_to_parent=False, **options)

    def complete(self, execution_id: str, owner: str, created: str = "") -> Json | None:
        """Give the final state of an execution that has ended, as JSON, to be stored as its result.

        None when there is nothing to end: it is unknown, has actions that are open or still to start, another
        delivery is at it, or it was closed before. ``owner`` is unique to the delivery. ``created``: of the execution
        that is meant, "" whichever has the id: a message may be left over from one that had it before.
        """
        claim, head = self.store.claim_end(execution_id, owner, self.settings.lease_ms, created)
        if claim == "closed":
            # Closing may have been cut off half way; it is safe to repeat.
            self.close(execution_id)
        if claim != "claimed" or head is None:
            return None
        program = self.programs.get(execution_id, head.created)
        if program is None:
            return None
        if head.driver != "manual" and not head.ended:
            # The server may have lost what the message followed from: then what has still to start starts.
            through = self._schedules[program.schedule].advance(execution_id, program, head) if head.active else None
            if through is None:
                return None
        reached("ending")
        if not head.ended and self._end(execution_id, program, head) is None:
            return None
        return final_state(self.store, execution_id, program)

    def tell_ended(self, state: Json) -> None:
        """Tell the observers of an execution's end."""
        if self.observers and (program := self.programs.get(state["id"])):
            self.observers.tell("execution_ended", program, ExecutionState.model_validate(state))

    def close(self, execution_id: str) -> None:
        """The execution's result is stored and its caller carried on: give all of its keys their TTL."""
        reached("closing")
        program, head = self.standing(execution_id)
        if program is not None and head is not None:
            all_sent = self.forwarder is None or self.forwarder.forward(execution_id)
            kept = self.settings.kept(head.status, self.store.results.expires)
            close(self.store, execution_id, list(program.steps), kept, look_again=not all_sent)
            # Of no more use, and a large one takes much memory.
            self.programs.forget(execution_id)

    def _end_if(self, execution_id: str, program: Program, head: Head | None) -> None:
        """End an execution of which nothing is open and nothing more comes."""
        if head is not None:
            caller = self._end(execution_id, program, head)
            if caller is not None:
                self.publish_finish(execution_id, head.created, program.title, caller)

    def end_again(self, execution_id: str) -> bool:
        """For the sweeper: an execution has ended, and its result is not stored. Whether the task that does it was
        sent again.
        """
        caller, created = self.store.fields(execution_id, "caller", "created_at")
        queue = {name: value for name, value in json.loads(caller or "{}").items() if name == "queue"}
        finish = self.app.tasks["workflow_state.finish"].signature((execution_id,), options=queue)
        if not self.seems_lost(execution_id, "end", 0, finish):
            return False
        program = self.programs.get(execution_id, created)
        self.publish_finish(execution_id, created, program.title if program else "?", caller or "{}")
        return True

    def seems_lost(self, execution_id: str, what: str, wait: int, signature: Signature) -> bool:
        """For the sweeper: whether a message that is overdue is to be sent again.

        In a queue that holds messages it may just be waiting, so there it is at ever longer intervals. ``what``
        names the message, ``wait`` this wait for it.
        """
        looks = self.store.count_look(execution_id, what, wait)
        return self.queues.is_empty(signature) or looks.bit_count() == 1

    def _end(self, execution_id: str, program: Program, head: Head) -> str | None:
        """Settle what never ran, check the expected outcome, and set the final status. Safe to repeat.

        Returns what its caller hung on the execution, as JSON; None when it goes on.
        """
        if head.stopping:
            self.settling.skip_unstarted(execution_id, program, head.halted)
        error = self._final_error(execution_id, program, head)
        status = "cancelled" if head.cancel else "failed" if error else "completed"
        ended = self.store.finalize(execution_id, status, error, self.settings.lease_ms)
        reached("ended")
        if ended and ended[0] not in ("completed", "failed", "cancelled"):
            # It was cancelled since the head was read; or the server has lost how actions ended: they run again, and
            # the deadline that it has then finds what is to start.
            now = self.store.head(execution_id)
            if now is None or now.open or not now.stopping:
                return None
            return self._end(execution_id, program, now)
        return ended[1] if ended else None

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


_engines: WeakKeyDictionary[Celery, Engine] = WeakKeyDictionary()


def engine_of(app: Celery) -> Engine:
    """The engine of an app, made once per process."""
    found = _engines.get(app)
    if found is None:
        found = _engines[app] = Engine(app)
    return found


def new_owner(hostname: str | None) -> str:
    """A name for one delivery: worker and process, for people, and a part that makes it unique."""
    return f"{hostname or socket.gethostname()}:{os.getpid()}/{uuid.uuid4().hex[:16]}"
