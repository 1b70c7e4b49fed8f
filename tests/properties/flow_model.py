"""What the store's scripts promise of executions whose actions start as their own needs end, beside the common part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.properties.store_model import Action, Model


class FlowModel(Model):
    """A ready action is one whose turn has come and that has neither begun, nor ended, nor is a person asked."""

    def open(self, execution_id: str, turns: Sequence[str], met: Mapping[str, int], opener: str) -> bool:
        found = self.executions.get(execution_id)
        if found is None or not found.active:
            return False
        if (found.cursor, found.opener) == (0, opener):
            return True
        if found.cursor != -1 or found.stopping:
            return False
        found.cursor, found.open, found.opener = 0, len(turns), opener
        found.ready, found.met = dict.fromkeys(turns, self.now), dict(met)
        found.version += 1
        self.look_after(execution_id)
        return True

    def decide(
        self,
        execution_id: str,
        ends: Mapping[str, tuple[str, Sequence[tuple[str, int]]]],
        asked: Mapping[str, int | None],
        halted: str,
    ) -> bool:
        """Whether it changed anything; ``ends``: the status that a decision gives, and who waits for it."""
        found = self.executions[execution_id]
        self.turns = []
        if not found.active or found.stopping:
            return False
        asked = {name: timeout for name, timeout in asked.items() if found.ready.pop(name, None) is not None}
        for name, timeout in asked.items():
            found.actions[name], found.answers[name] = Action(phase="confirmation"), None
            found.waiting += 1
            if timeout is not None:
                self.deadlines[execution_id, name] = self.now + timeout
        fresh = {name: found.ready.pop(name, None) is not None for name in ends}
        settled = {name: status for name, (status, _) in ends.items() if fresh[name]}
        self.end_by_decision(execution_id, found, settled)
        if settled:
            found.halted = halted
        for name, (_, waiting) in ends.items():
            self.turns += self.come(found, waiting, fresh[name])
        if settled:
            self.close_gap(execution_id, found, len(settled))
        found.version += bool(settled or asked)
        return bool(settled or asked)

    def claim_ready(self, execution_id: str, names: Sequence[str], until: int) -> list[str]:
        found = self.executions.get(execution_id)
        claimed = [name for name in names if found and found.ready.get(name, until + 1) <= until]
        if found:
            found.ready |= dict.fromkeys(claimed, max(self.now, until + 1))
        return claimed
