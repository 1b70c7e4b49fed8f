"""The schedule ``levels``: the next level starts when every action of the one before has ended."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from celery.canvas import Signature

from workflow_state import rules
from workflow_state.program import Program
from workflow_state.runtime import canvas
from workflow_state.runtime.points import reached
from workflow_state.runtime.schedule import Schedule, confirmations
from workflow_state.runtime.turns import sending_ends
from workflow_state.store.records import Head, Settled


class Levels(Schedule):
    """A level is opened once, by whoever ends the last action of the one before, or doubts that it was done.

    A part of a level, as messages name it: the level's number, and the part's.
    """

    def advance(self, execution_id: str, program: Program, head: Head) -> Head | None:
        """Open the next level if nothing of the current one is open, and publish it."""
        if head.opened:
            reached("level opened")
            self.publish_actions(execution_id, program, program.levels[head.cursor])
            return None
        now: Head | None = head
        while now is not None and now.active and now.open == 0:
            if now.stopping or now.cursor + 1 == len(program.levels):
                return now
            if now.paused or not self._open(execution_id, program, now.cursor + 1, now):
                return None
            now = self.store.head(execution_id)
        return None

    def _open(self, execution_id: str, program: Program, level: int, head: Head) -> bool:
        """Open a level and publish what runs of it; True when nothing does, so that the next one's time has come."""
        ready, settled, halted = self._decide(execution_id, program, level, head)
        waiting = confirmations(program, ready)
        now = [name for name in ready if name not in waiting]
        parts = self._parts(program, level) if now else 0
        opener, look_after = uuid.uuid4().hex, self.means.settings.lease_ms
        if not self.store.advance(execution_id, level, len(ready), parts, settled, halted, opener, look_after, waiting):
            return False
        reached("level opened")
        if now:
            self._publish_level(execution_id, program, level, parts, now)
        return not ready

    def catch_up(self, execution_id: str, program: Program, action_id: str, head: Head) -> Head:
        """The level that the action's end opened, as far as it has not begun."""
        if head.opened and head.active and not head.paused:
            ids = program.levels[head.cursor]
            records = self.store.records(execution_id, ids)
            self.publish_actions(execution_id, program, [name for name in ids if records[name].may_begin])
        return replace(head, opened=False)

    def publish_part(self, execution_id: str, program: Program, head: Head, part: Sequence[Any]) -> None:
        """``part``: number of a level, number of its part."""
        level, number = part
        if not head.active or head.paused or head.cursor != level:
            return
        size = self.means.settings.part_size
        ids = program.levels[level][number * size : (number + 1) * size]
        records = self.store.records(execution_id, ids)
        self._publish(execution_id, program, level, number, [i for i in ids if records[i].may_begin])

    def take_up(self, execution_id: str, program: Program, head: Head) -> Head | None:
        """The current level, every part of it."""
        if head.open == 0:
            return self.advance(execution_id, program, head)
        app, level = self.means.app, program.levels[head.cursor]
        numbers = range(self._parts(program, head.cursor) or 1)
        parts = [canvas.part_signature(app, execution_id, (head.cursor, number)) for number in numbers]
        records = self.store.records(execution_id, level)
        canvas.publish(app, [*parts, *self.next_attempts(execution_id, program, records)])
        return None

    def look(self, execution_id: str, program: Program, head: Head) -> None:
        """A part was not published, or messages are lost."""
        if parts := self.store.parts_left(execution_id):
            self._publish_some(execution_id, program, head, parts)
            return
        level, size, app = head.cursor, self.means.settings.part_size, self.means.app
        ids = program.levels[level]
        records = self.store.records(execution_id, ids)

        def behind(names: Sequence[str], first: Signature) -> list[Signature]:
            among = set(names)
            parts = sorted({number // size for number, name in enumerate(ids) if name in among})
            return [canvas.part_signature(app, execution_id, (level, part), first) for part in parts]

        self.resend(execution_id, program, head, [name for name in ids if records[name].may_begin], behind)

    def open_ids(self, execution_id: str, program: Program, head: Head) -> Sequence[str]:
        """Those of the current level."""
        return program.levels[head.cursor]

    def _decide(
        self, execution_id: str, program: Program, level: int, head: Head
    ) -> tuple[Sequence[str], list[Settled], str]:
        """Which actions of a level run, which end by decision, and which of these halts the execution."""
        ids: Sequence[str] = program.levels[level]
        plain = program.plain.issuperset(ids)
        if head.all_well and plain:
            return ids, [], ""
        if head.seeded:
            records = self.store.records(execution_id, ids)
            ids = [name for name in ids if records[name].may_begin]
        seen = rules.looked_at(program, ids)
        outcomes = self.store.outcomes(execution_id, seen, with_outputs=not plain)
        decided = rules.decide_all(program, ids, outcomes, self.means.redactor)
        make = self.means.settling.decided
        return decided.run, [make(execution_id, program.steps[n], d) for n, d in decided.ended], decided.halted

    def _parts(self, program: Program, level: int) -> int:
        """In how many parts a level is published that are noted one by one.

        None of a level that is no wider than one: the sweeper sees which of its actions never began.
        """
        parts = -(-len(program.levels[level]) // self.means.settings.part_size)
        return parts if parts > 1 else 0

    def _publish_level(self, execution_id: str, program: Program, level: int, parts: int, ready: Sequence[str]) -> None:
        """Publish a level; a wide one in parts, all but the first by whichever workers are free."""
        others = [canvas.part_signature(self.means.app, execution_id, (level, part)) for part in range(1, parts)]
        if others:
            canvas.publish(self.means.app, others)
            first = set(program.levels[level][: self.means.settings.part_size])
            ready = [name for name in ready if name in first]
        self._publish(execution_id, program, level, 0, ready)

    def _publish_some(self, execution_id: str, program: Program, head: Head, parts: Sequence[int]) -> None:
        """Publish parts for as long as there is time, one at least; the others with the sweeper's next look."""
        until = sending_ends()
        for done, part in enumerate(parts, start=1):
            self.publish_part(execution_id, program, head, (head.cursor, part))
            self.means.observers.tell("swept", "part_published", 1)
            if done < len(parts) and time.monotonic() > until:
                self.store.postpone(execution_id, 0)
                break

    def _publish(self, execution_id: str, program: Program, level: int, part: int, ids: Sequence[str]) -> None:
        self.publish_actions(execution_id, program, ids)
        if self._parts(program, level):
            self.store.published(execution_id, level, part, self.means.settings.lease_ms)
