"""What all models share: their base, ids, units, and lists that are kept as tuples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, JsonValue, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

#: An action's id: letters, digits and ``_ - . :``, starting with a letter, digit or ``_``.
ID_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.:\-]*$"
ActionId = Annotated[str, StringConstraints(pattern=ID_PATTERN, max_length=200)]
#: A thousand years: what is longer is a mistake, and the arithmetic of delays stays far from any overflow.
MAX_MILLISECONDS = 1000 * 365 * 24 * 3600 * 1000
Milliseconds = Annotated[int, Field(ge=0, le=MAX_MILLISECONDS)]
BatchSize = Annotated[int, Field(ge=1, le=1000)]

T = TypeVar("T")


class _KeptAsTuple:
    """Makes pydantic read and keep a sequence as a tuple, which nobody can change."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        (item,) = get_args(source)
        return core_schema.tuple_schema([handler.generate_schema(item)], variadic_item_index=0)


#: A tuple of items, that a type checker lets be given as a list.
Items = Annotated[Sequence[T], _KeptAsTuple()]


class _KeptAsDict:
    """Makes pydantic read and keep a mapping as a dict, which can be written as JSON."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        names, values = get_args(source)
        return core_schema.dict_schema(handler.generate_schema(names), handler.generate_schema(values))


#: A dict of JSON values, that a type checker lets be given as one of, say, numbers.
JsonObject = Annotated[Mapping[str, JsonValue], _KeptAsDict()]


class Model(BaseModel):
    """Base of all models: frozen, camelCase aliases, unknown fields refused."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        # NaN and infinity are not JSON: written out, they would silently become null.
        allow_inf_nan=False,
    )
