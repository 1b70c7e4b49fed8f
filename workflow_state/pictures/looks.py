"""How the actions of a state are shown."""

from __future__ import annotations

from workflow_state.models import ActionStatus, ExecutionState
from workflow_state.pictures.palette import Look


def looks_of(state: ExecutionState) -> dict[str, Look]:
    """Each action's look by its id; one that a person has to confirm waits."""
    asked = {one.action_id for one in state.confirmations if one.responded_at is None}
    return {
        name: Look.WAITING if name in asked and action.status is ActionStatus.PENDING else Look(action.status.value)
        for name, action in state.action_states.items()
    }
