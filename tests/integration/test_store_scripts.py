"""The contract of the store: each transition, each atomic, each safe to repeat. Real server and fakeredis alike.

The clock is the test's own, so a lease ends when the test says so.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import fakeredis
import pytest
from celery import Celery

from workflow_state.errors import ExecutionNotFoundError
from workflow_state.models import ErrorCategory, ErrorDetail
from workflow_state.program import Step
from workflow_state.store.batches import BatchStore, End
from workflow_state.store.closing import ask_to_delete, close, remove
from workflow_state.store.keys import deadline_member
from workflow_state.store.outward import OutwardStore
from workflow_state.store.records import Head, Record, Settled
from workflow_state.store.redis import Store
from workflow_state.store.results import ActionResults

LEASE = 1_000
LOOK = 5_000
START = 1_700_000_000_000
ERROR = ErrorDetail(category=ErrorCategory.ACTION_FAILED, message="no \"paper\" \\ 'left'\n☃")


class Bench:
    """A store on a clock of the test's, and the one execution that most tests are about."""

    def __init__(self, app: Celery) -> None:
        self.now = START
        self.results = ActionResults(app)
        self.client = self.results.client
        self.store = Store(self.results, "contract", now=lambda: self.now)
        self.id = str(uuid.uuid4())

    def create(self, execution_id: str = "", plan: str = '{"p":1}', look_after: int | None = LOOK) -> Head | None:
        """Accept the execution."""
        return self.store.create(execution_id or self.id, plan, '{"q":2}', {"plan_id": "p"}, look_after)

    def advance(self, level: int = 0, ready: int = 2, parts: int = 1, *settled: Settled, **other: Any) -> bool:
        """Open a level."""
        other = {"halted": "", "opener": uuid.uuid4().hex, "look_after_ms": LOOK, **other}
        return self.store.advance(self.id, level, ready, parts, settled, **other)

    def begin(self, name: str = "a", owner: str = "w/1", attempt: int = 1, **other: Any) -> Any:
        """Ask for the lease of an action."""
        other = {"sources": (), "level": 0, **other}
        return self.store.begin(self.id, name, attempt, owner, LEASE, **other)

    def finish(self, name: str = "a", token: int = 1, outcome: str = "completed", **other: Any) -> Any:
        """End an attempt."""
        other = {"payload": f"result of {name}", "look_after_ms": LOOK, **other}
        return self.store.finish(self.id, name, token, outcome, **other)

    def record(self, name: str = "a") -> Record:
        """An action's record."""
        return self.store.records(self.id, [name])[name]

    def attempts(self) -> dict[str, dict[str, Any]]:
        """The attempts that failed or were lost."""
        raw = self.client.hgetall(self.store.keys.attempts(self.id))
        return {name.decode(): json.loads(text) for name, text in raw.items()}

    def result(self, name: str) -> str | None:
        """What an action's task shows in the result backend."""
        raw = self.client.get(self.results.key(self.id, name))
        return None if raw is None else raw.decode()

    def field(self, name: str) -> str:
        """One field of the execution."""
        return self.store.fields(self.id, name)[0]

    def deadline(self, name: str = "") -> int | None:
        """When the sweeper looks at an action, or at the execution."""
        due = self.client.zscore(self.store.keys.deadlines, deadline_member(self.id, name))
        return None if due is None else int(due)

    def skipped(self, name: str) -> Settled:
        """A decision that an action is skipped."""
        return Settled(name, "skipped", f"skip of {name}", reason="because")

    def everything(self) -> dict[bytes, Any]:
        """The whole database, to see that nothing has changed."""
        found: dict[bytes, Any] = {}
        for key in self.client.scan_iter():
            kind = self.client.type(key)
            read = {b"hash": self.client.hgetall, b"string": self.client.get, b"set": self.client.smembers}
            read[b"stream"] = self.client.xrange
            found[key] = read[kind](key) if kind in read else self.client.zrange(key, 0, -1, withscores=True)
        return found

    def without_ttl(self) -> set[str]:
        """Keys that would stay for ever, but for the two of all executions."""
        shared = {self.store.keys.deadlines, self.store.keys.executions}
        return {key.decode() for key in self.client.scan_iter() if self.client.ttl(key) == -1} - shared


@pytest.fixture(params=["server", "fakeredis"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A bench with an accepted execution, on the real server or on fakeredis."""
    app = Celery("contract", set_as_current=False)
    if request.param == "server":
        database: Callable[[], str] = request.getfixturevalue("database")
        app.conf.result_backend = database()
    else:
        app.conf.result_backend = "redis://"
        app.backend.client = fakeredis.FakeRedis()
    found = Bench(app)
    assert found.create()
    yield found
    found.client.close()


def test_create_is_once(bench: Bench) -> None:
    """The first ``create`` wins; repeating it, with another plan and later, changes nothing at all."""
    before = bench.everything()
    bench.now += 1
    assert not bench.create(plan='{"other": true}')
    assert bench.everything() == before
    assert bench.store.fields(bench.id, "status", "cursor", "open", "plan_id") == ["running", "-1", "0", "p"]
    assert bench.client.get(bench.store.keys.plan(bench.id)) == b'{"p":1}'
    assert bench.client.zscore(bench.store.keys.executions, bench.id) == START
    assert bench.deadline() == START + LOOK
    head = bench.create("another")
    assert head == bench.store.head("another")
    assert head is not None
    assert head.created == bench.store.created("another") == str(START + 1)
    assert bench.store.program_as_created("another") == (b'{"q":2}', head.created)
    assert bench.store.program_as_created("nobody") is None


def test_create_without_start(bench: Bench) -> None:
    """What is only stored is ``initializing``; a sweeper looks at it when it is told to, and else does not."""
    for look_after, due in ((None, None), (LOOK, START + LOOK)):
        other = str(uuid.uuid4())
        assert bench.store.create(other, "{}", "{}", {}, look_after, started=False)
        assert bench.store.fields(other, "status", "started_at") == ["initializing", ""]
        assert bench.client.zscore(bench.store.keys.deadlines, deadline_member(other)) == due


def test_begin_takes_the_lease(bench: Bench) -> None:
    """A pending action of the open level is leased: attempt 1, token 1, and a deadline at the lease's end."""
    bench.advance()
    begun = bench.begin()
    assert (begun.answer, begun.attempt, begun.token, begun.lost) == ("lease", 1, 1, 0)
    record = bench.record()
    assert (record.status, record.worker, record.started_at, record.lease) == ("running", "w", START, START + LEASE)
    assert bench.deadline("a") == START + LEASE


def test_begin_repeated_by_the_same_delivery(bench: Bench) -> None:
    """A begin whose answer was lost gets the same lease again, and nothing is counted twice."""
    bench.advance()
    first = bench.begin()
    before = bench.everything()
    bench.now += 10
    assert bench.begin() == first
    assert bench.everything() == before


def test_begin_of_an_owned_action(bench: Bench) -> None:
    """Another delivery is refused while the lease lives, to its very end."""
    bench.advance()
    bench.begin()
    bench.now += LEASE - 1
    assert bench.begin(owner="w/2").answer == "owned"
    assert bench.record().attempt == 1


def test_begin_takes_over_when_the_lease_has_ended(bench: Bench) -> None:
    """After the lease the next delivery gets a higher token; the attempt before is noted as lost."""
    bench.advance()
    bench.begin(owner="first@host/1")
    bench.now += LEASE
    begun = bench.begin(owner="other@host/2")
    assert (begun.answer, begun.attempt, begun.token, begun.lost) == ("lease", 2, 2, 1)
    assert bench.attempts() == {
        "1:a": {
            "number": 1,
            "started_at": START,
            "ended_at": START + LEASE,
            "worker": "first@host",
            "outcome": "lost",
        }
    }
    assert bench.record().started_at == START


@pytest.mark.parametrize("case", ["level not open", "unknown", "ended", "halted", "wrong retry"])
def test_begin_refuses(bench: Bench, case: str) -> None:
    """A begin that has nothing to do says why, and changes nothing."""
    bench.advance()
    asked: dict[str, Any] = {}
    match case:
        case "level not open":
            expected, asked = "early", {"level": 1}
        case "unknown":
            expected, bench.id = "unknown", "nobody"
        case "ended":
            expected = "ended"
            rows = [bench.skipped("x"), bench.skipped("y")]
            bench.store.cancel(bench.id, "enough", LOOK)
            bench.store.settle(bench.id, rows, were_open=True, look_after_ms=LOOK)
            bench.store.finalize(bench.id, "cancelled", None, LOOK)
        case "halted":
            expected = "halted"
            bench.begin("b")
            bench.finish("b", outcome="failed", error=ERROR, halts=True)
        case _:
            expected, asked = "early", {"attempt": 3}
            bench.begin()
            bench.finish(outcome="retry", error=ERROR, delay_ms=10)
    before = bench.everything()
    begun = bench.begin(**asked)
    assert (begun.answer, begun.halted) == (expected, "b" if case == "halted" else "")
    assert bench.everything() == before


def test_begin_of_an_ended_action_gives_the_head(bench: Bench) -> None:
    """A late copy learns where the execution stands, so that it can send again what may be lost."""
    bench.advance(ready=1)
    bench.begin()
    bench.finish()
    begun = bench.begin(owner="w/2")
    assert begun.answer == "done"
    assert (begun.head.cursor, begun.head.open, begun.head.status) == (0, 0, "running")


def test_begin_hands_back_what_the_inputs_read(bench: Bench) -> None:
    """Records and results of the sources come in their order; one that has none is None."""
    bench.advance(ready=4)
    bench.begin("b")
    bench.finish("b")
    bench.begin("c", "w/2")
    bench.finish("c", outcome="failed", error=ERROR, payload="failure of c")
    begun = bench.begin(sources=("c", "b", "missing"))
    assert [record.status for record in begun.records] == ["failed", "completed", "pending"]
    assert begun.results == [b"failure of c", b"result of b", None]


def test_begin_with_thousands_of_sources(bench: Bench) -> None:
    """3,000 sources, more than Lua can unpack at once, come back whole and in order."""
    names = [f"s{n}" for n in range(3_000)]
    bench.advance(ready=1)
    bench.store.settle(bench.id, [bench.skipped(name) for name in names[::2]], were_open=False, look_after_ms=LOOK)
    begun = bench.begin(sources=names)
    assert [record.status for record in begun.records] == ["skipped", "pending"] * 1_500
    assert [result and result.decode() for result in begun.results] == [
        None if n % 2 else f"skip of s{n}" for n in range(3_000)
    ]


def test_finish_writes_everything_at_once(bench: Bench) -> None:
    """Record, result and counter change together; the result is published; the deadline is gone."""
    bench.advance()
    bench.begin()
    listener = bench.client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(bench.results.key(bench.id, "a"))
    listener.get_message(timeout=1)
    bench.now += 30
    assert bench.finish() == ("ok", None)
    head = bench.store.head(bench.id)
    assert (head.open, head.status) == (1, "running")
    record = bench.record()
    assert (record.status, record.ended_at, record.lease) == ("completed", START + 30, None)
    assert bench.result("a") == "result of a"
    assert listener.get_message(timeout=1)["data"] == b"result of a"
    assert bench.deadline("a") is None
    listener.close()


def test_the_last_finish_of_a_level(bench: Bench) -> None:
    """When nothing is open any more, the sweeper is to see that the next level starts."""
    bench.advance(ready=1)
    bench.begin()
    bench.now += 7
    assert bench.finish()[1].open == 0
    assert bench.deadline() == START + 7 + LOOK


def test_finish_repeated(bench: Bench) -> None:
    """A finish whose answer was lost is told so, and counts once."""
    bench.advance()
    bench.begin()
    bench.finish()
    before = bench.everything()
    bench.now += 1
    answer, head = bench.finish(payload="something else")
    assert (answer, head.open) == ("repeated", 1)
    assert bench.everything() == before


@pytest.mark.parametrize("case", ["never begun", "old token", "unknown", "token of the future"])
def test_finish_refuses_who_does_not_hold_the_lease(bench: Bench, case: str) -> None:
    """Only the holder of the token writes: a zombie, or anyone else, changes nothing."""
    bench.advance()
    if case != "never begun":
        bench.begin()
    if case == "old token":
        bench.now += LEASE
        bench.begin(owner="w/2")
    if case == "unknown":
        bench.id = "nobody"
    before = bench.everything()
    assert bench.finish(token=9 if "future" in case else 1)[0] == "stale"
    assert bench.everything() == before


def test_finish_with_a_failure_that_halts(bench: Bench) -> None:
    """The first failure that halts is the execution's; later ones are counted and do not replace it."""
    bench.advance()
    for name, owner in (("a", "w/1"), ("b", "w/2")):
        bench.begin(name, owner)
    bench.finish("b", outcome="failed", error=ERROR, traceback='line 1\n "quoted" ☃', halts=True)
    _, head = bench.finish("a", outcome="failed", error=ERROR, halts=True)
    assert (head.halted, head.failed, head.open, head.stopping) == ("b", 2, 0, True)
    assert json.loads(bench.record("b").error or "") == ERROR.model_dump(mode="json")
    assert bench.attempts()["1:b"]["error"] == ERROR.model_dump(mode="json")
    assert bench.attempts()["1:b"]["traceback"] == 'line 1\n "quoted" ☃'


def test_finish_with_a_retry(bench: Bench) -> None:
    """Between two attempts nothing is leased; the next attempt, and only that, begins; the token goes on."""
    bench.advance()
    bench.begin()
    assert bench.finish(outcome="retry", error=ERROR, delay_ms=300) == ("ok", None)
    assert bench.store.head(bench.id).open == 2
    record = bench.record()
    assert (record.status, record.phase, record.due, record.lease) == ("running", "retry", START + 300, None)
    assert bench.deadline("a") == START + 300 + LOOK
    assert bench.result("a") is None
    assert bench.finish(outcome="retry", error=ERROR)[0] == "repeated"
    assert bench.begin(owner="w/2", attempt=1).answer == "early"
    begun = bench.begin(owner="w/2", attempt=2)
    assert (begun.answer, begun.attempt, begun.token, begun.lost) == ("lease", 2, 2, 0)
    assert bench.finish(token=1)[0] == "stale"
    assert bench.finish(token=2)[0] == "ok"
    assert bench.record().error is None
    assert bench.attempts()["1:a"]["outcome"] == "failed"


def test_advance_opens_a_level_once(bench: Bench) -> None:
    """One caller opens a level; it may repeat itself; another is told no."""
    assert bench.advance(ready=1, parts=3, opener="me")
    before = bench.everything()
    assert bench.advance(ready=1, parts=3, opener="me")
    assert not bench.advance(ready=1, parts=3, opener="you")
    assert bench.everything() == before
    assert bench.store.parts_left(bench.id) == [0, 1, 2]
    assert bench.deadline() == START + LOOK


def test_advance_waits_for_the_level_before(bench: Bench) -> None:
    """A level is opened when nothing of the one before is open, and none is jumped over."""
    assert not bench.advance(level=1)
    bench.advance(ready=1)
    assert not bench.advance(level=1)
    bench.begin()
    bench.finish()
    assert not bench.advance(level=2)
    assert bench.advance(level=1)


@pytest.mark.parametrize("case", ["halted", "ended", "cancelled", "unknown"])
def test_advance_of_what_is_over(bench: Bench, case: str) -> None:
    """Nothing is opened once the execution has halted, ended or was cancelled."""
    match case:
        case "halted":
            bench.advance(ready=0, halted="x")
        case "ended":
            bench.store.finalize(bench.id, "failed", ERROR, LOOK)
        case "cancelled":
            bench.store.cancel(bench.id, "enough", LOOK)
        case _:
            bench.id = "nobody"
    before = bench.everything()
    assert not bench.advance(level=1 if case == "halted" else 0)
    assert bench.everything() == before


def test_advance_settles_what_does_not_run(bench: Bench) -> None:
    """Actions that a decision ends get record and result with the opening, and are not counted as open."""
    failed = Settled("f", "failed", "failure of f", error=ERROR.model_dump_json())
    bench.advance(0, 1, 1, bench.skipped("s"), failed)
    head = bench.store.head(bench.id)
    assert head is not None
    assert (head.open, head.skipped, head.failed, head.all_well) == (1, 1, 1, False)
    assert (bench.record("s").status, bench.record("s").reason) == ("skipped", "because")
    assert (bench.result("s"), bench.result("f")) == ("skip of s", "failure of f")


def test_published_parts(bench: Bench) -> None:
    """A part is taken off when it is out, and the sweeper waits anew; a late word about a level changes nothing."""
    bench.advance(parts=2)
    bench.now += 50
    assert bench.store.published(bench.id, 0, 1, LOOK) == 1
    assert bench.deadline() == START + 50 + LOOK
    bench.now += 50
    assert bench.store.published(bench.id, 3, 0, LOOK) == 0
    assert bench.store.parts_left(bench.id) == [0]
    assert bench.store.published(bench.id, 0, 0, LOOK) == 0
    assert bench.deadline() == START + 100 + LOOK
    assert bench.store.published(bench.id, 0, 0, LOOK) == 0


def test_settle_leaves_alone_what_has_begun(bench: Bench) -> None:
    """Only pending actions are settled, each once; those that were open are counted off. None of them while the
    execution is neither halted nor cancelled: a server that went back a second has lost that, and they are to run.
    """
    bench.advance(ready=3)
    bench.begin("a")
    rows = [bench.skipped("a"), bench.skipped("b")]
    going_on = bench.store.settle(bench.id, rows, were_open=True, look_after_ms=LOOK)
    assert going_on == bench.store.head(bench.id)
    assert bench.record("b").status == "pending"
    bench.store.halt(bench.id, "c")
    head = bench.store.settle(bench.id, rows, were_open=True, look_after_ms=LOOK)
    assert head is not None
    assert (head.open, head.skipped, bench.record("a").status) == (2, 1, "running")
    again = bench.store.settle(bench.id, rows, were_open=True, look_after_ms=LOOK)
    assert again == head
    assert bench.store.settle("nobody", rows, were_open=True, look_after_ms=LOOK) is None


def test_settle_thousands(bench: Bench) -> None:
    """2,500 actions, more than one command names, are settled in one call of the store."""
    names = [f"s{n}" for n in range(2_500)]
    bench.store.settle(bench.id, [bench.skipped(n) for n in names], were_open=False, look_after_ms=LOOK)
    assert {record.status for record in bench.store.records(bench.id, names).values()} == {"skipped"}
    assert int(bench.field("skipped")) == 2_500
    assert int(bench.field("open")) == 0


def test_nothing_ends_while_actions_are_open(bench: Bench) -> None:
    """Who ends an execution may have seen what the server has lost since: where actions are open again, it goes on."""
    bench.advance()
    before = bench.everything()
    assert bench.store.finalize(bench.id, "completed", None, LOOK) == ("running", "{}")
    assert bench.everything() == before
    assert bench.begin().answer == "lease"


def test_nothing_ends_while_actions_have_no_record(bench: Bench) -> None:
    """Nor does it where the server has gone back to before they had their turn."""
    bench.store.create(other := str(uuid.uuid4()), "{}", "{}", {"total": 2}, LOOK)
    bench.id = other
    bench.advance(0, 1)
    bench.store.finish(bench.id, "a", bench.begin("a").token, "completed", look_after_ms=LOOK)
    before = bench.everything()
    assert bench.store.finalize(bench.id, "completed", None, LOOK) == ("running", "{}")
    assert bench.everything() == before
    bench.advance(1, 1)
    bench.store.finish(bench.id, "b", bench.begin("b").token, "completed", look_after_ms=LOOK)
    assert bench.store.finalize(bench.id, "completed", None, LOOK) == ("completed", "{}")


def test_finalize_is_once(bench: Bench) -> None:
    """The first end stands; a later one is told which it was."""
    bench.now += 9
    assert bench.store.finalize(bench.id, "failed", ERROR, LOOK) == ("failed", "{}")
    before = bench.everything()
    assert bench.store.finalize(bench.id, "completed", None, LOOK) == ("failed", "{}")
    assert bench.everything() == before
    assert bench.store.fields(bench.id, "completed_at", "error") == [str(START + 9), ERROR.model_dump_json()]
    assert bench.store.finalize("nobody", "completed", None, LOOK) is None


def test_the_end_is_claimed_by_one(bench: Bench) -> None:
    """One delivery at a time carries out the end; when it dies, the next may after its lease."""
    assert bench.store.claim_end(bench.id, "me", LEASE) == ("claimed", bench.store.head(bench.id))
    assert bench.store.claim_end(bench.id, "me", LEASE) == ("claimed", bench.store.head(bench.id))
    assert bench.store.claim_end(bench.id, "you", LEASE) == ("held", None)
    bench.now += LEASE
    assert bench.store.claim_end(bench.id, "you", LEASE)[0] == "claimed"
    assert bench.store.claim_end("nobody", "me", LEASE) == ("unknown", None)
    bench.store.finalize(bench.id, "completed", None, LOOK)
    close(bench.store, bench.id, [], 60)
    assert bench.store.claim_end(bench.id, "you", LEASE) == ("closed", None)


def test_the_end_waits_for_what_is_open(bench: Bench) -> None:
    """Nobody claims the end while an action of the level has not ended."""
    bench.advance(ready=1)
    bench.begin()
    assert bench.store.claim_end(bench.id, "me", LEASE) == ("open", None)
    bench.finish()
    assert bench.store.claim_end(bench.id, "me", LEASE)[0] == "claimed"


def test_renew(bench: Bench) -> None:
    """The holder's lease is renewed with its deadline; leases that are gone are named, and not touched."""
    bench.advance(ready=3)
    for name in ("a", "b", "c"):
        bench.begin(name, f"w/{name}")
    bench.finish("b")
    bench.finish("c", outcome="retry", error=ERROR, delay_ms=5)
    bench.now += 400
    before = bench.record("b"), bench.record("c")
    assert bench.store.renew(bench.id, [("a", 1), ("b", 1), ("c", 1)], LEASE, "") == ["b", "c"]
    assert (bench.record("a").lease, bench.deadline("a")) == (START + 400 + LEASE, START + 400 + LEASE)
    assert (bench.record("b"), bench.record("c")) == before
    assert bench.store.renew(bench.id, [("a", 7)], LEASE, "") == ["a"]
    assert bench.store.renew("nobody", [("a", 1)], LEASE, "") == ["a"]


def test_due_deadlines_are_claimed_once(bench: Bench) -> None:
    """A passed deadline goes to one sweeper, and comes back later if that one does nothing about it."""
    bench.advance()
    bench.begin("a.b:c-d")
    bench.now += LEASE
    assert bench.store.due(10, 700) == [(bench.id, "a.b:c-d")]
    assert bench.store.due(10, 700) == []
    bench.now += 700
    assert bench.store.due(10, 700) == [(bench.id, "a.b:c-d")]
    bench.now += LOOK
    assert len(bench.store.due(1, 700)) == 1
    assert len(bench.store.due(10, 700)) == 1
    bench.store.forget_deadline(bench.id, "a.b:c-d")
    bench.now += LOOK
    assert bench.store.due(10, 700) == [(bench.id, "")]


def test_cancel_is_once(bench: Bench) -> None:
    """The first reason stays; nothing begins any more; what has ended cannot be cancelled."""
    bench.advance()
    assert bench.store.cancel(bench.id, "enough", LOOK)[0] == "cancelled"
    before = bench.everything()
    answer, head = bench.store.cancel(bench.id, "again", LOOK)
    assert (answer, head.cancel if head else "") == ("cancelled", "enough")
    assert bench.everything() == before
    assert bench.begin().answer == "halted"
    rows = [bench.skipped("a"), bench.skipped("b")]
    bench.store.settle(bench.id, rows, were_open=True, look_after_ms=LOOK)
    bench.store.finalize(bench.id, "cancelled", None, LOOK)
    assert bench.store.cancel(bench.id, "late", LOOK)[0] == "ended"
    assert bench.store.cancel("nobody", "x", LOOK) == ("unknown", None)


def test_close_gives_every_key_its_ttl(bench: Bench) -> None:
    """Before the end no key of an execution has a TTL; after ``close`` every one has, results included."""
    bench.advance(0, 2, 2, bench.skipped("s"))
    bench.begin("a")
    bench.finish("a", outcome="retry", error=ERROR, delay_ms=1)
    bench.begin("a", "w/2", attempt=2)
    bench.finish("a", token=2)
    bench.begin("b")
    bench.finish("b")
    bench.store.finalize(bench.id, "completed", None, LOOK)
    own = {key.decode() for key in bench.client.scan_iter() if bench.id in key.decode()}
    own |= {bench.results.key(bench.id, name) for name in ("a", "b", "s")}
    assert own <= bench.without_ttl()
    close(bench.store, bench.id, ["a", "b", "s"], 60)
    assert bench.without_ttl() == set()
    assert all(0 < bench.client.ttl(key) <= 60 for key in own)
    assert bench.deadline() is None
    close(bench.store, bench.id, ["a", "b", "s"], 60)
    assert bench.without_ttl() == set()


def test_close_without_expiry_keeps_for_ever(bench: Bench) -> None:
    """With ``result_expires`` 0 nothing gets a TTL, and nobody looks after the execution any more."""
    bench.store.finalize(bench.id, "completed", None, LOOK)
    close(bench.store, bench.id, [], 0)
    assert bench.store.keys.execution(bench.id) in bench.without_ttl()
    assert bench.deadline() is None


def test_what_was_deleted_does_not_come_back(bench: Bench) -> None:
    """Asked for while the end is carried out, the removal is left to ``close``; nothing is left, and a late
    ``close`` writes nothing. What has not ended is refused and not changed.
    """
    before = bench.everything()
    assert ask_to_delete(bench.store, bench.id, LOOK) == ("open", "running")
    assert bench.everything() == before
    bench.advance(0, 1)
    bench.begin("a")
    bench.finish("a")
    bench.store.finalize(bench.id, "completed", None, LOOK)
    assert ask_to_delete(bench.store, bench.id, LOOK) == ("ending", "")
    assert bench.field("status") == "completed"
    close(bench.store, bench.id, ["a"], 60)
    assert bench.everything() == {}
    close(bench.store, bench.id, ["a"], 60)
    bench.store.halt(bench.id, "a")
    assert bench.store.count_look(bench.id, 0) == 0
    assert bench.everything() == {}
    assert ask_to_delete(bench.store, bench.id, LOOK) == ("unknown", "")


def test_a_look_that_comes_after_the_end_leaves_nothing_behind(bench: Bench) -> None:
    """A sweeper that looks for lost messages may be slower than the end: what it notes in an execution that was closed
    meanwhile would have no TTL, and stay for ever.
    """
    bench.advance(0, 1)
    bench.begin("a")
    bench.finish("a")
    bench.store.finalize(bench.id, "completed", None, LOOK)
    close(bench.store, bench.id, ["a"], 60)
    assert bench.store.count_look(bench.id, "level 0") == 0
    assert bench.without_ttl() == set()


@pytest.mark.parametrize("batched", [False, True])
def test_a_lease_of_a_deleted_execution_is_none_of_the_next_of_its_id(bench: Bench, batched: bool) -> None:
    """A worker may sleep from before its execution is deleted until the id is in use again, by one in which the same
    action runs under a token of the same number: what it brings is refused, and changes nothing.
    """
    created, batches = bench.store.created(bench.id), BatchStore(bench.store)
    bench.advance(ready=1)
    steps, work = [Step(id="a", definition="x", level=0)], {"payload": "of yesterday", "look_after_ms": LOOK}
    if batched:
        (slept,) = batches.begin(bench.id, steps, 1, "slept/1", LEASE, created)
    else:
        slept = bench.begin(owner="slept/1", created=created)
    remove(bench.store, bench.id, ["a"])
    bench.now += 1
    bench.create()
    bench.advance(ready=1)
    assert bench.begin(owner="awake/1").token == slept.token
    before = bench.everything()
    if batched:
        ends = [End("a", slept.token, "completed", {**work, "created": slept.created})]
        assert batches.finish(bench.id, ends) == (["stale"], None)
    else:
        assert bench.finish(token=slept.token, created=slept.created, **work) == ("stale", None)
    bench.now += 1
    assert bench.store.renew(bench.id, [("a", slept.token)], LEASE, slept.created) == ["a"]
    assert not bench.store.report_progress(bench.id, "a", slept.token, 0.5, "half", slept.created)
    assert not OutwardStore(bench.store).delegate(bench.id, "a", slept.token, LOOK, slept.created)
    assert bench.everything() == before
    awake = bench.store.created(bench.id)
    assert bench.store.renew(bench.id, [("a", slept.token)], LEASE, awake) == []
    assert bench.store.report_progress(bench.id, "a", slept.token, 0.5, "half", awake)
    assert bench.finish()[0] == "ok"


@pytest.mark.parametrize("look_again", [False, True])
def test_an_execution_that_has_not_ended_is_not_closed(bench: Bench, look_again: bool) -> None:
    """Whoever closes an execution may sleep until the id is in use again: that one keeps running, without a TTL and
    with its end before it.
    """
    bench.advance(ready=1)
    bench.begin()
    bench.finish()
    before = bench.everything()
    close(bench.store, bench.id, ["a", "b"], 60, look_again=look_again)
    assert bench.everything() == before
    assert {bench.client.ttl(key) for key in bench.client.keys(f"*{bench.id}*")} == {-1}
    assert bench.client.ttl(bench.results.key(bench.id, "a")) == -1
    assert bench.store.claim_end(bench.id, "me", LEASE)[0] == "claimed"


def test_a_removal_that_was_cut_off_is_found(bench: Bench) -> None:
    """A caller that dies between asking and removing leaves a deadline, and what looks after that removes it."""
    bench.store.finalize(bench.id, "failed", None, LOOK)
    close(bench.store, bench.id, ["a"], 0)
    assert bench.deadline() is None
    assert ask_to_delete(bench.store, bench.id, LOOK) == ("closed", "")
    assert bench.deadline() == bench.now + LOOK
    close(bench.store, bench.id, ["a"], 0)
    assert bench.everything() == {}


def test_every_change_raises_the_version(bench: Bench) -> None:
    """The version grows with every change of an execution, and with nothing else."""
    seen = [int(bench.field("version"))]

    def changed() -> bool:
        seen.append(int(bench.field("version")))
        return seen[-1] > seen[-2]

    assert bench.advance(0, 1, 1)
    assert changed()
    bench.begin()
    assert changed()
    bench.begin(owner="w/2")
    assert not changed()
    bench.finish()
    assert changed()
    bench.finish()
    assert not changed()
    bench.store.finalize(bench.id, "completed", None, LOOK)
    assert changed()


def test_reading_what_is_not_there(bench: Bench) -> None:
    """An unknown execution is an error where a caller asks for it, and None where the engine looks."""
    for ask in (bench.store.snapshot, bench.store.fields):
        with pytest.raises(ExecutionNotFoundError, match="'nobody'"):
            ask("nobody")
    assert bench.store.head("nobody") is None
    assert bench.store.program("nobody") is None


def test_executions_do_not_touch_each_other(bench: Bench) -> None:
    """Two executions with the same actions share no key but the two sets of all executions."""
    other = Bench.__new__(Bench)
    other.__dict__.update(bench.__dict__, id=str(uuid.uuid4()))
    assert other.create()
    bench.advance(ready=1)
    other.advance(ready=1)
    bench.begin()
    bench.finish(payload="mine")
    assert (other.record().status, other.result("a")) == ("pending", None)
    head = other.store.head(other.id)
    assert head is not None
    assert head.open == 1


def test_a_script_that_is_taken_away_while_it_is_sent_is_sent_again(bench: Bench) -> None:
    """Somebody empties the server of scripts between two steps of the client's: a second later it is asked again."""
    load, taken = bench.client.script_load, []

    def load_for_a_moment(text: str) -> Any:
        sha = load(text)
        if not taken:
            taken.append(sha)
            bench.client.script_flush()
        return sha

    bench.client.script_load = load_for_a_moment
    bench.client.script_flush()
    assert bench.advance()
    assert taken
    assert bench.field("cursor") == "0"
