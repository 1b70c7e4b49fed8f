"""The schedule ``dataflow``: an action starts the moment its own needs have ended."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from celery.canvas import Signature

from workflow_state import rules
from workflow_state.program import Program
from workflow_state.runtime import canvas
from workflow_state.runtime.points import reached
from workflow_state.runtime.schedule import Means, Schedule, confirmations, level_looks
from workflow_state.store.flow import FlowStore
from workflow_state.store.records import Head


class Dataflow(Schedule):
    """Whoever ends an action learns from the store whose turn has come by it, decides on these, and publishes them.

    Decisions are taken from what has ended, so whoever repeats one comes to the same answer. A part, as messages
    name it: action ids, and the time (ms) since which nobody else must have sent them.
    """

    def __init__(self, means: Means) -> None:
        super().__init__(means)
        self._flow = FlowStore(means.store)

    def advance(self, execution_id: str, program: Program, head: Head) -> Head | None:
        """Start those whose turn has come with this head; at first, those that wait for nobody."""
        now: Head | None = head
        if head.cursor < 0 and not head.stopping:
            now = None if head.paused else self._open(execution_id, program, head)
        if now is not None and now.turns:
            now = self._take(execution_id, program, now)
        return now if now is not None and now.active and now.open == 0 else None

    def _open(self, execution_id: str, program: Program, head: Head) -> Head | None:
        ended = set()
        if head.seeded:
            ended = {name for name, record in self._flow.begun(execution_id).items() if record.ended_at is not None}
        met = {name: sum(need in ended for need in step.needs) for name, step in program.steps.items()}
        turns = [n for n, step in program.steps.items() if met[n] == len(step.needs) and n not in ended]
        some = {name: count for name, count in met.items() if 0 < count < len(program.steps[name].needs)}
        opened = self._flow.open(execution_id, turns, some, uuid.uuid4().hex, self.means.settings.lease_ms)
        reached("level opened")
        return opened

    def _take(self, execution_id: str, program: Program, head: Head) -> Head:
        """Decide on those whose turn has come, and publish those that run."""
        head, run = self._decide(execution_id, program, head)
        if head.stopping:
            return self.stop(execution_id, program, head)
        # After a pause, all that is ready is taken up.
        if not head.paused:
            self._publish(execution_id, program, run)
        return head

    def _decide(self, execution_id: str, program: Program, head: Head) -> tuple[Head, list[str]]:
        """Decide on those whose turn has come, and on those whose turn comes by these decisions, and so on.

        Returns where the execution stands then, and who runs.
        """
        run: list[str] = []
        while head.turns and not (head.stopping or head.paused):
            decided = self._decisions(execution_id, program, head)
            asked = confirmations(program, decided.run)
            run += [name for name in decided.run if name not in asked]
            if not (decided.ended or asked):
                break
            ended = [
                (self.means.settling.decided(execution_id, program.steps[name], decision), program.waiting_for(name))
                for name, decision in decided.ended
            ]
            look_after = self.means.settings.lease_ms
            head = self._flow.decide(execution_id, ended, asked, decided.halted, look_after) or replace(head, turns=())
            reached("decided")
        return head, run

    def _decisions(self, execution_id: str, program: Program, head: Head) -> rules.Decisions:
        """What becomes of those whose turn has come; nothing is read for those that run when all went well."""
        ids = [name for name in head.turns if not (head.all_well and name in program.plain)]
        if not ids:
            return rules.Decisions(head.turns)
        conditions = not program.plain.issuperset(ids)
        outcomes = self.store.outcomes(execution_id, rules.looked_at(program, ids), with_outputs=conditions)
        decided = rules.decide_all(program, ids, outcomes, self.means.redactor)
        if decided.halted:
            return decided
        out = {name for name, _ in decided.ended}
        return replace(decided, run=[name for name in head.turns if name not in out])

    def _publish(self, execution_id: str, program: Program, ids: Sequence[str]) -> None:
        """Publish actions; of many only the first part, the others by whichever workers are free."""
        size, app = self.means.settings.part_size, self.means.app
        if len(ids) > size:
            canvas.publish(app, self._parts(execution_id, ids[size:]))
        if ids:
            self.publish_actions(execution_id, program, ids[:size])

    def _parts(self, execution_id: str, ids: Sequence[str], behind: Signature | None = None) -> list[Signature]:
        size, now = self.means.settings.part_size, self.store.now()
        parts = [list(ids[start : start + size]) for start in range(0, len(ids), size)]
        return [canvas.part_signature(self.means.app, execution_id, (part, now), behind) for part in parts]

    def publish_part(self, execution_id: str, program: Program, head: Head, part: Sequence[Any]) -> Head | None:
        """``part``: action ids, and the time (ms) since which nobody else must have sent them."""
        ids, until = part
        # A message that is left over from an execution that had the id before may name a part of a level.
        if head.paused or not isinstance(ids, list):
            return None
        # A message that was put behind a queue has come through it: the next suspicion is a new one.
        self.store.forget_looks(execution_id, level_looks(head.cursor))
        turns = self._flow.claim(execution_id, ids, until)
        return self.advance(execution_id, program, self._head_with(execution_id, turns, head))

    def take_up(self, execution_id: str, program: Program, head: Head) -> Head | None:
        """All that is ready, and those between two attempts or agreed to."""
        now = self.store.now()
        turns = self._flow.claim(execution_id, self._flow.ready(execution_id), now)
        found = self.advance(execution_id, program, self._head_with(execution_id, turns, head))
        records = self._flow.begun(execution_id)
        agreed = [name for name, record in records.items() if record.phase == "confirmed"]
        again = canvas.level_group(self.means.app, program, execution_id, agreed).tasks
        canvas.publish(self.means.app, [*again, *self.next_attempts(execution_id, program, records)])
        return found

    def look(self, execution_id: str, program: Program, head: Head) -> Head | None:
        """What has been ready for some time: its turn was not followed up, its message waits, or it is lost."""
        until = self.store.now() - self.means.settings.lease_ms // 2
        old = self._flow.ready(execution_id, until)
        head, run = self._decide(execution_id, program, self._head_with(execution_id, old, head))
        if head.stopping:
            head = self.stop(execution_id, program, head)
        elif not head.paused:
            suspects = set(old)
            self._publish(execution_id, program, [name for name in run if name not in suspects])
            lost = [name for name in run if name in suspects]
            self.resend(execution_id, program, head, lost, lambda ids, first: self._parts(execution_id, ids, first))
        return head if head.active and head.open == 0 else None

    def catch_up(self, execution_id: str, program: Program, action_id: str, head: Head) -> Head:
        """Those who waited for the action and are still ready."""
        ready = self._flow.among(execution_id, program.steps[action_id].successors)
        return self._head_with(execution_id, ready, head)

    def _head_with(self, execution_id: str, turns: Sequence[str], before: Head) -> Head:
        """Where the execution stands now that these were found ready.

        A head from before would not do: whether all went well so far must be known of all that they waited for.
        """
        return replace(self.store.head(execution_id) or before, turns=tuple(turns))

    def open_ids(self, execution_id: str, program: Program, head: Head) -> Sequence[str]:
        """Those that are ready, and those that wait for a person, a service or their next attempt."""
        begun = self._flow.begun(execution_id)
        phases = [name for name, record in begun.items() if record.phase and record.ended_at is None]
        return [*self._flow.ready(execution_id), *phases]
