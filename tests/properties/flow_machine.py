"""The same game with executions whose actions start as their own needs end."""

from __future__ import annotations

from typing import Any

import redis
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant

from tests.properties.flow_model import FlowModel
from tests.properties.likely_calls import call
from tests.properties.store_machine import (
    ACTIONS,
    StoreMachine,
    any_execution,
    executions,
    openers,
    seldom,
    settled,
    some,
    turns,
)
from tests.properties.store_model import LEASE, LOOK_AFTER, TERMINAL
from workflow_state.store.flow import FlowStore

NEEDS: dict[str, tuple[str, ...]] = {"a": (), "b": (), "c": ("a",), "d": ("a", "b"), "e": ("c", "d")}


class FlowMachine(StoreMachine):
    """All calls of the store machine, but for levels: those are never opened nor published."""

    last = 0

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client)
        self.model: FlowModel = FlowModel()
        self.flow = FlowStore(self.store)

    @initialize(opened=st.booleans(), seeds=st.lists(st.sampled_from(ACTIONS), unique=True, max_size=2))
    def first(self, opened: bool, seeds: list[str]) -> None:
        """Half of the games begin with an open execution, most beside a rerun that has taken something over."""
        self.create("first")
        if seeds:
            self.create("second")
            for name in seeds:
                self.seed(name, "completed")
            self.start("second")
            self.advance("second", "x")
        if opened:
            self.advance("first", "x")

    def gate(self, name: str) -> int | None:
        """Its own turn."""
        return None

    def waiting_for(self, name: str) -> list[tuple[str, int]]:
        """By the graph."""
        return [(other, len(before)) for other, before in NEEDS.items() if name in before]

    def level_after(self, name: str, ahead: int) -> None:
        """There are no levels."""

    def published(self) -> None:
        """There are no parts."""

    @call(
        some(lambda e: e.active and e.cursor < 0 and not e.stopping),
        14,
        execution_id=executions,
        opener=openers,
    )
    def advance(self, execution_id: str, opener: str, *_: Any) -> None:
        """Open an execution, of which a rerun may have ended some actions before."""
        known = self.model.executions.get(execution_id)
        ended = {name for name in ACTIONS if known is not None and known.action(name).ended}
        met = {name: len(ended.intersection(before)) for name, before in NEEDS.items()}
        begin = [name for name in ACTIONS if met[name] == len(NEEDS[name]) and name not in ended]
        some_met = {name: count for name, count in met.items() if 0 < count < len(NEEDS[name])}
        repeated = known is not None and known.cursor == 0
        head = self.flow.open(execution_id, begin, some_met, opener, LOOK_AFTER)
        opened = self.model.open(execution_id, begin, some_met, opener)
        assert (head is not None) == opened
        self.call_changes_nothing(not opened or repeated)
        if opened and not repeated:
            assert head is not None
            assert list(head.turns) == begin
            self.dispatched[execution_id] |= set(begin)

    @call(
        some(lambda e: e.active and bool(e.ready) and not e.stopping),
        14,
        execution_id=executions,
        names=st.permutations(ACTIONS),
        turns=turns,
        halts=seldom,
        timeout=st.sampled_from((None, LEASE)),
        stale=st.sampled_from((False, False, True)),
    )
    def decide(
        self,
        execution_id: str,
        names: list[str],
        turns: tuple[str, ...],
        halts: bool,
        timeout: int | None,
        stale: bool,
    ) -> None:
        """Of two whose turn has come some end by decision, and make the turn of others; some ask a person. Whose turn
        has not come, or who has begun, is left alone.
        """
        known = self.model.executions.get(execution_id)
        if known is None:
            return
        found = [name for name in names if name in known.ready or stale]
        turn = dict(zip(found, turns, strict=False))
        ends = {name: (status, self.waiting_for(name)) for name, status in turn.items() if status in TERMINAL}
        halted = next((name for name, (status, _) in ends.items() if halts and status == "failed"), "")
        asked = {name: timeout for name, what in turn.items() if what == "asked" and not halted}
        rows = [(settled(name, status), waiting) for name, (status, waiting) in ends.items()]
        head = self.flow.decide(execution_id, rows, asked, halted, LOOK_AFTER)
        self.call_changes_nothing(not self.model.decide(execution_id, ends, asked, halted))
        self.is_head_of(execution_id, head)
        assert head is not None
        assert list(head.turns) == self.model.turns
        self.dispatched[execution_id] |= set(self.model.turns)

    @call(
        some(lambda e: bool(e.ready)),
        5,
        execution_id=any_execution,
        names=st.lists(st.sampled_from(ACTIONS), unique=True),
        ago=st.sampled_from((0, LEASE // 2, LEASE)),
    )
    def claim_ready(self, execution_id: str, names: list[str], ago: int) -> None:
        """What is sent again is claimed once for a time, and only while it is ready."""
        until = self.model.now - ago
        claimed = self.model.claim_ready(execution_id, names, until)
        assert self.flow.claim(execution_id, names, until) == claimed
        self.call_changes_nothing(not claimed)
        assert self.flow.claim(execution_id, names, until) == [], "claimed twice"

    @invariant()
    def turns_come_when_needs_have_ended(self) -> None:
        """Whoever has had its turn is exactly who waits for nothing any more, until the execution stops."""
        for execution_id, known in self.model.executions.items():
            ended = {name for name in ACTIONS if known.action(name).ended}
            had = {name for name, before in NEEDS.items() if ended.issuperset(before)}
            dispatched = self.dispatched[execution_id]
            if known.active and known.cursor == 0 and not known.stopping:
                assert dispatched == had - (ended - dispatched), "a turn is missing, or came too early"
                ready = {name for name in dispatched if known.action(name).status == "pending"}
                asked = {name for name in ready if known.action(name).phase}
                assert set(known.ready) == ready - asked
