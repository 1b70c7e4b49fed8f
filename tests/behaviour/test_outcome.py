"""1.4 "Expected outcome": what must hold after the last action."""

from __future__ import annotations

from typing import Any

import pytest

from tests.behaviour.endings import Endings
from tests.workers import action, plan
from workflow_state import ErrorCategory, PlanExecutionError, execute_plan

REPORT: dict[str, Any] = {"n": 3, "text": "order A-17 shipped", "list": ["a", {"k": 1.0}], "null": None, "yes": True}

#: operator, reference, value: these hold of the report.
HOLD = [
    ("exists", "${report.output}", None),
    ("exists", "${report.output.null}", None),
    ("exists", "report.output.n", None),
    ("equals", "${report.output.n}", 3.0),
    ("equals", "${report.output.list}", ["a", {"k": 1}]),
    ("equals", "${report.output.null}", None),
    ("equals", "${report.status}", "completed"),
    ("contains", "${report.output.text}", "A-17"),
    ("contains", "${report.output.list}", {"k": 1}),
    ("contains", "${report.output}", "text"),
    ("matches", "${report.output.text}", r"[A-Z]-\d+"),
    ("matches", "${report.output.text}", r"^order .* shipped$"),
]
#: operator, reference, value, what was found: these do not.
FAIL_TO_HOLD = [
    ("exists", "${report.output.missing}", None, "nothing"),
    ("exists", "${gone.output}", None, "nothing"),
    ("exists", "${broke.output}", None, "nothing"),
    ("equals", "${report.output.n}", "3", "3"),
    ("equals", "${report.output.yes}", 1, "True"),
    ("equals", "${report.output.missing}", None, "nothing"),
    ("equals", "${broke.error.category}", "auth_expired", "'action_failed'"),
    ("contains", "${report.output.text}", "B-17", "'order A-17 shipped'"),
    ("contains", "${report.output.list}", "k", "['a', {'k': 1.0}]"),
    ("contains", "${report.output.n}", 3, "3"),
    ("matches", "${report.output.text}", "^A-17", "'order A-17 shipped'"),
    ("matches", "${report.output.n}", "3", "3"),
]


def expecting(*validations: tuple[str, str, Any], **fields: Any) -> dict[str, Any]:
    """A plan with a report, a skipped action and a failed one, and what is expected of it."""
    return plan(
        action("report", "test.value", inputs={"value": REPORT}, **fields),
        action("gone", condition={"if": "false"}),
        action("broke", "test.fail", inputs={"retryable": False}, error_handling={"continue_on_failure": True}),
        id="reporting",
        expected_outcome={
            "description": "a report was written",
            "validations": [
                {"name": f"check {n}", "reference": reference, "operator": operator, "value": value}
                for n, (operator, reference, value) in enumerate(validations)
            ],
        },
    )


PLANS = {
    "all hold": expecting(*HOLD),
    "none": expecting(),
    "several": expecting(HOLD[0], FAIL_TO_HOLD[0][:3], HOLD[1], FAIL_TO_HOLD[3][:3]),
    "catastrophic": plan(
        action("report", "test.value", inputs={"value": "a" * 50_000 + "!"}),
        expected_outcome={
            "validations": [
                {"name": "slow", "reference": "${report.output}", "operator": "matches", "value": "^(a+)+$"}
            ]
        },
    ),
    "failed before": plan(
        action("broke", "test.fail", inputs={"retryable": False}),
        expected_outcome={"validations": [{"name": "never", "reference": "${broke.output}", "operator": "exists"}]},
    ),
    **{f"fails {n}": expecting((operator, ref, value)) for n, (operator, ref, value, _) in enumerate(FAIL_TO_HOLD)},
}


def test_validations_that_hold(ended: Endings) -> None:
    """``exists``, ``equals``, ``contains`` and ``matches``: where all hold, the execution is ``completed``."""
    assert (ended["all hold"].status, ended["all hold"].error) == ("completed", None)
    assert ended["none"].status == "completed"


@pytest.mark.parametrize("number", range(len(FAIL_TO_HOLD)))
def test_a_failed_validation_fails_the_execution(ended: Endings, number: int) -> None:
    """The execution is ``failed``, naming the validation, what was expected and what was found."""
    operator, reference, value, found = FAIL_TO_HOLD[number]
    state = ended[f"fails {number}"]
    wanted = "" if operator == "exists" else f" {value!r}"
    assert state.status == "failed"
    assert state.error is not None
    assert state.error.category == ErrorCategory.OUTCOME_NOT_MET
    assert state.error.message == (
        f"The expected outcome is not met: check 0: expected {reference} {operator}{wanted}, found {found}"
    )


def test_what_was_done_is_kept(ended: Endings) -> None:
    """No action is failed by it: the work was done, and can be read."""
    assert ended.statuses("fails 0") == {"report": "completed", "gone": "skipped", "broke": "failed"}
    with pytest.raises(PlanExecutionError, match="The expected outcome is not met: check 0") as raised:
        execute_plan.AsyncResult(ended["fails 0"].id).get(timeout=5)
    assert raised.value.execution_id == ended["fails 0"].id


def test_every_failed_validation_is_named(ended: Endings) -> None:
    """All that does not hold is said at once, and nothing of what holds."""
    error = ended["several"].error
    assert error is not None
    assert [name for name in ("check 0", "check 1", "check 2", "check 3") if name in error.message] == [
        "check 1",
        "check 3",
    ]


def test_an_execution_that_failed_is_not_checked(ended: Endings) -> None:
    """The outcome is checked after the last action; where one failed untolerated, that is the error."""
    error = ended["failed before"].error
    assert error is not None
    assert (error.category, error.context) == (ErrorCategory.ACTION_FAILED, {"action_id": "broke"})


def test_a_catastrophic_pattern_stalls_no_worker(ended: Endings) -> None:
    """Patterns come from outside too: one that backtracks elsewhere is matched in linear time."""
    assert ended["catastrophic"].status == "failed"
    assert ended["catastrophic"].metrics.total_duration < 10_000
