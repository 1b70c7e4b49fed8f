"""The rules, row by row, as docs/behaviour.md has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from workflow_state.compiler import compile_plan
from workflow_state.references import Outcome
from workflow_state.rules import decide
from workflow_state.validation import prepare_plan

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "behaviour.md").read_text("utf-8")
CONDITIONS = {"true": "${other.output} == 1", "false": "${other.output} == 2", "error": "${other.output} < 'text'"}


def rows() -> list[tuple[str, ...]]:
    """The rows of the page's last table."""
    table = PAGE[PAGE.index("| dep | dep2 |") :].split("\n\n")[0]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in table.splitlines()[2:]]


def test_the_table_has_rows() -> None:
    """The table is found, so the test below cannot pass by reading nothing."""
    assert len(rows()) >= 15


@pytest.mark.parametrize("row", rows(), ids=" ".join)
def test_what_is_decided(row: tuple[str, ...]) -> None:
    """Each row of the table of rules is what the code decides."""
    dep, dep2, principal, condition, otherwise, decision = row
    ended = {name: how for name, how in (("dep", dep), ("dep2", dep2)) if how != "-"}
    named = "other" if condition != "-" else ""
    # A dependency that fails must be tolerated for anything to be decided; `other` is only read.
    tolerant = {"continue_on_failure": True}
    actions = [{"id": name, "action_definition_id": "d", "error_handling": tolerant} for name in ("dep", "dep2")]
    actions.append({"id": "other", "action_definition_id": "d"})
    before = {"id": "before", "action_definition_id": "d"}
    if named:
        actions = [{**action, "dependencies": ["other"]} if action["id"] != "other" else action for action in actions]
        before["dependencies"] = ["other"]
    if principal != "-":
        before["error_handling"] = {"alternative_action_id": "x"}
    step = {"id": "x", "action_definition_id": "d", "dependencies": list(ended)}
    if named:
        step["condition"] = {"if": CONDITIONS[condition], "else": otherwise if otherwise != "-" else "skip"}
        if not ended and principal == "-":
            step["condition"]["if"] = "1 == 2"
    program = compile_plan(prepare_plan({"actions": [*actions, before, step]}))
    outcomes = {name: Outcome(how) for name, how in ended.items()}
    outcomes["before"] = Outcome(principal if principal != "-" else "completed")
    outcomes["other"] = Outcome("completed", 1)
    found = decide(program, program.steps["x"], outcomes)
    assert f"{found.kind}{' and halt' if found.kind == 'skip' and found.halts else ''}" == decision
