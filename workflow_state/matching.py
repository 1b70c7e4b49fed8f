"""Regular expressions from outside, matched in linear time."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

from pydantic import StringConstraints, TypeAdapter, ValidationError
from pydantic_core import SchemaError


def matches(pattern: str, text: str) -> bool:
    """Whether a regular expression is found anywhere in a text, in linear time whatever the pattern.

    Pydantic's engine (Rust's ``regex``) has no backtracking, so a plan from outside cannot stall a
    worker; look-around and back-references are not available.

    Raises:
        pydantic_core.SchemaError: the pattern is not a regular expression.
    """
    compiled = _compiled(pattern)
    if isinstance(compiled, SchemaError):
        raise compiled.with_traceback(None)
    try:
        compiled.validate_python(text)
    except ValidationError:
        return False
    return True


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> TypeAdapter[str] | SchemaError:
    """A failure is remembered too: to find that a pattern has no measure takes longest."""
    try:
        return TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)])
    except SchemaError as error:
        return error
