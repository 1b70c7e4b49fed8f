"""Workflow patterns: helpers that wire actions together, as the original package has them.

Each takes all actions of a plan and gives all of them back, in the same order, with those named wired
up: so calls can follow each other and the result is ready to be a plan's ``actions``. Arguments are
never changed. An id that is not among the actions raises ``ValueError``, an argument of a wrong type ``TypeError``.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import JsonValue

from workflow_state.arguments import checked
from workflow_state.condition_syntax import parse_condition
from workflow_state.hints import nearest
from workflow_state.models import (
    ActionExecutionState,
    Condition,
    ErrorHandling,
    ExecutionPlan,
    PlannedAction,
    RetryPolicy,
)

Actions = Iterable[PlannedAction | Mapping[str, Any]]
T = TypeVar("T")


@checked
def create_sequential_pipeline(action_ids: Iterable[str], actions: Actions) -> list[PlannedAction]:
    """A → B → C: each of ``action_ids`` depends on the one before it, besides what it depended on.

    Example:
        >>> actions = [{"id": name, "actionDefinitionId": "mail.send"} for name in ("validate", "transform", "save")]
        >>> [action.dependencies for action in create_sequential_pipeline(["validate", "transform", "save"], actions)]
        [(), ('validate',), ('transform',)]
    """
    chain = list(action_ids)
    by_id = _by_id(actions, chain)
    for before, after in itertools.pairwise(chain):
        by_id[after] = _depending_on(by_id[after], [before])
    return list(by_id.values())


@checked
def create_fan_out_fan_in_pattern(
    parallel_ids: Iterable[str], combiner_id: str, actions: Actions
) -> list[PlannedAction]:
    """[B, C, D] → E: the combiner depends on all of ``parallel_ids``, which do not depend on each other.

    Example:
        >>> actions = [{"id": name, "actionDefinitionId": "mail.send"} for name in ("one", "two", "combine")]
        >>> create_fan_out_fan_in_pattern(["one", "two"], "combine", actions)[-1].dependencies
        ('one', 'two')
    """
    parallel = list(parallel_ids)
    by_id = _by_id(actions, [*parallel, combiner_id])
    by_id[combiner_id] = _depending_on(by_id[combiner_id], parallel)
    return list(by_id.values())


@checked
def create_conditional_branch(
    condition_action_id: str,
    output_field: str,
    branches: Iterable[Mapping[str, Any]],
    actions: Actions,
) -> list[PlannedAction]:
    """Run the actions of the branch whose value is found in a field of an action's output.

    Args:
        condition_action_id: whose output decides.
        output_field: the field of that output, such as ``userType`` or ``user.type``; "" is the output itself.
        branches: ``{"value": …, "action_ids": […]}`` each (``actionIds`` is read too); values are compared
            as JSON. The actions of other branches are skipped, and so is what only they lead to.
        actions: all actions; those of a branch keep a condition that they had, both must hold. One that is in
            several branches runs for each of their values.

    Raises:
        ConditionParseError: a field or a value that a condition cannot spell, such as an object.
        ValueError: a branch is not of that form.

    Example:
        >>> actions = [{"id": name, "actionDefinitionId": "mail.send"} for name in ("check", "premium", "basic")]
        >>> wired = create_conditional_branch("check", "userType", [
        ...     {"value": "premium", "action_ids": ["premium"]},
        ...     {"value": "basic", "action_ids": ["basic"]},
        ... ], actions)
        >>> wired[1].condition.if_
        '${check.output.userType} == "premium"'
    """
    chosen = [_branch(branch) for branch in branches]
    by_id = _by_id(actions, [condition_action_id, *(name for _, names in chosen for name in names)])
    field = f".{output_field}" if output_field and not output_field.startswith("[") else output_field
    tests: dict[str, list[str]] = {}
    for value, names in chosen:
        test = f"${{{condition_action_id}.output{field}}} == {_literal(value)}"
        # A field or a value that no condition can spell is an error here, not later in a plan.
        parse_condition(test)
        for name in names:
            tests.setdefault(name, []).append(test)
    for name, either in tests.items():
        action, test = _depending_on(by_id[name], [condition_action_id]), " or ".join(either)
        had = action.condition
        condition = Condition.model_validate(
            {"if": f"({had.if_}) and ({test})" if had else test, "else": had.else_ if had else "skip"}
        )
        by_id[name] = action.model_copy(update={"condition": condition})
    return list(by_id.values())


@checked
def create_retry_with_fallback(
    primary_id: str, fallback_ids: str | Iterable[str], actions: Actions, *, max_attempts: int | None = None
) -> list[PlannedAction]:
    """Try an action, by its retry policy, and when it fails for good run a fallback action in its place.

    What depends on the primary goes on when either completed, and references to the primary's output
    read the fallback's. Several fallbacks stand in for each other in turn.

    Args:
        primary_id: the action to try first.
        fallback_ids: one action id or several.
        actions: all actions.
        max_attempts: of the primary; its own policy when None.

    Example:
        >>> actions = [{"id": name, "actionDefinitionId": "mail.send"} for name in ("mail", "letter")]
        >>> first, _ = create_retry_with_fallback("mail", "letter", actions, max_attempts=5)
        >>> first.error_handling.alternative_action_id, first.retry.max_attempts
        ('letter', 5)
    """
    fallbacks = [fallback_ids] if isinstance(fallback_ids, str) else list(fallback_ids)
    chain = [primary_id, *fallbacks]
    by_id = _by_id(actions, chain)
    for failed, stand_in in itertools.pairwise(chain):
        had = by_id[failed].error_handling or ErrorHandling()
        handling = had.model_copy(update={"alternative_action_id": stand_in})
        by_id[failed] = by_id[failed].model_copy(update={"error_handling": handling})
    if max_attempts is not None:
        policy = by_id[primary_id].retry
        retry = {**(policy.model_dump() if policy else {}), "max_attempts": max_attempts}
        by_id[primary_id] = by_id[primary_id].model_copy(update={"retry": RetryPolicy.model_validate(retry)})
    return list(by_id.values())


@checked
def create_batch_processing(
    items: Sequence[T],
    batch_size: int,
    create_action: Callable[[list[T], int], PlannedAction | Mapping[str, Any]],
    *,
    concurrency: int = 1,
) -> list[PlannedAction]:
    """One action per batch of items, at most ``concurrency`` of them at a time.

    Args:
        items: what to process, in order.
        batch_size: items per action, at least 1.
        create_action: given a batch and its number (from 0), the action that processes it.
        concurrency: 1 runs batch after batch, as the original does; n lets n batches run side by side:
            batch number k waits for batch k - n.

    Example:
        >>> batches = create_batch_processing(
        ...     ["a", "b", "c"], 2,
        ...     lambda items, number: PlannedAction(
        ...         id=f"batch-{number}", action_definition_id="mail.send", inputs={"text": ", ".join(items)}))
        >>> [(action.inputs["text"], action.dependencies) for action in batches]
        [('a, b', ()), ('c', ('batch-0',))]
    """
    if batch_size < 1 or concurrency < 1:
        raise ValueError(
            f"batch_size and concurrency must be at least 1; found batch_size={batch_size}, concurrency={concurrency}"
        )
    batches = [list(items[start : start + batch_size]) for start in range(0, len(items), batch_size)]
    made = [_planned(create_action(batch, number)) for number, batch in enumerate(batches)]
    return [
        action if number < concurrency else _depending_on(action, [made[number - concurrency].id])
        for number, action in enumerate(made)
    ]


@checked
def are_dependencies_satisfied(
    action: PlannedAction | Mapping[str, Any],
    action_states: Mapping[str, ActionExecutionState],
    plan: ExecutionPlan | None = None,
) -> bool:
    """Whether every dependency of an action has ended well enough for it to start.

    That is: completed, skipped, or failed and tolerated. The action's own ``continue_on_failure``
    tolerates a failed dependency, as the original's helper reads it; with the plan at hand so does the
    failed dependency's, and its alternative stands in for it.

    Example:
        >>> publish = plan.actions[-1]
        >>> are_dependencies_satisfied(publish, state.action_states)
        False
        >>> are_dependencies_satisfied(publish, state.action_states, plan)
        True
    """
    action = _planned(action)
    handling = {a.id: a.error_handling for a in plan.actions} if plan else {}
    tolerant = bool(action.error_handling and action.error_handling.continue_on_failure)

    def good_enough(name: str) -> bool:
        state = action_states.get(name)
        if state is None or not state.status.ended:
            return False
        if state.status != "failed" or tolerant:
            return True
        rule = handling.get(name)
        if rule is None:
            return False
        stand_in = action_states.get(rule.alternative_action_id or "")
        return rule.continue_on_failure or (stand_in is not None and stand_in.status == "completed")

    return all(good_enough(name) for name in action.dependencies)


def _branch(given: object) -> tuple[JsonValue, list[str]]:
    """The value and the actions of a branch."""
    if isinstance(given, Mapping) and "value" in given:
        ids = given.get("action_ids", given.get("actionIds", []))
        if isinstance(ids, Iterable) and not isinstance(ids, str):
            return given["value"], list(ids)
    raise ValueError(f"A branch is {given!r}; expected {{'value': ..., 'action_ids': [...]}}")


def _planned(action: PlannedAction | Mapping[str, Any]) -> PlannedAction:
    return action if isinstance(action, PlannedAction) else PlannedAction.model_validate(action)


def _by_id(actions: Actions, wanted: Iterable[str]) -> dict[str, PlannedAction]:
    by_id: dict[str, PlannedAction] = {}
    for planned in map(_planned, actions):
        if planned.id in by_id:
            raise ValueError(f"Two of the actions given have the id {planned.id!r}")
        by_id[planned.id] = planned
    for name in wanted:
        if not isinstance(name, str) or name not in by_id:  # type: ignore[redundant-expr] # not to who has no types
            hint = nearest(str(name), by_id)
            raise ValueError(f"No action {name!r} among the actions given{f'; {hint}' if hint else ''}")
    return by_id


def _depending_on(action: PlannedAction, names: Iterable[str]) -> PlannedAction:
    dependencies = tuple(dict.fromkeys((*action.dependencies, *names)))
    return action.model_copy(update={"dependencies": dependencies})


def _literal(value: JsonValue) -> str:
    # A text that looks like a reference is meant as text.
    return json.dumps(value).replace("${", "$${")
