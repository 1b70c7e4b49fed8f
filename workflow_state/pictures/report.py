"""The report of an execution: one HTML file to keep, to send, and to open anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from workflow_state import display
from workflow_state.arguments import checked
from workflow_state.models import ExecutionState
from workflow_state.pictures.diagram import program_of
from workflow_state.pictures.facts import gather
from workflow_state.pictures.page import page_of
from workflow_state.redaction import DEFAULT, Redactor


@checked
def execution_report(
    plan: object | None,
    state: ExecutionState,
    *,
    redactor: Redactor = DEFAULT,
    secrets: Iterable[str] = (),
    now: datetime | None = None,
) -> str:
    """What became of an execution, as one HTML file that needs no other file and no network.

    It shows what failed and what that blocked, the graph coloured by status, a timeline with every attempt and the
    waits between them, the critical path of the run, and for each action its inputs, output and errors. Secrets are
    taken out by name, wherever their texts got to, and large values are cut.

    Args:
        plan: the plan that was executed, as for ``execute_plan``, or its compiled Program. None: the report has no
            graph and no inputs.
        state: as :meth:`StateManager.get_full_state` or the result of ``execute_plan`` gives it.
        redactor: says which names are those of secrets; the usual ones when it is left out.
        secrets: more texts that must not be in it. :meth:`StateManager.report` knows those that actions declare
            as ``SecretStr``.
        now: until when actions that still run are drawn; the present when None.

    Raises:
        PlanValidationError: the plan is not valid.
        ValueError: the state is not one of that plan.

    Example:
        >>> from pathlib import Path
        >>> written = Path("nightly.html").write_text(execution_report(plan, state))
    """
    program = None if plan is None else program_of(plan)
    until = now or datetime.now(UTC)  # noqa: TID251 - what still runs is drawn until the present
    return page_of(gather(program, state, until, redactor, secrets))


@display.page.register
def _page_of_a_state(state: ExecutionState) -> str:
    return execution_report(None, state)
