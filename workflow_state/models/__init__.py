"""The nouns: plan, action, state. Frozen, validated, JSON in and out.

Every model reads camelCase (the original package's JSON) and snake_case alike, and writes
snake_case unless asked for ``by_alias=True``. Times are timezone-aware; durations and timeouts are
milliseconds, as the original has them. An unknown field is an error, never silently dropped.
"""

from __future__ import annotations

from workflow_state.models.base import ID_PATTERN, MAX_MILLISECONDS, ActionId, BatchSize, Items, Milliseconds, Model
from workflow_state.models.enums import ActionStatus, ErrorCategory, ExecutionStatus
from workflow_state.models.plan import (
    Condition,
    ErrorHandling,
    ExecutionPlan,
    ExpectedOutcome,
    Intent,
    OutcomeValidation,
    PlanMetadata,
    PlannedAction,
    RetryPolicy,
    UserConfirmation,
)
from workflow_state.models.state import (
    ActionExecutionState,
    ActionResult,
    Attempt,
    ConfirmationState,
    ErrorDetail,
    ExecutionMetrics,
    ExecutionPage,
    ExecutionState,
    ExecutionSummary,
    Failure,
    Progress,
    Skipped,
    Success,
)

__all__ = [
    "ID_PATTERN",
    "MAX_MILLISECONDS",
    "ActionExecutionState",
    "ActionId",
    "ActionResult",
    "ActionStatus",
    "Attempt",
    "BatchSize",
    "Condition",
    "ConfirmationState",
    "ErrorCategory",
    "ErrorDetail",
    "ErrorHandling",
    "ExecutionMetrics",
    "ExecutionPage",
    "ExecutionPlan",
    "ExecutionState",
    "ExecutionStatus",
    "ExecutionSummary",
    "ExpectedOutcome",
    "Failure",
    "Intent",
    "Items",
    "Milliseconds",
    "Model",
    "OutcomeValidation",
    "PlanMetadata",
    "PlannedAction",
    "Progress",
    "RetryPolicy",
    "Skipped",
    "Success",
    "UserConfirmation",
]
