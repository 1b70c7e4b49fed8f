"""Errors about plans, and about the references and conditions in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from workflow_state.errors.base import WorkflowStateError


@dataclass(frozen=True, slots=True)
class PlanProblem:
    """One thing wrong with a plan.

    ``code`` is stable and made for programs, ``location`` a path into the plan such as
    ``actions[3].inputs.amount`` ("" is the plan itself), ``suggestion`` a repair or "". ``severity`` is
    ``error``, or ``warning`` for a plan that runs but may not mean what it says.

    Example:
        >>> cyclic = {"actions": [{"id": "a", "actionDefinitionId": "x", "dependencies": ["a"]}]}
        >>> find_plan_problems(validate_execution_plan(cyclic))[0].code
        'cycle'
    """

    code: str
    location: str
    message: str
    suggestion: str = ""
    severity: str = "error"

    def __str__(self) -> str:
        place = f"{self.location}: " if self.location else ""
        hint = f" ({self.suggestion})" if self.suggestion else ""
        return f"{place}{self.message}{hint} [{self.code}]"

    def to_dict(self) -> dict[str, str]:
        """The problem as JSON-ready dict."""
        # By hand: a plan may have thousands of problems, and ``dataclasses.asdict`` copies deeply.
        return {
            "code": self.code,
            "location": self.location,
            "message": self.message,
            "suggestion": self.suggestion,
            "severity": self.severity,
        }


class PlanValidationError(WorkflowStateError, ValueError):
    """A plan is not valid. ``errors`` lists every problem found, not only the first.

    Example:
        >>> try:
        ...     execute_plan.delay({"actions": []})
        ... except PlanValidationError as error:
        ...     print(error.errors[0].code, error.errors[0].location)
        no_actions actions
    """

    errors: tuple[PlanProblem, ...]
    #: How many problems the message spells out; ``errors`` always has them all.
    SHOWN: ClassVar[int] = 20

    def __init__(self, errors: Iterable[PlanProblem | Mapping[str, str]]) -> None:
        self.errors = tuple(e if isinstance(e, PlanProblem) else PlanProblem(**e) for e in errors)
        # Plain dicts as args: the error crosses process borders as JSON in a result backend.
        super().__init__([e.to_dict() for e in self.errors])

    def __str__(self) -> str:
        count = len(self.errors)
        head = "The plan has 1 problem:" if count == 1 else f"The plan has {count} problems:"
        lines = [f"  - {e}" for e in self.errors[: self.SHOWN]]
        if count > self.SHOWN:
            lines.append(f"  … and {count - self.SHOWN} more")
        return "\n".join([head, *lines])


class ReferenceParseError(WorkflowStateError, ValueError):
    """Text between ``${`` and ``}`` is not a reference; ``position`` is the offset in ``text``.

    Example:
        >>> try:
        ...     parse_reference("${fetch.result}")
        ... except ReferenceParseError as error:
        ...     print(error.position)
        2
    """

    text: str
    position: int

    def __init__(self, message: str, text: str = "", position: int = 0) -> None:
        self.text, self.position = text, position
        super().__init__(message, text, position)

    def __str__(self) -> str:
        return str(self.args[0])


class ReferenceNotFoundError(WorkflowStateError, LookupError):
    """A reference found nothing at run time; the message says what was there instead.

    Example:
        >>> try:
        ...     resolve_reference("${a.output.id}", {"a": Outcome(status="completed", output={"name": "Ada"})})
        ... except ReferenceNotFoundError as error:
        ...     print(error)
        Reference ${a.output.id} finds nothing: a.output is an object with the fields name
    """

    def __str__(self) -> str:
        return str(self.args[0])


class ConditionParseError(WorkflowStateError, ValueError):
    """A text is not a condition, or exceeds a limit; ``position`` is the offset in ``text``.

    Example:
        >>> try:
        ...     create_conditional_branch("a", "kind of", [{"value": 1, "action_ids": ["b"]}], [
        ...         {"id": "a", "actionDefinitionId": "x"}, {"id": "b", "actionDefinitionId": "x"}])
        ... except ConditionParseError as error:
        ...     print("not a condition")
        not a condition
    """

    text: str
    position: int

    def __init__(self, message: str, text: str = "", position: int = 0) -> None:
        self.text, self.position = text, position
        super().__init__(message, text, position)

    def __str__(self) -> str:
        return str(self.args[0])


class ConditionEvaluationError(WorkflowStateError, ValueError):
    """A condition met values that it cannot compare; the message shows them and their types.

    Example:
        >>> failed = run_plan({"actions": [
        ...     {"id": "a", "actionDefinitionId": "mail.send", "inputs": {"text": "x"}},
        ...     {"id": "b", "actionDefinitionId": "mail.send", "dependencies": ["a"],
        ...      "condition": {"if": "${a.output} < 1"}},
        ... ]}, {"mail.send": lambda text="": text})
        >>> print(failed.action_states["b"].error.message)
        Cannot evaluate '<': ${a.output} = "x" is a text and 1 is a number, but ...
    """


class InputTooLargeError(WorkflowStateError, ValueError):
    """The inputs of an action exceed the limit once their references are resolved."""
