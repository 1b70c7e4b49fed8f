"""The sweeper: finds what a dead worker or a lost message left behind, and sends it again.

It runs inside every worker, as a bootstep on the worker's own timer; there is no extra process. A
passed deadline is claimed by pushing it back in the same step, so one sweeper alone handles it.
"""

from __future__ import annotations

import time
from typing import Any

from celery import Celery, bootsteps, signals

from workflow_state.errors import NewerSchemaError
from workflow_state.program import Program, Step
from workflow_state.runtime import canvas, control, remote, unaccepted
from workflow_state.runtime.engine import Engine, engine_of
from workflow_state.runtime.manual import ManualDriver
from workflow_state.runtime.points import reached
from workflow_state.runtime.turns import sending_until
from workflow_state.store.closing import forget_expired
from workflow_state.store.keys import EVENTS
from workflow_state.store.outages import is_outage
from workflow_state.store.records import Record

#: Seconds between two looks at a part of the index of executions.
TIDY_INTERVAL = 60.0
#: Parts of it that one look takes at most.
TIDY_SLICES = 20
#: Deadlines claimed in one step.
BATCH = 100
#: Part of its interval that one look may take: the worker's main loop must not be held up for long. What is left
#: then is looked at next time.
SHARE = 0.5


class Sweeper:
    """Handles passed deadlines of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._manual = ManualDriver(engine)
        self._cursor = 0
        self._tidy_at = 0.0

    def sweep(self) -> int:
        """Handle up to :data:`BATCH` passed deadlines; how many there were."""
        engine = self._engine
        engine.queues.forget()
        members = engine.store.due(BATCH, engine.settings.lease_ms)
        if members:
            reached("sweeping")
        for execution_id, action_id in members:
            try:
                if action_id == EVENTS:
                    # First, since it comes back if some are left again.
                    engine.store.forget_deadline(execution_id, EVENTS)
                    engine.tell_listeners(execution_id)
                elif action_id:
                    self._look_at_action(execution_id, action_id)
                else:
                    self._look_at_execution(execution_id)
            except NewerSchemaError as error:
                engine.log.warning("left to a newer worker", execution_id=execution_id, reason=str(error))
            except Exception as error:
                if is_outage(error):
                    raise
                # One that cannot be looked after must not keep the others of its batch from being so.
                engine.log.exception("could not be looked after", execution_id=execution_id, action_id=action_id)
        return len(members)

    def tidy(self, now: float) -> None:
        """Once in :data:`TIDY_INTERVAL`, have the index forget some executions whose records are gone.

        Where there are many of them it goes on, since they must not grow faster than they are forgotten.
        ``now``: seconds of a clock that only goes forward.
        """
        if now < self._tidy_at:
            return
        self._tidy_at = now + TIDY_INTERVAL
        for _ in range(TIDY_SLICES):
            self._cursor, gone = forget_expired(self._engine.store, self._cursor)
            if not gone:
                return

    def _look_at_action(self, execution_id: str, action_id: str) -> None:
        """Its lease has ended without a result, its next attempt is due, or its confirmation has timed out."""
        engine = self._engine
        program, head = engine.standing(execution_id)
        record = engine.store.records(execution_id, [action_id])[action_id]
        if program is None or action_id not in program.steps:
            engine.store.forget_deadline(execution_id, action_id)
        elif record.status == "pending" and record.phase == "confirmation":
            engine.observers.tell("swept", "confirmation_timed_out", 1)
            control.confirmation_timed_out(engine, execution_id, action_id)
        elif record.phase == "remote":
            # The deadline may have been pushed back by a look before, or this look be early.
            if (record.due or 0) <= engine.store.now():
                engine.observers.tell("swept", "remote_unanswered", 1)
                remote.unanswered(engine, program.steps[action_id], execution_id, record, head.created if head else "")
        elif head is not None and head.paused and not head.stopping:
            engine.log.debug("left until it is resumed", execution_id=execution_id, action_id=action_id)
        elif record.status == "running" or record.phase == "confirmed":
            self._send_again(execution_id, program, program.steps[action_id], record)
        else:
            engine.store.forget_deadline(execution_id, action_id)

    def _send_again(self, execution_id: str, program: Program, step: Step, record: Record) -> None:
        """Send the message of an action that has begun, unless it is likely to wait where one was sent before."""
        engine, phase = self._engine, record.phase or "lease"
        attempt = record.attempt + 1 if record.phase else record.attempt
        signature = canvas.action_signature(engine.app, program, step, execution_id, attempt)
        since = (record.due if record.phase else record.lease) or 0
        if engine.seems_lost(execution_id, f"action {step.id}", since, signature):
            engine.observers.tell("swept", f"action_resent_{phase}", 1)
            engine.log.info("action sent again", execution_id=execution_id, action_id=step.id, phase=phase)
            canvas.publish(engine.app, [signature])

    def _look_at_execution(self, execution_id: str) -> None:
        """It was not accepted, or not started, a level was not published whole, the next one did not start, or the end
        was not carried out; or nobody drives it any more.
        """
        engine = self._engine
        head = engine.store.head(execution_id)
        engine.tell_listeners(execution_id)
        if head is None:
            unaccepted.look_after(engine, execution_id)
        elif head.ended and engine.store.fields(execution_id, "closed") == ["1"]:
            # Not all of it has its TTL yet, it is to be deleted, or events were left to send.
            engine.close(execution_id)
        elif head.ended:
            if engine.end_again(execution_id):
                engine.observers.tell("swept", "end_resent", 1)
        elif head.driver == "manual":
            self._manual.look_after(execution_id)
        elif head.status == "initializing":
            engine.observers.tell("swept", "given_up", 1)
            control.give_up(engine, execution_id)
        elif head.stopping and head.open > 0:
            engine.observers.tell("swept", "level_stopped", 1)
            engine.stop(execution_id)
        elif head.open == 0:
            engine.observers.tell("swept", "level_opened", 1)
            engine.advance(execution_id, head)
        elif rejected := engine.store.rejected(execution_id):
            # Whoever answered so died before the cancel that follows from it.
            control.reject(engine, execution_id, *rejected)
        elif head.paused:
            engine.log.debug("left until it is resumed", execution_id=execution_id)
        else:
            engine.look(execution_id, head)


class SweeperStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Starts the sweeper with the worker; refuses to start on a backend that the engine cannot use."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._engine = engine_of(worker.app)
        self._sweeper = Sweeper(self._engine)
        self._entry: Any = None

    def start(self, worker: Any) -> None:
        """Begin to look every ``sweep_interval`` seconds."""
        interval = self._engine.settings.sweep_interval
        self._entry = worker.timer.call_repeatedly(interval, self._tick)

    def stop(self, worker: Any) -> None:
        """Look no more."""
        if self._entry is not None:
            self._entry.cancel()

    def _tick(self) -> None:
        until = time.monotonic() + SHARE * self._engine.settings.sweep_interval
        try:
            with sending_until(until):
                while self._sweeper.sweep() == BATCH and time.monotonic() < until:
                    pass
            self._sweeper.tidy(time.monotonic())
        except Exception as error:
            if not is_outage(error):
                raise
            self._engine.log.warning("sweep failed, to be tried again", error=repr(error))


def install(app: Celery) -> None:
    """Add the sweeper to an app's workers."""
    app.steps["worker"].add(SweeperStep)


@signals.celeryd_init.connect(weak=False)
def _install_in_worker(instance: Any = None, **_: Any) -> None:
    """Any worker of any app that imported the tasks has a sweeper: there is nothing to set up."""
    install(instance.app)
