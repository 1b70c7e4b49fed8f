"""A peer gets as many rounds as its time allows, and its row says what was measured or why not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import cast

from rich.console import Console

from benchmarks.lab import Lab
from benchmarks.peers import compare, environment, table
from benchmarks.peers.catalogue import PEERS
from benchmarks.peers.conversation import PeerError
from benchmarks.peers.standing import Result, Standing
from benchmarks.peers.trials import TRIALS, Trial
from benchmarks.shapes import Graph, chain
from benchmarks.workload import Effort

#: Raw tasks of the trial below come from a list, so that no server is asked.
NOBODY = cast(Lab, None)
EFFORT = Effort(rounds=3, slow_rounds=1, quick=False)


def trial(raw: float = 2.0) -> Trial:
    return Trial("t", "a trial", {"usual": chain(10), "small": chain(5)}, chain(2), lambda *_: raw)


def answers(*found: float | Exception) -> Callable[[Graph], tuple[float, str]]:
    left = list(found)

    def once(graph: Graph) -> tuple[float, str]:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer, ""

    return once


def test_cost_is_of_one_action_and_its_ratio_to_the_raw_tasks_of_the_same_rounds() -> None:
    """0.1 s for ten actions is 10 ms each: five raw tasks of 2 ms."""
    result = compare.rounds(NOBODY, EFFORT, trial(), "usual", answers(0.1, 0.2, 0.05))
    assert result == Result("usual", 10, (10.0, 20.0, 5.0), (2.0, 2.0, 2.0))
    assert (result.ratio, result.rate) == (5.0, 100.0)
    assert result.to_json()["cost"] == {"value": 10.0, "unit": "ms", "samples": [10.0, 20.0, 5.0]}


def test_no_round_begins_when_the_time_is_used_up() -> None:
    """The first one always does."""
    assert len(compare.rounds(NOBODY, EFFORT, trial(), "usual", answers(0.1, 0.1), budget=0.0).cost) == 1


def test_a_failed_run_keeps_what_was_measured_before_it_and_says_so() -> None:
    """With nothing before it, there is only the reason."""
    result = compare.rounds(NOBODY, EFFORT, trial(), "usual", answers(0.1, PeerError("too slow")))
    assert (len(result.cost), result.reason) == (1, "one run failed: too slow")
    result = compare.rounds(NOBODY, EFFORT, trial(), "usual", answers(PeerError("too slow")))
    assert (result.cost, result.reason) == ((), "too slow")
    assert set(result.to_json()) == {"size", "actions", "reason"}


def test_whoever_gets_less_than_the_others_has_the_reason_beside_it() -> None:
    """And gets the graph of that size."""
    result = compare.rounds(NOBODY, EFFORT, trial(), "small", answers(0.1, 0.1, 0.1), "it is slow")
    assert (result.size, result.actions, result.note) == ("small", 5, "it is slow")


def test_every_size_that_the_catalogue_asks_for_exists_and_is_explained() -> None:
    """A peer with a smaller size has a remark."""
    for peer in PEERS.values():
        for shape, size in peer.sizes.items():
            assert size in TRIALS[shape].graphs
            assert size != TRIALS[shape].usual
        assert bool(peer.sizes) == bool(peer.remark)
        assert peer.settings


def test_a_peer_that_cannot_be_installed_is_skipped_with_its_reason() -> None:
    """The run goes on without it."""
    absent = replace(PEERS["rq"], name="absent", requirements=("absent @ file:///nowhere/absent",))
    try:
        found = compare.others(NOBODY, EFFORT, [absent], lambda _: None)
    finally:
        shutil.rmtree(environment.FOLDER / absent.name, ignore_errors=True)
    assert found["absent"].skipped.startswith("its environment could not be made: ")
    assert "nowhere/absent" in found["absent"].skipped
    assert found["absent"].to_json()["shapes"] == {}


def test_the_table_has_a_row_for_everyone_and_a_line_for_every_remark() -> None:
    """A dash where nothing was measured."""
    console = Console(width=160, record=True, quiet=True)
    results = {
        "grid": Result("20 x 20", 400, (1.5,), (1.0,)),
        "chain": Result("chain of 20", 20, (30.0,), (2.0,), note="it looks once a second"),
        "fan": Result("1 -> 1,000 -> 1", 1002, reason="not done within 75 s"),
    }
    standings = {"one": Standing("One", "", results=results), "two": Standing("Two", "", skipped="no such package")}
    with console.capture() as captured:
        console.quiet = False
        table.show(console, standings)
    text = captured.get()
    assert "1.50 (1.50)" in text
    assert "30.00 (15.00)" in text
    assert "One, chain (chain of 20): it looks once a second" in text
    assert "One, fan (1 -> 1,000 -> 1): not done within 75 s" in text
    assert "Two: not measured: no such package" in text
