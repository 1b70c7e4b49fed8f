"""1.4 "Failure": what follows the final failure of an action, by what the plan says of it."""

from __future__ import annotations

import pytest
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult

from tests.behaviour.endings import QUICK, Endings
from tests.workers import Site, action, plan
from workflow_state import (
    ActionFailedError,
    ErrorCategory,
    PlanExecutionError,
    Success,
    action_task_id,
    execute_plan,
)

FINAL = {"message": "refused", "retryable": False}
CONTINUE = {"continue_on_failure": True}

SCHEDULES = ("levels", "dataflow")
PLANS = {
    "none": plan(
        action("beside", "behave.meet", inputs={"size": 2, "seconds": 0.3}),
        action("fails", "behave.meet", inputs={"size": 2, "message": "refused"}),
        action("child", "test.value", "fails"),
        action("grandchild", "test.value", "child", "other"),
        action("other", "test.value", "beside"),
        id="print",
    ),
    "fallback": plan(
        action("rate", "test.fail", retry=QUICK, error_handling={"fallback_value": {"eur": 1.1}}),
        action("use", "test.value", "rate", inputs={"value": "${rate.output.eur}"}),
        action("told", "test.value", "rate", inputs={"value": "${rate.status}: ${rate.error.message}"}),
    ),
    "fallback null": plan(
        action("rate", "test.fail", inputs=FINAL, error_handling={"fallback_value": None}),
        action("use", "test.value", "rate", inputs={"value": "${rate.output}"}),
    ),
    "fallback before all else": plan(
        action(
            "rate",
            "test.fail",
            inputs=FINAL,
            error_handling={"fallback_value": 1, "continue_on_failure": True, "alternative_action_id": "spare"},
        ),
        action("spare"),
    ),
    "own flag": plan(
        action("mail", "test.fail", inputs=FINAL, error_handling=CONTINUE),
        action("report", "test.echo", "mail", inputs={"why": "${mail.error.message}", "got": "${mail.output ?? null}"}),
    ),
    "dependent's flag": plan(
        action("mail", "test.fail", inputs=FINAL), action("report", "test.value", "mail", error_handling=CONTINUE)
    ),
    "one dependent's flag of two": plan(
        action("mail", "test.fail", inputs=FINAL),
        action("report", "test.value", "mail", error_handling=CONTINUE),
        action("archive", "test.value", "mail"),
    ),
    "all dependents' flags": plan(
        action("mail", "test.fail", inputs=FINAL),
        action("report", "test.value", "mail", error_handling=CONTINUE),
        action("archive", "test.value", "mail", error_handling=CONTINUE),
    ),
    "nobody's flag": plan(
        action("mail", "test.fail", inputs=FINAL), action("far", "test.value", error_handling=CONTINUE)
    ),
    "two of three": plan(
        action("three", "test.value", inputs={"value": 3}),
        action("one", "behave.meet", inputs={"size": 2, "message": "first"}),
        action("two", "behave.meet", inputs={"size": 2, "message": "second"}),
        action("join", "test.echo", "one", "two", "three"),
    ),
    "tolerated reader": plan(
        action("mail", "test.fail", inputs=FINAL, error_handling=CONTINUE),
        action("strict", "test.value", "mail", inputs={"value": "${mail.output.id}"}, error_handling=CONTINUE),
        action("last", "test.value", "strict"),
    ),
    "missing reference, fallback": plan(
        action("src", "test.value", inputs={"value": {}}),
        action(
            "reader",
            "test.value",
            "src",
            inputs={"value": "${src.output.id}"},
            error_handling={"fallback_value": "unknown"},
        ),
    ),
    "unknown definition": plan(action("a", "test.ecco"), action("b", "test.echo", "a")),
}


def task(site: Site, ended: Endings, name: str, action_id: str) -> AsyncResult:
    """The Celery result of one action."""
    return AsyncResult(action_task_id(ended[name].id, action_id), app=site.app)


def test_with_no_policy_the_execution_fails(ended: Endings) -> None:
    """With none of the policies, actions already running finish, nothing new starts, the execution is
    ``failed``, and every action that never ran is ``skipped`` with the reason.
    """
    assert ended["none"].status == "failed"
    assert ended.statuses("none") == {
        "beside": "completed",
        "fails": "failed",
        "child": "skipped",
        "other": "skipped",
        "grandchild": "skipped",
    }
    for name in ("child", "other", "grandchild"):
        assert ended.reason("none", name) == "not started: the execution had halted on action 'fails'"
        assert ended.action("none", name).attempts == 0


def test_the_error_of_the_execution_names_the_failed_action(behaviour: Site, ended: Endings) -> None:
    """``get()`` raises ``PlanExecutionError`` naming the failed actions; the state has the error too."""
    error = ended["none"].error
    assert error is not None
    assert (error.category, error.context) == (ErrorCategory.ACTION_FAILED, {"action_id": "fails"})
    assert error.message == "Action 'fails' failed: refused"
    with pytest.raises(PlanExecutionError, match="Plan 'print' ended failed") as raised:
        execute_plan.AsyncResult(ended["none"].id).get(timeout=5)
    assert raised.value.failed_actions == {"fails": "refused"}


def test_in_celery_a_failed_action_has_failed_and_a_skipped_one_has_not_succeeded(
    behaviour: Site, ended: Endings
) -> None:
    """The failed action is ``FAILURE`` with its error; a skipped one is ``REVOKED``, never a success."""
    failed, skipped = task(behaviour, ended, "none", "fails"), task(behaviour, ended, "none", "child")
    assert (failed.state, skipped.state) == ("FAILURE", "REVOKED")
    with pytest.raises(ActionFailedError, match="Action 'fails' failed: refused") as raised:
        failed.get(timeout=5)
    assert raised.value.error["category"] == "action_failed"
    with pytest.raises(TaskRevokedError, match="skipped: not started"):
        skipped.get(timeout=5)


def test_with_a_fallback_value_the_action_completes(behaviour: Site, ended: Endings) -> None:
    """After its retries the action completes with the value, and readers get it; the error stays visible."""
    rate = ended.action("fallback", "rate")
    assert (rate.status, rate.attempts, rate.result) == ("completed", 3, Success(output={"eur": 1.1}))
    assert rate.error is not None
    assert rate.error.message == "refused"
    assert [attempt.outcome for attempt in rate.trace] == ["failed"] * 3
    assert (ended.output("fallback", "use"), ended.output("fallback", "told")) == (1.1, "completed: refused")
    assert (ended["fallback"].status, ended["fallback"].metrics.failed_actions) == ("completed", 0)
    assert task(behaviour, ended, "fallback", "rate").get(timeout=5) == {"eur": 1.1}


def test_null_is_a_fallback_value(ended: Endings) -> None:
    """``fallback_value: null`` was given, so it counts."""
    assert ended.output("fallback null", "use") is None


def test_a_fallback_value_goes_before_the_other_policies(ended: Endings) -> None:
    """An action that completed with its fallback has not failed: its alternative is not called for."""
    assert ended.statuses("fallback before all else") == {"rate": "completed", "spare": "skipped"}
    assert ended.reason("fallback before all else", "spare") == "alternative of 'rate', which did not fail"


def test_continue_on_failure_of_the_failed_action(ended: Endings) -> None:
    """With the flag the plan goes on and its dependents run; they can read its error, and its output is nothing."""
    assert ended.statuses("own flag") == {"mail": "failed", "report": "completed"}
    assert ended.output("own flag", "report") == {"why": "refused", "got": None}


def test_continue_on_failure_of_the_dependent(ended: Endings) -> None:
    """Either flag tolerates the failure: that of the action that depends on the failed one too."""
    assert ended.statuses("dependent's flag") == {"mail": "failed", "report": "completed"}
    assert ended["dependent's flag"].status == "completed"


def test_every_dependent_must_tolerate_the_failure(ended: Endings) -> None:
    """Where the failed action has no flag, one dependent without it is enough for the execution to fail."""
    assert ended.statuses("one dependent's flag of two") == {
        "mail": "failed",
        "report": "skipped",
        "archive": "skipped",
    }
    assert ended["one dependent's flag of two"].status == "failed"
    assert ended["all dependents' flags"].status == "completed"


def test_the_flag_of_a_stranger_tolerates_nothing(ended: Endings) -> None:
    """A failure on which nobody depends is tolerated by the action's own flag alone."""
    assert ended["nobody's flag"].status == "failed"


def test_two_of_three_parallel_actions_fail(behaviour: Site, ended: Endings) -> None:
    """Both are ``failed`` and both named, the third is kept, what joins them never starts."""
    assert ended.statuses("two of three") == {
        "three": "completed",
        "one": "failed",
        "two": "failed",
        "join": "skipped",
    }
    with pytest.raises(PlanExecutionError) as raised:
        execute_plan.AsyncResult(ended["two of three"].id).get(timeout=5)
    assert raised.value.failed_actions == {"one": "first", "two": "second"}


def test_a_tolerated_failure_still_has_no_output(ended: Endings) -> None:
    """To go on is not to have an output: whoever reads it without a default fails in turn."""
    assert ended.statuses("tolerated reader") == {"mail": "failed", "strict": "failed", "last": "completed"}
    error = ended.error("tolerated reader", "strict")
    assert error.message == "Reference ${mail.output.id} finds nothing: action 'mail' failed (refused)"


def test_the_policies_hold_for_every_failure(ended: Endings) -> None:
    """A reference that finds nothing fails its reader as anything else does: a fallback stands in."""
    assert ended.output("missing reference, fallback", "reader") == "unknown"
    assert ended["missing reference, fallback"].status == "completed"


def test_an_unknown_definition_fails_its_action(ended: Endings) -> None:
    """A definition that no worker registers fails its action at once, with the nearest name."""
    error = ended.error("unknown definition", "a")
    assert (error.category, error.retryable) == (ErrorCategory.UNKNOWN_ACTION, False)
    assert "did you mean 'test.echo'?" in error.message
    assert ended.action("unknown definition", "a").attempts == 1


@pytest.mark.parametrize(
    ("name", "status", "counts"),
    [
        ("none", "failed", (1, 1, 3)),
        ("fallback", "completed", (3, 0, 0)),
        ("own flag", "completed", (1, 1, 0)),
        ("dependent's flag", "completed", (1, 1, 0)),
        ("tolerated reader", "completed", (1, 2, 0)),
        ("nobody's flag", "failed", None),
    ],
)
def test_the_overall_status(ended: Endings, name: str, status: str, counts: tuple[int, int, int] | None) -> None:
    """``failed`` when an action failed and nothing tolerated it, else ``completed``, tolerated failures showing
    in the metrics.
    """
    metrics = ended[name].metrics
    found = (metrics.completed_actions, metrics.failed_actions, metrics.skipped_actions)
    assert (ended[name].status, found) == (status, counts or found)
    assert metrics.total_actions == sum(found)
    assert (ended[name].error is None) == (status == "completed")
