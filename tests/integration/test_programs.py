"""What a worker process keeps of the programs that it has read is bounded."""

from __future__ import annotations

import weakref

from tests.integration.test_store_scripts import LOOK, Bench, bench
from workflow_state import validate_execution_plan
from workflow_state.compiler import compile_plan
from workflow_state.program import Program
from workflow_state.runtime.programs import ProgramCache

__all__ = ["bench"]


def stored(bench: Bench, execution_id: str, text: str = "") -> None:
    """An execution of one action whose inputs hold this text."""
    action = {"id": "a", "actionDefinitionId": "x", "inputs": {"text": text}}
    program = compile_plan(validate_execution_plan({"actions": [action]}), "levels")
    assert bench.store.create(execution_id, "{}", program.to_json(), {"plan_id": "p"}, LOOK)


def alive(bench: Bench, cache: ProgramCache, ids: list[str]) -> list[str]:
    """Of the executions whose programs were asked for, one after the other, those that are still in memory."""
    found: dict[str, weakref.ref[Program]] = {}
    for name in ids:
        program = cache.get(name)
        assert program is not None
        found[name] = weakref.ref(program)
        del program
    return [name for name, program in found.items() if program() is not None]


def test_a_worker_keeps_no_more_long_inputs_than_its_limit(bench: Bench) -> None:
    """``programs_cached`` counts what the inputs of a plan hold as well: plans of one action and 400,000 characters
    filled the memory of every process that had run a part of them.
    """
    ids = [f"long-{number}" for number in range(6)]
    for name in ids:
        stored(bench, name, "x" * 400_000)
    cache = ProgramCache(bench.store, 1000)
    assert alive(bench, cache, ids) == ids[-2:]
    cache.forget(ids[-1])
    assert alive(bench, cache, ids[-2:]) == ids[-2:]


def test_one_program_is_kept_however_large_it_is(bench: Bench) -> None:
    """A single plan over the limit is not read anew for each of its actions."""
    stored(bench, "long", "x" * 400_000)
    cache = ProgramCache(bench.store, 100)
    assert cache.get("long") is cache.get("long")


def test_short_programs_count_by_their_actions(bench: Bench) -> None:
    """Plans of one action each: as many as the limit says, and those that were used last."""
    ids = [f"short-{number}" for number in range(6)]
    for name in ids:
        stored(bench, name)
    assert alive(bench, ProgramCache(bench.store, 4), ids) == ids[-4:]
