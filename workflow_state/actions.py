"""Actions: plain functions, registered under the definition ids that plans name.

Inputs arrive as keyword arguments, validated by the function's type hints; what it returns is validated by its return
annotation and must be JSON or something pydantic turns into JSON. A parameter annotated :class:`ActionContext` is given
the context of the attempt.
"""

from __future__ import annotations

import asyncio
import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NotRequired, Required, TypeVar, get_args, get_origin, get_type_hints

import structlog
import typing_extensions
from pydantic import ConfigDict, JsonValue, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError
from typing_extensions import TypedDict

from workflow_state.arguments import number_within
from workflow_state.errors import ActionError, ActionRegistrationError, UnknownActionError
from workflow_state.hints import nearest
from workflow_state.json_values import problem_in
from workflow_state.models import ErrorCategory
from workflow_state.redaction import declared_secrets

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class ActionContext:
    """What an action may know of, and do to, its own execution.

    Attributes:
        execution_id, plan_id, action_id: where it stands.
        attempt: 1 for the first.
        idempotency_key: the same over all attempts; give it to services that drop repeats, since a
            worker that dies after the work and before the record makes the work run again.
        logger: bound to all of these.

    Example:
        >>> @action("payments.pay")
        ... def pay(amount: float, context: ActionContext) -> str:
        ...     context.logger.info("paying", amount=amount)
        ...     context.progress(0.5, "asked the bank")
        ...     return f"{amount} with key {context.idempotency_key}"
    """

    execution_id: str
    plan_id: str
    action_id: str
    attempt: int
    idempotency_key: str
    logger: structlog.stdlib.BoundLogger
    cancel_check: Callable[[], bool]
    progress_report: Callable[[float, str], object] = field(default=lambda _fraction, _message: None)

    def is_cancelled(self) -> bool:
        """Whether the execution has been cancelled: a long action looks now and then, and ends early."""
        return self.cancel_check()

    def progress(self, fraction: float, message: str = "") -> None:
        """Say how far the attempt has come, for whoever reads the state.

        Only the newest is kept; what comes less than half a second after the one before may be left out. ``fraction``:
        from 0 to 1, else the nearer end; no number is a ``ValueError``. ``message``: a short line on what it is at.
        """
        part = number_within(fraction, 0, 1, f"The progress of action {self.action_id!r}")
        self.progress_report(part, str(message)[:500].encode(errors="replace").decode())


@dataclass(frozen=True, slots=True)
class Action:
    """One registered function with its validators."""

    id: str
    function: Callable[..., Any]
    inputs: TypeAdapter[dict[str, Any]]
    output: TypeAdapter[Any]
    context_parameter: str | None
    remote: bool = False

    def run(self, inputs: Mapping[str, JsonValue], context: ActionContext | None) -> JsonValue:
        """Validate, call (an async function in a loop of its own), validate, and give the output as JSON.

        ``context``: needed where the function asks for one (``context_parameter``).

        Raises:
            ActionError: ``validation_failed``, not retryable, for inputs or output of the wrong form.
            Exception: whatever the function raises.
        """
        if self.remote:
            raise ActionError(
                f"The action definition {self.id!r} is remote: another service carries it out, not this process",
                category=ErrorCategory.UNKNOWN_ACTION,
                retryable=False,
                suggestion="run the plan on workers, or give a function for it: run_plan(plan, actions={...})",
            )
        arguments = self.check_inputs(inputs)
        if self.context_parameter:
            if self.context_parameter in arguments:
                # Only a function that takes any input gets here; dropping one silently would be worse.
                raise ActionError(
                    f"Inputs of action definition {self.id!r} are not valid: {self.context_parameter}: "
                    "that parameter is for the context",
                    category=ErrorCategory.VALIDATION_FAILED,
                    retryable=False,
                )
            arguments[self.context_parameter] = context
        result = self.function(**arguments)
        if inspect.isawaitable(result):
            result = _run_async(result)
        return self.check_output(result)

    def check_inputs(self, inputs: Mapping[str, JsonValue]) -> dict[str, Any]:
        """The inputs as the function takes them.

        Raises:
            ActionError: ``validation_failed``, not retryable.
        """
        try:
            return self.inputs.validate_python(dict(inputs))
        except ValidationError as error:
            refused = _form_error(f"Inputs of action definition {self.id!r} are not valid", error)
            if {("missing", ("context",)), ("missing", ("ctx",))} & {(e["type"], e["loc"]) for e in error.errors()}:
                refused.suggestion = "a parameter gets the context when it is annotated, as in context: ActionContext"
            raise refused from None

    def check_output(self, result: Any) -> JsonValue:
        """The output as JSON, validated by the return annotation.

        Raises:
            ActionError: ``validation_failed``, not retryable.
        """
        try:
            output: JsonValue = self.output.dump_python(self.output.validate_python(result), mode="json")
        except ValidationError as error:
            raise _form_error(f"Output of action definition {self.id!r} is not valid", error) from None
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise ActionError(
                f"Output of action definition {self.id!r} is not JSON: {error}",
                category=ErrorCategory.VALIDATION_FAILED,
                retryable=False,
                suggestion="return JSON types, pydantic models, dataclasses, datetimes and the like",
            ) from None
        if problem := problem_in(output):
            raise ActionError(
                f"Output of action definition {self.id!r} cannot be kept as JSON: {problem}",
                category=ErrorCategory.VALIDATION_FAILED,
                retryable=False,
            )
        return output

    def secrets_in(self, inputs: Mapping[str, JsonValue]) -> set[str]:
        """The texts among inputs that the function's type hints declare secret (``SecretStr`` and the like)."""
        try:
            return set(declared_secrets(self.inputs.validate_python(dict(inputs))))
        except Exception:  # noqa: BLE001 - a user's validator may raise anything; ``run`` is where that is told
            return set()


class ActionRegistry:
    """Definition id → action. The library's own is :data:`registry`; tests may use one of theirs.

    Example:
        >>> mine = ActionRegistry()
        >>> @mine.action("people.greet")
        ... def greet(name: str) -> str:
        ...     return f"Hello {name}"
        >>> "people.greet" in mine, list(mine)
        (True, ['people.greet'])
        >>> one = {"actions": [{"id": "a", "actionDefinitionId": "people.greet", "inputs": {"name": "Ada"}}]}
        >>> run_plan(one, mine).action_states["a"].result.output
        'Hello Ada'
    """

    def __init__(self) -> None:
        self._actions: dict[str, Action] = {}

    def action(self, definition_id: str, *, remote: bool = False) -> Callable[[F], F]:
        """As :func:`workflow_state.action`, for this registry."""
        _check_id(definition_id)

        def register(function: F) -> F:
            self.register(definition_id, function, remote=remote)
            return function

        return register

    def register(self, definition_id: str, function: Callable[..., Any], *, remote: bool = False) -> Action:
        """Register without decorator: ``registry.register("payments.charge", charge_task)``."""
        _check_id(definition_id)
        known = self._actions.get(definition_id)
        # A Celery task keeps its function, already bound to it, in ``run``; a mock has whatever it is asked for.
        target = getattr(function, "run", function) if hasattr(function.__class__, "run") else function
        if known is not None and not _same_function(known.function, target):
            raise ActionRegistrationError(
                f"The action definition {definition_id!r} is already {_name(known.function)}; "
                f"{_name(target)} needs an id of its own"
            )
        built = replace(_build(definition_id, target), remote=remote)
        self._actions[definition_id] = built
        return built

    def overlaid(self, functions: Mapping[str, Callable[..., Any]]) -> ActionRegistry:
        """A new registry with these functions on top of what is registered here."""
        found = ActionRegistry()
        found._actions = {name: known for name, known in self._actions.items() if name not in functions}
        for name, function in functions.items():
            found.register(name, function)
        return found

    def get(self, definition_id: str) -> Action:
        """The action of a definition id.

        Raises:
            UnknownActionError: none is registered; the message lists those that are.
        """
        found = self._actions.get(definition_id)
        if found is None:
            names = ", ".join(sorted(self._actions)) or "none"
            hint = nearest(definition_id, self._actions) or "import the module that registers it in the worker"
            raise UnknownActionError(f"No action is registered as {definition_id!r} here ({hint}); registered: {names}")
        return found

    def is_remote(self, definition_id: str) -> bool:
        """Whether it is registered as carried out by another service."""
        found = self._actions.get(definition_id)
        return found is not None and found.remote

    def __contains__(self, definition_id: object) -> bool:
        return definition_id in self._actions

    def __iter__(self) -> Any:
        return iter(sorted(self._actions))


#: Where ``@action`` registers.
registry: ActionRegistry = ActionRegistry()


def action(definition_id: str, *, remote: bool = False) -> Callable[[F], F]:
    """Decorator that registers a function, async function or Celery task as an action; gives it back unchanged.

    Args:
        definition_id: by which plans name it.
        remote: another service carries the action out. The function only says, by its annotations, what
            goes in and what comes out, and is never called.

    Raises:
        ActionRegistrationError: the id is no text or is taken, or the signature cannot take keyword arguments.

    Example:
        >>> @action("people.greet")
        ... def greet(name: str, loud: bool = False) -> str:
        ...     return f"Hello {name.upper() if loud else name}"

        A Celery task is exposed in one line:

        >>> @app.task
        ... def send_mail(to: str) -> str:
        ...     return to
        >>> _ = action("mail.direct")(send_mail)
    """
    return registry.action(definition_id, remote=remote)


def _check_id(definition_id: object) -> None:
    if not (isinstance(definition_id, str) and definition_id):
        found = f"the function {_name(definition_id)}" if callable(definition_id) else repr(definition_id)
        raise ActionRegistrationError(
            f"An action is registered under the id by which plans name it, as in @action('orders.price'); found {found}"
        )


def _build(definition_id: str, function: Callable[..., Any]) -> Action:
    try:
        hints = get_type_hints(_written(function), include_extras=True)
        signature = inspect.signature(function)
    except (NameError, TypeError, ValueError) as error:
        raise ActionRegistrationError(f"{_name(function)} cannot be the action {definition_id!r}: {error}") from error
    fields: dict[str, Any] = {}
    context_parameter, others = None, {}
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise ActionRegistrationError(
                f"{_name(function)} cannot be the action {definition_id!r}: its parameter {name!r} is "
                "positional-only, and inputs arrive as keyword arguments; remove the '/'"
            )
        if parameter.kind is parameter.VAR_KEYWORD:
            others = _other_fields(hints.get(name, Any), fields)
        elif ActionContext in (hints.get(name), *get_args(hints.get(name))):
            context_parameter = name
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            kind = hints.get(name, Any)
            fields[name] = Required[kind] if parameter.default is parameter.empty else NotRequired[kind]
    # Built at run time, by the function form of TypedDict that type checkers cannot follow.
    make_typed_dict: Any = TypedDict
    shape = make_typed_dict("Inputs", fields, **others)
    shape.__pydantic_config__ = ConfigDict(extra="allow" if others else "forbid", arbitrary_types_allowed=True)
    try:
        inputs: TypeAdapter[Any] = TypeAdapter(shape)
        output = _output(hints.get("return", Any))
    except PydanticUserError as error:
        said, *advice = str(error).split(". Set `arbitrary_types_allowed", 1)  # there is no model in which to set it
        said += "; annotate with JSON types, pydantic models, dataclasses, or leave it out" if advice else ""
        raise ActionRegistrationError(f"{_name(function)} cannot be the action {definition_id!r}: {said}") from error
    return Action(definition_id, function, inputs, output, context_parameter)


def _output(kind: Any) -> TypeAdapter[Any]:
    """What checks an output and writes it, NaN and infinity as they are, to be refused: not as null, in silence."""
    with suppress(PydanticUserError):  # of a kind that has a config of its own, or that cannot be an output at all
        return TypeAdapter(kind, config=ConfigDict(ser_json_inf_nan="constants"))
    return TypeAdapter(kind)


def _other_fields(kind: Any, fields: dict[str, Any]) -> dict[str, Any]:
    """What ``**kwargs`` of a kind takes: more of ``fields``, where they are named, or else any, as an option."""
    if get_origin(kind) not in {typing.Unpack, typing_extensions.Unpack}:
        return {"extra_items": kind}
    named = get_args(kind)[0]
    for name, hint in get_type_hints(named, include_extras=True).items():
        qualified = get_origin(hint) in {Required, NotRequired}
        fields[name] = hint if qualified or name in named.__required_keys__ else NotRequired[hint]
    return {}


def _written(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it was written, with its annotations: under ``partial``, or of an object that can be called."""
    while isinstance(function, partial):
        function = function.func
    if inspect.isroutine(function) or inspect.isclass(function) or hasattr(function, "__wrapped__"):
        return function
    return type(function).__call__


def _form_error(head: str, error: ValidationError) -> ActionError:
    """Names and reasons, never the values: they may be secrets, and errors are shown in many places."""
    problems = [
        {"field": ".".join(str(part) for part in e["loc"]), "problem": e["msg"]}
        for e in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    shown = "; ".join(f"{p['field'] or 'value'}: {p['problem']}" for p in problems[:5])
    return ActionError(
        f"{head}: {shown}",
        category=ErrorCategory.VALIDATION_FAILED,
        retryable=False,
        context={"problems": problems[:50]},
    )


def _run_async(result: Awaitable[Any]) -> Any:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_wait_for(result))
    # A plan that is run in process by a coroutine or in a notebook: a thread has one running loop at most.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, asyncio.run, _wait_for(result)).result()


async def _wait_for(result: Awaitable[Any]) -> Any:
    return await result


def _same_function(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """The same function, or the same source imported again (``python -m`` runs a module as ``__main__``), or what a
    changed cell of a notebook makes of it.
    """
    if one is other or _code_place(one) == _code_place(other) is not None:
        return True
    return _cell_name(one) == _cell_name(other) != ""


def _code_place(function: Callable[..., Any]) -> tuple[str, int] | None:
    # What decorators make of functions is one piece of code for all of them.
    code = getattr(inspect.unwrap(function), "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code else None


def _cell_name(function: Callable[..., Any]) -> str:
    """The name of a function that was written in a notebook, whose cells are no files; "" for any other."""
    place, name = _code_place(function), getattr(function, "__qualname__", "")
    written = getattr(function, "__module__", "") == "__main__" and place is not None and not Path(place[0]).exists()
    return name if written and "<" not in name else ""


def _name(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"
