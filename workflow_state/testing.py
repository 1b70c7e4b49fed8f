"""For users' own tests: run a plan in process, with no broker, no worker and no waiting.

::

    def test_the_order_is_charged():
        state = run_plan(plan, actions={"payments.charge": lambda amount: {"id": "ch_1"}})
        assert state.action_states["charge"].result.output == {"id": "ch_1"}
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from workflow_state.actions import ActionRegistry, registry
from workflow_state.arguments import checked
from workflow_state.compiler import compile_plan
from workflow_state.models import ExecutionState
from workflow_state.runtime.inprocess import InProcessRun
from workflow_state.validation import prepare_plan


@checked
def run_plan(
    plan: object,
    actions: Mapping[str, Callable[..., Any]] | ActionRegistry | None = None,
    *,
    execution_id: str | None = None,
    now: Callable[[], int] | None = None,
    jitter: Callable[[], float] = random.random,
    confirm: Callable[[str], bool] = lambda _: True,
) -> ExecutionState:
    """Run a plan to its end and give the final state; the rules are those of the engine.

    Args:
        plan: as for ``execute_plan``.
        actions: definition id → function, or a registry; everything registered by ``@action`` when None.
            Functions given here replace registered ones of the same id; the others stay available.
        execution_id: a new one when None.
        now: the clock, milliseconds since the epoch; the system's when None. Waits between attempts
            are added to it, nothing sleeps.
        confirm: the answer to an action's confirmation, by its id; every one is given when left out.
        jitter: numbers from 0 to 1 for retry delays, such as ``lambda: 1.0``.

    Raises:
        PlanValidationError: with every problem of the plan. A plan that fails raises nothing.

    Example:
        >>> one = {"actions": [{"id": "tell", "actionDefinitionId": "mail.send", "inputs": {"text": "hello"}}]}
        >>> run_plan(one, {"mail.send": lambda text: text.upper()}).action_states["tell"].result.output
        'HELLO'
    """
    program = compile_plan(prepare_plan(plan))
    known = actions if isinstance(actions, ActionRegistry) else registry.overlaid(actions or {})
    return InProcessRun(program, execution_id or str(uuid.uuid4()), known, now, jitter, confirm).run()
