"""The error tree: every error this library raises on purpose, in one place.

::

    WorkflowStateError
    ├── PlanValidationError        a plan is not valid; all its problems at once
    ├── ReferenceParseError        text between ${ and } is not a reference
    ├── ReferenceNotFoundError     a reference found nothing at run time
    ├── ConditionParseError        a text is not a condition
    ├── ConditionEvaluationError   a condition met values that it cannot compare
    ├── InputTooLargeError         references make an action's inputs larger than the limit
    ├── ActionError                raised by user code: how an action says what went wrong
    ├── ActionRegistrationError    a function cannot be an action, or its id is taken
    ├── UnknownActionError         no action of that definition id is registered
    ├── ActionFailedError          what a failed action's task shows in Celery and Flower
    ├── PlanExecutionError         what ``execute_plan``'s result raises for a failed plan
    ├── ExecutionNotFoundError     no such execution, or its records have expired
    ├── ActionNotFoundError        the execution has no such action
    ├── InvalidTransitionError     a state change that the rules do not allow
    ├── NewerSchemaError           compiled or written by a newer version than runs here
    ├── BackendNotSupportedError   the app's result backend is not Redis-compatible
    ├── ConfigurationError         a setting asks for something that is not there
    └── EmbeddedServerError        no Redis-compatible server was found or it did not start
"""

from __future__ import annotations

from workflow_state.errors.actions import ActionError, ActionFailedError, ActionRegistrationError, UnknownActionError
from workflow_state.errors.base import WorkflowStateError
from workflow_state.errors.executions import (
    ActionNotFoundError,
    BackendNotSupportedError,
    ConfigurationError,
    EmbeddedServerError,
    ExecutionNotFoundError,
    InvalidTransitionError,
    NewerSchemaError,
    PlanExecutionError,
)
from workflow_state.errors.plans import (
    ConditionEvaluationError,
    ConditionParseError,
    InputTooLargeError,
    PlanProblem,
    PlanValidationError,
    ReferenceNotFoundError,
    ReferenceParseError,
)

__all__ = [
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
    "InputTooLargeError",
    "InvalidTransitionError",
    "NewerSchemaError",
    "PlanExecutionError",
    "PlanProblem",
    "PlanValidationError",
    "ReferenceNotFoundError",
    "ReferenceParseError",
    "UnknownActionError",
    "WorkflowStateError",
]
