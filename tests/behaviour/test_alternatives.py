"""1.4 "Failure": ``alternative_action_id``, one by one and in chains."""

from __future__ import annotations

from typing import Any

import pytest

from tests.behaviour.endings import QUICK, Endings
from tests.workers import Site, action, plan
from workflow_state import PlanValidationError, execute_plan

FINAL = {"message": "refused", "retryable": False}


def fails(name: str, *after: str, instead: str = "", **fields: Any) -> dict[str, Any]:
    """An action that fails at once, with or without an alternative."""
    handling = {"alternative_action_id": instead} if instead else {}
    handling |= fields.pop("handling", {})
    return action(name, "test.fail", *after, inputs=FINAL, error_handling=handling, **fields)


def gives(name: str, *after: str, **fields: Any) -> dict[str, Any]:
    """An action with an output that names it."""
    return action(name, "test.value", *after, inputs={"value": {"by": name}}, **fields)


def reads(name: str, *after: str) -> dict[str, Any]:
    """An action that reads who gave the output of its first dependency."""
    return action(name, "test.value", *after, inputs={"value": f"${{{after[0]}.output.by}}"})


SCHEDULES = ("levels", "dataflow")
PLANS = {
    "stands in": plan(
        action(
            "card", "test.flaky", inputs={"times": 9}, retry=QUICK, error_handling={"alternative_action_id": "cash"}
        ),
        gives("cash"),
        reads("ship", "card"),
        reads("later", "ship", "card") | {"inputs": {"value": "${card.output} ${card.status} ${card.error.category}"}},
    ),
    "not needed": plan(
        gives("card", error_handling={"alternative_action_id": "cash"}), gives("cash"), reads("ship", "card")
    ),
    "leads on": plan(
        gives("card", error_handling={"alternative_action_id": "cash"}), gives("cash"), gives("count", "cash")
    ),
    "reads why": plan(
        fails("card", instead="cash"),
        action("cash", "test.value", inputs={"value": {"by": "${card.error.message}"}}),
        reads("ship", "card"),
    ),
    "fails too": plan(fails("card", instead="cash"), fails("cash"), reads("ship", "card")),
    "fails too, tolerated by the first": plan(
        fails("card", instead="cash", handling={"continue_on_failure": True}), fails("cash"), gives("ship", "card")
    ),
    "fails too, tolerated by itself": plan(
        fails("card", instead="cash"), fails("cash", handling={"continue_on_failure": True}), gives("ship", "card")
    ),
    "fails too, tolerated by who waits": plan(
        fails("card", instead="cash"),
        fails("cash"),
        gives("ship", "card", error_handling={"continue_on_failure": True}),
    ),
    "falls back": plan(
        fails("card", instead="cash"),
        fails("cash", handling={"fallback_value": {"by": "trust"}}),
        reads("ship", "card"),
    ),
    "chain, the last": plan(
        fails("a", instead="b"), fails("b", instead="c"), gives("c"), reads("ship", "a"), reads("other", "b")
    ),
    "chain, the second": plan(
        fails("a", instead="b"),
        gives("b", error_handling={"alternative_action_id": "c"}),
        gives("c"),
        reads("ship", "a"),
    ),
    "chain, nobody": plan(fails("a", instead="b"), fails("b", instead="c"), fails("c"), reads("ship", "a")),
    "shared": plan(
        fails("one", instead="spare"),
        gives("two", error_handling={"alternative_action_id": "spare"}),
        gives("spare"),
        reads("first", "one"),
        reads("second", "two"),
    ),
    "own condition": plan(
        fails("card", instead="cash"), gives("cash", condition={"if": "false"}), reads("ship", "card")
    ),
    "own condition, tolerated": plan(
        fails("card", instead="cash", handling={"continue_on_failure": True}),
        gives("cash", condition={"if": "false"}),
        gives("ship", "card"),
    ),
    "own condition, with one more": plan(
        fails("card", instead="cash"),
        gives("cash", condition={"if": "false"}, error_handling={"alternative_action_id": "trust"}),
        gives("trust"),
        reads("ship", "card"),
    ),
    "failed condition": plan(
        gives("card", condition={"if": "false", "else": "fail"}, error_handling={"alternative_action_id": "cash"}),
        gives("cash"),
        reads("ship", "card"),
    ),
    "skipped": plan(
        gives("card", condition={"if": "false"}, error_handling={"alternative_action_id": "cash"}),
        gives("cash"),
        gives("ship", "card"),
    ),
    "depends on it": plan(
        fails("card", instead="cash"), gives("cash", "card", "vault"), gives("vault"), reads("ship", "card")
    ),
    "outcome": plan(
        fails("card", instead="cash"),
        gives("cash"),
        expected_outcome={
            "validations": [{"name": "paid", "reference": "${card.output.by}", "operator": "equals", "value": "cash"}]
        },
    ),
}


def test_the_alternative_runs_and_stands_in(ended: Endings) -> None:
    """The alternative runs after the retries of the failed action, and references to the failed action's output
    read the alternative's; its status and error stay its own.
    """
    assert ended.statuses("stands in") == {
        "card": "failed",
        "cash": "completed",
        "ship": "completed",
        "later": "completed",
    }
    assert ended.action("stands in", "card").attempts == 3
    assert ended.output("stands in", "ship") == "cash"
    assert ended.output("stands in", "later") == '{"by": "cash"} failed network_connection_refused'
    assert (ended["stands in"].status, ended["stands in"].metrics.failed_actions) == ("completed", 1)


def test_an_alternative_never_runs_otherwise(behaviour: Site, ended: Endings) -> None:
    """What is only an alternative does not run while it is not needed, nor does what only it leads to."""
    assert ended.statuses("not needed") == {"card": "completed", "cash": "skipped", "ship": "completed"}
    assert ended.reason("not needed", "cash") == "alternative of 'card', which did not fail"
    assert ended.output("not needed", "ship") == "card"
    assert behaviour.runs(ended["not needed"].id) == {"card": 1, "ship": 1}
    assert ended.statuses("leads on") == {"card": "completed", "cash": "skipped", "count": "skipped"}


def test_an_alternative_may_read_why_it_is_called_for(ended: Endings) -> None:
    """An alternative can read the error of the action that it stands in for."""
    assert ended.output("reads why", "ship") == "refused"


def test_an_alternative_that_fails_too(ended: Endings) -> None:
    """When the alternative fails as well nothing stands in: the execution fails on it."""
    assert ended.statuses("fails too") == {"card": "failed", "cash": "failed", "ship": "skipped"}
    error = ended["fails too"].error
    assert error is not None
    assert error.context == {"action_id": "cash"}


@pytest.mark.parametrize("by", ["the first", "itself", "who waits"])
def test_a_flag_tolerates_the_failure_of_both(ended: Endings, by: str) -> None:
    """``continue_on_failure`` of the action, of its alternative, or of who depends on it tolerates both failures."""
    name = f"fails too, tolerated by {by}"
    assert ended.statuses(name) == {"card": "failed", "cash": "failed", "ship": "completed"}
    assert (ended[name].status, ended[name].metrics.failed_actions) == ("completed", 2)


def test_an_alternative_may_fall_back(ended: Endings) -> None:
    """The policies hold for the alternative too: its fallback value stands in for both."""
    assert ended.statuses("falls back") == {"card": "failed", "cash": "completed", "ship": "completed"}
    assert ended.output("falls back", "ship") == "trust"


def test_alternatives_form_chains(ended: Endings) -> None:
    """An alternative may have one itself: the first that completes stands in for all before it."""
    assert ended.statuses("chain, the last") == {
        "a": "failed",
        "b": "failed",
        "c": "completed",
        "ship": "completed",
        "other": "completed",
    }
    assert (ended.output("chain, the last", "ship"), ended.output("chain, the last", "other")) == ("c", "c")
    assert ended.statuses("chain, the second")["c"] == "skipped"
    assert ended.output("chain, the second", "ship") == "b"


def test_a_chain_that_fails_to_its_end(ended: Endings) -> None:
    """The execution fails on the last of the chain."""
    assert ended.statuses("chain, nobody") == {"a": "failed", "b": "failed", "c": "failed", "ship": "skipped"}
    assert ended["chain, nobody"].error is not None
    assert ended["chain, nobody"].error.context == {"action_id": "c"}


def test_one_alternative_for_several_actions(ended: Endings) -> None:
    """It runs once, when one of them failed, and stands in for that one only."""
    assert ended.statuses("shared")["spare"] == "completed"
    assert (ended.output("shared", "first"), ended.output("shared", "second")) == ("spare", "two")


def test_an_alternative_with_a_condition_of_its_own(ended: Endings) -> None:
    """One that its condition skips leaves the failure as it was: the execution fails, unless a flag tolerates it."""
    assert ended.statuses("own condition") == {"card": "failed", "cash": "skipped", "ship": "skipped"}
    assert ended["own condition"].status == "failed"
    assert ended.statuses("own condition, tolerated") == {"card": "failed", "cash": "skipped", "ship": "completed"}
    assert ended["own condition, tolerated"].status == "completed"


def test_a_skipped_alternative_does_not_call_for_the_next(ended: Endings) -> None:
    """A chain goes on where an alternative fails, not where it is skipped: the failure stays unhandled."""
    name = "own condition, with one more"
    assert ended.statuses(name) == {"card": "failed", "cash": "skipped", "trust": "skipped", "ship": "skipped"}
    assert ended[name].status == "failed"


def test_a_failed_condition_calls_for_the_alternative(ended: Endings) -> None:
    """An action that its condition failed has failed; one that its condition skipped has not."""
    assert ended.statuses("failed condition") == {"card": "failed", "cash": "completed", "ship": "completed"}
    assert ended.output("failed condition", "ship") == "cash"
    assert ended.statuses("skipped") == {"card": "skipped", "cash": "skipped", "ship": "skipped"}
    assert ended["skipped"].status == "completed"


def test_an_alternative_may_depend_on_what_it_stands_in_for(ended: Endings) -> None:
    """The failure that calls for it is no obstacle to it, and its other dependencies are waited for."""
    assert ended.statuses("depends on it")["cash"] == "completed"
    assert ended.output("depends on it", "ship") == "cash"


def test_the_expected_outcome_sees_the_alternative(ended: Endings) -> None:
    """Validations that refer to the failed action's output read the alternative's too."""
    assert ended["outcome"].status == "completed"


@pytest.mark.parametrize(
    ("actions", "code"),
    [
        ([fails("a", instead="b"), fails("b", instead="a")], "alternative_cycle"),
        ([fails("a", instead="a")], "alternative_cycle"),
        ([fails("a", instead="b"), gives("c", "a"), gives("b", "c")], "alternative_cycle"),
        ([fails("a", instead="nobody")], "unknown_alternative"),
        ([*(fails(f"a{n}", instead=f"a{n + 1}") for n in range(21)), gives("a21")], "too_many_alternatives"),
    ],
)
def test_chains_that_lead_nowhere_are_refused(behaviour: Site, actions: list[dict[str, Any]], code: str) -> None:
    """Cycles among alternatives, unknown ones and chains without measure are errors of the plan."""
    with pytest.raises(PlanValidationError) as refused:
        execute_plan.delay(plan(*actions))
    assert [p.code for p in refused.value.errors] == [code]
