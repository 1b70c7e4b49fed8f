"""Who watches the engine: metrics and traces plug in here, and the engine knows of them nothing else.

An observer is loaded only when its setting is on. Without any, each of these calls is a loop over nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import import_module
from typing import Any, Final
from weakref import WeakKeyDictionary

from celery import Celery, bootsteps, signals

from workflow_state.errors import ConfigurationError
from workflow_state.models import ErrorDetail, ExecutionState
from workflow_state.program import Program
from workflow_state.settings import Settings
from workflow_state.telemetry import AttemptInfo, get_logger

#: Header of messages that run actions, only sent to observers: when it could be taken, seconds since the epoch.
SENT_AT: Final = "workflow_state_sent_at"


class Observer:
    """Sees what the engine does; a subclass overrides what it cares for.

    The calls come from whatever process does the work, mostly a child of the worker's pool. They must not
    block; what they raise is logged, and holds nothing up.
    """

    def prepare(self) -> None:
        """A worker is about to start: this is its main process, before it forks."""

    def serve(self) -> None:
        """The worker's processes run; this is its main process."""

    def close(self) -> None:
        """The worker's main process ends."""

    def headers(self) -> Mapping[str, str]:
        """Headers for the message of ``execute_plan``, asked for in the caller."""
        return {}

    def execution_accepted(self, execution_id: str, program: Program) -> Mapping[str, str]:
        """An execution is about to be stored, perhaps a second time; fields to store with it."""
        return {}

    def attempt_started(self, attempt: AttemptInfo, queue: str, waited: float | None) -> None:
        """User code is about to run, in this thread. ``waited``: seconds in the queue of that name."""

    def attempt_ran(self, attempt: AttemptInfo) -> None:
        """User code is over, in the thread that it was started in."""

    def attempt_ended(self, attempt: AttemptInfo, outcome: str, duration: float, error: ErrorDetail | None) -> None:
        """It is recorded how an attempt ended: ``completed``, ``retried`` or ``failed``; ``duration``: seconds it ran.

        In a batch, others may have run since. An attempt that was ended from outside, by the hard time limit or by
        the answer of another service, may not have been started in this process.
        """

    def attempt_left(self, attempt: AttemptInfo) -> None:
        """Another service was asked for an attempt that ran here so far; its end comes from outside."""

    def attempt_lost(self, attempt: AttemptInfo) -> None:
        """This attempt follows one whose worker was lost."""

    def execution_ended(self, program: Program, state: ExecutionState) -> None:
        """An execution has ended; again only if a worker died over ending it."""

    def swept(self, what: str, count: int) -> None:
        """The sweeper did something, ``count`` times."""


class WatchedAttempt:
    """One attempt, from its start to its recorded end."""

    def __init__(self, observers: Observers, attempt: AttemptInfo, running: float = 0.0) -> None:
        self._observers = observers
        self._attempt = attempt
        self._started = time.perf_counter() - running
        self._ran: float | None = None

    def ran(self) -> None:
        """User code is over."""
        self._ran = time.perf_counter() - self._started
        self._observers.tell("attempt_ran", self._attempt)

    def left(self) -> None:
        """It is left to another service."""
        self._observers.tell("attempt_left", self._attempt)

    def ended(self, outcome: str, error: ErrorDetail | None) -> None:
        """Its end is recorded; ``outcome`` as the store calls it."""
        how = "retried" if outcome == "retry" else "failed" if error else "completed"
        duration = time.perf_counter() - self._started if self._ran is None else self._ran
        self._observers.tell("attempt_ended", self._attempt, how, duration, error)


class Observers:
    """All observers of an app; empty unless a setting asks for one."""

    def __init__(self, observers: Sequence[Observer], missing: Sequence[str] = ()) -> None:
        self._observers = observers
        self._log = get_logger()
        #: Why some that are asked for are not there.
        self.missing = missing

    def __bool__(self) -> bool:
        return bool(self._observers)

    def tell(self, call: str, *what: Any) -> None:
        """Make one call to every observer."""
        self._ask(call, *what)

    def headers(self) -> dict[str, str]:
        """Headers that the message of a plan needs for them."""
        return self._ask("headers")

    def execution_accepted(self, execution_id: str, program: Program) -> dict[str, str]:
        """Fields that an execution needs for them."""
        return self._ask("execution_accepted", execution_id, program)

    def start(self, attempt: AttemptInfo, request: Any, *, lost: bool) -> WatchedAttempt | None:
        """An attempt starts; ``lost``: it takes over from a lost one. ``request``: of its task.

        None: nobody watches.
        """
        if not self._observers:
            return None
        sent_at = getattr(request, SENT_AT, None)
        # A message may come from anywhere, with anything in its headers.
        waited = max(0.0, time.time() - sent_at) if isinstance(sent_at, int | float) else None
        if lost:
            self.tell("attempt_lost", attempt)
        queue = (request.delivery_info or {}).get("routing_key") or ""
        self.tell("attempt_started", attempt, queue, waited)
        return WatchedAttempt(self, attempt)

    def outside(self, attempt: AttemptInfo, started_at: int) -> WatchedAttempt | None:
        """An attempt that ends where it was not started; ``started_at``: milliseconds, by the server's clock.

        None: nobody watches.
        """
        if not self._observers:
            return None
        return WatchedAttempt(self, attempt, max(0.0, time.time() - started_at / 1000))

    def _ask(self, call: str, *what: Any) -> dict[str, str]:
        found: dict[str, str] = {}
        for observer in self._observers:
            try:
                found |= getattr(observer, call)(*what) or {}
            except Exception:  # noqa: BLE001 - logged with its traceback; who watches must not stop the work
                self._log.exception("observer failed", observer=type(observer).__name__, call=call)
        return found


#: Setting → module, class and extra of the observer that it turns on.
_KNOWN: Final = {
    "metrics_address": ("workflow_state.observers.prometheus", "PrometheusObserver", "prometheus"),
    "tracing": ("workflow_state.observers.opentelemetry", "OpenTelemetryObserver", "otel"),
}

_observers: WeakKeyDictionary[Celery, Observers] = WeakKeyDictionary()


def observers_of(app: Celery) -> Observers:
    """The observers of an app, made once per process.

    One that needs a package that is not installed is left out. A caller works on without, as its executions do; a
    worker does not start.
    """
    found = _observers.get(app)
    if found is None:
        settings = Settings.of(app)
        made, missing = [], []
        for setting, (module, name, extra) in _KNOWN.items():
            if getattr(settings, setting):
                try:
                    made.append(getattr(import_module(module), name)(app))
                except ImportError as error:
                    install = f"pip install 'workflow-state[{extra}]'"
                    missing.append(f"{setting} needs what is not installed: {install} ({error})")
        found = _observers[app] = Observers(made, missing)
        for reason in missing:
            get_logger().warning("observer left out", reason=reason)
        if made:
            for task in ("workflow_state.execute_action", "workflow_state.execute_batch"):
                signals.before_task_publish.connect(_stamp, sender=task)
    return found


def _stamp(headers: dict[str, Any], **_: Any) -> None:
    """Note in a message that runs actions when it could be taken, which is not before its delay is over."""
    now, eta = time.time(), headers.get("eta")
    headers[SENT_AT] = max(now, datetime.fromisoformat(eta).timestamp()) if eta else now


class ObserversStep(bootsteps.StartStopStep):  # type: ignore[misc] # Celery has no types
    """Tells the observers of the worker that they are in, before and after it starts its pool.

    Raises:
        ConfigurationError: one that is asked for needs a package that is not installed.
    """

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._observers = observers_of(worker.app)
        if self._observers.missing:
            raise ConfigurationError("; ".join(self._observers.missing))
        self._observers.tell("prepare")

    def start(self, worker: Any) -> None:
        """The pool runs."""
        self._observers.tell("serve")

    def stop(self, worker: Any) -> None:
        """The worker stops."""
        self._observers.tell("close")


@signals.celeryd_init.connect(weak=False)
def _install_in_worker(instance: Any = None, **_: Any) -> None:
    """In every worker of an app that imported the tasks."""
    instance.app.steps["worker"].add(ObserversStep)
