"""The pattern helpers of the original: what they wire up, and that they change none of their arguments."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from workflow_state import (
    ActionExecutionState,
    ActionStatus,
    ConditionParseError,
    ExecutionPlan,
    PlannedAction,
    are_dependencies_satisfied,
    create_batch_processing,
    create_conditional_branch,
    create_fan_out_fan_in_pattern,
    create_retry_with_fallback,
    create_sequential_pipeline,
    validate_plan_logic,
)
from workflow_state.testing import run_plan


def act(name: str, *after: str, **fields: Any) -> dict[str, Any]:
    """An action in the form of a dict."""
    return {"id": name, "action_definition_id": "value", "dependencies": list(after), **fields}


def test_ids_that_can_be_read_once_are_wired() -> None:
    """A generator was used up by the check of its ids, and the actions came back as they were, in silence."""
    actions = [act("a"), act("b"), act("c")]
    piped = create_sequential_pipeline((name for name in "abc"), actions)
    assert [action.dependencies for action in piped] == [(), ("a",), ("b",)]
    fanned = create_fan_out_fan_in_pattern((name for name in "ab"), "c", actions)
    assert fanned[-1].dependencies == ("a", "b")


@pytest.mark.parametrize(
    "branch", [{"action_ids": ["b"]}, {"value": 1, "action_ids": "b"}, "b", ["b"], {"value": 1, "action_ids": 3}]
)
def test_a_branch_of_another_form_is_refused(branch: Any) -> None:
    """It was a KeyError, or a text that named actions by its letters."""
    with pytest.raises(ValueError, match=r"A branch is .*; expected \{'value': \.\.\., 'action_ids':"):
        create_conditional_branch("a", "", [branch], [act("a"), act("b")])


@pytest.mark.parametrize("name", [7, ["a"], None])
def test_an_id_that_is_no_text_is_not_among_the_actions(name: Any) -> None:
    """It was an error of whatever looked for it."""
    with pytest.raises(ValueError, match=r"No action .* among the actions given"):
        create_sequential_pipeline([name, "a"], [act("a")])


def value(value: Any = None) -> Any:
    """The action that all of these are."""
    return value


def fail() -> None:
    """An action that fails."""
    raise ConnectionError("away")


ACTIONS = {"value": value, "fail": fail}


def dependencies(actions: list[PlannedAction]) -> dict[str, tuple[str, ...]]:
    return {action.id: action.dependencies for action in actions}


def statuses(actions: list[PlannedAction]) -> dict[str, str]:
    """How a plan of these actions ends."""
    state = run_plan({"actions": actions}, ACTIONS)
    return {name: found.status.value for name, found in state.action_states.items()}


class TestSequentialPipeline:
    def test_each_depends_on_the_one_before(self) -> None:
        """A → B → C, besides what they depended on; actions that are not named are given back as they were."""
        made = create_sequential_pipeline(["a", "b", "c"], [act("c"), act("x"), act("b", "x"), act("a")])
        assert dependencies(made) == {"c": ("b",), "x": (), "b": ("x", "a"), "a": ()}

    def test_the_order_of_the_actions_is_kept(self) -> None:
        """All actions come back, in the order in which they were given."""
        made = create_sequential_pipeline(["c", "a"], [act("a"), act("b"), act("c")])
        assert [action.id for action in made] == ["a", "b", "c"]

    def test_what_is_there_is_not_doubled(self) -> None:
        """A dependency that was there already is there once."""
        assert dependencies(create_sequential_pipeline(["a", "b"], [act("a"), act("b", "a")]))["b"] == ("a",)

    @pytest.mark.parametrize("ids", [[], ["a"]])
    def test_short_ones(self, ids: list[str]) -> None:
        """None or one action is no pipeline, and no error."""
        assert dependencies(create_sequential_pipeline(ids, [act("a")])) == {"a": ()}


class TestFanOutFanIn:
    def test_the_combiner_depends_on_all(self) -> None:
        """[B, C, D] → E: the parallel ones do not depend on each other."""
        made = create_fan_out_fan_in_pattern(["b", "c", "d"], "e", [act("a"), *(act(n, "a") for n in "bcd"), act("e")])
        assert dependencies(made) == {"a": (), "b": ("a",), "c": ("a",), "d": ("a",), "e": ("b", "c", "d")}


class TestConditionalBranch:
    BRANCHES = (
        {"value": "premium", "action_ids": ["premium-flow", "gift"]},
        {"value": "basic", "actionIds": ["basic-flow"]},
    )

    def made(self, user_type: Any) -> list[PlannedAction]:
        actions = [
            act("check", inputs={"value": {"userType": user_type}}),
            act("premium-flow"),
            act("gift", "premium-flow"),
            act("basic-flow"),
            act("after-basic", "basic-flow"),
            act("join", "gift", "after-basic"),
        ]
        return create_conditional_branch("check", "userType", self.BRANCHES, actions)

    @pytest.mark.parametrize(
        ("user_type", "ran"),
        [
            ("premium", {"check", "premium-flow", "gift", "join"}),
            ("basic", {"check", "basic-flow", "after-basic", "join"}),
            ("guest", {"check"}),
        ],
    )
    def test_only_the_branch_of_the_value_runs(self, user_type: str, ran: set[str]) -> None:
        """The value of the branch is compared: others are skipped, and so is what only they lead to."""
        found = statuses(self.made(user_type))
        assert {name for name, status in found.items() if status == "completed"} == ran
        assert {status for name, status in found.items() if name not in ran} <= {"skipped"}

    def test_the_actions_of_a_branch_depend_on_what_decides(self) -> None:
        """They wait for it, so its output may be read."""
        assert dependencies(self.made("x"))["gift"] == ("premium-flow", "check")

    @pytest.mark.parametrize("chosen", ["a'b", 'say "x"', "${x.output}", 7, 1.5, True, False, None, ["a"], "", "ä\n"])
    def test_values_are_compared_as_json(self, chosen: Any) -> None:
        """Any JSON that a condition can spell is a branch's value; a text that looks like a reference is text."""
        branches = [{"value": chosen, "action_ids": ["a"]}, {"value": "other", "action_ids": ["b"]}]
        given = chosen.replace("${", "$${") if isinstance(chosen, str) else chosen
        actions = [act("check", inputs={"value": given}), act("a"), act("b")]
        made = create_conditional_branch("check", "", branches, actions)
        assert statuses(made) == {"check": "completed", "a": "completed", "b": "skipped"}

    @pytest.mark.parametrize(("field", "output"), [("user.type", {"user": {"type": 1}}), ("[0].t", [{"t": 1}])])
    def test_the_field_may_be_a_path(self, field: str, output: Any) -> None:
        """Fields of fields, and places in lists."""
        actions = [act("check", inputs={"value": output}), act("a")]
        made = create_conditional_branch("check", field, [{"value": 1, "action_ids": ["a"]}], actions)
        assert statuses(made)["a"] == "completed"

    @pytest.mark.parametrize(
        ("own", "status"), [("true", "completed"), ("false", "skipped"), ("false or true", "completed")]
    )
    def test_a_condition_that_was_there_must_hold_too(self, own: str, status: str) -> None:
        """Both must hold, whatever operators they have; what else is said of the condition is kept."""
        actions = [act("check", inputs={"value": 1}), act("a", condition={"if": own, "else": "skip"})]
        made = create_conditional_branch("check", "", [{"value": 1, "action_ids": ["a"]}], actions)
        assert statuses(made)["a"] == status
        had = create_conditional_branch(
            "check",
            "",
            [{"value": 1, "action_ids": ["a"]}],
            [act("check"), act("a", condition={"if": "true", "else": "fail"})],
        )
        assert had[1].condition is not None
        assert had[1].condition.else_ == "fail"

    @pytest.mark.parametrize(("chosen", "status"), [(1, "completed"), (2, "completed"), (3, "skipped")])
    def test_an_action_of_several_branches(self, chosen: int, status: str) -> None:
        """It runs for the value of each branch that it is in, and a condition of its own still counts."""
        branches = [
            {"value": 1, "action_ids": ["a"]},
            {"value": 2, "action_ids": ["a"]},
            {"value": 3, "action_ids": []},
        ]
        for own in ({}, {"condition": {"if": "true"}}):
            actions = [act("check", inputs={"value": chosen}), act("a", **own)]
            assert statuses(create_conditional_branch("check", "", branches, actions))["a"] == status

    @pytest.mark.parametrize(("field", "chosen"), [("user type", 1), ("type", {"a": 1}), ("type", float("inf"))])
    def test_what_no_condition_can_spell_is_an_error(self, field: str, chosen: Any) -> None:
        """A field with a blank in it, or an object as a value: refused at once, as a condition would be."""
        with pytest.raises(ConditionParseError):
            create_conditional_branch(
                "check", field, [{"value": chosen, "action_ids": ["a"]}], [act("check"), act("a")]
            )


class TestRetryWithFallback:
    def test_the_fallback_runs_in_its_place(self) -> None:
        """When the first fails for good the fallback runs, what depends on the pair goes on, and reads its output."""
        actions = [
            act("first", action_definition_id="fail"),
            act("second", inputs={"value": 2}),
            act("after", "first", inputs={"value": "${first.output}"}),
        ]
        made = create_retry_with_fallback("first", "second", actions, max_attempts=2)
        state = run_plan({"actions": made}, ACTIONS)
        assert statuses(made) == {"first": "failed", "second": "completed", "after": "completed"}
        assert state.action_states["first"].attempts == 2
        assert state.action_states["after"].result.output == 2

    def test_the_fallback_does_not_run_otherwise(self) -> None:
        """While the first completes the fallback is skipped."""
        made = create_retry_with_fallback("first", "second", [act("first"), act("second"), act("after", "first")])
        assert statuses(made) == {"first": "completed", "second": "skipped", "after": "completed"}

    def test_several_fallbacks_form_a_chain(self) -> None:
        """Each stands in for the one before it."""
        actions = [act(n, action_definition_id="fail") for n in ("a", "b")] + [act("c"), act("d")]
        made = create_retry_with_fallback("a", ["b", "c", "d"], actions)
        assert statuses(made) == {"a": "failed", "b": "failed", "c": "completed", "d": "skipped"}

    def test_the_policy_of_the_first_is_kept(self) -> None:
        """Only ``max_attempts`` is set, and only when it is given; other error handling stays."""
        first = act("a", retry={"factor": 3, "max_attempts": 9}, error_handling={"continue_on_failure": True})
        unchanged, changed = (
            create_retry_with_fallback("a", "b", [first, act("b")], max_attempts=attempts)[0] for attempts in (None, 2)
        )
        assert unchanged.retry is not None
        assert changed.retry is not None
        assert (unchanged.retry.max_attempts, changed.retry.max_attempts, changed.retry.factor) == (9, 2, 3)
        assert changed.error_handling is not None
        assert (changed.error_handling.continue_on_failure, changed.error_handling.alternative_action_id) == (True, "b")

    @pytest.mark.parametrize("attempts", [0, -1])
    def test_attempts_are_checked(self, attempts: int) -> None:
        """At least one attempt."""
        with pytest.raises(ValueError, match="max_attempts"):
            create_retry_with_fallback("a", "b", [act("a"), act("b")], max_attempts=attempts)


class TestBatchProcessing:
    def made(self, count: int, size: int, **options: int) -> list[PlannedAction]:
        def create(batch: list[int], number: int) -> dict[str, Any]:
            return act(f"batch-{number}", inputs={"value": batch})

        return create_batch_processing(list(range(count)), size, create, **options)

    def test_one_action_per_batch_one_after_the_other(self) -> None:
        """Sequential, as the original does it; the last batch has what is left."""
        made = self.made(7, 3)
        assert dependencies(made) == {"batch-0": (), "batch-1": ("batch-0",), "batch-2": ("batch-1",)}
        assert [action.inputs["value"] for action in made] == [[0, 1, 2], [3, 4, 5], [6]]

    def test_side_by_side_up_to_a_limit(self) -> None:
        """With ``concurrency=2`` two batches may run at a time: each waits for the one two before it."""
        assert dependencies(self.made(5, 1, concurrency=2)) == {
            "batch-0": (),
            "batch-1": (),
            "batch-2": ("batch-0",),
            "batch-3": ("batch-1",),
            "batch-4": ("batch-2",),
        }

    def test_all_at_once(self) -> None:
        """A limit that is not reached makes no dependency."""
        assert set(dependencies(self.made(4, 2, concurrency=9)).values()) == {()}

    def test_nothing_to_do(self) -> None:
        """No items, no actions."""
        assert self.made(0, 3) == []

    @pytest.mark.parametrize("options", [{"size": 0}, {"size": 1, "concurrency": 0}])
    def test_numbers_are_checked(self, options: dict[str, int]) -> None:
        """Neither a batch of nothing nor a limit of none makes sense."""
        with pytest.raises(ValueError, match="at least 1"):
            self.made(3, **options)


class TestDependenciesSatisfied:
    PLAN = ExecutionPlan.model_validate(
        {
            "actions": [
                act("a"),
                act("own", error_handling={"continue_on_failure": True}),
                act("with-spare", error_handling={"alternative_action_id": "spare"}),
                act("spare"),
            ]
        }
    )

    def satisfied(self, action: dict[str, Any], with_plan: bool = True, **statuses: str) -> bool:
        states = {
            name.replace("_", "-"): ActionExecutionState(action_id=name.replace("_", "-"), status=ActionStatus(status))
            for name, status in statuses.items()
        }
        return are_dependencies_satisfied(action, states, self.PLAN if with_plan else None)

    @pytest.mark.parametrize(
        ("status", "expected"),
        [("completed", True), ("skipped", True), ("failed", False), ("running", False), ("pending", False)],
    )
    def test_by_the_status_of_a_dependency(self, status: str, expected: bool) -> None:
        """Completed and skipped are well enough; failed is not, unless something tolerates it."""
        assert self.satisfied(act("x", "a"), a=status) is expected

    def test_either_flag_tolerates_a_failure(self) -> None:
        """The dependent's, as the original's helper reads it, or with the plan at hand the failed action's."""
        tolerant = act("x", "a", error_handling={"continue_on_failure": True})
        assert self.satisfied(tolerant, a="failed", with_plan=False)
        assert self.satisfied(act("x", "own"), own="failed")
        assert not self.satisfied(act("x", "own"), own="failed", with_plan=False)
        assert not self.satisfied(tolerant, a="running")

    def test_an_alternative_stands_in(self) -> None:
        """A failed dependency is well enough once its alternative has completed."""
        assert not self.satisfied(act("x", "with-spare"), with_spare="failed")
        assert not self.satisfied(act("x", "with-spare"), with_spare="failed", spare="running")
        assert self.satisfied(act("x", "with-spare"), with_spare="failed", spare="completed")

    def test_all_of_them(self) -> None:
        """Every dependency counts; one that has no state has not ended; none at all is enough."""
        assert not self.satisfied(act("x", "a", "own"), a="completed")
        assert self.satisfied(act("x", "a", "own"), a="completed", own="skipped")
        assert self.satisfied(act("x"))


@pytest.mark.parametrize(
    "make",
    [
        lambda actions: create_sequential_pipeline(["a", "b", "c"], actions),
        lambda actions: create_fan_out_fan_in_pattern(["a", "b"], "c", actions),
        lambda actions: create_conditional_branch("a", "t", [{"value": 1, "action_ids": ["b", "c"]}], actions),
        lambda actions: create_retry_with_fallback("a", ["b", "c"], actions, max_attempts=2),
    ],
    ids=["pipeline", "fan out", "branch", "fallback"],
)
def test_no_argument_is_changed(make: Any) -> None:
    """New actions are returned, ready to be a plan's; dicts and models that were given stay as they were."""
    given = [act("a", inputs={"value": [1]}), act("b"), act("c")]
    before = copy.deepcopy(given)
    made = make(given)
    models = [PlannedAction.model_validate(action) for action in given]
    copies = [model.model_copy(deep=True) for model in models]
    assert make(models) == made
    assert (given, models) == (before, copies)
    validate_plan_logic(ExecutionPlan(actions=tuple(made)))


@pytest.mark.parametrize(
    "make",
    [
        lambda actions: create_sequential_pipeline(["a", "bee"], actions),
        lambda actions: create_fan_out_fan_in_pattern(["bee"], "a", actions),
        lambda actions: create_fan_out_fan_in_pattern(["a"], "bee", actions),
        lambda actions: create_conditional_branch("bee", "t", [], actions),
        lambda actions: create_conditional_branch("a", "t", [{"value": 1, "action_ids": ["bee"]}], actions),
        lambda actions: create_retry_with_fallback("bee", "a", actions),
        lambda actions: create_retry_with_fallback("a", ["bee"], actions),
    ],
)
def test_an_unknown_id_is_an_error(make: Any) -> None:
    """An id that is not among the actions is named, with the nearest one."""
    with pytest.raises(ValueError, match="No action 'bee' among the actions given; did you mean 'been'"):
        make([act("a"), act("been")])


def test_two_actions_of_one_id_are_an_error() -> None:
    """One of them would be lost without a word."""
    with pytest.raises(ValueError, match="Two of the actions given have the id 'a'"):
        create_sequential_pipeline(["a"], [act("a"), act("b"), act("a")])
