"""Where an execution stopped, why, what that blocked, and how it goes on. From a state and its program alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from workflow_state import rules
from workflow_state.models import (
    ActionExecutionState,
    ActionStatus,
    ErrorCategory,
    ErrorDetail,
    ExecutionState,
    ExecutionStatus,
    Skipped,
)
from workflow_state.program import Program, Step


@dataclass(frozen=True, slots=True)
class Cause:
    """An action that failed, or whose skipping stopped the plan (``error`` is None then, and ``reason`` says why).

    ``attempt`` of ``max_attempts`` was the last one, on ``worker``. ``tolerated``: how the plan went on in spite of
    it, "" when it did not. ``blocked``: actions behind it that never began because of it, in order of level.
    """

    action_id: str
    attempt: int
    max_attempts: int
    worker: str
    error: ErrorDetail | None
    reason: str
    tolerated: str
    blocked: tuple[str, ...]

    def to_json_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {**fields, "error": self.error and self.error.model_dump(mode="json"), "blocked": list(self.blocked)}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Causes, the worst first; ``not_started``: actions that never began, and that no cause blocked.

    ``waiting``: actions that a person has to confirm. ``next``: commands that go on from here, as words.
    """

    causes: tuple[Cause, ...] = ()
    not_started: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    next: tuple[tuple[str, ...], ...] = ()


def diagnose(state: ExecutionState, program: Program) -> Diagnosis:
    """What there is to say of an execution that did not just complete."""
    halted = str(state.error.context.get("action_id", "")) if state.error else ""
    never = [name for name, action in state.action_states.items() if _never_began(action, state)]
    culprits = [
        name for name, action in state.action_states.items() if action.status is ActionStatus.FAILED or name == halted
    ]
    causes = [_cause(state, program, name, never, stopped=name == halted) for name in culprits]
    causes.sort(key=lambda cause: (bool(cause.tolerated), cause.action_id != halted))
    blocked = {name for cause in causes for name in cause.blocked}
    stopped = state.status.ended or any(not cause.tolerated for cause in causes)
    waiting = tuple(asked.action_id for asked in state.confirmations if asked.confirmed is None)
    return Diagnosis(
        causes=tuple(causes),
        not_started=tuple(name for name in never if name not in blocked) if stopped else (),
        waiting=() if state.status.ended else waiting,
        next=tuple(_next(state, program, causes, waiting)),
    )


def is_untaken(state: ExecutionState) -> bool:
    """Whether nothing at all has happened in an execution that workers drive: most likely none listens."""
    still = all(action.status is ActionStatus.PENDING for action in state.action_states.values())
    return still and state.status is ExecutionStatus.RUNNING and not (state.paused or state.confirmations)


def silent_queues(state: ExecutionState, program: Program) -> dict[str, list[str]]:
    """Queues that the plan names and that nothing of it was taken from yet → the actions whose turn has come there."""
    states, steps = state.action_states, program.steps
    halted = any(
        action.status is ActionStatus.FAILED and steps[name].on_failure == "halt" for name, action in states.items()
    )
    if state.status is not ExecutionStatus.RUNNING or state.paused or state.error or halted:
        return {}
    open_level = next(
        (n for n, level in enumerate(program.levels) if not all(states[i].status.ended for i in level)), 0
    )
    out = {asked.action_id for asked in state.confirmations if asked.confirmed is None}
    out |= {name for name, action in states.items() if action.status is not ActionStatus.PENDING}
    heard = {steps[name].queue for name, action in states.items() if action.attempts}
    found: dict[str, list[str]] = {}
    for name, step in steps.items():
        its_turn = step.level in {None, open_level} and all(states[before].status.ended for before in step.needs)
        if step.queue and step.queue not in heard and its_turn and name not in out:
            found.setdefault(step.queue, []).append(name)
    return found


def _never_began(action: ActionExecutionState, state: ExecutionState) -> bool:
    if action.status is ActionStatus.PENDING:
        return not any(asked.action_id == action.action_id for asked in state.confirmations)
    return isinstance(action.result, Skipped) and action.result.reason.startswith(rules.NOT_STARTED)


def _cause(state: ExecutionState, program: Program, name: str, never: list[str], *, stopped: bool) -> Cause:
    action, step = state.action_states[name], program.steps[name]
    tolerated = "" if stopped or step.on_failure == "halt" else _how_tolerated(state, step)
    behind = set() if tolerated else _behind(program, name)
    last = action.trace[-1] if action.trace else None
    return Cause(
        action_id=name,
        attempt=action.attempts,
        max_attempts=step.retry.max_attempts,
        worker=last.worker if last else "",
        error=action.error,
        reason=action.result.reason if isinstance(action.result, Skipped) else "",
        tolerated=tolerated,
        blocked=tuple(other for other in never if other in behind),
    )


def _how_tolerated(state: ExecutionState, step: Step) -> str:
    if step.alternative is None:
        return "the plan continues on its failure"
    return f"its alternative {step.alternative} is {state.action_states[step.alternative].status}"


def _behind(program: Program, name: str) -> set[str]:
    """All that waits for an action, directly or not."""
    found: set[str] = set()
    stack = [name]
    while stack:
        for after in program.steps[stack.pop()].successors:
            if after not in found:
                found.add(after)
                stack.append(after)
    return found


def _next(
    state: ExecutionState, program: Program, causes: Iterable[Cause], waiting: Iterable[str]
) -> Iterable[tuple[str, ...]]:
    match state.status:
        case ExecutionStatus.FAILED:
            culprits = [cause.action_id for cause in causes if not cause.tolerated]
            if not culprits and state.error and state.error.category is ErrorCategory.OUTCOME_NOT_MET:
                culprits = rules.outcome_sources(program)[:1]
            # Whatever did not complete runs again anyway; where one action is to blame, the command says so.
            yield ("rerun", state.id, *(("--from", culprits[0]) if len(culprits) == 1 else ()))
        case ExecutionStatus.CANCELLED:
            yield ("rerun", state.id)
        case ExecutionStatus.COMPLETED:
            return
        case _:
            if state.paused:
                yield ("resume", state.id)
            for name in waiting:
                yield ("confirm", state.id, name, "--yes")
                yield ("confirm", state.id, name, "--no")
