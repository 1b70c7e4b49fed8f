"""What a newer version has written, as a reader of this one meets it in the middle of a rolling deployment.

Fields that are not known are left out, and so are events; a category of errors that is not known counts as
``action_failed``. What nothing can stand in for, such as a status, is one error that says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from pydantic import ValidationError

from workflow_state.errors import NewerSchemaError
from workflow_state.models import ErrorCategory

_CATEGORIES: Final = frozenset(category.value for category in ErrorCategory)


@contextmanager
def reading(execution_id: str) -> Iterator[None]:
    """Around what makes sense of records of an execution, and does nothing else.

    Raises:
        NewerSchemaError: they cannot be made sense of.
    """
    try:
        yield
    except (KeyError, ValueError) as error:
        raise NewerSchemaError(
            f"Execution {execution_id!r} has records that this version cannot read ({_problem(error)}): a newer "
            "version of workflow-state has written them; upgrade it here"
        ) from error


def with_known_category(error: Mapping[str, Any]) -> Mapping[str, Any]:
    """A stored error whose category this version knows."""
    if error.get("category") in _CATEGORIES:
        return error
    return {**error, "category": ErrorCategory.ACTION_FAILED.value}


def _problem(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return f"{type(error).__name__}: {error}"
    # Without the values: an output may be among them.
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
