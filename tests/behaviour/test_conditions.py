"""1.3 and 1.4: whether an action runs, decided by a condition over what came before."""

from __future__ import annotations

from typing import Any

import pytest

from tests.behaviour.endings import Endings
from tests.workers import Site, action, plan
from workflow_state import ErrorCategory, PlanValidationError, execute_plan
from workflow_state.conditions import MAX_DEPTH, MAX_LENGTH

CHECK = {"userType": "premium", "n": 3, "list": ["a", 1], "object": {"key": 1}, "null": None, "zero": 0, "empty": ""}

HOLD = [
    "${check.output.userType} == 'premium'",
    "${primary.status} != 'completed'",
    "${check.output.n} == 3.0",
    "${check.output.n} < 4 and ${check.output.n} >= 3",
    "'a' in ${check.output.list} and not ('b' in ${check.output.list})",
    "'key' in ${check.output.object}",
    "'mium' in ${check.output.userType}",
    "${check.output.n} not in [1, 2]",
    "(false or ${check.output.n} > 2) and (true)",
    "${check.output.userType} === 'premium' && !(${check.output.n} !== 3) || false",
    "${check.output.object}",
    "${primary.error.message} == 'unreachable'",
    "${check.output.null} == null",
    "${check.output.missing} != null",
    "not ${check.output.missing}",
    "${check.output.missing ?? 5} == 5",
    "${skipped.status} == 'skipped' and not ${skipped.output}",
    "${check.output.list} == ['a', 1]",
]
FAIL_TO_HOLD = [
    "${check.output.userType} == 'basic'",
    "${check.output.missing}",
    "${check.output.zero}",
    "${check.output.empty}",
    "${check.output.null}",
    "${check.output.missing} == null",
    "${check.output.missing} < 5",
    "${check.output.n} == '3'",
    "${check.output.n} == true",
    "not true",
    "${check.output.__class__}",
    "${check.output.userType.upper}",
]
#: Condition → what is wrong with it, as the error says.
CANNOT_BE_EVALUATED = {
    "${check.output.n} < 'x'": '${check.output.n} = 3 is a number and "x" is a text',
    "${check.output.list} > 1": "is a list and 1 is a number",
    "1 in ${check.output.n}": "'in' looks for a value in a list, a text in a text or a key in an object",
}
#: None of it is ever evaluated by Python: it is no condition.
HOSTILE = [
    "__import__('os').system('true')",
    "${check.output}.__class__",
    "().__class__.__bases__",
    "open('secrets.txt')",
    "lambda: 1",
    "${check.output.n} + 1",
    "[x for x in [1]]",
    "f'{1}'",
    "${check.output[${check.output.n}]}",
    "1 if true else 2",
    "`id`",
    "${check.output.n} = 3",
]


def judged(condition: str, else_: str = "skip", **fields: Any) -> dict[str, Any]:
    """A plan whose action ``judged`` has the condition; it may read a completed, a failed and a skipped action."""
    return plan(
        action("check", "test.value", inputs={"value": CHECK}),
        action(
            "primary",
            "test.fail",
            inputs={"message": "unreachable", "retryable": False},
            error_handling={"continue_on_failure": True},
        ),
        action("skipped", "test.value", "check", condition={"if": "false"}),
        action(
            "judged",
            "test.value",
            *("check", "primary", "skipped"),
            inputs={"value": "ran"},
            condition={"if": condition, "then": "execute", "else": else_},
            **fields,
        ),
    )


SCHEDULES = ("levels", "dataflow")
PLANS = {
    **{text: judged(text) for text in [*HOLD, *FAIL_TO_HOLD, *CANNOT_BE_EVALUATED]},
    "fail": judged("${check.output.userType} == 'basic'", "fail"),
    "fail, tolerated": judged("${check.output.n} > 5", "fail", error_handling={"continue_on_failure": True}),
    "fail, fallback": judged("${check.output.n} > 5", "fail", error_handling={"fallback_value": "instead"}),
    "broken, fallback": judged("${check.output.n} < 'x'", error_handling={"fallback_value": None}),
    "long": judged(" or ".join(["${check.output.n} == 4"] * 100) + " or ${check.output.n} == 3"),
    "deep": judged("(" * MAX_DEPTH + "${check.output.n} == 3" + ")" * MAX_DEPTH),
    "default": plan(
        action("check", "test.value", inputs={"value": 1}),
        action("judged", "test.value", "check", condition={"if": "${check.output} == 2"}),
    ),
    "of an alternative": plan(
        action("primary", "test.fail", inputs={"retryable": False}, error_handling={"alternative_action_id": "spare"}),
        action("spare", "test.value", inputs={"value": {"n": 5}}),
        action("judged", "test.value", "primary", condition={"if": "${primary.output.n} == 5"}),
        action("told", "test.value", "primary", condition={"if": "${primary.status} == 'failed'"}),
    ),
}


@pytest.mark.parametrize("condition", HOLD)
def test_a_condition_that_holds(ended: Endings, condition: str) -> None:
    """A reference is its truth; comparisons, ``and``, ``or``, ``not``, ``in``, parentheses, the original's
    ``===``, ``!==``, ``&&``, ``||``, ``!``: the action runs.
    """
    assert (ended[condition].status, ended.output(condition, "judged")) == ("completed", "ran")


@pytest.mark.parametrize("condition", FAIL_TO_HOLD)
def test_a_condition_that_does_not_hold(ended: Endings, condition: str) -> None:
    """What is false, missing, null, 0 or empty does not hold: by default the action is skipped."""
    assert (ended[condition].status, ended.statuses(condition)["judged"]) == ("completed", "skipped")


def test_skip_gives_the_condition_and_its_values(ended: Endings) -> None:
    """Skipped with the condition and its values as the reason; ``else`` is ``skip`` when it is not given."""
    assert ended.reason("${check.output.userType} == 'basic'", "judged") == (
        "condition not met: ${check.output.userType} == 'basic' is false (${check.output.userType} = \"premium\")"
    )
    assert ended.reason("${check.output.missing} < 5", "judged").startswith(
        "condition not met: ${check.output.missing} < 5 is false (${check.output.missing} finds nothing: "
        "check.output is an object with the fields userType, n, list"
    )
    assert ended.reason("default", "judged").startswith("condition not met: ${check.output} == 2 is false")


def test_fail_fails_the_action(ended: Endings) -> None:
    """``else: fail``: the action has failed, without an attempt, and with it the execution."""
    error = ended.error("fail", "judged")
    assert (error.category, error.retryable) == (ErrorCategory.CONDITION_NOT_MET, False)
    assert '${check.output.userType} = "premium"' in error.message
    assert (ended["fail"].status, ended.action("fail", "judged").attempts) == ("failed", 0)


def test_a_failed_condition_is_a_failure_like_any_other(ended: Endings) -> None:
    """``continue_on_failure`` and ``fallback_value`` hold for an action that its condition failed."""
    assert (ended["fail, tolerated"].status, ended.statuses("fail, tolerated")["judged"]) == ("completed", "failed")
    fallen_back = ended.action("fail, fallback", "judged")
    assert (ended["fail, fallback"].status, fallen_back.status) == ("completed", "completed")
    assert ended.output("fail, fallback", "judged") == "instead"
    assert fallen_back.error is not None
    assert fallen_back.error.category == ErrorCategory.CONDITION_NOT_MET
    assert (ended.output("broken, fallback", "judged"), ended["broken, fallback"].status) == (None, "completed")


@pytest.mark.parametrize("condition", CANNOT_BE_EVALUATED)
def test_a_condition_that_cannot_be_evaluated(ended: Endings, condition: str) -> None:
    """Comparing what has no order is a ``validation_failed`` failure of the action that shows both values."""
    error = ended.error(condition, "judged")
    assert error.category == ErrorCategory.VALIDATION_FAILED
    assert CANNOT_BE_EVALUATED[condition] in error.message
    assert ended[condition].status == "failed"


def test_a_condition_sees_through_to_the_alternative(ended: Endings) -> None:
    """In a condition too, the output of a failed action is its alternative's; its status stays its own."""
    assert ended.statuses("of an alternative") == {
        "primary": "failed",
        "spare": "completed",
        "judged": "completed",
        "told": "completed",
    }


def test_large_conditions_are_evaluated(ended: Endings) -> None:
    """Up to its limits a condition is evaluated, on a worker as elsewhere."""
    assert ended.output("long", "judged") == "ran"
    assert ended.output("deep", "judged") == "ran"


@pytest.mark.parametrize("condition", HOSTILE)
def test_evaluation_reaches_no_attribute_call_or_import(behaviour: Site, condition: str) -> None:
    """Plans can come from outside: what would reach an attribute, a call, an import or arithmetic is refused."""
    with pytest.raises(PlanValidationError) as refused:
        execute_plan.delay(judged(condition))
    assert [(p.code, p.location) for p in refused.value.errors] == [("condition_syntax", "actions[3].condition.if")]


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("true or " * MAX_LENGTH + "true", "at most 4000 characters"),
        ("1 == 1 and " * 200 + "true", "at most 500 words, operators and references"),
        ("(" * 51 + "true" + ")" * 51, "at most 50 levels deep"),
    ],
)
def test_conditions_are_bounded_in_time_and_size(behaviour: Site, condition: str, said: str) -> None:
    """Longer, more or deeper than the limits is refused, saying the limit."""
    with pytest.raises(PlanValidationError, match=said):
        execute_plan.delay(judged(condition))
