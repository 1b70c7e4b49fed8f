"""Warnings: a plan that can run, but perhaps does not say what its author means."""

from __future__ import annotations

from typing import Any

import pytest

from workflow_state import ExecutionPlan, PlanProblem, validate_plan_logic
from workflow_state.validation import find_plan_problems, prepare_plan

NEVER = {"if": "false"}
FAILS = {"if": "false", "else": "fail"}


def act(name: str, *after: str, **fields: Any) -> dict[str, Any]:
    """An action of a plan."""
    return {"id": name, "action_definition_id": "x", "dependencies": list(after), **fields}


def handling(**fields: Any) -> dict[str, Any]:
    return {"error_handling": fields}


def reading(*references: str) -> dict[str, Any]:
    return {"inputs": {f"v{n}": reference for n, reference in enumerate(references)}}


def warnings(*actions: dict[str, Any]) -> list[PlanProblem]:
    """All warnings for a plan that can run."""
    found = validate_plan_logic(prepare_plan({"actions": list(actions)}))
    assert {problem.severity for problem in found} <= {"warning"}
    return found


def codes(*actions: dict[str, Any]) -> list[tuple[str, str]]:
    return [(problem.code, problem.location) for problem in warnings(*actions)]


@pytest.mark.parametrize(
    "actions",
    [
        [act("a")],
        [act("a"), act("b", "a", condition={"if": "${a.output}"})],
        [act("a"), act("b", "a", condition={"if": "${a.output} == 1 or false"})],
        [act("a", **handling(fallback_value={"n": 1})), act("b", "a", **reading("${a.output.n}"))],
        [act("a", **handling(alternative_action_id="b")), act("b"), act("c", "a", **reading("${a.output.n}"))],
        [
            act("a", **handling(continue_on_failure=True)),
            act("b", "a", **reading("${a.output ?? null}", "${a.status}")),
        ],
        [act("a"), act("b", "a", condition={"if": "${a.output}"}), act("c", "b", **reading("${b.output}"))],
        [
            act("check"),
            act("a", "check", condition={"if": "${check.output}"}),
            act("b", "a", "check", **reading("${a.status}")),
        ],
    ],
)
def test_nothing_to_say(actions: list[dict[str, Any]]) -> None:
    """What can mean what it says gets no warning."""
    assert codes(*actions) == []


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("false", "condition_never_holds"),
        ("1 == 2", "condition_never_holds"),
        ("${a.output} and false", "condition_never_holds"),
        ("not (true or ${a.output})", "condition_never_holds"),
        ("true", "condition_always_holds"),
        ("'a' in ['a']", "condition_always_holds"),
        ("${a.output} or 1 < 2", "condition_always_holds"),
        ("!false", "condition_always_holds"),
    ],
)
def test_conditions_that_decide_nothing(condition: str, code: str) -> None:
    """A condition that is the same whatever its references find."""
    assert (code, "actions[1].condition.if") in codes(act("a"), act("b", "a", condition={"if": condition}))


@pytest.mark.parametrize(
    ("actions", "never"),
    [
        ([act("a", condition=NEVER), act("b", "a"), act("c", "b")], {"a", "b", "c"}),
        ([act("a", condition=NEVER), act("ok"), act("b", "a", "ok")], {"a"}),
        ([act("a", condition=NEVER), act("b", condition=NEVER), act("c", "a", "b")], {"a", "b", "c"}),
        # What fails has failed: whoever tolerates it runs.
        ([act("a", condition=FAILS, **handling(continue_on_failure=True)), act("b", "a")], {"a"}),
        ([act("a", condition=FAILS, **handling(alternative_action_id="s")), act("s"), act("b", "a")], {"a"}),
        ([act("a", **handling(fallback_value=1, alternative_action_id="s")), act("s"), act("t", "s")], {"s", "t"}),
        ([act("a", condition=NEVER, **handling(alternative_action_id="s")), act("s")], {"a", "s"}),
        ([act("a", **handling(alternative_action_id="s")), act("s", condition=NEVER)], {"s"}),
    ],
)
def test_actions_that_never_run(actions: list[dict[str, Any]], never: set[str]) -> None:
    """Those that no run of the plan can reach: by a condition, by what leads to them, or as an alternative."""
    ids = [action["id"] for action in actions]
    found = {ids[int(p.location[8:-1])] for p in warnings(*actions) if p.code == "unreachable_action"}
    assert found == never


def test_a_fallback_that_lacks_a_field() -> None:
    """A field that the source's fallback value does not have: the reader would fail just then."""
    source = act("a", **handling(fallback_value={"list": [1], "n": None}))
    reader = act(
        "b", "a", **reading("${a.output.list[0]}", "${a.output.list[1]}", "${a.output.n}", "${a.output.x ?? 1}")
    )
    assert codes(source, reader) == [("fallback_lacks_field", "actions[1].inputs.v1")]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (act("a", "check", **handling(continue_on_failure=True)), "fails, which is tolerated"),
        (act("a", "check", condition={"if": "${check.output}"}), "is skipped"),
    ],
)
def test_a_reference_that_may_find_nothing(source: dict[str, Any], why: str) -> None:
    """The plan itself foresees that the source has no output, and the reader has no default: it is told which."""
    (problem,) = warnings(act("check"), source, act("b", "a", "check", **reading("so ${a.output.n}")))
    assert (problem.code, problem.location) == ("reference_may_be_missing", "actions[2].inputs.v0")
    assert problem.message == f"${{a.output.n}} finds nothing when action 'a' {why}"
    assert problem.suggestion == "write a default, such as ${a.output.n ?? null}"


def test_a_dependency_twice() -> None:
    """Named at its second place."""
    assert codes(act("a"), act("b", "a", "a")) == [("duplicate_dependency", "actions[1].dependencies[1]")]


def test_an_alternative_beside_a_fallback_value() -> None:
    """The fallback value comes first, so the alternative is never called for."""
    found = codes(act("a", **handling(fallback_value=None, alternative_action_id="b")), act("b"))
    assert found == [
        ("unused_alternative", "actions[0].error_handling.alternative_action_id"),
        ("unreachable_action", "actions[1]"),
    ]


def test_warnings_come_in_the_order_of_the_actions() -> None:
    """All of them at once, as JSON too."""
    found = warnings(act("a", condition=NEVER), act("b"), act("c", "b", "b"), act("d", condition={"if": "true"}))
    assert [p.location for p in found] == [
        "actions[0].condition.if",
        "actions[0]",
        "actions[2].dependencies[1]",
        "actions[3].condition.if",
    ]
    assert [PlanProblem(**problem.to_dict()) for problem in found] == found


def test_a_plan_with_errors_gets_no_warnings() -> None:
    """What cannot run is not judged for what it may mean."""
    plan = ExecutionPlan.model_validate({"actions": [act("a", "a", condition=NEVER)]})
    assert {problem.severity for problem in find_plan_problems(plan)} == {"error"}
