"""The sweeper: finds what a dead worker or a lost message left behind, and sends it again.

It runs inside every worker, as a bootstep on the worker's own timer; there is no extra process. A
passed deadline is claimed by pushing it back in the same step, so one sweeper alone handles it.
"""

from __future__ import annotations

from typing import Any

from celery import Celery, bootsteps, signals
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from workflow_state.errors import NewerSchemaError
from workflow_state.runtime import canvas, control
from workflow_state.runtime.engine import Engine, engine_of
from workflow_state.runtime.points import reached

#: Deadlines handled in one look: the worker's main loop must not be held up for long.
BATCH = 100
#: Lost messages of one execution sent again in one look.
RESEND = 1000


class Sweeper:
    """Handles passed deadlines of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def sweep(self) -> int:
        """Handle up to :data:`BATCH` passed deadlines; how many there were."""
        engine = self._engine
        members = engine.store.due(BATCH, engine.settings.lease_ms)
        if members:
            reached("sweeping")
        for execution_id, action_id in members:
            try:
                if action_id:
                    self._look_at_action(execution_id, action_id)
                else:
                    self._look_at_execution(execution_id)
            except NewerSchemaError as error:
                engine.log.warning("left to a newer worker", execution_id=execution_id, reason=str(error))
        return len(members)

    def _look_at_action(self, execution_id: str, action_id: str) -> None:
        """Its lease has ended without a result, its next attempt is due, or its confirmation has timed out."""
        engine = self._engine
        program = engine.programs.get(execution_id)
        record = engine.store.records(execution_id, [action_id])[action_id]
        if program is None or action_id not in program.steps:
            engine.store.forget_deadline(execution_id, action_id)
        elif record.status == "pending" and record.phase == "confirmation":
            control.confirmation_timed_out(engine, execution_id, action_id)
        elif record.status == "running" or record.phase == "confirmed":
            attempt = record.attempt + 1 if record.phase else record.attempt
            phase = record.phase or "lease"
            engine.log.info("action sent again", execution_id=execution_id, action_id=action_id, phase=phase)
            step = program.steps[action_id]
            canvas.publish(engine.app, [canvas.action_signature(engine.app, program, step, execution_id, attempt)])
        else:
            engine.store.forget_deadline(execution_id, action_id)

    def _look_at_execution(self, execution_id: str) -> None:
        """A level was not published whole, the next one did not start, or the end was not carried out."""
        engine = self._engine
        head = engine.store.head(execution_id)
        if head is None:
            engine.store.forget_deadline(execution_id)
        elif head.ended:
            engine.publish_finish(execution_id)
        elif head.stopping and head.open > 0:
            engine.stop_level(execution_id)
        elif head.open == 0:
            engine.advance(execution_id, head)
        elif parts := engine.store.parts_left(execution_id):
            for part in parts:
                engine.publish_part(execution_id, head.cursor, part)
        else:
            self._send_lost(execution_id, head.cursor)

    def _send_lost(self, execution_id: str, level: int) -> None:
        """Send again what was published and never began, where no message is left that could begin it.

        A message may be gone with a broker, or sit with a dead worker until the visibility timeout. While
        its queue holds messages it may just be waiting, so a long queue is never flooded.
        """
        engine = self._engine
        program = engine.programs.get(execution_id)
        if program is None:
            return
        records = engine.store.records(execution_id, program.levels[level])
        signatures = [
            canvas.action_signature(engine.app, program, program.steps[name], execution_id)
            for name, record in records.items()
            if record.may_begin
        ]
        empty = canvas.empty_queues(engine.app, signatures)
        lost = [signature for signature in signatures if canvas.queue_of(engine.app, signature) in empty]
        if lost:
            engine.log.warning("lost messages sent again", execution_id=execution_id, count=len(lost[:RESEND]))
            canvas.publish(engine.app, lost[:RESEND])


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
        try:
            while self._sweeper.sweep() == BATCH:
                pass
        except (RedisError, OperationalError) as error:
            self._engine.log.warning("sweep failed, to be tried again", error=repr(error))


def install(app: Celery) -> None:
    """Add the sweeper to an app's workers."""
    app.steps["worker"].add(SweeperStep)


@signals.celeryd_init.connect(weak=False)
def _install_in_worker(instance: Any = None, **_: Any) -> None:
    """Any worker of any app that imported the tasks has a sweeper: there is nothing to set up."""
    install(instance.app)
