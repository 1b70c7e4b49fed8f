"""What a run tells beyond its records: what a failure blocked, and which actions made it take as long as it did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from workflow_state.models import ActionStatus, ExecutionState
from workflow_state.program import Program, Step


@dataclass(frozen=True, slots=True)
class Trouble:
    """An action that failed; ``tolerated`` when the plan goes on without it; ``blocked``: who could not run."""

    action_id: str
    tolerated: bool
    blocked: tuple[str, ...]


def troubles(program: Program | None, state: ExecutionState) -> tuple[Trouble, ...]:
    """Every failed action, those that ended the execution first; without a plan nobody knows what they blocked."""
    failed = [name for name, action in state.action_states.items() if action.status is ActionStatus.FAILED]
    if program is None:
        return tuple(Trouble(name, False, ()) for name in failed)
    found = []
    for name in failed:
        step = program.steps[name]
        tolerated = step.on_failure == "continue"
        found.append(Trouble(name, tolerated, () if tolerated else tuple(_blocked(program, state, step))))
    return tuple(sorted(found, key=lambda one: one.tolerated))


def critical_path(program: Program, state: ExecutionState) -> tuple[str, ...]:
    """The chain of actions that decided when the run ended, first to last.

    It is read from the times of the run, backwards from the action that ended last: before each comes the one whose
    end it had waited for. In levels that is the last of an earlier level, whether it depends on it or not; in dataflow
    the last of those that it needs. Actions that took no time, as those that were skipped, are not in it; nor are
    actions that have not ended.
    """
    ends = {
        name: action.completed_at
        for name, action in state.action_states.items()
        if action.started_at is not None and action.completed_at is not None
    }
    if not ends:
        return ()
    last_before = (_last_by_level if program.schedule == "levels" else _last_needed)(program, ends)
    path = [max(ends, key=ends.__getitem__)]
    while before := last_before.get(path[-1]):
        path.append(before)
    return tuple(reversed(path))


def _last_by_level(program: Program, ends: Mapping[str, datetime]) -> dict[str, str]:
    """For each action that ran, the one that ended last of all in the levels before it."""
    found: dict[str, str] = {}
    last: str | None = None
    for level in program.levels:
        here = [name for name in level if name in ends]
        if last is not None:
            found |= dict.fromkeys(here, last)
        for name in here:
            if last is None or ends[name] > ends[last]:
                last = name
    return found


def _last_needed(program: Program, ends: Mapping[str, datetime]) -> dict[str, str]:
    """For each action that ran, the one that ended last of all that it needs, also through actions that did not run."""
    found: dict[str, str] = {}
    for level in program.levels:
        for name in level:
            gates = [
                need if need in ends else found[need]
                for need in program.steps[name].needs
                if need in ends or need in found
            ]
            if gates:
                found[name] = max(gates, key=ends.__getitem__)
    return found


def _blocked(program: Program, state: ExecutionState, failed: Step) -> Iterator[str]:
    """Whoever waits for a failed action, directly or not, and never ran."""
    seen: set[str] = set()
    queue: list[Iterable[str]] = [failed.successors]
    for names in queue:
        for name in names:
            status = state.action_states[name].status
            if name not in seen and status in (ActionStatus.SKIPPED, ActionStatus.PENDING):
                seen.add(name)
                queue.append(program.steps[name].successors)
                yield name
