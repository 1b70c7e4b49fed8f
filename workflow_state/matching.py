"""Regular expressions from outside, matched in linear time."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

from pydantic import StringConstraints, TypeAdapter, ValidationError


def matches(pattern: str, text: str) -> bool:
    """Whether a regular expression is found anywhere in a text, in linear time whatever the pattern.

    Pydantic's engine (Rust's ``regex``) has no backtracking, so a plan from outside cannot stall a
    worker; look-around and back-references are not available.

    Raises:
        pydantic_core.SchemaError: the pattern is not a regular expression.
    """
    try:
        _pattern(pattern).validate_python(text)
    except ValidationError:
        return False
    return True


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> TypeAdapter[str]:
    return TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)])
