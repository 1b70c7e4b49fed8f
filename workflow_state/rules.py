"""The rules: what may start, what is skipped, what fails, and how a plan ends. Pure functions.

The engine, ``get_available_actions`` and the in-process runner all ask here, so they cannot differ.
Everything is decided from records of actions that have ended, which never change: whoever decides,
and however often, comes to the same answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pydantic import JsonValue

from workflow_state.conditions import Expression, describe, evaluate, json_equal, parse_condition
from workflow_state.errors import ConditionEvaluationError
from workflow_state.matching import matches
from workflow_state.models import (
    MAX_MILLISECONDS,
    ActionStatus,
    ErrorCategory,
    ErrorDetail,
    OutcomeValidation,
)
from workflow_state.program import Program, Step
from workflow_state.redaction import DEFAULT, Redactor
from workflow_state.references import MISSING, Missing, Outcome, look_up, parse_reference

#: Legal changes of an action's status; anything else is refused.
TRANSITIONS: Mapping[ActionStatus, frozenset[ActionStatus]] = {
    ActionStatus.PENDING: frozenset({ActionStatus.RUNNING, ActionStatus.SKIPPED, ActionStatus.FAILED}),
    ActionStatus.RUNNING: frozenset({ActionStatus.COMPLETED, ActionStatus.FAILED}),
    ActionStatus.COMPLETED: frozenset(),
    ActionStatus.FAILED: frozenset(),
    ActionStatus.SKIPPED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of an action whose turn has come; ``halts``: the execution ends because of it.

    ``fall_back``: its condition failed it, and it completes with its fallback value.
    """

    kind: Literal["run", "skip", "fail", "fall_back"]
    reason: str = ""
    error: ErrorDetail | None = None
    halts: bool = False


RUN = Decision("run")


def decide(program: Program, step: Step, outcomes: Mapping[str, Outcome], redactor: Redactor = DEFAULT) -> Decision:
    """What becomes of an action once everything that it waits for has ended.

    Args:
        program: the plan, compiled.
        step: the action.
        outcomes: of all in ``step.needs`` and ``step.sources``.
        redactor: reasons show the values that a condition read, but none that it hides.
    """
    activated = [name for name in step.stands_in_for if outcomes[name].status == "failed"]
    if step.stands_in_for and not activated:
        names = ", ".join(repr(name) for name in step.stands_in_for)
        return Decision("skip", f"alternative of {names}, which did not fail")
    decision = _cascade(program, step, outcomes) or _check_condition(program, step, outcomes, redactor)
    # Skipping an alternative that is called for leaves the failure it stands for unhandled.
    if decision.kind == "skip" and activated:
        return Decision("skip", decision.reason, halts=step.on_skip == "halt")
    return decision


@dataclass(frozen=True, slots=True)
class Decisions:
    """What becomes of actions whose turn comes together: who runs, who ends by decision, and who of these halts
    the execution ("": none).
    """

    run: Sequence[str]
    ended: Sequence[tuple[str, Decision]] = ()
    halted: str = ""


def decide_all(
    program: Program, ids: Sequence[str], outcomes: Mapping[str, Outcome], redactor: Redactor = DEFAULT
) -> Decisions:
    """What becomes of actions whose turn comes together; once one halts the execution, none of them starts."""
    run, ended, halted = [], [], ""
    for name in ids:
        decision = decide(program, program.steps[name], outcomes, redactor)
        if decision.kind == "run":
            run.append(name)
        else:
            ended.append((name, decision))
            halted = halted or (name if decision.halts else "")
    return Decisions([] if halted else run, ended, halted)


def looked_at(program: Program, ids: Sequence[str]) -> list[str]:
    """Whose outcomes the decisions about these actions look at."""
    found: dict[str, None] = {}
    for name in ids:
        step = program.steps[name]
        found.update(dict.fromkeys((*step.needs, *step.sources)))
    return list(found)


def not_started(halted: str) -> str:
    """The reason of an action that never ran because the execution halted, or ("") was cancelled."""
    return f"{NOT_STARTED}the execution had halted on action {halted!r}" if halted else CANCELLED


#: How every such reason begins.
NOT_STARTED = "not started: "
CANCELLED = f"{NOT_STARTED}the execution was cancelled"


def _cascade(program: Program, step: Step, outcomes: Mapping[str, Outcome]) -> Decision | None:
    """Skip what only skipped actions lead to; an action it stands in for has failed and does not count."""
    before = [name for name in step.dependencies if name not in step.stands_in_for]
    if before and all(effective(program, name, outcomes).status == "skipped" for name in before):
        names = ", ".join(repr(name) for name in before)
        return Decision("skip", f"all of its dependencies were skipped: {names}")
    return None


def _check_condition(program: Program, step: Step, outcomes: Mapping[str, Outcome], redactor: Redactor) -> Decision:
    if step.condition is None:
        return RUN
    seen = see_through(program, step.sources, outcomes)
    expression = parse_cached(step.condition.if_)
    try:
        if evaluate(expression, seen):
            return RUN
    except ConditionEvaluationError as error:
        hidden = _secrets_read(expression, seen, redactor)
        message = f"Cannot evaluate {hidden}" if hidden else str(error)
        return _fail(program, step, outcomes, ErrorCategory.VALIDATION_FAILED, message)
    reason = f"condition not met: {_secrets_read(expression, seen, redactor) or describe(expression, seen)}"
    if step.condition.else_ == "skip":
        return Decision("skip", reason)
    return _fail(program, step, outcomes, ErrorCategory.CONDITION_NOT_MET, reason)


def _secrets_read(expression: Expression, seen: Mapping[str, Outcome], redactor: Redactor) -> str:
    """What to show in place of a condition that reads secrets; "" for one that does not."""
    hidden = [
        ".".join(map(str, (reference.action_id, reference.root, *reference.path)))
        for reference in expression.references
        if redactor.reads_secret(reference.path, look_up(reference, seen))
    ]
    return f"a condition on {', '.join(hidden)}, whose values are secret" if hidden else ""


def _fail(
    program: Program, step: Step, outcomes: Mapping[str, Outcome], category: ErrorCategory, message: str
) -> Decision:
    """What the plan says of a failure holds for that of a condition too."""
    error = ErrorDetail(category=category, message=message, retryable=False)
    if step.fallback is not None:
        return Decision("fall_back", message, error)
    alternative, halts = step.alternative, step.on_failure == "halt"
    if alternative is not None and alternative in outcomes and outcomes[alternative].status == "skipped":
        # Driven by hand, it may be skipped before it is called for.
        halts = program.steps[alternative].on_skip == "halt"
    return Decision("fail", message, error, halts=halts)


def effective(program: Program, action_id: str, outcomes: Mapping[str, Outcome]) -> Outcome:
    """An action's outcome as its dependents see it: that of its alternative, where one stood in for it."""
    outcome = outcomes[action_id]
    alternative = program.steps[action_id].alternative
    while outcome.status == "failed" and alternative is not None and alternative in outcomes:
        stand_in = outcomes[alternative]
        if stand_in.status == "skipped":
            break
        outcome, alternative = stand_in, program.steps[alternative].alternative
    return outcome


def see_through(program: Program, sources: Iterable[str], outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """What references see: a failed source with the output of what stood in for it."""
    seen = {}
    for name in sources:
        own = outcomes.get(name)
        if own is None:
            continue
        output = effective(program, name, outcomes).output if own.status == "failed" else own.output
        seen[name] = Outcome(own.status, output, own.error, own.reason)
    return seen


@lru_cache(maxsize=4096)
def parse_cached(text: str) -> Expression:
    """A condition, parsed once per process."""
    return parse_condition(text)


def outcome_sources(program: Program) -> list[str]:
    """Whose outcomes the expected outcome looks at, stand-ins included."""
    found: dict[str, None] = {}
    for check in program.expected_outcome.validations if program.expected_outcome else ():
        name: str | None = parse_reference(check.reference).action_id
        while name is not None:
            found[name] = None
            name = program.steps[name].alternative
    return list(found)


def outcome_problems(program: Program, outcomes: Mapping[str, Outcome], redactor: Redactor = DEFAULT) -> list[str]:
    """Which validations of the expected outcome do not hold, each with what was found, unless it is secret."""
    problems = []
    seen = see_through(program, outcome_sources(program), outcomes)
    for check in program.expected_outcome.validations if program.expected_outcome else ():
        reference = parse_reference(check.reference)
        found = look_up(reference, seen)
        try:
            holds = _holds(check, found)
        except ConditionEvaluationError:
            holds = False  # nested deeper than equality looks: not shown to be equal
        if not holds and redactor.reads_secret(reference.path, found):
            problems.append(f"{check.name}: {check.reference} {check.operator} does not hold; the values are secret")
        elif not holds:
            shown = "nothing" if isinstance(found, Missing) else repr(found)[:100]
            wanted = "" if check.operator == "exists" else f" {check.value!r}"
            problems.append(f"{check.name}: expected {check.reference} {check.operator}{wanted}, found {shown}")
    return problems


def _holds(check: OutcomeValidation, found: JsonValue | Missing) -> bool:
    if found is MISSING or isinstance(found, Missing):
        return False
    match check.operator:
        case "exists":
            return True
        case "equals":
            return json_equal(found, check.value)
        case "contains":
            return _contains(found, check.value)
        case "matches":
            return isinstance(found, str) and matches(str(check.value), found)


def _contains(found: JsonValue, value: JsonValue) -> bool:
    if isinstance(found, list):
        return any(json_equal(item, value) for item in found)
    if isinstance(found, str | dict):
        return isinstance(value, str) and value in found
    return False


def retry_delay(step: Step, attempt: int, lost: int, error: ErrorDetail, jitter: float) -> int | None:
    """Milliseconds until the next attempt, or None when this failure is final.

    Args:
        step: its policy decides.
        attempt: the number of the attempt that failed, 1 for the first.
        lost: how many of the attempts were lost with their workers; these are not held against it.
        error: ``retryable`` and ``retry_after`` (seconds, a lower bound) are honoured.
        jitter: a random number from 0 to 1; the delay is scaled to between half and all of itself.
    """
    policy = step.retry
    failures = attempt - lost
    if not error.retryable or failures >= policy.max_attempts:
        return None
    if policy.categories is not None and error.category not in policy.categories:
        return None
    # The exponent is bounded: 2.0 ** 2000 is not a float.
    delay = min(policy.min_timeout_in_ms * policy.factor ** min(failures - 1, 60), policy.max_timeout_in_ms)
    if policy.randomize:
        delay *= 0.5 + jitter / 2
    return int(max(delay, min((error.retry_after or 0) * 1000, MAX_MILLISECONDS)))


def final_error(halted: str, outcomes: Mapping[str, Outcome], unmet: list[str]) -> ErrorDetail | None:
    """Why an execution failed, or None when it did not: an action halted it, or the outcome is not met."""
    if halted:
        outcome = outcomes[halted]
        cause = outcome.error or {}
        message = cause.get("message") or outcome.reason or "no error kept"
        category = cause.get("category") or ErrorCategory.ACTION_FAILED
        return ErrorDetail(
            category=ErrorCategory(str(category)),
            message=f"Action {halted!r} {outcome.status}: {message}",
            retryable=False,
            context={"action_id": halted},
        )
    if unmet:
        message = "The expected outcome is not met: " + "; ".join(unmet)
        return ErrorDetail(category=ErrorCategory.OUTCOME_NOT_MET, message=message, retryable=False)
    return None
