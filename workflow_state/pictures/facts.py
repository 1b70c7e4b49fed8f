"""Plan and state → the facts of a page: plain JSON, secrets out, times as milliseconds since the run began.

Every action is a short object, so that a page of 2,000 of them stays small; the page's script makes rows and panels
of it when they are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from workflow_state.models import ActionExecutionState, ConfirmationState, ExecutionState
from workflow_state.pictures.looks import looks_of
from workflow_state.pictures.palette import Look
from workflow_state.pictures.run import Trouble, critical_path, troubles
from workflow_state.pictures.values import limit_for, secrets_of, shown, texts_of
from workflow_state.program import Program, Step
from workflow_state.redaction import Redactor


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a page shows, secrets out. ``span``: milliseconds from the begin of the run to its end, or until now."""

    title: str
    state: ExecutionState
    program: Program | None
    looks: Mapping[str, Look]
    critical: tuple[str, ...]
    troubles: tuple[Trouble, ...]
    error: str
    span: int
    order: tuple[str, ...]
    actions: Sequence[Mapping[str, Any]]


def gather(
    program: Program | None,
    state: ExecutionState,
    now: datetime,
    redactor: Redactor,
    secrets: Iterable[str] = (),
) -> Facts:
    """Read a run once, for a page.

    Raises:
        ValueError: the state is not one of that plan.
    """
    if program is not None and program.steps.keys() != state.action_states.keys():
        found = sorted(program.steps.keys() ^ state.action_states.keys())[:3]
        raise ValueError(
            f"The state of execution {state.id!r} is not one of plan {program.title!r}: they differ in "
            f"{', '.join(map(repr, found))}; give the plan that was executed"
        )
    order = tuple(name for level in program.levels for name in level) if program else tuple(state.action_states)
    hidden = secrets_of(redactor, program, state) | set(secrets)
    clean: dict[str, Any] = redactor.clean(_written(program, state, order), hidden)
    clock = _Clock(state, now)
    limit = limit_for(len(order))
    asked = {one.action_id: one for one in state.confirmations}
    levels = {name: number for number, level in enumerate(program.levels, 1) for name in level} if program else {}
    looks = looks_of(state)
    failed = troubles(program, state)
    blocks = {one.action_id: {"blocks": list(one.blocked)} for one in failed if one.blocked}
    blocked = {name: {"blockedBy": one.action_id} for one in failed for name in one.blocked}
    actions = [
        {
            "id": name,
            "look": looks[name],
            **_planned(program.steps[name] if program else None, levels.get(name), clean["plan"][number], limit),
            **_ran(state.action_states[name], clean["run"][number], clock, limit),
            **_confirmed(asked.get(name), clock),
            **blocks.get(name, {}),
            **blocked.get(name, {}),
        }
        for number, name in enumerate(order)
    ]
    return Facts(
        title=clean["title"],
        state=state,
        program=_shown(program, clean["title"], order, clean["plan"]) if program else None,
        looks=looks,
        critical=critical_path(program, state) if program and state.status.ended else (),
        troubles=failed,
        error=clean["error"],
        span=clock.span,
        order=order,
        actions=actions,
    )


def _written(program: Program | None, state: ExecutionState, order: Sequence[str]) -> dict[str, Any]:
    """Everything that people or actions wrote, to be cleaned in one go; by number, since an id may look secret."""
    return {
        "title": program.title if program else state.plan_id,
        "error": state.error.message if state.error else "",
        "plan": [_of_plan(program.steps[name]) if program else {} for name in order],
        "run": [texts_of(state, name) for name in order],
    }


def _of_plan(step: Step) -> dict[str, Any]:
    return {
        "definition": step.definition,
        "inputs": step.inputs,
        "condition": step.condition.if_ if step.condition else "",
        "fallback": list(step.fallback or ()),
        "question": f"{step.confirmation.title}\n{step.confirmation.message}".strip() if step.confirmation else "",
    }


def _shown(program: Program, title: str, order: Sequence[str], cleaned: Sequence[Mapping[str, Any]]) -> Program:
    """The program as its graph may show it: without secrets in conditions and questions either."""
    steps = {}
    for name, written in zip(order, cleaned, strict=True):
        step = program.steps[name]
        changes: dict[str, Any] = {"definition": written["definition"]}
        if step.condition:
            changes["condition"] = step.condition.model_copy(update={"if_": written["condition"]})
        if step.confirmation:
            changes["confirmation"] = step.confirmation.model_copy(update={"title": written["question"], "message": ""})
        steps[name] = replace(step, **changes)
    return program.model_copy(update={"title": title, "steps": steps})


def _planned(step: Step | None, level: int | None, written: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """What the plan says of an action; what it does not say is left out."""
    if step is None:
        return {}
    found = {
        "def": written["definition"],
        "level": level,
        "needs": list(step.needs),
        "next": list(step.successors),
        "inputs": shown(written["inputs"], limit) if written["inputs"] else "",
        "condition": written["condition"],
        "question": written["question"],
        "fallback": shown(written["fallback"][0], limit) if written["fallback"] else "",
        "alternative": step.alternative,
        "standsFor": list(step.stands_in_for),
    }
    return {name: value for name, value in found.items() if value}


def _ran(action: ActionExecutionState, texts: Mapping[str, Any], clock: _Clock, limit: int) -> dict[str, Any]:
    """What became of an action."""
    tries = [
        {
            "from": clock.at(attempt.started_at),
            "to": clock.at(attempt.completed_at, open_ended=attempt.outcome == "running"),
            "outcome": attempt.outcome,
            "worker": attempt.worker,
            "error": error.get("message", "")[:limit],
        }
        for attempt, error in zip(action.trace, texts["attempts"], strict=True)
    ]
    error = {name: value if isinstance(value, str) else shown(value, limit) for name, value in texts["error"].items()}
    found = {
        "from": clock.at(action.started_at),
        "to": clock.at(action.completed_at, open_ended=action.status == "running") if action.started_at else None,
        "attempts": action.attempts,
        "tries": tries,
        "output": shown(texts["output"][0], limit) if texts["output"] else "",
        "reason": texts["reason"][:limit],
        "error": {name: value[:limit] for name, value in error.items()},
    }
    return {name: value for name, value in found.items() if value not in (None, "", [], {})}


def _confirmed(asked: ConfirmationState | None, clock: _Clock) -> dict[str, Any]:
    """When a person was asked, and what they said."""
    if asked is None:
        return {}
    answer = {None: "not answered yet", True: "confirmed", False: "rejected"}[asked.confirmed]
    by = f" by {asked.user_id}" if asked.user_id else ""
    until = clock.at(asked.responded_at, open_ended=asked.responded_at is None)
    return {"asked": {"from": clock.at(asked.requested_at), "to": until, "answer": f"{answer}{by}"}}


class _Clock:
    """Milliseconds since the run began, or its first action did."""

    def __init__(self, state: ExecutionState, now: datetime) -> None:
        times = [time for action in state.action_states.values() for time in (action.started_at, action.completed_at)]
        times += [time for one in state.confirmations for time in (one.requested_at, one.responded_at)]
        known = [time for time in (state.started_at, state.completed_at, *times) if time is not None]
        self._start = min(known, default=now)
        self._end = max(known, default=now) if state.status.ended else max([now, *known])
        self.span = self.at(self._end) or 0

    def at(self, time: datetime | None, *, open_ended: bool = False) -> int | None:
        """A time since the start; the end of the run for what goes on."""
        if time is None:
            return self.at(self._end) if open_ended else None
        return round((time - self._start).total_seconds() * 1000)
