"""What a condition looks like: its grammar, the tree it becomes, and the parser between the two.

A condition comes with the plan, so perhaps from outside: the grammar has no attribute, call, import
or arithmetic that could be reached, and its size is bounded::

    condition   = conjunction {("or" | "||") conjunction}
    conjunction = negation {("and" | "&&") negation}
    negation    = "not" negation | comparison
    comparison  = operand [operator operand]
    operator    = "==" | "===" | "!=" | "!==" | "<" | "<=" | ">" | ">=" | "in" | "not" "in"
    operand     = "!" operand | "(" condition ")" | reference | literal
    literal     = number | text | "true" | "false" | "null" | "[" [literal {"," literal}] "]"

As in the languages they come from, ``!`` binds tighter than a comparison and ``not`` looser. Numbers
are JSON's; constants may be spelled ``True``, ``False`` and ``None``; text is ``'text'`` or ``"text"``
with JSON's escapes, and ``$${`` in it stands for ``${``, as everywhere in a plan.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import JsonValue

from workflow_state.errors import ConditionParseError, ReferenceParseError
from workflow_state.references import Reference, parse_reference_at

MAX_LENGTH: Final = 4_000
MAX_TOKENS: Final = 500
#: Parentheses, lists and negations inside each other.
MAX_DEPTH: Final = 50

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal."""

    value: JsonValue


@dataclass(frozen=True, slots=True)
class Read:
    """The value of a reference."""

    reference: Reference


@dataclass(frozen=True, slots=True)
class Not:
    """True when the operand is false."""

    operand: Node


@dataclass(frozen=True, slots=True)
class And:
    """True when all operands are; those after the first false one are not evaluated."""

    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """True when one operand is; those after the first true one are not evaluated."""

    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two operands and one of ``== != < <= > >= in`` and ``not in``."""

    left: Node
    operator: str
    right: Node


Node = Constant | Read | Not | And | Or | Comparison


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed condition. ``references``: all of them, in order of appearance; ``text``: as written."""

    root: Node
    references: tuple[Reference, ...]
    text: str


def parse_condition(text: str) -> Expression:
    """Parse a condition such as ``${check.output.userType} == 'premium' and not ${check.error}``.

    Raises:
        ConditionParseError: it is not a condition or exceeds a limit, with the position of what is wrong.
    """
    if len(text) > MAX_LENGTH:
        raise _problem(text, MAX_LENGTH, f"a condition has at most {MAX_LENGTH} characters, not {len(text)}")
    parser = _Parser(text)
    root = parser.condition()
    parser.expect("end", "'and', 'or' or the end")
    return Expression(root, tuple(t.value for t in parser.tokens if t.kind == "reference"), text)


class _Token(NamedTuple):
    """``kind``: the operator in our own spelling, or ``literal``, ``reference`` or ``end``."""

    kind: str
    value: Any
    position: int


_TOKEN = re.compile(
    r"""\s*(?:(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.]))
      | (?P<text>'(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*")
      | (?P<word>[^\W\d]\w*)
      | (?P<reference>\$\{)
      | (?P<symbol>[=!]==? | [<>]=? | && | \|\| | [!()\[\],])
      | (?P<end>\Z))""",
    re.VERBOSE | re.DOTALL,
)
_IN_QUOTES = re.compile(r'\\.|\$\$\{|\$\{|"', re.DOTALL)
_AS_JSON: Final = {"\\'": "'", '"': '\\"', "$${": "${"}
_SPELLINGS: Final = {"===": "==", "!==": "!=", "&&": "and", "||": "or"}
_CONSTANTS: Final = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_COMPARISONS: Final = ("==", "!=", "<", "<=", ">", ">=", "in")
_OPERATORS: Final = frozenset({"and", "or", "not", "in"})
_HINTS: Final = {
    "'": "the quote is not closed",
    '"': "the quote is not closed",
    "=": "a comparison is written '=='",
    "&": "write 'and'",
    "|": "write 'or'",
    ".": "a field is read inside the braces, as in ${action.output.field}",
    "$": "a reference is written ${action.output.field}",
    **dict.fromkeys("0123456789", "a number is written as in JSON"),
    **dict.fromkeys("+-*/%", "a condition does no arithmetic: let an action compute the value"),
}


def _tokens(text: str) -> Iterator[_Token]:
    """All tokens, the end included; a reference is one token, whatever is in its braces."""
    at = 0
    while found := _TOKEN.match(text, at):
        kind = found.lastgroup or ""
        start, at, written = found.start(kind), found.end(), found[kind]
        if kind == "reference":
            try:
                reference, at = parse_reference_at(text, start)
            except ReferenceParseError as error:
                raise ConditionParseError(str(error), text, error.position) from None
            yield _Token("reference", reference, start)
        elif kind == "symbol":
            yield _Token(_SPELLINGS.get(written, written), None, start)
        elif kind == "end":
            yield _Token("end", None, start)
            return
        elif written in _OPERATORS:
            yield _Token(written, None, start)
        else:
            yield _Token("literal", _literal(text, start, kind, written), start)
    at = len(text) - len(text[at:].lstrip())
    hint = _HINTS.get(text[at], "it has no meaning in a condition")
    raise _problem(text, at, f"unexpected {text[at : at + 20]!r}: {hint}")


def _literal(text: str, start: int, kind: str, written: str) -> JsonValue:
    if kind == "text":
        return _unquoted(text, start, written)
    if kind == "number":
        number: int | float = json.loads(written)
        if abs(number) == math.inf:
            raise _problem(text, start, f"the number {written[:20]} is too large")
        return number
    if written in _CONSTANTS:
        return _CONSTANTS[written]
    hint = f"write text in quotes, as in '{written[:20]}', and a reference as ${{action.output.field}}"
    if written.lower() in _OPERATORS:
        hint = f"write {written.lower()!r}"
    raise _problem(text, start, f"unknown word {written[:20]!r}: {hint}")


def _unquoted(text: str, start: int, written: str) -> str:
    if "${" in _IN_QUOTES.findall(written):
        hint = "write the reference without quotes, or '$${' for a literal '${'"
        raise _problem(text, start, f"a reference inside quotes is not read: {hint}")
    body = _IN_QUOTES.sub(lambda found: _AS_JSON.get(found[0], found[0]), written[1:-1])
    try:
        unquoted: str = json.loads(f'"{body}"', strict=False)
    except ValueError:
        raise _problem(text, start, "the text has an escape that JSON does not know") from None
    return unquoted


class _Parser:
    """Recursive descent over the tokens, one method per rule of the grammar at the top of this file."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(itertools.islice(_tokens(text), MAX_TOKENS + 1))
        if self.tokens[-1].kind != "end":
            message = f"a condition has at most {MAX_TOKENS} words, operators and references"
            raise _problem(text, self.tokens[-1].position, message)
        self.at = 0
        self.depth = 0

    def condition(self) -> Node:
        operands = [self.conjunction()]
        while self.accept("or"):
            operands.append(self.conjunction())
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def conjunction(self) -> Node:
        operands = [self.negation()]
        while self.accept("and"):
            operands.append(self.negation())
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def negation(self) -> Node:
        return Not(self.deeper(self.negation)) if self.accept("not") else self.comparison()

    def comparison(self) -> Node:
        left = self.operand()
        operator = self.comparison_operator()
        if not operator:
            return left
        middle = self.tokens[self.at].position
        right = self.operand()
        end = self.tokens[self.at].position
        if again := self.comparison_operator():
            shown = self.text[middle:end].strip()[:40]
            message = f"comparisons cannot be chained: write '... {operator} {shown} and {shown} {again} ...'"
            raise _problem(self.text, end, message)
        return Comparison(left, operator, right)

    def comparison_operator(self) -> str:
        found = next((kind for kind in _COMPARISONS if self.accept(kind)), "")
        if not found and [token.kind for token in self.tokens[self.at : self.at + 2]] == ["not", "in"]:
            self.at += 2
            return "not in"
        return found

    def operand(self) -> Node:
        token = self.tokens[self.at]
        if self.accept("!"):
            return Not(self.deeper(self.operand))
        if self.accept("("):
            inner = self.deeper(self.condition)
            self.expect(")", "')'")
            return inner
        if self.accept("reference"):
            return Read(token.value)
        return Constant(self.literal("a value, a reference or '('"))

    def literal(self, expected: str = "a literal") -> JsonValue:
        if self.accept("["):
            return self.deeper(self.items)
        return self.expect("literal", expected).value  # type: ignore[no-any-return]

    def items(self) -> JsonValue:
        found: list[JsonValue] = []
        while not self.accept("]"):
            if found:
                self.expect(",", "',' or ']'")
            found.append(self.literal())
        return found

    def accept(self, kind: str) -> bool:
        found = self.tokens[self.at].kind == kind
        self.at += found
        return found

    def expect(self, kind: str, expected: str) -> _Token:
        token = self.tokens[self.at]
        if not self.accept(kind):
            found = repr(self.text[token.position : token.position + 20] or "the end")
            raise _problem(self.text, token.position, f"expected {expected}, found {found}")
        return token

    def deeper(self, rule: Callable[[], T]) -> T:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            position = self.tokens[self.at].position
            raise _problem(self.text, position, f"a condition nests at most {MAX_DEPTH} levels deep")
        found = rule()
        self.depth -= 1
        return found


def _problem(text: str, position: int, message: str) -> ConditionParseError:
    near = text[max(0, position - 40) : position + 40]
    return ConditionParseError(f"{message}, at position {position} in {near!r}", text, position)
