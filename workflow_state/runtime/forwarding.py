"""From the log of an execution to the exchange: every event is sent at least once, and in order."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Sequence

from celery import Celery

from workflow_state.event_types import Event
from workflow_state.events import publish_events
from workflow_state.program import Program
from workflow_state.runtime.points import reached
from workflow_state.runtime.programs import ProgramCache
from workflow_state.runtime.turns import in_sweeper, sending_ends
from workflow_state.settings import Settings
from workflow_state.store.history import events_of
from workflow_state.store.outward import OutwardStore
from workflow_state.store.records import LogEntry
from workflow_state.store.redis import Store
from workflow_state.telemetry import get_logger

#: Events that are sent between two looks at the clock.
PART = 20


class Forwarder:
    """Sends what listeners have not been sent yet; called after every change, and by the sweeper."""

    def __init__(
        self,
        app: Celery,
        settings: Settings,
        store: Store,
        programs: ProgramCache,
        publish: Callable[[Celery, Settings, Iterable[Event]], None] = publish_events,
    ) -> None:
        self._app = app
        self._publish = publish
        self._settings = settings
        self._store = OutwardStore(store)
        self._programs = programs
        self._log = get_logger()

    def forward(self, execution_id: str) -> bool:
        """Send what there is, for a turn at most; False when some is left, another is at it, or the broker is away:
        the sweeper will see to it.
        """
        try:
            return self._forward(execution_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, telling of the work must not hold up the work
            self._log.warning("events not sent, to be tried again", execution_id=execution_id, error=repr(error))
            return False

    def _forward(self, execution_id: str) -> bool:
        owner, sent = uuid.uuid4().hex, None
        until = sending_ends()
        # A sweeper goes on at its next look. Before it come the changes: it has the main loop of a worker.
        sweep_ms = 0 if in_sweeper() else int(self._settings.sweep_interval * 1000)
        while True:
            # Every part renews the claim: else another would take it over, and send all of it again beside this one.
            most = PART if time.monotonic() < until else 0
            entries = self._store.unsent(execution_id, owner, self._settings.lease_ms, sent, most, sweep_ms)
            if entries is None:
                return False
            program = self._programs.get(execution_id) if entries else None
            if program is None:
                return True
            self._send(execution_id, program, entries)
            reached("events sent")
            sent = entries[-1].number

    def _send(self, execution_id: str, program: Program, entries: Sequence[LogEntry]) -> None:
        # The request of a remote action was sent with its inputs by whoever made it.
        told = [entry for entry in entries if not entry.data.get("remote")]
        self._publish(self._app, self._settings, events_of(execution_id, program, told))
