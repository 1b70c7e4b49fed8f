"""The words for how things stand, and for what kind of error there was."""

from __future__ import annotations

from enum import StrEnum


class ExecutionStatus(StrEnum):
    """Where an execution stands.

    Example:
        >>> state.status is ExecutionStatus.COMPLETED, state.status == "completed", state.status.ended
        (True, True, True)
    """

    INITIALIZING = "initializing"
    RUNNING = "running"
    PAUSED_FOR_CONFIRMATION = "paused_for_confirmation"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing can change any more."""
        return self in (ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED)


class ActionStatus(StrEnum):
    """Where one action stands.

    Example:
        >>> [name for name, found in state.action_states.items() if found.status is ActionStatus.SKIPPED]
        ['alarm']
    """

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def ended(self) -> bool:
        """Whether nothing can change any more."""
        return self in (ActionStatus.COMPLETED, ActionStatus.FAILED, ActionStatus.SKIPPED)


class ErrorCategory(StrEnum):
    """What kind of error ended an attempt: the original's twelve and those the engine needs besides.

    Example:
        >>> state.action_states["check"].error.category is ErrorCategory.VALIDATION_FAILED
        True
    """

    AUTH_EXPIRED = "auth_expired"
    AUTH_INVALID = "auth_invalid"
    RATE_LIMIT_DAILY = "rate_limit_daily"
    RATE_LIMIT_BURST = "rate_limit_burst"
    NETWORK_TIMEOUT = "network_timeout"
    NETWORK_CONNECTION_REFUSED = "network_connection_refused"
    API_RESPONSE_MALFORMED = "api_response_malformed"
    API_ENDPOINT_REMOVED = "api_endpoint_removed"
    API_UNEXPECTED_STATUS = "api_unexpected_status"
    VALIDATION_FAILED = "validation_failed"
    STATE_INCONSISTENT = "state_inconsistent"
    USER_CANCELLED = "user_cancelled"
    ACTION_FAILED = "action_failed"
    UNKNOWN_ACTION = "unknown_action"
    CONDITION_NOT_MET = "condition_not_met"
    OUTCOME_NOT_MET = "outcome_not_met"
    WORKER_LOST = "worker_lost"
