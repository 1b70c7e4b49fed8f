"""The contract of the store's batches: each action is what it would be alone. Real server and fakeredis alike."""

from __future__ import annotations

import pytest

from tests.integration.test_store_scripts import ERROR, LEASE, LOOK, START, Bench, bench
from workflow_state.program import Step
from workflow_state.store.batches import BatchStore, End

__all__ = ["bench"]

A, B, C = (Step(id=name, definition="x", level=0) for name in "abc")


@pytest.fixture
def batches(bench: Bench) -> BatchStore:
    """Level 0 is open with three actions."""
    bench.advance(ready=3)
    return BatchStore(bench.store)


def end(name: str, token: int = 1, outcome: str = "completed", **what: object) -> End:
    return End(name, token, outcome, {"payload": f"result of {name}", "look_after_ms": LOOK, **what})


def test_each_gets_a_lease_of_its_own(bench: Bench, batches: BatchStore) -> None:
    """Those that are free begin, each with attempt, token, lease and deadline; one that another holds does not."""
    bench.begin("b", owner="other/1")
    answers = batches.begin(bench.id, [A, B, C], 1, "w/1", LEASE)
    assert [found.answer for found in answers] == ["lease", "owned", "lease"]
    assert [(found.attempt, found.token) for found in (answers[0], answers[2])] == [(1, 1), (1, 1)]
    assert [bench.record(name).owner for name in "abc"] == ["w/1", "other/1", "w/1"]
    assert bench.deadline("a") == bench.deadline("c") == START + LEASE


def test_beginning_again_is_the_same_batch(bench: Bench, batches: BatchStore) -> None:
    """A call whose answer was lost is repeated with the same answer; another worker's is refused."""
    first = batches.begin(bench.id, [A, B], 1, "w/1", LEASE)
    before = bench.everything()
    assert batches.begin(bench.id, [A, B], 1, "w/1", LEASE) == first
    assert bench.everything() == before
    assert [found.answer for found in batches.begin(bench.id, [A, B], 1, "w/2", LEASE)] == ["owned", "owned"]


def test_each_reads_its_own_sources(bench: Bench, batches: BatchStore) -> None:
    """The results that an action refers to come with its lease, and not with its neighbour's."""
    for name in "abc":
        bench.begin(name)
        bench.finish(name)
    bench.advance(1, 3)
    steps = [
        Step(id="d", definition="x", level=1, sources=("a", "c")),
        Step(id="e", definition="x", level=1),
        Step(id="f", definition="x", level=1, sources=("b",)),
    ]
    answers = batches.begin(bench.id, steps, 1, "w/1", LEASE)
    assert [list(found.results) for found in answers] == [[b"result of a", b"result of c"], [], [b"result of b"]]
    assert [[record.status for record in found.records] for found in answers] == [["completed"] * 2, [], ["completed"]]


def test_what_many_read_is_sent_once(bench: Bench, batches: BatchStore) -> None:
    """A batch whose actions all read one long result takes no more time and memory for it than one of them."""
    for name, payload in (("a", "long" * 250_000), ("b", "short"), ("c", "unread")):
        bench.begin(name)
        bench.finish(name, payload=payload)
    bench.advance(1, 40)
    steps = [Step(id=f"d{n}", definition="x", level=1, sources=("a", "b", "nobody")[: n % 4]) for n in range(40)]
    answers = batches.begin(bench.id, steps, 1, "w/1", LEASE)
    wanted = [b"long" * 250_000, b"short", None]
    assert [list(found.results) for found in answers] == [wanted[: n % 4] for n in range(40)]
    assert len({id(found.results[0]) for found in answers if found.results}) == 1


def test_one_fails_alone(bench: Bench, batches: BatchStore) -> None:
    """A completed, a failed and a retried action of one batch: each has its record, result, and the counters agree."""
    batches.begin(bench.id, [A, B, C], 1, "w/1", LEASE)
    ends = [
        end("a"),
        end("b", outcome="failed", error=ERROR, halts=True),
        end("c", outcome="retry", error=ERROR, delay_ms=500, payload=""),
    ]
    answers, head = batches.finish(bench.id, ends)
    assert answers == ["ok", "ok", "ok"]
    assert head is not None
    assert (head.open, head.failed, head.halted) == (1, 1, "b")
    assert [bench.record(name).status for name in "abc"] == ["completed", "failed", "running"]
    assert [bench.result(name) for name in "abc"] == ["result of a", "result of b", None]
    assert bench.record("c").due == START + 500
    assert {name: found["error"]["message"] for name, found in bench.attempts().items()} == {
        "1:b": ERROR.message,
        "1:c": ERROR.message,
    }


def test_a_lost_lease_is_refused_alone(bench: Bench, batches: BatchStore) -> None:
    """The action whose lease went to another keeps what the other does; its neighbours end."""
    batches.begin(bench.id, [A, B, C], 1, "w/1", LEASE)
    bench.now += LEASE + 1
    assert bench.begin("b", owner="other/1").token == 2
    answers, head = batches.finish(bench.id, [end("a"), end("b"), end("c")])
    assert answers == ["ok", "stale", "ok"]
    assert head is not None
    assert head.open == 1
    assert (bench.record("b").status, bench.record("b").owner, bench.result("b")) == ("running", "other/1", None)


def test_ending_again_changes_nothing(bench: Bench, batches: BatchStore) -> None:
    """A call whose answer was lost is repeated, and says so; the head is that of now."""
    batches.begin(bench.id, [A, B, C], 1, "w/1", LEASE)
    ends = [end("a"), end("b"), end("c")]
    assert batches.finish(bench.id, ends)[0] == ["ok", "ok", "ok"]
    before = bench.everything()
    answers, head = batches.finish(bench.id, ends)
    assert answers == ["repeated", "repeated", "repeated"]
    assert head is not None
    assert head.open == 0
    assert bench.everything() == before


def test_an_unknown_execution(bench: Bench, batches: BatchStore) -> None:
    """Its records may have expired meanwhile: nothing is made up."""
    assert [found.answer for found in batches.begin("nowhere", [A, B], 1, "w/1", LEASE)] == ["unknown", "unknown"]
    assert batches.finish("nowhere", [end("a"), end("b")]) == (["stale", "stale"], None)


def test_whoever_sends_events_is_told_of_every_step(bench: Bench, batches: BatchStore) -> None:
    """Events go out as things happen: after each end of actions, of one or of many, comes the execution's id. What
    begins is told under its lease, by whoever holds it.
    """
    told: list[str] = []
    bench.store.on_change = told.append
    for name in "ab":
        bench.begin(name)
    batches.begin(bench.id, [C], 1, "w/1", LEASE)
    bench.finish("a")
    batches.finish(bench.id, [end("b"), end("c")])
    assert told == [bench.id] * 2
