"""Plan → Program: what is decided before anything runs, as text that a person can read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter

from workflow_state import ExecutionPlan, NewerSchemaError, compile_plan
from workflow_state.program import SCHEMA_VERSION, Program, Step
from workflow_state.validation import prepare_plan

STEP = TypeAdapter(Step)
SHOP: dict[str, Any] = {
    "name": "Shop",
    "actions": [
        {
            "id": "ship",
            "action_definition_id": "shop.ship",
            "dependencies": ["charge", "pack"],
            "inputs": {"paid": "${charge.output.id}", "box": ["${pack.output}", "${cart.output.to ?? 'home'}"]},
            "user_confirmation": {"title": "Ship?"},
        },
        {"id": "cart", "action_definition_id": "shop.cart"},
        {
            "id": "charge",
            "action_definition_id": "pay.card",
            "dependencies": ["cart"],
            "inputs": {"amount": "${cart.output.total}"},
            "error_handling": {"alternative_action_id": "invoice"},
        },
        {
            "id": "invoice",
            "action_definition_id": "pay.invoice",
            "inputs": {"why": "${charge.error.message}"},
            "retry": {"max_attempts": 5},
            "timeout": 1000,
            "queue": "slow",
            "priority": 3,
        },
        {
            "id": "pack",
            "action_definition_id": "shop.pack",
            "dependencies": ["cart"],
            "condition": {"if": "${cart.output.count} > 0"},
            "error_handling": {"continue_on_failure": True, "fallback_value": None},
        },
        {
            "id": "thank",
            "action_definition_id": "mail",
            "dependencies": ["ship"],
            "error_handling": {"continue_on_failure": True},
        },
    ],
    "expected_outcome": {"validations": [{"name": "sent", "reference": "${ship.output.sent}"}]},
}

GOLDEN = """\
plan 'Shop': 6 actions in 5 levels
level 0
  cart = shop.cart: on failure halt
level 1
  charge = pay.card: needs cart; reads cart; on failure continue
  pack = shop.pack: needs cart; reads cart; if ${cart.output.count} > 0 else skip; has a fallback; on failure continue
level 2
  invoice = pay.invoice: needs charge; reads charge, invoice; stands in for charge; on failure halt
level 3
  ship = shop.ship: needs charge, pack, invoice; reads charge, invoice, pack, cart; asks for confirmation; \
on failure continue
level 4
  thank = mail: needs ship; on failure continue"""


def compiled(plan: dict[str, Any]) -> Program:
    """A plan, validated and compiled."""
    return compile_plan(prepare_plan(plan))


def test_the_program_of_a_plan_as_text() -> None:
    """Golden: levels, needs, sources, stand-ins, conditions and what a failure means, one line a step."""
    assert compiled(SHOP).describe() == GOLDEN


def test_the_program_of_a_data_flow() -> None:
    """No action waits for a level, each is counted for those that need it; workers of the version before, which would
    run it in levels, leave it alone. In levels nothing of a program has changed for them.
    """
    flow, levels = compiled(SHOP | {"schedule": "dataflow"}), compiled(SHOP)
    assert flow.describe() == GOLDEN.replace("5 levels\n", "5 levels, as a data flow\n")
    assert {step.level for step in flow.steps.values()} == {None}
    assert flow.waiting_for("charge") == [("ship", 3), ("invoice", 1)]
    assert (flow.schema_version, levels.schema_version) == (2, 1)
    assert levels.waiting_for("charge") == []
    assert "schedule" not in json.loads(levels.to_json())
    assert Program.from_json(flow.to_json()) == flow


def test_a_plan_goes_before_the_settings_schedule() -> None:
    """``compile_plan(plan, schedule)`` is for plans that do not say when their actions start."""
    assert compile_plan(prepare_plan(SHOP), "dataflow").schedule == "dataflow"
    assert compile_plan(prepare_plan(SHOP | {"schedule": "levels"}), "dataflow").schedule == "levels"


def test_the_order_of_the_list_has_no_meaning_but_for_display() -> None:
    """Actions listed in another order compile to the same levels and steps."""
    turned = {**SHOP, "actions": SHOP["actions"][::-1]}
    one, other = compiled(SHOP), compiled(turned)
    assert [set(level) for level in one.levels] == [set(level) for level in other.levels]
    assert {n: replace(s, successors=()) for n, s in one.steps.items()} == {
        n: replace(s, successors=()) for n, s in other.steps.items()
    }


def test_a_program_survives_json() -> None:
    """The stored form reads back as the same program; what is at its default is not stored."""
    program = compiled(SHOP)
    text = program.to_json()
    assert Program.from_json(text) == program
    assert Program.from_json(text.encode()) == program
    stored = json.loads(text)
    assert stored["steps"]["cart"] == {
        "id": "cart",
        "definition": "shop.cart",
        "level": 0,
        "successors": ["charge", "pack"],
    }


def test_policies_are_kept() -> None:
    """Retry, timeout, queue, priority, fallback and confirmation of an action are those of its step."""
    steps = compiled(SHOP).steps
    invoice = steps["invoice"]
    assert (invoice.retry.max_attempts, invoice.timeout, invoice.queue, invoice.priority) == (5, 1000, "slow", 3)
    assert (steps["pack"].fallback, steps["cart"].fallback) == ((None,), None)
    assert steps["ship"].confirmation is not None
    assert steps["ship"].confirmation.title == "Ship?"
    not_asked = json.loads(json.dumps(SHOP).replace('"title": "Ship?"', '"required": false'))
    assert compiled(not_asked).steps["ship"].confirmation is None


def test_a_null_fallback_survives_json() -> None:
    """A fallback that is null is a fallback, also after it was stored."""
    again = Program.from_json(compiled(SHOP).to_json())
    assert again.steps["pack"].fallback == (None,)


def test_a_large_program_survives_json() -> None:
    """One that is read bit by bit, so that it takes less memory, is the same program too."""
    small = compiled(SHOP)
    steps = {f"{name}{n}": step for n in range(1500) for name, step in small.steps.items()}
    program = small.model_copy(update={"steps": steps})
    assert len(program.to_json()) > 1_000_000
    assert Program.from_json(program.to_json()) == program


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            compiled(SHOP).model_copy(update={"schema_version": SCHEMA_VERSION + 1}).to_json(), id="same shape"
        ),
        pytest.param(json.dumps({"schema_version": SCHEMA_VERSION + 1, "graph": []}), id="another shape"),
    ],
)
def test_a_newer_schema_is_refused(text: str) -> None:
    """A program of a newer version is left to a newer worker, whether its shape can be read or not."""
    with pytest.raises(NewerSchemaError, match=rf"schema {SCHEMA_VERSION + 1}.*leaves it to a newer worker"):
        Program.from_json(text)


def test_unknown_fields_of_a_newer_minor_version_are_ignored() -> None:
    """A field that a newer version added without raising the schema does no harm."""
    stored = json.loads(compiled(SHOP).to_json())
    stored["steps"]["cart"]["colour"] = "blue"
    assert Program.from_json(json.dumps(stored)) == compiled(SHOP)


@pytest.mark.parametrize(
    ("flags", "halts"),
    [
        ({}, True),
        ({"a": {"continue_on_failure": True}}, False),
        ({"b": {"continue_on_failure": True}}, True),
        ({"b": {"continue_on_failure": True}, "c": {"continue_on_failure": True}}, False),
        ({"a": {"alternative_action_id": "d"}}, False),
    ],
)
def test_what_a_failure_means(flags: dict[str, Any], halts: bool) -> None:
    """A failure halts, unless the action's own flag tolerates it, or that of every action that depends on
    it, or an alternative takes over.
    """
    actions = [
        {
            "id": n,
            "action_definition_id": "x",
            "dependencies": [] if n in "ad" else ["a"],
            "error_handling": flags.get(n),
        }
        for n in "abcd"
    ]
    assert compiled({"actions": actions}).steps["a"].on_failure == ("halt" if halts else "continue")


def test_a_cycle_cannot_be_compiled() -> None:
    """``compile_plan`` is for valid plans; a cycle is an error and not an endless loop."""
    actions = [
        {"id": "a", "action_definition_id": "x", "dependencies": ["b"]},
        {"id": "b", "action_definition_id": "x", "dependencies": ["a"]},
    ]
    with pytest.raises(ValueError, match="cycle"):
        compile_plan(ExecutionPlan.model_validate({"actions": actions}))


def test_the_stored_program_grows_with_the_edges_only() -> None:
    """10,000 actions between two take linear room: no step names more than its own neighbours."""
    wide = [{"id": f"a{n}", "action_definition_id": "x", "dependencies": ["first"]} for n in range(10_000)]
    last = {"id": "last", "action_definition_id": "x", "dependencies": [a["id"] for a in wide]}
    program = compiled({"actions": [{"id": "first", "action_definition_id": "x"}, *wide, last]})
    assert [len(level) for level in program.levels] == [1, 10_000, 1]
    assert max(len(STEP.dump_json(program.steps[name], exclude_defaults=True)) for name in ("a0", "a9999")) < 150
    assert len(program.to_json()) < 2_500_000


def test_a_step_keeps_what_it_does_not_use() -> None:
    """A step of defaults is small: its id, its definition and its level."""
    small = STEP.dump_json(Step(id="a", definition="x", level=0), exclude_defaults=True)
    assert small == b'{"id":"a","definition":"x","level":0}'
