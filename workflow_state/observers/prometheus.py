"""Metrics in Prometheus form, from a worker's main process, with the extra ``[prometheus]``.

``metrics_address`` in ``app.conf.workflow_state`` turns them on, and says where they are served. Every worker serves
what its own processes did; Prometheus adds them up. Labels are names out of plans, never an id, and there is a bound
on how many different ones a worker knows.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

from celery import Celery
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from workflow_state.models import ErrorDetail, ExecutionState
from workflow_state.observers.relay import DROPPED, Observation, Relay
from workflow_state.program import Program
from workflow_state.runtime.observers import Observer
from workflow_state.settings import Settings
from workflow_state.telemetry import AttemptInfo, get_logger

#: Seconds.
DURATIONS: Final = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)
WAITS: Final = (0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300)

#: Different plan names that one worker tells apart; queues likewise.
MAX_NAMES: Final = 100
#: Different pairs of plan and action definition that one worker tells apart.
MAX_PAIRS: Final = 1000
#: Stands for all names above those bounds.
OTHER: Final = "(other)"
#: Characters of a name that are shown.
NAME_LENGTH: Final = 60
#: Durations sent in one observation.
BATCH: Final = 30


class PrometheusObserver(Observer):
    """Counts and times what a worker does."""

    def __init__(self, app: Celery) -> None:
        self._address = Settings.of(app).metrics_address or ""
        self.registry = CollectorRegistry()
        self._metrics = _Metrics(self.registry)
        self._relay = Relay(self._metrics.take)
        self._server: Any = None
        self._log = get_logger()

    def prepare(self) -> None:
        """Make the pipe to the processes of the pool."""
        self._relay.open()

    def serve(self) -> None:
        """Answer at ``metrics_address``; when that is taken, the worker works on without."""
        self._relay.listen()
        host, _, port = self._address.rpartition(":")
        try:
            self._server, _ = start_http_server(int(port), host.strip("[]"), self.registry)
        except OSError as error:
            self._log.error("metrics not served", address=self._address, error=str(error))
            return
        self._log.info("metrics served", address=f"{host}:{self._server.server_port}")

    def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def attempt_started(self, attempt: AttemptInfo, queue: str, waited: float | None) -> None:
        if waited is not None:
            self._relay.send(["wait", _short(queue), waited])

    def attempt_ended(self, attempt: AttemptInfo, outcome: str, duration: float, error: ErrorDetail | None) -> None:
        self._relay.send(["attempt", _short(attempt.plan_name), _short(attempt.definition), outcome, duration])

    def attempt_lost(self, attempt: AttemptInfo) -> None:
        self._relay.send(["lost", _short(attempt.plan_name), _short(attempt.definition)])

    def execution_ended(self, program: Program, state: ExecutionState) -> None:
        plan = _short(program.title)
        # By the final state, so skipped actions and those that another service ran count like all others.
        ended: dict[tuple[str, str], list[float]] = defaultdict(list)
        for name, action in state.action_states.items():
            ended[_short(program.steps[name].definition), action.status.value].append((action.duration or 0) / 1000)
        for (definition, status), durations in ended.items():
            for start in range(0, len(durations), BATCH):
                self._relay.send(["actions", plan, definition, status, durations[start : start + BATCH]])
        self._relay.send(["execution", plan, state.status.value, (state.metrics.total_duration or 0) / 1000])

    def swept(self, what: str, count: int) -> None:
        self._relay.send(["swept", what, count])


class _Metrics:
    """The metrics themselves, in the main process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"workflow_state_{name}", text, labels, registry=registry)

        def seconds(name: str, text: str, *labels: str, buckets: tuple[float, ...] = DURATIONS) -> Histogram:
            return Histogram(f"workflow_state_{name}_seconds", text, labels, buckets=buckets, registry=registry)

        pair = ("plan", "action")
        self._executions = counter("executions", "Executions that ended, by final status", "plan", "status")
        self._execution_times = seconds("execution_duration", "From acceptance to the end of an execution", "plan")
        self._actions = counter("actions", "Actions of executions that ended, by final status", *pair, "status")
        self._action_times = seconds("action_duration", "From an action's first start to its end, retries in it", *pair)
        self._attempts = counter("attempts", "Attempts that ended, by outcome", *pair, "outcome")
        self._attempt_times = seconds(
            "attempt_duration", "One attempt: user code, validation of inputs and output", *pair
        )
        waited = "From when an action's message could be taken to its attempt"
        self._waits = seconds("queue_wait", waited, "queue", buckets=WAITS)
        self._swept = counter("sweeper_actions", "What the sweeper of this worker set right", "kind")
        self._dropped = counter("observations_dropped", "Observations that a pool process could not hand over")
        self._plans, self._queues = _Names(MAX_NAMES), _Names(MAX_NAMES)
        self._pairs = _Names(MAX_PAIRS)

    def take(self, observation: Observation) -> None:
        """Count one observation, as :class:`PrometheusObserver` sends it."""
        match observation:
            case ["wait", str(queue), float(seconds)]:
                self._waits.labels(self._queues.known(queue)).observe(seconds)
            case ["attempt", str(plan), str(definition), str(outcome), float(seconds)]:
                pair = self._pair(plan, definition)
                self._attempts.labels(*pair, outcome).inc()
                self._attempt_times.labels(*pair).observe(seconds)
            case ["lost", str(plan), str(definition)]:
                self._attempts.labels(*self._pair(plan, definition), "lost").inc()
            case ["actions", str(plan), str(definition), str(status), [*durations]]:
                self._count_actions(self._pair(plan, definition), status, durations)
            case ["execution", str(plan), str(status), float(seconds)]:
                plan = self._plans.known(plan)
                self._executions.labels(plan, status).inc()
                self._execution_times.labels(plan).observe(seconds)
            case ["swept", str(kind), int(count)]:
                self._swept.labels(kind).inc(count)
            case [str(kind), int(count)] if kind == DROPPED:
                self._dropped.inc(count)
            case _:
                raise ValueError(f"an observation of no known form: {observation!r}")

    def _count_actions(self, pair: tuple[str, str], status: str, durations: list[float]) -> None:
        self._actions.labels(*pair, status).inc(len(durations))
        if status != "skipped":
            for seconds in durations:
                self._action_times.labels(*pair).observe(seconds)

    def _pair(self, plan: str, definition: str) -> tuple[str, str]:
        plan = self._plans.known(plan)
        return plan, definition if self._pairs.knows((plan, definition)) else OTHER


class _Names:
    """The first so many different values; label values come from plans, and plans from anywhere."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: set[object] = set()

    def knows(self, value: object) -> bool:
        if value not in self._seen and len(self._seen) < self._limit:
            self._seen.add(value)
        return value in self._seen

    def known(self, name: str) -> str:
        return name if self.knows(name) else OTHER


def _short(name: str) -> str:
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…"
