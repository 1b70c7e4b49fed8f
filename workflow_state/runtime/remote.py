"""Remote actions: another service carries them out. It is asked by an event, and no worker is held meanwhile.

The request goes out before the attempt is left to the service: a worker that dies in between loses its lease, and
the action is requested again, under the same idempotency key. What answers is in :mod:`workflow_state.runtime.outside`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from celery.exceptions import Ignore
from pydantic import JsonValue

from workflow_state.actions import ActionRegistry
from workflow_state.event_types import ActionRequested
from workflow_state.events import publish_events
from workflow_state.models import ErrorCategory, ErrorDetail
from workflow_state.program import Program, Step
from workflow_state.references import Outcome
from workflow_state.runtime.attempt import failed, resolve_inputs, secrets_given
from workflow_state.runtime.engine import Engine
from workflow_state.runtime.points import reached
from workflow_state.runtime.recording import RESULT_TRIES, AttemptEnd, Recording
from workflow_state.store.history import event_id
from workflow_state.store.keys import action_task_id
from workflow_state.store.outages import is_outage
from workflow_state.store.outward import OutwardStore
from workflow_state.store.records import Begun, Record
from workflow_state.telemetry import AttemptInfo, AttemptSecrets, attempt_bound

#: Seconds between two tries to send a request while the broker is away.
RETRY_SECONDS = 1.0


def request(
    engine: Engine,
    registry: ActionRegistry,
    program: Program,
    step: Step,
    execution_id: str,
    begun: Begun,
    outcomes: Mapping[str, Outcome],
) -> AttemptEnd | None:
    """Ask the service for one attempt; None when it was asked, else why it could not be."""
    inputs: dict[str, JsonValue] = {}
    secrets = AttemptSecrets(lambda: secrets_given(program, step, outcomes, inputs, registry, engine.redactor))
    with attempt_bound(AttemptInfo.of(program, step, execution_id, begun.attempt), secrets):
        try:
            inputs = resolve_inputs(program, step, outcomes, engine.settings.max_input_size)
            registry.get(step.definition).check_inputs(inputs)
        except Exception as error:  # noqa: BLE001 - whatever a user's validator raises is the attempt's error
            refused = failed(error, step, engine.redactor, secrets())
            return AttemptEnd(error=refused.error, traceback=refused.traceback)
    event = ActionRequested(
        id=event_id(execution_id, begun.number, begun.at),
        sequence=max(1, begun.number),
        time=datetime.fromtimestamp(begun.at / 1000, UTC),
        execution_id=execution_id,
        plan_id=program.plan_id,
        action_id=step.id,
        action_definition_id=step.definition,
        attempt=begun.attempt,
        remote=True,
        idempotency_key=action_task_id(execution_id, step.id),
        inputs=inputs,
        timeout=_timeout_ms(engine, step),
    )
    reached("before user code")
    if (outage := _send(engine, event)) is not None:
        message = f"The request could not be sent to the broker: {outage}"
        return AttemptEnd(error=ErrorDetail(category=ErrorCategory.NETWORK_CONNECTION_REFUSED, message=message))
    reached("requested")
    return None


def _send(engine: Engine, event: ActionRequested) -> Exception | None:
    """Send a request: while the broker is away again and again, as that is no failure of the action; the outage, when
    it has no end.
    """
    log = engine.log.bind(execution_id=event.execution_id, action_id=event.action_id)
    outage: Exception | None = None
    for _ in range(RESULT_TRIES):
        if outage is not None:
            log.warning("broker away, request to be sent again", error=str(outage))
            time.sleep(RETRY_SECONDS)
        try:
            publish_events(engine.app, engine.settings, [event], engine.observers.headers())
        except Exception as error:
            if not is_outage(error):
                raise
            outage = error
        else:
            return None
    return outage


def leave(engine: Engine, step: Step, execution_id: str, begun: Begun) -> None:
    """Leave an attempt to the service that was asked: no lease, and a time to answer in."""
    OutwardStore(engine.store).delegate(execution_id, step.id, begun.token, _timeout_ms(engine, step), begun.created)


def unanswered(engine: Engine, step: Step, execution_id: str, record: Record, created: str) -> None:
    """Fail an attempt whose service did not answer in time; the retry policy says what follows.

    Called in a worker's main loop, which must not wait for a server that is away: the next look tries again.
    """
    message = f"No answer came from the service of {step.definition!r} within {_timeout_ms(engine, step)} ms"
    error = ErrorDetail(
        category=ErrorCategory.NETWORK_TIMEOUT,
        message=message,
        suggestion="see that the service listens for action.execute.requested, or give the action a longer timeout",
    )
    begun = Begun.on_record(record, created)
    recording = Recording(engine, execution_id, step.id, tries=1)
    try:
        recording.record_from_outside(step, begun, AttemptEnd(error=error))
    except Ignore as answered:
        recording.log.info("an answer came after all", answer=str(answered))


def _timeout_ms(engine: Engine, step: Step) -> int:
    return step.timeout or int(engine.settings.remote_timeout * 1000)
