"""1.3: one action reads what another left behind."""

from __future__ import annotations

from typing import Any

import pytest

from tests.behaviour.endings import ONCE, Endings
from tests.workers import action, plan
from workflow_state import ErrorCategory, PlanValidationError, execute_plan

SOURCE: dict[str, Any] = {
    "users": [{"name": "Ada", "tags": []}, {"name": "Bob"}],
    "object": {"deep": {"er": [1, 2.5]}},
    "number": 7,
    "fraction": 0.5,
    "yes": True,
    "no": False,
    "nothing": None,
    "text": "plain",
    "odd key.with [all]": "found",
    "empty": "",
}
KEPT = [name for name in SOURCE if name.isidentifier()]
"""Fields that are read as a whole, each to keep its type."""

RENDERED = {
    "hello ${src.output.users[0].name}!": "hello Ada!",
    "${src.output.number}${src.output.text}": "7plain",
    "n=${src.output.number} f=${src.output.fraction} y=${src.output.yes}": "n=7 f=0.5 y=true",
    "null is ${src.output.nothing}": "null is null",
    "all of ${src.output.object}": 'all of {"deep": {"er": [1, 2.5]}}',
    "empty: '${src.output.empty}'": "empty: ''",
    " ${src.output.number}": " 7",
    "a literal $${src.output}": "a literal ${src.output}",
    "$${a} and ${src.output.text}": "${a} and plain",
}
DEFAULTS: dict[str, Any] = {
    "${src.output.missing ?? 5}": 5,
    "${src.output.missing ?? 'none'}": "none",
    "${src.output.users[9].name ?? null}": None,
    '${src.output.missing ?? {"a": [1, {}]}}': {"a": [1, {}]},
    "${src.output.nothing ?? 'null counts as nothing'}": "null counts as nothing",
    "${src.output.no ?? true}": False,
    "${src.output.empty ?? 'x'}": "",
    "${gone.output ?? 'skipped'}": "skipped",
    "${broke.output.id ?? -1}": -1,
    "${src.error.message ?? 'no error'}": "no error",
    "is ${gone.output.n ?? 0} here": "is 0 here",
}
#: Written in a plan → what was there instead, as the error of the reader says it.
NOTHING = {
    "${src.output.missing}": "src.output is an object with the fields users, object, number, fraction",
    "${src.output.users[7]}": "src.output.users is a list of 2",
    "${src.output.users[0].name.first}": "src.output.users[0].name is a text",
    "${src.output.nothing.more}": "src.output.nothing is null",
    "${src.error}": "action 'src' has no error",
    "${gone.output}": "action 'gone' was skipped (condition not met",
    "${gone.output.field}": "action 'gone' was skipped",
    "${broke.output}": "action 'broke' failed (out of paper)",
    "Dear ${src.output.nobody},": "src.output is an object",
}


def read(*inputs: Any) -> dict[str, Any]:
    """A plan with a completed, a skipped and a tolerated failed action, and one that reads of them."""
    return plan(
        action("src", "test.value", inputs={"value": SOURCE}),
        action("gone", "test.value", "src", condition={"if": "${src.output.no}"}),
        action(
            "broke",
            "test.fail",
            inputs={"message": "out of paper", "category": "rate_limit_daily", "retryable": False},
            error_handling={"continue_on_failure": True},
        ),
        *(
            action(f"reader{n}", "test.value", "src", "gone", "broke", inputs={"value": value})
            for n, value in enumerate(inputs)
        ),
    )


def alone(reference: str) -> dict[str, Any]:
    """A plan whose only reader is to fail."""
    return read(reference)


PLANS = {
    "fields": read(
        "${src.output.users[0].name}", "${src.output['odd key.with [all]']}", "${src.output.users[-1].name}"
    ),
    "own": read(
        "${src.status}", "${gone.status}", "${broke.status}", "${broke.error.message}", "${broke.error.category}"
    ),
    "types": read("${src.output}", *(f"${{src.output.{name}}}" for name in KEPT)),
    "text": read(*RENDERED),
    "depth": read({"a": [{"b": ["${src.output.number}", {"c": {"d": "${src.output.users}"}}]}], "e": "as it is"}),
    "defaults": read(*DEFAULTS),
    "far": plan(
        action("first", "test.value", inputs={"value": 1}),
        action("second", "test.value", "first"),
        action("third", "test.value", "second", inputs={"value": "${first.output}"}),
    ),
    "brought": plan(
        action("src", "test.value", inputs={"value": "$${evil.output}"}),
        action("reader", "test.value", "src", inputs={"value": ["${src.output}", "so: ${src.output}"]}),
        action("again", "test.value", "reader", inputs={"value": "${reader.output}"}),
    ),
    "mistyped": plan(
        action("src", "test.value", inputs={"value": {"n": "many"}}),
        action("sum", "test.add", "src", inputs={"a": "${src.output.n}"}, retry=ONCE),
    ),
    **{f"nothing {reference}": alone(reference) for reference in NOTHING},
}


def outputs(ended: Endings, name: str) -> list[Any]:
    """What the readers of a plan got."""
    readers = [found for found in ended[name].action_states if found.startswith("reader")]
    return [ended.output(name, reader) for reader in readers]


def test_a_field_of_an_output_is_read(ended: Endings) -> None:
    """``${fetch.output.users[0].name}`` reads an action's output: fields, indices, keys of any form."""
    assert outputs(ended, "fields") == ["Ada", "found", "Bob"]


def test_status_and_error_are_read(ended: Endings) -> None:
    """``${fetch.status}`` reads an action's status, ``${fetch.error.message}`` its error."""
    assert outputs(ended, "own") == ["completed", "skipped", "failed", "out of paper", "rate_limit_daily"]


def test_one_reference_keeps_the_type(ended: Endings) -> None:
    """A value that is one reference keeps the type of what it names: all of JSON's, and the object as a whole."""
    found = outputs(ended, "types")
    assert found == [SOURCE, *(SOURCE[name] for name in KEPT)]
    assert [type(value) for value in found] == [dict, *(type(SOURCE[name]) for name in KEPT)]


def test_a_reference_in_text_is_rendered(ended: Endings) -> None:
    """A reference inside text is rendered into it: text as it is, everything else as JSON."""
    assert outputs(ended, "text") == list(RENDERED.values())


def test_references_work_at_any_depth(ended: Endings) -> None:
    """References work at any depth of ``inputs``, in lists and objects."""
    assert outputs(ended, "depth") == [{"a": [{"b": [7, {"c": {"d": SOURCE["users"]}}]}], "e": "as it is"}]


def test_a_default_stands_in_for_nothing(ended: Endings) -> None:
    """A default may be written in the reference; it counts where nothing, or null, is found."""
    assert outputs(ended, "defaults") == list(DEFAULTS.values())


def test_an_indirect_ancestor_can_be_read(ended: Endings) -> None:
    """An ancestor need not be a direct dependency."""
    assert ended.output("far", "third") == 1


def test_what_a_reference_brings_is_not_read_again(ended: Endings) -> None:
    """An output that looks like a reference is data, however often it is passed on."""
    assert ended.output("brought", "again") == ["${evil.output}", "so: ${evil.output}"]


@pytest.mark.parametrize("reference", NOTHING)
def test_a_reference_that_finds_nothing_fails_its_reader(ended: Endings, reference: str) -> None:
    """A missing field, a skipped or a failed source is a ``validation_failed`` failure of the action that reads
    it, saying which reference and what was there instead; never a silent empty string, and not retried.
    """
    name = f"nothing {reference}"
    error = ended.error(name, "reader0")
    assert (error.category, error.retryable) == (ErrorCategory.VALIDATION_FAILED, False)
    written = reference.removeprefix("Dear ").removesuffix(",")
    assert error.message.startswith(f"Reference {written} finds nothing: {NOTHING[reference]}")
    assert (ended[name].status, ended.action(name, "reader0").attempts) == ("failed", 1)
    assert ended.statuses(name)["src"] == "completed"


def test_an_output_of_the_wrong_type_for_its_reader(ended: Endings) -> None:
    """What is found but has the wrong type for its reader fails the reader's validation, naming the input."""
    error = ended.error("mistyped", "sum")
    assert error.category == ErrorCategory.VALIDATION_FAILED
    assert error.message.startswith("Inputs of action definition 'test.add' are not valid: a: ")


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("${sibling.output}", "reference_not_ancestor"),
        ("${later.output}", "reference_not_ancestor"),
        ("${reader.status}", "reference_not_ancestor"),
        ("${nobody.output}", "reference_unknown_action"),
        ("${src.outputs}", "reference_syntax"),
        ("${src.output", "reference_syntax"),
    ],
)
def test_a_reference_to_no_ancestor_is_a_plan_error(reference: str, code: str) -> None:
    """A reference to an action that is not an ancestor is an error of the plan, before anything is sent."""
    wanted = plan(
        action("src"),
        action("sibling"),
        action("reader", "test.value", "src", inputs={"value": reference}),
        action("later", "test.value", "reader"),
    )
    with pytest.raises(PlanValidationError) as refused:
        execute_plan.delay(wanted)
    assert [(p.code, p.location) for p in refused.value.errors] == [(code, "actions[2].inputs.value")]
