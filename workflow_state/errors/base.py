"""The root of the error tree."""

from __future__ import annotations


class WorkflowStateError(Exception):
    """Base of all errors of this library.

    Example:
        >>> try:
        ...     manager.get_full_state("nobody")
        ... except WorkflowStateError as error:
        ...     print(type(error).__name__)
        ExecutionNotFoundError
    """


def short_repr(error: Exception) -> str:
    """Without the structured arguments: logs and Flower show this."""
    return f"{type(error).__name__}({str(error)!r})"
