"""From the caller to the message: plans are validated where they are sent, results come back typed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, overload

from celery import Celery
from celery.result import AsyncResult, EagerResult
from kombu.compression import encoders, get_encoder
from pydantic_core import PydanticSerializationError

from workflow_state.collector import uncollected
from workflow_state.errors import ConfigurationError, PlanExecutionError, PlanProblem, PlanValidationError
from workflow_state.models import ExecutionPlan, ExecutionState
from workflow_state.runtime.waiting import await_result
from workflow_state.settings import Settings
from workflow_state.store.keys import is_execution_id
from workflow_state.store.newer import reading
from workflow_state.validation import prepare_plan

#: What a plan may be given as; text is JSON.
AnyPlan = ExecutionPlan | Mapping[str, Any] | str | bytes


class PlanResult(AsyncResult):  # type: ignore[misc] # Celery has no types
    """The result of ``execute_plan``: ``get()`` gives the final :class:`ExecutionState`.

    A plain ``AsyncResult`` of the same id gives the state's JSON dict, as it is stored.

    Example:
        >>> result = execute_plan.delay(plan_that_fails)
        >>> try:
        ...     result.get(timeout=30)
        ... except PlanExecutionError as error:
        ...     print(error.failed_actions)
        {'check': '1.1 is too high'}
        >>> manager.get_full_state(result.id).status.value
        'failed'
    """

    id: str

    @overload
    def get(
        self, timeout: float | None = None, propagate: Literal[True] = True, *args: Any, **kwargs: Any
    ) -> ExecutionState: ...
    @overload
    def get(self, timeout: float | None = None, *, propagate: bool, **kwargs: Any) -> ExecutionState | Exception: ...
    def get(self, timeout: float | None = None, *args: Any, **kwargs: Any) -> ExecutionState | Exception:
        """Wait for the final state, over outages of the server; arguments as those of ``AsyncResult.get``.

        Args:
            timeout: seconds; None waits for ever.
            propagate: False returns the error of a failed plan instead of raising it.

        Raises:
            PlanExecutionError: the plan failed or was cancelled; it names the failed actions.
            celery.exceptions.TimeoutError: the plan has not ended in time; it goes on.
        """
        get = super().get
        found: Any = await_result(self, lambda seconds: get(seconds, *args, **kwargs), timeout)
        return state_of(found) if isinstance(found, dict) else found


class EagerPlanResult(EagerResult):  # type: ignore[misc] # Celery has no types
    """As :class:`PlanResult`, for ``task_always_eager``."""

    @classmethod
    def of(cls, result: EagerResult) -> EagerPlanResult:
        """The same result, typed."""
        return cls(result.id, result.result, result.state, result.traceback, name=result.name)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """The final state; raises as ``PlanResult.get``."""
        found = super().get(*args, **kwargs)
        return state_of(found) if isinstance(found, dict) else found


@uncollected
def state_of(found: dict[str, Any]) -> ExecutionState:
    """The final state from its JSON; fields that only a newer version knows are left out.

    Raises:
        NewerSchemaError: a newer version has written it, and nothing here can read it.
    """
    with reading(str(found.get("id"))):
        return ExecutionState.model_validate(found, extra="ignore")


def plan_as_text(args: Any) -> Any:
    """The arguments with a plan among them as JSON text; a partial signature has none yet."""
    if not args:
        return args
    plan, *rest = args
    if isinstance(plan, ValidPlanText):
        return args
    return (ValidPlanText.of(prepare_plan(plan)), *rest)


def unchecked(args: Any) -> Any:
    """The arguments with an invalid plan as text: the worker it goes to says what is wrong with it."""
    plan, *rest = args
    return (plan if isinstance(plan, str) else json.dumps(plan), *rest)


def check_compression(app: Celery, asked: str | None = None) -> None:
    """See that messages can be compressed as the app, or the option ``compression`` of a call, says.

    Kombu takes a method that it does not know for a broker that is away.

    Raises:
        ConfigurationError: there is no such method.
    """
    # Untyped in kombu.
    find: Callable[[str], object] = get_encoder
    known: Callable[[], list[str]] = encoders
    name = asked or app.conf.task_compression
    if not name:
        return
    try:
        find(name)
    except KeyError:
        where = "option compression" if asked else "setting task_compression"
        there = ", ".join(known())
        raise ConfigurationError(f"The {where} is {name!r}; expected gzip or one of {there}") from None


def check_limits(
    actions: int, text_size: int, settings: Settings, fallbacks: Mapping[str, int] = MappingProxyType({})
) -> None:
    """Refuse a plan that is larger than the settings allow.

    Args:
        actions: how many it has.
        text_size: characters of its JSON.
        settings: with the limits.
        fallbacks: as :func:`fallback_sizes` gives them.
    """
    problems = []
    if actions > settings.max_actions:
        message = f"The plan has {actions} actions, with a limit of {settings.max_actions}"
        problems.append(PlanProblem("too_many_actions", "actions", message, "split the plan, or raise max_actions"))
    if text_size > settings.max_plan_size:
        message = f"The plan has {text_size} characters as JSON, with a limit of {settings.max_plan_size}"
        problems.append(PlanProblem("plan_too_large", "", message, "pass data by reference, or raise max_plan_size"))
    for place, size in fallbacks.items():
        if said := over_limit(size, settings):
            problems.append(PlanProblem("result_too_large", place, f"The fallback value is {said}", LARGE_HINT))
    if problems:
        raise PlanValidationError(problems)


def fallback_sizes(plan: ExecutionPlan) -> dict[str, int]:
    """Bytes as JSON of each fallback value of a plan, by its place there."""
    return {
        f"actions[{number}].errorHandling.fallbackValue": len(json.dumps(handling.fallback_value))
        for number, handling in enumerate(action.error_handling for action in plan.actions)
        if handling is not None and handling.has_fallback
    }


#: What to do about a result that is too large.
LARGE_HINT: Final = "store large data elsewhere and return where it is, or raise max_result_size"


def over_limit(size: int, settings: Settings) -> str:
    """What is wrong with a result of so many bytes as JSON; "" where it is within the limit."""
    limit = settings.max_result_size
    return "" if size <= limit else f"too large: {size} bytes as JSON, with a limit of {limit}"


class ValidPlanText(str):
    """JSON text of a plan that this process has validated."""

    plan_title: str
    actions: int
    fallbacks: Mapping[str, int]

    @classmethod
    def of(cls, plan: ExecutionPlan) -> ValidPlanText:
        """The text of a plan, with the name to show for it."""
        try:
            text = cls(plan.model_dump_json(by_alias=True, exclude_unset=True))
        except PydanticSerializationError as error:
            raise PlanValidationError([PlanProblem("invalid_json", "", f"The plan is not JSON: {error}")]) from None
        text.plan_title = plan.title
        text.actions = len(plan.actions)
        text.fallbacks = fallback_sizes(plan)
        return text


def check_id(execution_id: str) -> None:
    """Refuse a task id that could reach another execution's keys."""
    if not is_execution_id(execution_id):
        message = f"The task id {execution_id!r} cannot be an execution id"
        hint = "use at most 200 letters, digits and . _ : -"
        raise PlanValidationError([PlanProblem("invalid_execution_id", "", message, hint)])


def execution_error(state: Mapping[str, Any], title: str) -> PlanExecutionError:
    """What the result of a plan that did not complete raises.

    Args:
        state: the final one, as JSON.
        title: of the plan, for people.
    """
    failed = {
        name: action["error"]["message"] if action["error"] else action["status"]
        for name, action in state["action_states"].items()
        if action["status"] == "failed"
    }
    cause = state["error"]["message"] if state["error"] else f"{len(failed)} actions failed"
    message = f"Plan {title!r} ended {state['status']} (execution {state['id']}): {cause}"
    return PlanExecutionError(message, state["id"], failed)
