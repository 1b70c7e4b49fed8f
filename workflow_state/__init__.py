"""Run plans, DAGs of actions, on ordinary Celery workers, and know the state of every action.

::

    from workflow_state import StateManager, action, execute_plan

    @action("greet")
    def greet(name: str) -> str:
        return f"Hello {name}"

    result = execute_plan.delay({"actions": [
        {"id": "hello", "action_definition_id": "greet", "inputs": {"name": "you"}},
    ]})
    state = result.get()                              # the final ExecutionState
    state = StateManager().get_full_state(result.id)  # the same, from any process, at any time
"""

from __future__ import annotations

from workflow_state.actions import ActionContext, ActionRegistry, action, registry
from workflow_state.compiler import compile_plan
from workflow_state.dependencies import find_circular_dependencies
from workflow_state.errors import (
    ActionError,
    ActionFailedError,
    ActionNotFoundError,
    ActionRegistrationError,
    BackendNotSupportedError,
    ConditionEvaluationError,
    ConditionParseError,
    ConfigurationError,
    EmbeddedServerError,
    ExecutionNotFoundError,
    InvalidTransitionError,
    NewerSchemaError,
    PlanExecutionError,
    PlanProblem,
    PlanValidationError,
    ReferenceNotFoundError,
    ReferenceParseError,
    UnknownActionError,
    WorkflowStateError,
)
from workflow_state.event_types import (
    ActionCompleted,
    ActionFailed,
    ActionLost,
    ActionRequested,
    ActionRetrying,
    ActionSkipped,
    Answer,
    CompletedAnswer,
    ConfirmationReceived,
    ConfirmationRequested,
    Event,
    EventError,
    FailedAnswer,
    PlanCancelled,
    PlanCancelling,
    PlanCompleted,
    PlanFailed,
    PlanPaused,
    PlanResumed,
    PlanStarted,
)
from workflow_state.events import EventListener, publish_answer
from workflow_state.metrics import (
    PerformanceMetrics,
    calculate_execution_metrics,
    extract_successful_results,
)
from workflow_state.models import (
    ActionExecutionState,
    ActionStatus,
    Attempt,
    Condition,
    ErrorCategory,
    ErrorDetail,
    ErrorHandling,
    ExecutionMetrics,
    ExecutionPage,
    ExecutionPlan,
    ExecutionState,
    ExecutionStatus,
    ExecutionSummary,
    ExpectedOutcome,
    Failure,
    Intent,
    OutcomeValidation,
    PlanMetadata,
    PlannedAction,
    Progress,
    RetryPolicy,
    Skipped,
    Success,
    UserConfirmation,
)
from workflow_state.patterns import (
    are_dependencies_satisfied,
    create_batch_processing,
    create_conditional_branch,
    create_fan_out_fan_in_pattern,
    create_retry_with_fallback,
    create_sequential_pipeline,
)
from workflow_state.pictures import execution_report, plan_to_dot, plan_to_mermaid, plan_to_svg
from workflow_state.references import Outcome, Reference, parse_reference, resolve_reference
from workflow_state.remote_executor import RemoteExecutor
from workflow_state.runtime import answers as _answers  # noqa: F401 - installs itself in workers
from workflow_state.runtime import sweeper as _sweeper  # noqa: F401 - installs itself in workers
from workflow_state.runtime import worker_logs as _worker_logs  # noqa: F401 - likewise
from workflow_state.runtime.submission import PlanResult
from workflow_state.runtime.tasks import execute_action, execute_plan
from workflow_state.state_manager import StateManager, create_state_manager
from workflow_state.store.keys import action_task_id
from workflow_state.telemetry import AttemptInfo, configure_logging
from workflow_state.validation import (
    find_plan_problems,
    validate_execution_plan,
    validate_plan_logic,
)

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022 - grouped for the reader
    # run and watch
    "execute_plan",
    "execute_action",
    "PlanResult",
    "StateManager",
    "create_state_manager",
    "action_task_id",
    # actions
    "action",
    "ActionContext",
    "ActionRegistry",
    "registry",
    # plan
    "ExecutionPlan",
    "PlannedAction",
    "Condition",
    "ErrorHandling",
    "ExpectedOutcome",
    "Intent",
    "OutcomeValidation",
    "PlanMetadata",
    "RetryPolicy",
    "UserConfirmation",
    # state
    "ExecutionState",
    "ExecutionStatus",
    "ExecutionMetrics",
    "ExecutionPage",
    "ExecutionSummary",
    "ActionExecutionState",
    "ActionStatus",
    "Attempt",
    "Progress",
    "ErrorCategory",
    "ErrorDetail",
    "Success",
    "Failure",
    "Skipped",
    # events
    "Event",
    "EventError",
    "PlanStarted",
    "PlanPaused",
    "PlanResumed",
    "PlanCancelling",
    "PlanCompleted",
    "PlanFailed",
    "PlanCancelled",
    "ActionRequested",
    "ActionCompleted",
    "ActionFailed",
    "ActionRetrying",
    "ActionLost",
    "ActionSkipped",
    "ConfirmationRequested",
    "ConfirmationReceived",
    "EventListener",
    # remote actions
    "RemoteExecutor",
    "Answer",
    "CompletedAnswer",
    "FailedAnswer",
    "publish_answer",
    # plans, checked and compiled
    "validate_execution_plan",
    "validate_plan_logic",
    "find_plan_problems",
    "find_circular_dependencies",
    "compile_plan",
    "parse_reference",
    "resolve_reference",
    "Reference",
    "Outcome",
    # pictures
    "execution_report",
    "plan_to_svg",
    "plan_to_mermaid",
    "plan_to_dot",
    # patterns and metrics
    "create_sequential_pipeline",
    "create_fan_out_fan_in_pattern",
    "create_conditional_branch",
    "create_retry_with_fallback",
    "create_batch_processing",
    "are_dependencies_satisfied",
    "calculate_execution_metrics",
    "extract_successful_results",
    "PerformanceMetrics",
    # logs
    "configure_logging",
    "AttemptInfo",
    # errors
    "WorkflowStateError",
    "ActionError",
    "ActionFailedError",
    "ActionNotFoundError",
    "ActionRegistrationError",
    "BackendNotSupportedError",
    "ConditionEvaluationError",
    "ConditionParseError",
    "ConfigurationError",
    "EmbeddedServerError",
    "ExecutionNotFoundError",
    "InvalidTransitionError",
    "NewerSchemaError",
    "PlanExecutionError",
    "PlanProblem",
    "PlanValidationError",
    "ReferenceNotFoundError",
    "ReferenceParseError",
    "UnknownActionError",
]
