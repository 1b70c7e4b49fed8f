"""The store's Lua scripts against a model, under any interleaving of callers, crashes and passing time.

Hypothesis plays every role at once: workers that begin, renew and finish (some of them zombies with an old
token), whoever opens the next level, people who answer or cancel, the sweeper, two finishers, and a caller who
drives an execution by hand; each may repeat itself at any moment. After every step the whole of the database is
compared with the model, and with the promises that hold for any history, whatever the model says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis
from celery import Celery
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from tests.properties.likely_calls import always, call, likely_calls
from tests.properties.store_model import ERROR, LEASE, LOOK_AFTER, OVER, TERMINAL, Execution, Model
from tests.properties.store_view import View, agrees, promises_hold, version_grows
from workflow_state.models import ErrorCategory, ErrorDetail
from workflow_state.store.closing import close
from workflow_state.store.records import Head, Settled
from workflow_state.store.redis import Store
from workflow_state.store.results import ActionResults

LEVELS = (("a", "b"), ("c", "d"), ("e",))
LEVEL_OF = {name: number for number, names in enumerate(LEVELS) for name in names}
ACTIONS = tuple(LEVEL_OF)
PARTS = 2
EXECUTIONS = ("first", "second", "by-hand")
"""The second is stored before it is started, as a rerun is; the third is driven by its caller."""

executions = st.sampled_from(("first", "first", "first", "second"))
any_execution = executions | st.sampled_from(EXECUTIONS)
actions = st.runner().flatmap(lambda machine: st.sampled_from(machine.likely()))
"""(execution id, action id): mostly of an action that may have messages on their way."""
held = st.runner().flatmap(lambda machine: st.sampled_from(machine.likely_held()))
"""(execution id, action id): mostly of an action that somebody believes to hold."""
openers = st.sampled_from(("x", "y", "z"))
owners = st.sampled_from(("w1/1", "w2/1"))
tokens = st.sampled_from((0, 0, 0, 0, 0, -1, 1))
"""Added to the token that is valid now: mostly it is that one."""
turns = st.tuples(*[st.sampled_from(("", "", "asked", "", "skipped", "failed", "completed"))] * 2)
"""What becomes of the actions of a level: "" runs."""
seldom = st.integers(0, 9).map(lambda number: number == 7)


def some(test: Callable[[Execution], bool]) -> Callable[[StoreMachine], bool]:
    """Whether there is an execution such as that."""
    return lambda machine: any(map(test, machine.model.executions.values()))


class StoreMachine(RuleBasedStateMachine):
    """Each step makes one call of the store, and the same of the model; the answers must agree."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        client.flushdb()
        # Of the app only the backend is used, for its key names and its client.
        app = Celery("state-machine", backend="redis://", set_as_current=False)
        app.backend.client = client
        self.model = Model()
        self.store = Store(ActionResults(app), "machine", now=lambda: self.model.now)
        self.dispatched: dict[str, set[str]] = {name: set() for name in EXECUTIONS}
        self.holders: dict[tuple[str, str], dict[int, int]] = {}
        self.tokens: dict[tuple[str, str], int] = {}
        self.final: dict[tuple[str, str], tuple[bytes, bytes]] = {}
        self.seen = View()
        self.must_be_as_before = False

    def call_changes_nothing(self, refused: bool) -> None:
        """Say whether the store must be, after this step, exactly what it was before."""
        self.must_be_as_before = refused

    #: What the cursor is when nothing more comes.
    last = len(LEVELS) - 1

    def is_through(self, known: Execution) -> bool:
        """Whether nothing is open and nothing more comes."""
        return not known.open and (known.cursor == self.last or known.stopping)

    def gate(self, name: str) -> int | None:
        """What an action waits for: its level."""
        return LEVEL_OF[name]

    def waiting_for(self, name: str) -> list[tuple[str, int]]:
        """Who waits for an action, each with the number of its needs; nobody, where levels are waited for."""
        return []

    def level_after(self, name: str, ahead: int) -> tuple[int, int] | None:
        """Number and size of the level that may be opened with an action's end; mostly that after its own."""
        level = LEVEL_OF[name] + ahead
        return (level, len(LEVELS[level])) if ahead and level < len(LEVELS) else None

    def likely(self) -> list[tuple[str, str]]:
        """What a caller may be busy with: any action, and those that were dispatched and have not ended often."""
        running = [(one, name) for one in EXECUTIONS for name in sorted(self.dispatched[one])]
        return [key for key in running if key not in self.final] * 9 + [("first", name) for name in ACTIONS]

    def likely_held(self) -> list[tuple[str, str]]:
        return [key for key, tokens in self.holders.items() if tokens] * 20 + self.likely()

    @initialize(opened=st.booleans(), turns=turns)
    def first(self, opened: bool, turns: tuple[str, ...]) -> None:
        """Half of the games begin with an open level: there is more to do wrong."""
        self.create("first")
        if opened:
            self.advance("first", 1, "x", turns, False, LEASE)

    @call(lambda m: len(m.model.executions) < 3, 2, execution_id=st.sampled_from(EXECUTIONS))
    def create(self, execution_id: str) -> None:
        """Accepting an execution again changes nothing."""
        driver, started = ("manual" if execution_id == "by-hand" else "workers"), execution_id == "first"
        look_after = LOOK_AFTER if started else None
        answer = self.store.create(execution_id, "{}", "{}", {"driver": driver}, look_after, started=started)
        assert bool(answer) == self.model.create(execution_id, driver, started)
        self.call_changes_nothing(not answer)

    @call(some(lambda e: not e.started and e.driver == "workers"), 3, execution_id=executions)
    def start(self, execution_id: str) -> None:
        """What was held back is started once."""
        answer = self.store.start(execution_id, LOOK_AFTER)
        assert answer == self.model.start(execution_id)
        self.call_changes_nothing(not answer)

    @call(
        some(lambda e: not e.started and e.driver == "workers"),
        2,
        name=st.sampled_from(ACTIONS),
        status=st.sampled_from(TERMINAL),
    )
    def seed(self, name: str, status: str) -> None:
        """What a rerun takes over is there before the execution starts."""
        known = self.model.executions.get("second")
        if known is not None and not known.started:
            self.settle("second", [name], status, were_open=False)

    @call(
        some(lambda e: e.active and not e.open and not e.stopping),
        14,
        execution_id=executions,
        ahead=st.sampled_from((1, 1, 1, 0, 2)),
        opener=openers,
        turns=turns,
        halts=st.booleans(),
        timeout=st.sampled_from((None, LEASE)),
    )
    def advance(
        self, execution_id: str, ahead: int, opener: str, turns: tuple[str, ...], halts: bool, timeout: int | None
    ) -> None:
        """Open a level: of its actions some end by decision, some ask a person, the others run; none if one halts."""
        known = self.model.executions.get(execution_id)
        level = min((known.cursor if known else -1) + ahead, len(LEVELS) - 1)
        if level < 0:
            return
        left = [name for name in LEVELS[level] if known is None or not known.action(name).ended]
        turn = dict(zip(left, turns, strict=False))
        decided = {name: status for name, status in turn.items() if status in TERMINAL}
        halted = next((name for name, status in decided.items() if halts and status == "failed"), "")
        ready = [] if halted else [name for name in left if name not in decided]
        asked = {name: timeout for name in ready if turn[name] == "asked"}
        parts = PARTS if len(ready) > len(asked) else 0
        rows = [settled(name, status) for name, status in decided.items()]
        repeated = known is not None and known.cursor == level
        answer = self.store.advance(execution_id, level, len(ready), parts, rows, halted, opener, LOOK_AFTER, asked)
        assert answer == self.model.advance(execution_id, level, len(ready), parts, decided, halted, opener, asked)
        self.call_changes_nothing(not answer or repeated)
        if answer and not repeated:
            self.dispatched[execution_id] |= set(ready)

    @call(
        some(lambda e: bool(e.parts)), 2, execution_id=executions, level=st.integers(-1, 2), part=st.integers(0, PARTS)
    )
    def published(self, execution_id: str, level: int, part: int) -> None:
        """A part is ticked off once, and only those of the level that is open."""
        left = self.store.published(execution_id, level, part, LOOK_AFTER)
        assert left == self.model.published(execution_id, level, part)

    @call(some(lambda e: e.open > 0), 20, key=actions, ahead=st.sampled_from((1, 1, 1, 0, 2)), owner=owners)
    def begin(self, key: tuple[str, str], ahead: int, owner: str) -> None:
        """A lease goes to one caller, with a token above all earlier ones; the others are told why not."""
        execution_id, name = key
        known = self.model.executions[execution_id]
        action = known.action(name)
        again = action.leased and action.owner == owner
        sources = [other for other in ACTIONS if LEVEL_OF[other] < LEVEL_OF[name]]
        gate = self.gate(name)
        what = (execution_id, name, action.attempt + ahead, owner)
        begun = self.store.begin(*what, LEASE, sources, gate)
        assert begun.answer == self.model.begin(*what, gate)
        self.call_changes_nothing(begun.answer != "lease" or again)
        if begun.answer != "lease":
            return
        if not again:
            assert begun.token > self.tokens.get(key, 0)
            live = [token for token, until in self.holders.get(key, {}).items() if until > self.model.now]
            assert not live, "a lease was given while another holder counts on its own"
            self.tokens[key] = begun.token
            self.holders.setdefault(key, {})[begun.token] = self.model.now + LEASE
        action = known.action(name)
        assert (begun.attempt, begun.token, begun.lost) == (action.attempt, action.token, action.lost)
        assert [record.status for record in begun.records] == [known.action(source).status for source in sources]
        results = [payload.decode() if payload else None for payload in begun.results]
        assert results == [known.results.get(source) for source in sources]

    @call(lambda m: any(m.holders.values()), 4, key=held, shift=tokens)
    def renew(self, key: tuple[str, str], shift: int) -> None:
        """Only the holder renews, and never what has ended."""
        execution_id, name = key
        token = self.tokens.get(key, 0) + shift
        gone = self.store.renew(execution_id, [(name, token)], LEASE, "")
        assert gone == self.model.renew(execution_id, [(name, token)])
        self.call_changes_nothing(bool(gone))
        if not gone:
            self.holders[key][token] = self.model.now + LEASE

    @call(
        lambda m: any(m.holders.values()),
        16,
        key=held,
        shift=tokens,
        outcome=st.sampled_from(("completed", "failed", "retry", "fallback", "failed", "retry")),
        halts=st.booleans(),
        delay=st.sampled_from((0, 10, 2 * LEASE)),
        opens=st.sampled_from((0, 0, 1, 1, 2)),
    )
    def finish(self, key: tuple[str, str], shift: int, outcome: str, halts: bool, delay: int, opens: int) -> None:
        """Only the holder of the token writes; a repeated or a stale call changes nothing."""
        token = max(1, self.tokens.get(key, 0) + shift)
        error = None if outcome == "completed" else f"error of {token}"
        outcome = "completed" if outcome == "fallback" else outcome
        what: dict[str, Any] = {
            "payload": f"{key[1]} ended by {token}",
            "halts": halts,
            "waiting": self.waiting_for(key[1]),
            "then": self.level_after(key[1], opens),
        }
        late = {"look_after_ms": LOOK_AFTER, "delay_ms": delay, "traceback": "line\n" * 2 if error else ""}
        answer, head = self.store.finish(*key, token, outcome, error=detail(error), **what, **late)
        assert answer == self.model.finish(*key, token, outcome, error=error, delay=delay, **what)
        self.call_changes_nothing(answer != "ok")
        if answer != "ok" or self.model.follows(key[0], outcome, halts):
            self.is_head_of(key[0], head)
        else:
            assert head is None
        assert list(head.turns if head else ()) == self.model.turns
        assert (head is not None and head.opened) == self.model.opened
        self.dispatched[key[0]] |= set(self.model.turns)
        if head is not None and head.opened:
            self.dispatched[key[0]] |= set(LEVELS[head.cursor])
        if answer == "ok":
            del self.holders[key][token]

    @call(some(lambda e: None in e.answers.values()), 8, key=actions, yes=st.booleans())
    def confirm(self, key: tuple[str, str], yes: bool) -> None:
        """A confirmation is answered once; the same answer again, and the other one, change nothing."""
        answer, _ = self.store.confirm(*key, yes, "somebody", LOOK_AFTER)
        assert answer == self.model.confirm(*key, yes)
        self.call_changes_nothing(answer != "answered")

    @call(some(lambda e: not e.over), 3, execution_id=st.sampled_from(("first", *EXECUTIONS)), reason=openers)
    def cancel(self, execution_id: str, reason: str) -> None:
        """The first reason stays; what has ended cannot be cancelled."""
        known = self.model.executions.get(execution_id)
        self.call_changes_nothing(known is None or known.over or bool(known.cancel))
        answer, head = self.store.cancel(execution_id, reason, LOOK_AFTER)
        assert answer == self.model.cancel(execution_id, reason)
        self.is_head_of(execution_id, head)

    @call(some(lambda e: e.stopping and e.open > 0), 8, key=actions, all_of_it=st.booleans())
    def settle_open(self, key: tuple[str, str], all_of_it: bool) -> None:
        """What a worker does whose message came after a halt or a cancel, or what a cancel does with a level."""
        execution_id, name = key
        known = self.model.executions[execution_id]
        names = [n for n in sorted(self.dispatched[execution_id]) if n == name or all_of_it]
        if known.stopping and names:
            self.settle(execution_id, names, "skipped", were_open=True)
        waiting = [n for n in names if known.action(n).phase == "retry"]
        if known.cancel and not known.halted and waiting:
            self.settle(execution_id, waiting, "failed", were_open=True, between=True)

    @call(some(lambda e: e.active and e.stopping and not e.open), 8, execution_id=executions)
    def settle_rest(self, execution_id: str) -> None:
        """What whoever ends the execution does with all that never ran."""
        known = self.model.executions.get(execution_id)
        if known is not None and known.active and known.stopping and known.open == 0:
            self.settle(execution_id, list(ACTIONS), "skipped", were_open=False)

    def settle(self, execution_id: str, names: list[str], status: str, were_open: bool, between: bool = False) -> None:
        known = self.model.executions[execution_id]
        found = [known.action(name) for name in names]
        meant = any(action.phase == "retry" if between else action.status == "pending" for action in found)
        self.call_changes_nothing(not meant)
        rows = [settled(name, status, between) for name in names]
        head = self.store.settle(execution_id, rows, were_open=were_open, look_after_ms=LOOK_AFTER)
        self.model.settle(execution_id, dict.fromkeys(names, status), were_open, between)
        self.is_head_of(execution_id, head)

    @call(
        some(lambda e: e.driver == "manual"),
        6,
        execution_id=st.sampled_from(("by-hand", "by-hand", "first")),
        name=st.sampled_from(LEVELS[0]),
        status=st.sampled_from(("running", "running", "completed", "failed", "skipped")),
        halts=seldom,
    )
    def transition(self, execution_id: str, name: str, status: str, halts: bool) -> None:
        """Only legal changes, only of what is driven by hand; the others change nothing."""
        error = "by hand" if status == "failed" else None
        what: dict[str, Any] = {"payload": "by hand", "halts": halts}
        rest = {"reason": "", "look_after_ms": LOOK_AFTER}
        answer, _ = self.store.transition(execution_id, name, status, error=detail(error), **rest, **what)
        assert answer == self.model.transition(execution_id, name, status, error=error, **what)
        self.call_changes_nothing(answer != "ok")

    @call(some(lambda e: e.over), 4, execution_id=any_execution, owner=owners)
    def claim(self, execution_id: str, owner: str) -> None:
        """At most one finisher at a time, until its claim ends."""
        answer, head = self.store.claim_end(execution_id, owner, LEASE)
        assert answer == self.model.claim(execution_id, owner)
        if answer == "claimed":
            self.is_head_of(execution_id, head)
        else:
            assert head is None
        self.call_changes_nothing(answer != "claimed")

    @call(
        lambda m: any(map(m.is_through, m.model.executions.values())),
        8,
        execution_id=any_execution,
        status=st.sampled_from(OVER),
        cut=seldom,
    )
    def finalize(self, execution_id: str, status: str, cut: bool) -> None:
        """The first end counts, after a cancel only that; none is set while actions are open."""
        known = self.model.executions.get(execution_id)
        if (known is not None and self.is_through(known)) or cut:
            self.call_changes_nothing(
                known is None or known.over or bool(known.open or (known.cancel and status != "cancelled"))
            )
            error = detail("over" if status == "failed" else None)
            answer = self.store.finalize(execution_id, status, error, LOOK_AFTER)
            assert (answer[0] if answer else None) == self.model.finalize(execution_id, status)

    @call(some(lambda e: e.over and not e.open and not e.closed), 4)
    def close(self) -> None:
        """Everything of an ended execution gets its TTL."""
        for execution_id, known in self.model.executions.items():
            if known.over and not known.open:
                close(self.store, execution_id, ACTIONS, 3600, look_again=False)
                known.closed = True
                self.model.deadlines.pop((execution_id, ""), None)

    @call(always, 7, ms=st.sampled_from((LEASE, 1, LEASE // 3, 3 * LEASE)))
    def time_passes(self, ms: int) -> None:
        self.model.now += ms

    @call(lambda m: any(due <= m.model.now for due in m.model.deadlines.values()), 6, limit=st.sampled_from((1, 10)))
    def due(self, limit: int) -> None:
        """A passed deadline goes to one sweeper, which finds something alive behind it."""
        claimed = self.store.due(limit, LEASE)
        assert claimed == self.model.due(limit)
        for execution_id, name in claimed:
            action = self.model.executions[execution_id].action(name)
            assert not name or action.status == "running" or action.phase in ("confirmation", "confirmed")

    @rule(what=likely_calls)
    def step(self, what: tuple[str, dict[str, Any]]) -> None:
        name, arguments = what
        getattr(self, name)(**arguments)

    @invariant()
    def everything_holds(self) -> None:
        before, self.seen = self.seen, View.of(self.store, EXECUTIONS, ACTIONS)
        assert not self.must_be_as_before or self.seen == before, "a refused call changed something"
        self.must_be_as_before = False
        assert self.seen.deadlines == self.model.deadlines
        for execution_id, known in self.model.executions.items():
            stored = self.seen.executions[execution_id]
            agrees(stored, known)
            promises_hold(execution_id, self.seen, self.dispatched[execution_id])
            version_grows(before.executions.get(execution_id), stored)
            for name in stored.ended:
                found = (stored.records[name], stored.results[name])
                assert self.final.setdefault((execution_id, name), found) == found, "what has ended never changes"

    def is_head_of(self, execution_id: str, head: Head | None) -> None:
        """The head that a call answered with is that of the execution after it; none of an unknown one."""
        known = self.model.executions.get(execution_id)
        if known is None or head is None:
            assert known is head is None
            return
        assert (head.status, head.cursor, head.open) == (known.status, known.cursor, known.open)
        assert (head.halted, head.failed, head.skipped) == (known.halted, known.failed, known.skipped)
        assert (head.cancel, head.driver) == (known.cancel, known.driver)


def settled(name: str, status: str, between: bool = False) -> Settled:
    """An action that a decision ends."""
    error = detail(None if status == "skipped" else ERROR)
    text = error and error.model_dump_json()
    return Settled(name, status, f"{name} decided {status}", error=text, between_attempts=between)


def detail(message: str | None) -> ErrorDetail | None:
    """An error with something to escape in it."""
    context = {"quote": '"\\é\n'}
    return (message and ErrorDetail(category=ErrorCategory.ACTION_FAILED, message=message, context=context)) or None
