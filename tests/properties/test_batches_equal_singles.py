"""Actions that begin and end together are left as they would be one after the other, whatever happened before.

The scripts of one action are played against a model (``store_machine.py``); here the same calls go to two servers, to
one of them action by action, and answers and databases are compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import fakeredis
import pytest
import redis
from celery import Celery
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workflow_state.models import ErrorCategory, ErrorDetail
from workflow_state.program import Step
from workflow_state.store.batches import BatchStore, End
from workflow_state.store.flow import FlowStore
from workflow_state.store.records import Begun
from workflow_state.store.redis import Store
from workflow_state.store.results import ActionResults

LEASE, LOOK = 1_000, 5_000
ID = "batched"
ERROR = ErrorDetail(category=ErrorCategory.ACTION_FAILED, message="no \"paper\" \\ 'left'\n☃")
#: Whom each waits for; those who wait for somebody read all of them.
NEEDS: dict[str, tuple[str, ...]] = {"a": (), "b": (), "c": (), "d": ("a",), "e": ("a", "b"), "f": ("b", "c", "a")}
ACTIONS = tuple(NEEDS)

names = st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=8) | st.sampled_from((["a", "b", "c"], ["d", "e", "f"]))
"""Of one message; one that names an action twice is no reason to be untidy."""
begins = st.tuples(st.just("begin"), names, st.sampled_from((1, 1, 1, 2)), st.sampled_from(("w/1", "w/2")))
ends = st.tuples(
    st.just("finish"),
    st.lists(
        st.tuples(
            st.sampled_from(ACTIONS),
            st.sampled_from((0, 0, 0, 0, -1, 1)),
            st.sampled_from(("completed", "completed", "failed", "retry", "fallback")),
            st.booleans(),
        ),
        min_size=1,
        max_size=8,
    )
    | st.just([(name, 0, "completed", False) for name in "abc"]),
)
others = st.tuples(st.sampled_from(("open", "later", "cancel", "pause", "resume", "another")))
games = st.lists(begins | begins | ends | ends | others, max_size=25)


class Side:
    """One of the two servers."""

    def __init__(self, client: redis.Redis, dataflow: bool) -> None:
        client.flushdb()
        app = Celery("batches", backend="redis://", set_as_current=False)
        app.backend.client = client
        self.now, self.client, self.dataflow = 1_700_000_000_000, client, dataflow
        self.store = Store(ActionResults(app), "batches", now=lambda: self.now)
        self.level = -1
        self.store.create(ID, "{}", "{}", {"driver": "workers"}, LOOK)

    def step(self, name: str) -> Step:
        """What is known of an action."""
        level = None if self.dataflow else min(1, len(NEEDS[name]))
        return Step(id=name, definition="x", level=level, sources=NEEDS[name])

    def do(self, what: str) -> object:
        """What the two do alike."""
        match what:
            case "open" if self.dataflow:
                return FlowStore(self.store).open(ID, ["a", "b", "c"], {}, "x", LOOK)
            case "open":
                self.level += self.store.advance(ID, self.level + 1, 3, 1, [], "", f"x{self.level}", LOOK)
            case "later":
                self.now += LEASE + 1
            case "cancel":
                return self.store.cancel(ID, "enough", LOOK)
            case "pause" | "resume":
                return self.store.pause(ID, what == "pause")
            case "another":
                return BatchStore(self.store).begin(ID, [self.step("a")], 1, "w/3", LEASE, created="some other time")
        return None

    def waiting(self, name: str) -> list[tuple[str, int]]:
        """Who waits for an action."""
        found = [(other, len(needs)) for other, needs in NEEDS.items() if name in needs]
        return found if self.dataflow else []

    def end(self, name: str, shift: int, outcome: str, halts: bool) -> End:
        """The end of an attempt, by the token of now, or by one that never was."""
        token = self.store.records(ID, [name])[name].token + shift
        what: dict[str, Any] = {"look_after_ms": LOOK, "payload": f"{name} by {token}\x80\xff".encode("latin-1")}
        if outcome != "completed":
            what |= {"error": ERROR, "traceback": "line\n" * 2, "halts": halts, "delay_ms": 10}
        outcome = "completed" if outcome == "fallback" else outcome
        if self.step(name).level == 0:
            what["then"] = (1, 3)
        return End(name, token, outcome, {**what, "waiting": self.waiting(name)})

    def everything(self) -> dict[str, Any]:
        """The whole database; JSON is read, since the order of its fields is nobody's business."""
        found: dict[str, Any] = {}
        for key in sorted(self.client.scan_iter()):
            kind = self.client.type(key).decode()
            if kind == "hash":
                value: Any = {name: readable(text) for name, text in self.client.hgetall(key).items()}
            elif kind == "stream":
                value = self.client.xrange(key)
            elif kind == "zset":
                value = self.client.zrange(key, 0, -1, withscores=True)
            else:
                value = self.client.get(key) if kind == "string" else self.client.smembers(key)
            found[key.decode()] = value
        return found


def readable(text: bytes) -> Any:
    """JSON, or what it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def begin_alone(side: Side, ids: Sequence[str], attempt: int, owner: str) -> list[Begun]:
    """One after the other."""
    steps = [side.step(name) for name in ids]
    return [side.store.begin(ID, s.id, attempt, owner, LEASE, s.sources, s.level) for s in steps]


def finish_alone(side: Side, found: Sequence[End]) -> tuple[list[str], list[str], bool]:
    """One after the other: the answers, whose turn has come, and whether one opened the next level."""
    replies = [side.store.finish(ID, end.action_id, end.token, end.outcome, **end.what) for end in found]
    heads = [head for _, head in replies if head]
    turns = [name for head in heads for name in head.turns]
    return [answer for answer, _ in replies], turns, any(head.opened for head in heads)


def play(together: Side, alone: Side, game: Sequence[Sequence[Any]]) -> None:
    """The same calls for both."""
    batches = BatchStore(together.store)
    for what, *rest in game:
        if what == "begin":
            ids, attempt, owner = rest
            answers = batches.begin(ID, [together.step(name) for name in ids], attempt, owner, LEASE)
            assert answers == begin_alone(alone, ids, attempt, owner)
        elif what == "finish":
            found = [together.end(*one) for one in rest[0]]
            answers, head = batches.finish(ID, found)
            told, turns, opened = finish_alone(alone, found)
            assert answers == told
            assert head is not None
            assert (list(head.turns), head.opened) == (turns, opened)
            fields = alone.store.fields(ID, "open", "failed", "halted", "cancel")
            assert [str(head.open), str(head.failed), head.halted, head.cancel] == fields
        else:
            together.do(what)
            alone.do(what)
        assert together.everything() == alone.everything()


SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))
BOTH = pytest.mark.parametrize("dataflow", [False, True], ids=["levels", "dataflow"])


@BOTH
def test_on_a_real_server(database: Callable[[], str], dataflow: bool) -> None:
    """Answers, records, results, log, counters, deadlines and turns are those of single calls."""
    with redis.Redis.from_url(database()) as one, redis.Redis.from_url(database()) as other:

        @settings(SETTINGS, max_examples=150)
        @given(game=games)
        def any_game(game: list[tuple[Any, ...]]) -> None:
            play(Side(one, dataflow), Side(other, dataflow), [("open",), *game])

        any_game()


@BOTH
@settings(SETTINGS, max_examples=20)
@given(game=games)
def test_on_the_in_memory_server(dataflow: bool, game: list[tuple[Any, ...]]) -> None:
    """The same on fakeredis, whose Lua runs the very same scripts."""
    sides = [Side(fakeredis.FakeRedis(server_type="valkey"), dataflow) for _ in range(2)]
    play(*sides, [("open",), *game])
