"""Every problem of a plan at once: its code, its place, what was found, and what to do about it.

That the caller of ``execute_plan`` gets them before anything is sent is in ``tests/integration/test_bad_input.py``.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from workflow_state import (
    ExecutionPlan,
    PlanProblem,
    PlanValidationError,
    find_circular_dependencies,
    find_plan_problems,
    validate_execution_plan,
    validate_plan_logic,
)
from workflow_state.validation import MAX_DEPTH, prepare_plan


def act(name: str, *after: str, **fields: Any) -> dict[str, Any]:
    """An action of a plan."""
    return {"id": name, "action_definition_id": "x", "dependencies": list(after), **fields}


def model(*actions: dict[str, Any], **fields: Any) -> ExecutionPlan:
    """A well-formed plan."""
    return ExecutionPlan.model_validate({"actions": list(actions), **fields})


BEFORE = model(act("a", inputs={"n": 1}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"timeout": -5}, "actions[0].timeout: Input should be greater than 0; found -5 [invalid_value]"),
        ({"id": "a b"}, "actions[0].id: The id 'a b' has characters that an id cannot have"),
        ({"retry": {"attempts": 2}}, "actions[0].retry.attempts: There is no such field in this place"),
        ({"inputs": {"n": float("nan")}}, "actions[0].inputs.n: Input should be a finite number; found a number"),
        ({"inputs": {"n": object()}}, "actions[0].inputs.n: input was not a valid JSON value"),
    ],
)
def test_a_plan_that_was_changed_is_checked_again(changes: dict[str, Any], said: str) -> None:
    """``model_copy`` checks nothing of what it is given: it was stored as it was, NaN as null, or broke the engine."""
    changed = BEFORE.model_copy(update={"actions": (BEFORE.actions[0].model_copy(update=changes),)})
    with pytest.raises(PlanValidationError) as caught:
        prepare_plan(changed)
    assert said in str(caught.value)


def test_a_plan_that_was_changed_well_is_as_one_from_its_json() -> None:
    """Dicts where models stand are read as such; a plan that lost its actions, or holds itself, is refused."""
    changed = BEFORE.model_copy(update={"actions": [act("a", inputs={"n": 1})]})
    assert validate_execution_plan(changed) == validate_execution_plan(BEFORE) == BEFORE
    with pytest.raises(PlanValidationError, match="needs at least one action"):
        prepare_plan(BEFORE.model_copy(update={"actions": ()}))
    with pytest.raises(PlanValidationError, match="should be a list; found None"):
        prepare_plan(ExecutionPlan.model_construct(actions=None))
    endless: dict[str, Any] = {}
    endless["n"] = endless
    with pytest.raises(PlanValidationError, match="nests deeper than 64"):
        prepare_plan(BEFORE.model_copy(update={"actions": (BEFORE.actions[0].model_copy(update={"inputs": endless}),)}))


def problems(*actions: dict[str, Any], **fields: Any) -> list[PlanProblem]:
    """What the linter finds in a plan."""
    return find_plan_problems(model(*actions, **fields))


def codes(*actions: dict[str, Any], **fields: Any) -> list[tuple[str, str, str]]:
    """Severity, code and location of each problem."""
    return [(p.severity, p.code, p.location) for p in problems(*actions, **fields)]


def test_all_problems_of_a_large_plan_are_found() -> None:
    """One that is built bit by bit from its text has the problems, and is the plan, that it is when given as a dict."""
    actions = [act(f"a{n}", inputs={"n": n}) for n in range(2500)]
    text = json.dumps({"actions": actions})
    assert prepare_plan(text) == prepare_plan({"actions": actions})
    wrong: dict[str, Any] = {"actions": [*actions, {"id": "no definition"}, *actions, 7], "colour": "blue"}
    wrong["actions"][1200] = act("late", priority=11)
    found = []
    for given in (json.dumps(wrong), wrong):
        with pytest.raises(PlanValidationError) as caught:
            validate_execution_plan(given)
        found.append(caught.value.errors)
    assert found[0] == found[1]
    places = {problem.location for problem in found[0]}
    assert {"actions[1200].priority", "actions[2500].id", "actions[5001]", "colour"} <= places


def test_a_problem_says_it_all() -> None:
    """Code for programs, location, message and suggestion for people; as text and as JSON."""
    (problem,) = problems(act("fetch"), act("b", "fetsh"))
    assert problem == PlanProblem(
        "unknown_dependency",
        "actions[1].dependencies[0]",
        "Action 'b' depends on 'fetsh', which is not in the plan",
        "did you mean 'fetch'?",
    )
    assert str(problem) == (
        "actions[1].dependencies[0]: Action 'b' depends on 'fetsh', which is not in the plan "
        "(did you mean 'fetch'?) [unknown_dependency]"
    )
    assert PlanProblem(**json.loads(json.dumps(problem.to_dict()))) == problem


def test_a_cycle_shows_its_path() -> None:
    """The message walks the whole circle, closed; the suggestion names an edge to cut."""
    (problem,) = problems(act("start"), act("a", "c", "start"), act("b", "a"), act("c", "b"), act("end", "c"))
    assert problem.message == "Circular dependency: a → c → b → a (each waits for the next)"
    assert problem.suggestion == "remove one of these dependencies, for example 'c' from 'a'"
    assert problem.location == "actions[1].dependencies"


def test_every_cycle_is_found() -> None:
    """Separate circles are separate problems."""
    found = problems(act("a", "b"), act("b", "a"), act("c", "c"), act("d"))
    assert [p.message.split(" (")[0] for p in found] == [
        "Circular dependency: a → b → a",
        "Circular dependency: c → c",
    ]


def test_find_circular_dependencies() -> None:
    """One closed path for each circle, from models or dicts in either spelling; none is an empty list."""
    assert find_circular_dependencies([act("a", "b"), act("b", "a")]) == [["a", "b", "a"]]
    assert find_circular_dependencies(model(act("a"), act("b", "a")).actions) == []
    assert find_circular_dependencies([{"id": "a", "actionDefinitionId": "x", "dependencies": ["a"]}]) == [["a", "a"]]


def test_alternatives_can_close_a_circle() -> None:
    """An alternative that depends on what depends on its principal can never run: that is said of it."""
    found = codes(act("a", error_handling={"alternative_action_id": "c"}), act("b", "a"), act("c", "b"))
    assert found == [("error", "alternative_cycle", "actions[0].error_handling.alternative_action_id")]


def test_an_alternative_of_itself() -> None:
    """An action cannot stand in for itself."""
    assert [code for _, code, _ in codes(act("a", error_handling={"alternative_action_id": "a"}))] == [
        "alternative_cycle"
    ]


@pytest.mark.parametrize("reader", [{"inputs": {"v": "${a.output}"}}, {"condition": {"if": "${a.output}"}}])
def test_references_reach_all_ancestors_and_no_one_else(reader: dict[str, Any]) -> None:
    """A distant ancestor may be read; a neighbour, a descendant and oneself may not."""
    assert problems(act("a"), act("b", "a"), act("c", "b", **reader)) == []
    assert codes(act("a"), act("c", **reader)) == [
        ("error", "reference_not_ancestor", f"actions[1].{'inputs.v' if 'inputs' in reader else 'condition.if'}")
    ]
    assert [code for _, code, _ in codes(act("c", **reader), act("a", "c"))] == ["reference_not_ancestor"]


def test_a_stand_in_may_read_whom_it_stands_in_for() -> None:
    """An alternative waits for its principal without naming it, so it may read its error."""
    handling = {"alternative_action_id": "b"}
    assert problems(act("a", error_handling=handling), act("b", inputs={"why": "${a.error.message}"})) == []


def test_references_everywhere_in_the_inputs() -> None:
    """Each text at any depth is looked at, and each bad reference is located."""
    inputs = {"list": [{"x": "${no.output}"}, "and ${b.output.n} of ${no.status}"], "ok": "$${not one}"}
    assert codes(act("b"), act("a", "b", inputs=inputs)) == [
        ("error", "reference_unknown_action", "actions[1].inputs.list[0].x"),
        ("error", "reference_unknown_action", "actions[1].inputs.list[1]"),
    ]


def test_the_expected_outcome_is_checked_too() -> None:
    """Its references may name any action of the plan; its patterns must be regular expressions."""
    checks = [
        {"name": "ok", "reference": "${a.output.x}", "operator": "matches", "value": "^[a-z]+$"},
        {"name": "who", "reference": "${b.output}"},
        {"name": "broken", "reference": "${a.outptu}"},
        {"name": "pattern", "reference": "${a.output}", "operator": "matches", "value": "("},
        {"name": "number", "reference": "${a.output}", "operator": "matches", "value": 7},
        {"name": "huge", "reference": "${a.output}", "operator": "matches", "value": [10**5000]},
    ]
    assert codes(act("a"), expected_outcome={"validations": checks}) == [
        ("error", "reference_unknown_action", "expected_outcome.validations[1].reference"),
        ("error", "reference_syntax", "expected_outcome.validations[2].reference"),
        ("error", "invalid_pattern", "expected_outcome.validations[3].value"),
        ("error", "invalid_pattern", "expected_outcome.validations[4].value"),
        ("error", "invalid_value", "expected_outcome.validations[5].value"),
        ("error", "invalid_pattern", "expected_outcome.validations[5].value"),
    ]


@pytest.mark.parametrize(
    ("actions", "code"),
    [
        ([act("a"), act("b", "a", condition={"if": "1 == 2"})], "condition_never_holds"),
        ([act("a", condition={"if": "true"})], "condition_always_holds"),
        ([act("a"), act("b", "a", "a")], "duplicate_dependency"),
        (
            [act("a", error_handling={"fallback_value": 1, "alternative_action_id": "b"}), act("b")],
            "unused_alternative",
        ),
        ([act("a", condition={"if": "false"}), act("b", "a")], "unreachable_action"),
        (
            [
                act("a", error_handling={"continue_on_failure": True}),
                act("b", "a", inputs={"v": "${a.output.x}"}),
            ],
            "reference_may_be_missing",
        ),
        (
            [act("a", error_handling={"fallback_value": {}}), act("b", "a", inputs={"v": "${a.output.x}"})],
            "fallback_lacks_field",
        ),
    ],
)
def test_warnings(actions: list[dict[str, Any]], code: str) -> None:
    """What a plan may not mean is a warning: it is told, and the plan runs all the same."""
    found = validate_plan_logic(model(*actions))
    assert code in [p.code for p in found]
    assert {p.severity for p in found} == {"warning"}
    assert prepare_plan({"actions": actions}).actions


def test_errors_come_without_warnings() -> None:
    """While there are errors, warnings would be noise."""
    assert {severity for severity, _, _ in codes(act("a", "nobody", condition={"if": "true"}))} == {"error"}


def test_a_good_plan_has_no_problems() -> None:
    """``validate_plan_logic`` of a plan that says what it means gives an empty list."""
    assert validate_plan_logic(model(act("a"), act("b", "a", inputs={"v": "${a.output}"}))) == []


@pytest.mark.parametrize(
    "form", [dict, json.dumps, lambda p: json.dumps(p).encode(), lambda p: bytearray(json.dumps(p), "utf-8")]
)
def test_every_form_of_a_plan_is_read(form: Any) -> None:
    """A mapping, text, bytes and a bytearray give the same plan; a plan is given back as it is."""
    found = validate_execution_plan(form({"actions": [act("a")]}))
    assert found == model(act("a"))
    assert validate_execution_plan(found) is found


@pytest.mark.parametrize("form", [str, str.encode])
def test_a_name_twice_in_json_is_told(form: Any) -> None:
    """JSON's readers keep the last of two values under one name: the first, here a retry policy, would be lost."""
    text = form('{"actions": [{"id": "a", "actionDefinitionId": "x", "retry": {"maxAttempts": 1}, "retry": {}}]}')
    with pytest.raises(PlanValidationError, match=r"actions\[0\]: The name 'retry' is given twice") as refused:
        validate_execution_plan(text)
    assert [(problem.code, problem.location) for problem in refused.value.errors] == [("duplicate_name", "actions[0]")]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("", "invalid_json"),
        ("{", "invalid_json"),
        ("[" * 100_000, "invalid_json"),
        (b"\xff", "invalid_json"),
        ("null", "not_an_object"),
        ("[]", "not_an_object"),
        (7, "not_an_object"),
        ({"actions": None}, "wrong_type"),
        ({"actions": {}}, "wrong_type"),
        ({"actions": [None]}, "wrong_type"),
        ({"actions": ["a"]}, "wrong_type"),
        ({1: 2}, "no_actions"),
        ({"actions": [act("a")], "intent": {"original": "x", "confidence": 2}}, "invalid_value"),
    ],
)
def test_what_is_not_a_plan(data: Any, code: str) -> None:
    """Anything else is one kind of error with a code, whatever it is; never another exception."""
    with pytest.raises(PlanValidationError) as refused:
        validate_execution_plan(data)
    assert code in [problem.code for problem in refused.value.errors]


def test_how_deep_a_plan_may_nest() -> None:
    """Inputs may nest, but not without bound: what reads them may recurse."""

    def nested(depth: int) -> dict[str, Any]:
        value: Any = 1
        for _ in range(depth):
            value = [value]
        return {"actions": [act("a", inputs={"v": value})]}

    assert prepare_plan(nested(MAX_DEPTH - 5)).actions
    with pytest.raises(PlanValidationError, match=f"nests deeper than {MAX_DEPTH} levels"):
        prepare_plan(nested(MAX_DEPTH + 1))


def test_an_endless_plan_is_refused() -> None:
    """A dict that contains itself is too deep, and found to be so."""
    loop: dict[str, Any] = {"actions": [act("a")]}
    loop["description"] = loop
    with pytest.raises(PlanValidationError, match="nests deeper"):
        validate_execution_plan(loop)


def test_a_chain_of_20_000_actions() -> None:
    """Depth is no limit of the graph: no recursion, and linear time."""
    chain = [act("a0"), *(act(f"a{n}", f"a{n - 1}", inputs={"v": f"${{a{n - 1}.output}}"}) for n in range(1, 20_000))]
    assert find_plan_problems(model(*chain)) == []


@pytest.mark.parametrize(
    ("wrong", "suggestion"),
    [
        ({"fallbackValue": 1}, "it belongs to 'error_handling' of an action"),
        ({"max_attempts": 2}, "it belongs to 'retry' of an action"),
        ({"schedule": "dataflow"}, "it belongs to the plan"),
        ({"tags": []}, "it belongs to 'metadata' of the plan"),
        ({"retry": {"timeout": 2}}, "it belongs to an action or 'user_confirmation' of an action"),
        ({"actionDefinitionId": "shop.step"}, "remove it: the field is given in both spellings"),
        ({"errorHandling": {"continueOnFailur": True}}, "did you mean 'continueOnFailure'?"),
        ({"sequence_number": 1}, "remove it"),
    ],
)
def test_a_field_in_the_wrong_place_is_told_where_it_belongs(wrong: dict[str, Any], suggestion: str) -> None:
    """A field that a plan has elsewhere is not taken for one that is misspelt, or given twice."""
    with pytest.raises(PlanValidationError) as refused:
        validate_execution_plan({"actions": [{"id": "a", "action_definition_id": "shop.step", **wrong}]})
    assert [(p.code, p.suggestion) for p in refused.value.errors] == [("unknown_field", suggestion)]


@pytest.mark.parametrize(
    ("wrong", "location", "message"),
    [
        ({"inputs": {"v": float("nan")}}, "actions[0].inputs.v", "finite number"),
        (
            {"inputs": {"v": {"list": [1, {"float": float("inf")}]}}},
            "actions[0].inputs.v.list[1].float",
            "finite number",
        ),
        ({"inputs": {"v": [{1, 2}]}}, "actions[0].inputs.v[0]", "found a set"),
        ({"inputs": {"v": {1: 2}}}, "actions[0].inputs.v[1]", "found a number (put it in quotes)"),
        ({"inputs": {1: 2}}, "actions[0].inputs[1]", "found a number (put it in quotes)"),
        ({"errorHandling": {"fallbackValue": [float("nan")]}}, "actions[0].errorHandling.fallbackValue[0]", "finite"),
        ({"dependencies": "b"}, "actions[0].dependencies", "should be a list; found 'b' (write [...]"),
        ({"inputs": None}, "actions[0].inputs", "should be an object; found null (write {...})"),
        ({"condition": "${b.output}"}, "actions[0].condition", "with fields such as 'if', 'then', 'else')"),
        (
            {"retry": 3},
            "actions[0].retry",
            "should be an object; found 3 (write {...}, with fields such as 'maxAttempts'",
        ),
        ({"args": []}, "actions[0].args", "did you mean 'tags', which belongs to 'metadata' of the plan?"),
        ({"actionDefinitionId": "shop.step"}, "actions[0].action_definition_id", "given twice"),
    ],
)
def test_a_problem_of_form_is_told_in_words_of_the_plan(wrong: dict[str, Any], location: str, message: str) -> None:
    """The location is that of the plan as it was written, and the message says what to write, in words of JSON;
    a hint names a field of another place as one of there.
    """
    with pytest.raises(PlanValidationError) as refused:
        validate_execution_plan({"actions": [{"id": "a", "action_definition_id": "shop.step", **wrong}]})
    (problem,) = refused.value.errors
    assert problem.location == location
    assert message in str(problem)


def test_a_list_of_problems_of_form() -> None:
    """All problems of form come together, located; a misspelt field is told its likely name."""
    with pytest.raises(PlanValidationError) as refused:
        validate_execution_plan(
            {"actions": [act("a", priority=-1, dependancies=[]), {"id": "b"}], "expectedOutcom": {}}
        )
    assert {(p.code, p.location, p.suggestion) for p in refused.value.errors} == {
        ("invalid_value", "actions[0].priority", ""),
        ("unknown_field", "actions[0].dependancies", "did you mean 'dependencies'?"),
        ("missing_field", "actions[1].actionDefinitionId", ""),
        ("unknown_field", "expectedOutcom", "did you mean 'expectedOutcome'?"),
    }
