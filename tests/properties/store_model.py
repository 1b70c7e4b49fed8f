"""What the store's scripts promise, as plain Python on dicts: the other side of ``test_store_state_machine``.

Every method either changes the model and says so, or changes nothing. Times are milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LEASE = 1000
"""Of every lease in these tests."""

LOOK_AFTER = 700
"""Until the sweeper is to look after what follows a step."""

ACTIVE = ("running", "paused_for_confirmation")
OVER = ("completed", "failed", "cancelled")
TERMINAL = ("completed", "failed", "skipped")


@dataclass
class Action:
    """One action's record. ``phase``: retry, confirmation, confirmed, or "" as stored."""

    status: str = "pending"
    attempt: int = 0
    token: int = 0
    lost: int = 0
    phase: str = ""
    owner: str = ""
    lease: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    error: str | None = None

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL

    @property
    def leased(self) -> bool:
        return self.status == "running" and not self.phase


@dataclass
class Execution:
    """One execution: its hash, its actions, and the attempts that failed or were lost."""

    status: str
    driver: str = "workers"
    cursor: int = -1
    open: int = 0
    failed: int = 0
    skipped: int = 0
    waiting: int = 0
    halted: str = ""
    cancel: str = ""
    opener: str = ""
    version: int = 1
    ender: str = ""
    ending_until: int = 0
    closed: bool = False
    actions: dict[str, Action] = field(default_factory=dict)
    attempts: dict[tuple[str, int], str] = field(default_factory=dict)
    answers: dict[str, bool | None] = field(default_factory=dict)
    parts: set[int] = field(default_factory=set)
    ready: dict[str, int] = field(default_factory=dict)
    met: dict[str, int] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        return self.status in ACTIVE

    @property
    def over(self) -> bool:
        return self.status in OVER

    @property
    def started(self) -> bool:
        return self.status != "initializing"

    @property
    def stopping(self) -> bool:
        return bool(self.halted or self.cancel)

    @property
    def head(self) -> tuple[str, int, int, str, int, int, str, str]:
        counts = (self.failed, self.skipped)
        return (self.status, self.cursor, self.open, self.halted, *counts, self.cancel, self.driver)

    def action(self, name: str) -> Action:
        return self.actions.get(name, Action())


class Model:
    """All executions, and the one set of deadlines: (execution id, action id or "") → due."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000
        self.executions: dict[str, Execution] = {}
        self.deadlines: dict[tuple[str, str], int] = {}

    def create(self, execution_id: str, driver: str, started: bool) -> bool:
        if execution_id in self.executions:
            return False
        self.executions[execution_id] = Execution("running" if started else "initializing", driver)
        if started:
            self.look_after(execution_id)
        return True

    def start(self, execution_id: str) -> bool:
        found = self.executions.get(execution_id)
        if found is None or found.status != "initializing":
            return False
        found.status = "running"
        found.version += 1
        self.look_after(execution_id)
        return True

    def advance(
        self,
        execution_id: str,
        level: int,
        ready: int,
        parts: int,
        ends: Mapping[str, str],
        halted: str,
        opener: str,
        asked: Mapping[str, int | None],
    ) -> bool:
        """``ends``: action id → the status that a decision gives it; ``asked``: id → timeout of a confirmation."""
        found = self.executions.get(execution_id)
        if found is None or not found.active:
            return False
        if (found.cursor, found.opener) == (level, opener):
            return True
        if found.cursor != level - 1 or found.open or found.stopping:
            return False
        for name, timeout in asked.items():
            found.actions[name], found.answers[name] = Action(phase="confirmation"), None
            if timeout is not None:
                self.deadlines[execution_id, name] = self.now + timeout
        self.end_by_decision(execution_id, found, ends)
        found.cursor, found.open, found.opener, found.halted = level, ready, opener, halted
        found.waiting, found.parts = len(asked), set(range(parts))
        found.version += 1
        self.look_after(execution_id)
        return True

    def published(self, execution_id: str, level: int, part: int) -> int:
        found = self.executions.get(execution_id)
        if found is None or found.cursor != level:
            return 0
        found.parts.discard(part)
        if found.open:
            self.look_after(execution_id)
        return len(found.parts)

    def confirm(self, execution_id: str, name: str, yes: bool) -> str:
        found = self.executions.get(execution_id)
        if found is None:
            return "unknown"
        action, given = found.action(name), found.answers.get(name)
        if given is not None:
            return "repeated" if given is yes else "contrary"
        if action.phase != "confirmation":
            return "not waiting"
        found.answers[name] = yes
        found.version += 1
        if yes:
            action.phase = "confirmed"
            found.waiting -= 1
            self.deadlines[execution_id, name] = self.now + LOOK_AFTER
        return "answered"

    def cancel(self, execution_id: str, reason: str) -> str:
        found = self.executions.get(execution_id)
        if found is None:
            return "unknown"
        if found.over:
            return "ended"
        if not found.cancel:
            found.cancel = reason
            found.version += 1
            self.look_after(execution_id)
        return "cancelled"

    def begin(self, execution_id: str, name: str, attempt: int, owner: str, level: int | None) -> str:
        """The answer; after ``lease`` the record says the rest. ``level`` None: the action must be ready."""
        found = self.executions.get(execution_id)
        if found is None:
            return "unknown"
        action = found.action(name)
        gate = level is not None and level <= found.cursor
        if refusal := self._refusal(found, action, attempt, owner, gate or name in found.ready or bool(action.phase)):
            return refusal
        if action.leased and action.owner == owner:
            return "lease"
        if action.leased:
            action.lost += 1
            found.attempts[name, action.attempt] = "lost"
        found.ready.pop(name, None)
        action.status, action.phase, action.owner = "running", "", owner
        action.attempt += 1
        action.token += 1
        action.lease = self.now + LEASE
        action.started_at = action.started_at or self.now
        found.actions[name] = action
        found.version += 1
        self.deadlines[execution_id, name] = action.lease
        return "lease"

    def _refusal(self, found: Execution, action: Action, attempt: int, owner: str, gate: bool) -> str:
        if not found.active:
            return "ended"
        if action.ended:
            return "done"
        if action.status == "pending":
            if not gate:
                return "early"
            if found.stopping:
                return "halted"
            return "early" if action.phase == "confirmation" else ""
        if action.phase == "retry":
            if found.cancel:
                return "halted"
            return "" if attempt == action.attempt + 1 else "early"
        assert action.lease is not None
        return "owned" if action.owner != owner and action.lease > self.now else ""

    def renew(self, execution_id: str, leases: Sequence[tuple[str, int]]) -> list[str]:
        """The ids of those that are held no more."""
        gone = []
        for name, token in leases:
            found = self.executions.get(execution_id)
            action = found.action(name) if found else Action()
            if action.leased and action.token == token:
                action.lease = self.deadlines[execution_id, name] = self.now + LEASE
            else:
                gone.append(name)
        return gone

    def finish(self, execution_id: str, name: str, token: int, outcome: str, **what: Any) -> str:
        """``what``: payload, error, halts, delay, who waits for the action, each with the number of its needs, and
        the level that may be opened, with its size.
        """
        self.turns: list[str] = []
        self.opened = False
        found = self.executions.get(execution_id)
        action = found.action(name) if found else Action()
        if found is None or not token or action.token != token:
            return "stale"
        if not action.leased:
            self.turns = self.come(found, what["waiting"], fresh=False) if action.ended else []
            self.opened = found.opener == f"{name}:{token}"
            return "repeated"
        action.error, action.lease = what["error"], None
        if action.error is not None:
            found.attempts[name, action.attempt] = "failed"
        found.version += 1
        if outcome == "retry":
            action.phase = "retry"
            self.deadlines[execution_id, name] = self.now + what["delay"] + LOOK_AFTER
            return "ok"
        action.status, action.ended_at = outcome, self.now
        found.results[name] = what["payload"]
        del self.deadlines[execution_id, name]
        if outcome == "failed":
            found.failed += 1
            found.halted = found.halted or (name if what["halts"] else "")
        self.turns = self.come(found, what["waiting"], fresh=True)
        self.close_gap(execution_id, found, 1)
        well = found.active and not (found.failed or found.skipped or found.stopping)
        if (then := what["then"]) and not found.open and well and then[0] == found.cursor + 1:
            found.cursor, found.open, found.opener = *then, f"{name}:{token}"
            found.waiting, found.parts, self.opened = 0, set(), True
            found.version += 1
            self.look_after(execution_id)
        return "ok"

    def follows(self, execution_id: str, outcome: str, halts: bool) -> bool:
        """Whether something may follow from the end of an attempt that was just recorded."""
        ended = outcome != "retry"
        last = ended and self.executions[execution_id].open == 0
        return last or bool(self.turns) or self.opened or (outcome == "failed" and halts)

    def settle(self, execution_id: str, ends: Mapping[str, str], were_open: bool, between: bool = False) -> None:
        found = self.executions[execution_id]
        settled = self.end_by_decision(execution_id, found, ends, between)
        found.version += settled > 0
        if were_open and settled:
            self.close_gap(execution_id, found, settled)

    def transition(self, execution_id: str, name: str, status: str, **what: Any) -> str:
        """``what``: payload, error, halts."""
        found = self.executions.get(execution_id)
        if found is None:
            return "unknown"
        if found.status not in ("initializing", "running"):
            return "ended"
        if found.driver != "manual":
            return "driven"
        action = found.action(name)
        if status not in LEGAL.get(action.status, ()):
            return "illegal"
        if status == "running" and found.stopping:
            return "stopping"
        found.status, found.actions[name] = "running", action
        self.look_after(execution_id)
        found.version += 1
        action.status = status
        if status == "running":
            action.attempt, action.token, action.started_at = action.attempt + 1, action.token + 1, self.now
            return "ok"
        action.ended_at, action.error = self.now, what["error"]
        if action.error is not None and action.attempt:
            found.attempts[name, action.attempt] = "failed"
        found.results[name] = what["payload"]
        found.failed += status == "failed"
        found.skipped += status == "skipped"
        if status in ("failed", "skipped") and what["halts"]:
            found.halted = found.halted or name
        return "ok"

    def claim(self, execution_id: str, owner: str) -> str:
        found = self.executions.get(execution_id)
        if found is None:
            return "unknown"
        if found.closed:
            return "closed"
        if found.open:
            return "open"
        if found.ender not in ("", owner) and found.ending_until > self.now:
            return "held"
        found.ender, found.ending_until = owner, self.now + LEASE
        return "claimed"

    def finalize(self, execution_id: str, status: str) -> str | None:
        found = self.executions.get(execution_id)
        if found is None:
            return None
        if not found.over and not found.open and (not found.cancel or status == "cancelled"):
            found.status = status
            found.version += 1
            self.look_after(execution_id)
        return found.status

    def come(self, found: Execution, waiting: Sequence[tuple[str, int]], fresh: bool) -> list[str]:
        """Whose turn has come by the end of what they wait for; not ``fresh``: whose has, and who is still ready."""
        turns: list[str] = []
        for name, needs in () if found.stopping else waiting:
            if fresh and needs > 1:
                found.met[name] = found.met.get(name, 0) + 1
            come = name not in found.actions and (needs == 1 or found.met.get(name) == needs)
            if come if fresh else name in found.ready:
                turns.append(name)
                if fresh:
                    found.ready[name] = self.now
                    found.open += 1
        return turns

    def due(self, limit: int) -> list[tuple[str, str]]:
        passed = sorted((when, "|".join(key), key) for key, when in self.deadlines.items() if when <= self.now)
        claimed = [key for _, _, key in passed[:limit]]
        self.deadlines |= dict.fromkeys(claimed, self.now + LEASE)
        return claimed

    def look_after(self, execution_id: str) -> None:
        self.deadlines[execution_id, ""] = self.now + LOOK_AFTER

    def close_gap(self, execution_id: str, found: Execution, ended: int) -> None:
        found.open -= ended
        if found.open == 0:
            self.look_after(execution_id)

    def end_by_decision(
        self, execution_id: str, found: Execution, ends: Mapping[str, str], between: bool = False
    ) -> int:
        """End what has not begun or, with ``between``, what waits for its next attempt; how many there were."""
        settled = 0
        for name, status in ends.items():
            action = found.action(name)
            if action.phase != "retry" if between else action.status != "pending":
                continue
            found.waiting -= action.phase == "confirmation"
            action.status, action.phase, action.ended_at = status, "", self.now
            action.error = None if status == "skipped" else ERROR
            found.actions[name] = action
            found.results[name] = f"{name} decided {status}"
            found.failed += status == "failed"
            found.skipped += status == "skipped"
            self.deadlines.pop((execution_id, name), None)
            settled += 1
        return settled


LEGAL = {"pending": ("running", "skipped", "failed"), "running": ("completed", "failed")}
"""By hand: status → what it may become."""

ERROR = "a decision's error"
"""The error of every action that a decision fails."""
