"""How public names look in the reference: under the name they are imported by, models with a table of their fields."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

from docutils import nodes
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import workflow_state

PACKAGE = workflow_state.__name__


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("autodoc-process-signature", leave_out_fields)
    app.connect("autodoc-process-docstring", add_fields, priority=900)
    app.connect("missing-reference", find_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def leave_out_fields(_app: Sphinx, kind: str, _name: str, found: Any, *_: Any) -> tuple[str, str | None] | None:
    """No signature for a model and an enum: their fields are in a table."""
    if kind == "class" and (is_model(found) or issubclass(found, str)):
        return "", None
    return None


def add_fields(_app: Sphinx, kind: str, _name: str, found: Any, _options: Any, lines: list[str]) -> None:
    """The table of a model's fields below its docstring; the values of an enum."""
    if kind == "class" and is_model(found):
        lines += ["", ".. list-table::", "   :header-rows: 1", "", "   * - field", "     - type", "     - default"]
        for name, field in found.model_fields.items():
            shown = f" (JSON ``{field.alias}``)" if field.alias and field.alias != name else ""
            lines += [f"   * - ``{name}``{shown}", f"     - ``{type_of(field)}``", f"     - {default_of(field)}"]
        lines.append("")
    elif kind == "class" and issubclass(found, str):
        lines += ["", ", ".join(f"``{member.value}``" for member in found), ""]


def find_name(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.TextElement
) -> nodes.Element | None:
    """A name by the module it is defined in, as docstrings give it, leads to the page of the public name.

    What is not ours is shown as it is, since its documentation is on another site.
    """
    if node["refdomain"] != "py":
        return None
    target = str(node["reftarget"])
    short = target.rpartition(".")[2]
    if short in workflow_state.__all__ and (target.startswith(f"{PACKAGE}.") or "." not in target):
        domain = env.domains.python_domain
        return domain.resolve_xref(
            env, node["refdoc"], app.builder, "obj", f"{PACKAGE}.{short}", node, content
        ) or plain(content)
    # A docstring that names something of ours is wrong if it is not there; a type in a signature may be internal.
    named = isinstance(content, nodes.literal) and (target.startswith(PACKAGE) or "." not in target)
    return None if named else plain(content)


def plain(content: nodes.TextElement) -> nodes.Element:
    """The text of a reference, without a link."""
    return nodes.inline("", "", content)


def is_model(found: object) -> bool:
    """Whether it is a pydantic model."""
    return inspect.isclass(found) and issubclass(found, BaseModel)


def type_of(field: Any) -> str:
    """The type of a field as a user writes it, without the constraints."""
    return " | ".join(dict.fromkeys(type_names(field.annotation)))


def type_names(annotation: Any) -> Iterator[str]:
    """The names of a type's alternatives, in order."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from type_names(arguments[0])
    elif annotation is None or annotation is type(None):
        yield "None"
    elif origin is Literal:
        yield from map(repr, arguments)
    elif "Union" in type(annotation).__name__ or "Union" in str(origin):
        for argument in arguments:
            yield from type_names(argument)
    elif arguments:
        inner = ", ".join("..." if argument is ... else " | ".join(type_names(argument)) for argument in arguments)
        yield f"{getattr(origin, '__name__', origin)}[{inner}]"
    else:
        yield getattr(annotation, "__name__", str(annotation))


def default_of(field: Any) -> str:
    """A field's default as it is written in Python; required when there is none."""
    if field.default_factory is not None:
        return f"``{field.default_factory()!r}``"
    return "required" if field.default is PydanticUndefined else f"``{field.default!r}``"
