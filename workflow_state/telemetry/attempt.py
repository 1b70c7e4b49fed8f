"""Which attempt this is: what every log line, metric and span of it is labelled with."""

from __future__ import annotations

from dataclasses import dataclass

from workflow_state.program import Program, Step


@dataclass(frozen=True, slots=True)
class AttemptInfo:
    """One attempt of one action.

    Attributes:
        execution_id, plan_id, action_id: where it stands.
        plan_name: the plan's name, or its id when it has none.
        definition: which registered action runs.
        attempt: 1 for the first.

    Example:
        >>> def tell(error: BaseException, attempt: AttemptInfo) -> None:
        ...     print(f"{attempt.plan_name}/{attempt.action_id}, attempt {attempt.attempt}: {error}")
        >>> app.conf.workflow_state = {"on_error": tell}
    """

    execution_id: str
    plan_id: str
    plan_name: str
    action_id: str
    definition: str
    attempt: int

    @classmethod
    def of(cls, program: Program, step: Step, execution_id: str, attempt: int) -> AttemptInfo:
        """That attempt of a step of a program."""
        return cls(execution_id, program.plan_id, program.title, step.id, step.definition, attempt)
