"""Plans from files and from standard input, as JSON or YAML."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import click
import yaml

from workflow_state.cli.exits import CommandError, Exit
from workflow_state.errors import PlanProblem, PlanValidationError
from workflow_state.models import ExecutionPlan
from workflow_state.validation import prepare_plan

#: Nodes of a YAML document once its aliases are written out: ten nested ones can stand for billions.
MAX_NODES = 2_000_000
YAML_SUFFIXES = (".yaml", ".yml")
#: How YAML 1.2 reads plain text, and JSON with it: 1.1, PyYAML's own, makes ``no`` false and a day a date.
_PLAIN = {
    "null": (r"^(?:null|~|)$", ["n", "~", ""]),
    "bool": (r"^(?:true|false)$", ["t", "f"]),
    "int": (r"^-?(?:0|[1-9][0-9]*)$", list("-0123456789")),
    "float": (r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$", list("-0123456789")),
    "merge": (r"^<<$", ["<"]),
}

plan_path = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=str)
plan_argument = click.argument("plan", metavar="PLAN", type=plan_path)


def load_plan(source: str) -> ExecutionPlan:
    """The plan in a file, or from standard input for ``-``; one that is not valid ends the command.

    Raises:
        CommandError: it cannot be read, or is not valid; with every problem.
    """
    try:
        return prepare_plan(read_plan(source))
    except PlanValidationError as error:
        raise CommandError(f"{shown_name(source)} cannot be run. {error}", Exit.BAD_INPUT) from error


def shown_name(source: str) -> str:
    """The file, or what to call standard input."""
    return "The plan from standard input" if source == "-" else source


def read_plan(source: str) -> Any:
    """What is in a file or standard input, not validated: JSON as bytes, YAML as the values that it stands for.

    Raises:
        CommandError: it cannot be read.
        PlanValidationError: it is not YAML.
    """
    try:
        text = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise CommandError(f"{source} cannot be read: {error.strerror}", Exit.BAD_INPUT) from error
    is_yaml = source.endswith(YAML_SUFFIXES) or (source == "-" and not text.lstrip().startswith(b"{"))
    return parse_yaml(text) if is_yaml else text


def parse_yaml(text: bytes | str) -> Any:
    """The values of a YAML document, read as JSON has them: no dates, no yes and no, no tags.

    Raises:
        PlanValidationError: it is not YAML, or larger than a plan may be.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise _problem("The plan is empty")
        _count(node, {})
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise _problem(f"The plan is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise _problem("The plan nests too deep") from None
    finally:
        loader.dispose()


def _problem(message: str) -> PlanValidationError:
    return PlanValidationError([PlanProblem("invalid_yaml", "", message, "")])


class _Loader(yaml.SafeLoader):
    """Safe, with JSON's idea of plain text, and no key twice."""

    # Not those of the base class, which PyYAML would change in place.
    yaml_implicit_resolvers: dict[str, list[tuple[str, Any]]] = {}  # noqa: RUF012 - declared so by PyYAML

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping; a key that comes twice is a mistake that would silently lose a value."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


for _tag, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def _count(node: yaml.Node, sizes: dict[int, int]) -> int:
    """How many nodes a document has once its aliases are written out; refused when these are too many."""
    known = sizes.get(id(node))
    if known is not None:
        if known == 0:
            raise _problem("The plan contains itself: an alias stands inside of its own anchor")
        return known
    sizes[id(node)] = 0
    total = 1
    if isinstance(node, yaml.SequenceNode):
        total += sum(_count(item, sizes) for item in node.value)
    elif isinstance(node, yaml.MappingNode):
        total += sum(_count(key, sizes) + _count(value, sizes) for key, value in node.value)
    if total > MAX_NODES:
        raise _problem(f"The plan has more than {MAX_NODES} values once its aliases are written out")
    sizes[id(node)] = total
    return total
