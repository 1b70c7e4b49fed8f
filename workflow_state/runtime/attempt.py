"""One attempt of one action, wherever it runs: inputs → user code → output, or an error."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from billiard.common import terminate_handler_fired
from celery.exceptions import WorkerShutdown, WorkerTerminate
from pydantic import JsonValue

from workflow_state import rules
from workflow_state.actions import ActionContext, ActionRegistry
from workflow_state.budget import Budget
from workflow_state.models import ErrorDetail
from workflow_state.program import Program, Step
from workflow_state.redaction import DEFAULT, Redactor
from workflow_state.references import Missing, Outcome, find_references, look_up, resolve_value
from workflow_state.runtime.failures import describe_error, format_traceback
from workflow_state.telemetry import AttemptInfo, AttemptSecrets, attempt_bound, report_error

#: In the caller's own process all else is for the caller, such as Ctrl-C and what test frameworks raise.
CAUGHT = (Exception, CancelledError, SystemExit)


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """``error`` None: the attempt has an output (which may be null)."""

    output: JsonValue = None
    error: ErrorDetail | None = None
    traceback: str = ""


def run_attempt(
    program: Program,
    step: Step,
    outcomes: Mapping[str, Outcome],
    actions: ActionRegistry,
    attempt: AttemptInfo,
    context: Callable[[], ActionContext],
    max_input_size: int | None = None,
    redactor: Redactor = DEFAULT,
    caught: tuple[type[BaseException], ...] = CAUGHT,
) -> AttemptResult:
    """Resolve the inputs, call the action, and turn whatever it raises into an error.

    Args:
        program: the plan, compiled.
        step: the action.
        outcomes: of all in ``step.sources``.
        actions: where the step's definition is looked up.
        attempt: which one it is.
        context: makes what a function gets that asks for it.
        max_input_size: characters of JSON that references may bring into the inputs.
        redactor: takes secrets out of the error.
        caught: what is the attempt's error when it is raised; all else is the caller's.
    """
    inputs: dict[str, JsonValue] = {}
    secrets = AttemptSecrets(lambda: secrets_given(program, step, outcomes, inputs, actions, redactor))
    with attempt_bound(attempt, secrets):
        try:
            inputs = resolve_inputs(program, step, outcomes, max_input_size)
            action = actions.get(step.definition)
            return AttemptResult(action.run(inputs, context() if action.context_parameter else None))
        except caught as error:
            if _ends_worker(error):
                raise
            report_error(error, attempt)
            return failed(error, step, redactor, secrets())


def _ends_worker(error: BaseException) -> bool:
    """Whether this is not ours to swallow: Celery, the pool's signal handler, or what ends a greenlet says so."""
    if isinstance(error, SystemExit):
        return isinstance(error, WorkerShutdown | WorkerTerminate) or terminate_handler_fired()
    # Celery's hard time limit in a pool of greenlets, and their end. Neither package needs to be there.
    origin = type(error).__module__.partition(".")[0]
    return not isinstance(error, Exception) and origin in {"gevent", "eventlet", "greenlet"}


def resolve_inputs(
    program: Program, step: Step, outcomes: Mapping[str, Outcome], max_input_size: int | None = None
) -> dict[str, JsonValue]:
    """The inputs of a step with every reference in them replaced by what it names.

    Raises:
        ReferenceNotFoundError, InputTooLargeError: a reference finds nothing, or too much.
    """
    seen = rules.see_through(program, step.sources, outcomes)
    budget = None if max_input_size is None else Budget(max_input_size)
    return {name: resolve_value(value, seen, budget) for name, value in step.inputs.items()}


def failed(
    error: BaseException, step: Step, redactor: Redactor = DEFAULT, secrets: Collection[str] = ()
) -> AttemptResult:
    """The result of an attempt that raised; ``secrets``: texts that must not be in it."""
    detail = describe_error(error, step.timeout, redactor, secrets)
    return AttemptResult(error=detail, traceback=format_traceback(error, redactor, secrets))


def secrets_given(
    program: Program,
    step: Step,
    outcomes: Mapping[str, Outcome],
    inputs: Mapping[str, JsonValue],
    actions: ActionRegistry,
    redactor: Redactor,
) -> set[str]:
    """What an attempt is given that is secret: by its name here, or where a reference reads it, or by type hints."""
    declared = actions.get(step.definition).secrets_in(inputs) if step.definition in actions else set()
    return redactor.secrets_in(dict(inputs)) | declared | _secrets_read(program, step, outcomes, redactor)


def _secrets_read(program: Program, step: Step, outcomes: Mapping[str, Outcome], redactor: Redactor) -> set[str]:
    """What references read that is secret where it stands, also in the middle of a text."""
    seen = rules.see_through(program, step.sources, outcomes)
    found: set[str] = set()
    for reference in find_references(dict(step.inputs)):
        value = look_up(reference, seen)
        if not isinstance(value, Missing):
            name = next((part for part in reference.path if redactor.hides(part)), "")
            found |= redactor.secrets_in({str(name): value})
    return found
