"""Results from outside of the workers: a remote service answers, or a person records one by hand.

Only what no worker runs can be ended so: an action that a service was asked for, or one that waits for a
confirmation. Everything else would be a fight with the worker that records its own result.
"""

from __future__ import annotations

import uuid
from typing import Any

from celery.exceptions import Ignore
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from workflow_state.actions import ActionRegistry
from workflow_state.errors import ActionError, ActionNotFoundError, ExecutionNotFoundError, InvalidTransitionError
from workflow_state.event_types import ANSWER, Answer, CompletedAnswer, FailedAnswer
from workflow_state.json_values import problem_in
from workflow_state.models import ActionResult, ErrorCategory, ErrorDetail, Failure, Skipped, Success
from workflow_state.program import Step
from workflow_state.runtime.attempt import failed, resolve_inputs, secrets_given
from workflow_state.runtime.engine import Engine
from workflow_state.runtime.failures import cut_error
from workflow_state.runtime.recording import AttemptEnd, Recording
from workflow_state.store.by_hand import end_waiting
from workflow_state.store.history import event_id
from workflow_state.store.records import Begun, Head, Record

#: Who has done what a result by hand is given for.
BY_HAND = "by hand"


def take_answer(engine: Engine, registry: ActionRegistry, answer: Answer, request: str = "") -> None:
    """Record what a service says; what nobody waits for (any more) is dropped, with a word in the log.

    ``request``: the id of the event that it answers; "" when that was not told.
    """
    log = engine.log.bind(execution_id=answer.execution_id, action_id=answer.action_id)
    try:
        created, step, record = _look_up(engine, answer.execution_id, answer.action_id)
    except (ExecutionNotFoundError, ActionNotFoundError) as error:
        log.warning("answer dropped", reason=str(error))
        return
    if not _with_service(record) or answer.attempt not in (None, record.attempt):
        log.warning("answer dropped: nobody waits for it", attempt=answer.attempt, status=record.status)
        return
    if request and request != event_id(answer.execution_id, record.entry, record.attempt_at or 0):
        log.warning("answer dropped: it is to another request", attempt=answer.attempt, request=request)
        return
    recording = Recording(engine, answer.execution_id, answer.action_id)
    end = _end_of(answer, recording, registry, step)
    try:
        recording.record_from_outside(step, Begun.on_record(record, created), end)
    except Ignore as refused:
        log.info("answer dropped", reason=str(refused))


def read_answer(body: object) -> Answer:
    """An answer from a message.

    Raises:
        ActionError: not even the action that it is for can be read.
    """
    try:
        answer = ANSWER.validate_python(body)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return malformed_answer(body, f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}")
    if isinstance(answer, FailedAnswer) and (said := problem_in(answer.error.model_dump())):
        return malformed_answer(body, f"error: {said}")
    return answer


def malformed_answer(body: object, said: str) -> FailedAnswer:
    """What stands for an answer that cannot be read: the attempt that it names has failed.

    Raises:
        ActionError: not even the action that it is for can be read.
    """
    found = body if isinstance(body, dict) else {}
    ids = {name: found.get(name, found.get(to_camel(name))) for name in ("execution_id", "action_id", "attempt")}
    detail = ErrorDetail(
        category=ErrorCategory.API_RESPONSE_MALFORMED, message=f"The service's answer cannot be read: {said}"
    )
    try:
        return FailedAnswer.model_validate({**ids, "error": detail})
    except ValidationError:
        raise ActionError(f"A service's answer names no action, and cannot be read: {said}") from None


def record_result(
    engine: Engine, registry: ActionRegistry, execution_id: str, action_id: str, result: ActionResult
) -> None:
    """Record a result by hand, in an execution that workers drive.

    Raises:
        ExecutionNotFoundError, ActionNotFoundError: no such execution or action.
        InvalidTransitionError: no service and no person is waited for; nothing was changed.
    """
    created, step, record = _look_up(engine, execution_id, action_id)
    if _with_service(record) and not isinstance(result, Skipped):
        recording = Recording(engine, execution_id, action_id)
        given: Answer = (
            CompletedAnswer(execution_id=execution_id, action_id=action_id, output=result.output)
            if isinstance(result, Success)
            else FailedAnswer(execution_id=execution_id, action_id=action_id, error=result.error)
        )
        end = _end_of(given, recording, registry, step)
        try:
            recording.record_from_outside(step, Begun.on_record(record, created), end)
        except Ignore:
            raise _illegal(execution_id, action_id, "not waited for any more") from None
    elif record.status == "pending" and record.phase == "confirmation" and not isinstance(result, Skipped):
        _end_waiting(engine, created, execution_id, step, result)
    else:
        doing = f"{record.status}{f' ({record.phase})' if record.phase else ''}"
        ended = record.status in ("completed", "failed", "skipped")
        raise _illegal(execution_id, action_id, doing if ended else f"{doing}, and a worker records its result")


def _end_of(answer: Answer, recording: Recording, registry: ActionRegistry, step: Step) -> AttemptEnd:
    if not isinstance(answer, CompletedAnswer):
        secrets = _secrets_of(recording, registry, step)
        return AttemptEnd(error=cut_error(answer.error, recording.engine.redactor, secrets))
    output = answer.output
    if step.definition in registry:
        try:
            output = registry.get(step.definition).check_output(output)
        except ActionError as error:
            found = failed(error, step, recording.engine.redactor, _secrets_of(recording, registry, step))
            return AttemptEnd(error=found.error)
    return recording.encode(step, output)


def _secrets_of(recording: Recording, registry: ActionRegistry, step: Step) -> set[str]:
    """What a service was given that is secret, which what it says may name."""
    engine, execution_id = recording.engine, recording.execution_id
    program = engine.programs.get(execution_id)
    if program is None:
        return set()
    outcomes = engine.store.outcomes(execution_id, list(step.sources), with_outputs=True)
    return secrets_given(program, step, outcomes, resolve_inputs(program, step, outcomes), registry, engine.redactor)


def _end_waiting(engine: Engine, created: str, execution_id: str, step: Step, result: Success | Failure) -> None:
    """End an action that waits for a confirmation: somebody has agreed to it, and done its work as well."""
    owner = f"{BY_HAND}/{uuid.uuid4().hex}"

    def finish(execution_id: str, action_id: str, _: int, outcome: str, **what: Any) -> tuple[str, Head | None]:
        answer, status, head = end_waiting(
            engine.store, execution_id, action_id, owner, BY_HAND, step.level, outcome, **what
        )
        if answer == "paused":
            # It could not begin, and once its confirmation is given it would run when the execution is resumed.
            raise _illegal(execution_id, action_id, "in a paused execution: call resume_execution() first")
        if answer in ("unknown", "not waiting", "stopping"):
            raise _illegal(execution_id, action_id, status or f"not to be ended now ({answer})")
        return answer, head

    # Somebody waits: it is tried as often as the backend's policy says.
    recording = Recording(engine, execution_id, step.id, tries=None, finish=finish)
    end = recording.encode(step, result.output) if isinstance(result, Success) else AttemptEnd(error=result.error)
    recording.record_from_outside(step, Begun("lease", 1, at=engine.store.now(), created=created), end)


def _look_up(engine: Engine, execution_id: str, action_id: str) -> tuple[str, Step, Record]:
    """When the execution was created, the step and, read last, the record of an action."""
    created = engine.store.created(execution_id)
    program = engine.programs.get(execution_id, created)
    if program is None:
        raise ExecutionNotFoundError(execution_id)
    if action_id not in program.steps:
        raise ActionNotFoundError(execution_id, action_id, program.steps)
    return created, program.steps[action_id], engine.store.records(execution_id, [action_id])[action_id]


def _with_service(record: Record) -> bool:
    """Whether a service was asked; an answer may come before the asking is on record."""
    return record.status == "running" and record.remote and record.phase in (None, "remote")


def _illegal(execution_id: str, action_id: str, why: str) -> InvalidTransitionError:
    return InvalidTransitionError(
        f"Action {action_id!r} of execution {execution_id!r} is {why}; nothing was changed. In an execution that "
        "workers drive, only a remote action that runs, or one that waits for its confirmation, takes a result by "
        "hand; initialize_state(plan, start=False) makes an execution that you drive"
    )
