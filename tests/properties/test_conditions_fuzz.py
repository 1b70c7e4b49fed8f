"""References and conditions against arbitrary text, and against a small evaluator of their own."""

from __future__ import annotations

import itertools
import json
import operator
import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeAlias, TypeVar

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from workflow_state.conditions import MAX_LENGTH, describe, evaluate, parse_condition, static_value
from workflow_state.errors import ConditionEvaluationError, ConditionParseError, ReferenceParseError
from workflow_state.references import (
    Outcome,
    find_references,
    parse_reference,
    resolve_value,
    split_template,
)

T = TypeVar("T")
#: Load on the machine must not fail a property; a hang is what the suite's own timeout is for.
thorough = settings(max_examples=250, deadline=None)

FRAGMENTS = [
    *("${", "}", "$${", "$", "{", "${a.output}", "${a.output.x[0]['k']}", "a.output", "a.status", ".error"),
    *(".x", "[", "]", "[0]", "['", "']", '["', '"]', "(", ")", ",", " ", "\n", "\u00a0", "é", "😀", "_", "\x00"),
    *("??", "?? 1", "?? 'd'", '?? {"a": 1}', "==", "===", "!=", "!", "<", ">=", "=", "&&", "||", "&", ";", "#"),
    *("and", "or", "not", "in", "true", "None", "x", "__class__", "lambda", "0", "1", "-", "-2.5e3", "1e999"),
    *("9" * 400, "'", '"', "'t'", '"t"', "\\", "\\'", "\\u0041", "\\ud800"),
]
fragments = st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join)
texts = st.one_of(st.text(max_size=200), fragments)

numbers = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([0.5, -0.0, 2.0, 2**53, 2**53 + 1, float(2**53)]),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
)
short = st.one_of(st.sampled_from(["", "a", "ab", "key"]), st.text(max_size=6), fragments.map(lambda t: t[:12]))
scalars = st.one_of(st.none(), st.booleans(), numbers, short)
literals = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(short, inner, max_size=3)),
    max_leaves=6,
)


def parsed(parse: Callable[[str], T], text: str, expected: type[ConditionParseError | ReferenceParseError]) -> T | None:
    """What the parser gives, or None when it raises its own error with a message that is short and located."""
    try:
        return parse(text)
    except expected as caught:
        error = caught
    assert error.text == text
    assert 0 <= error.position <= len(text)
    assert len(str(error)) < 500
    return None


class TestArbitraryText:
    @thorough
    @given(texts)
    @example("${a.output ?? " + "[" * 3000)
    @example("'" + "\\" * 3001)
    def test_a_condition_parses_or_raises_its_own_error(self, text: str) -> None:
        """Whatever the text, there is a tree or a ``ConditionParseError`` with a position inside the text."""
        expression = parsed(parse_condition, text, ConditionParseError)
        assert expression is None or expression.text == text

    @thorough
    @given(texts, st.dictionaries(st.just("a"), values))
    def test_what_parses_evaluates_or_raises_its_own_error(self, text: str, outputs: dict[str, Any]) -> None:
        """Evaluation gives a boolean or a ``ConditionEvaluationError``; describing gives text."""
        try:
            expression = parse_condition(text)
        except ConditionParseError:
            return
        outcomes = {name: Outcome("completed", output) for name, output in outputs.items()}
        try:
            found = evaluate(expression, outcomes)
        except ConditionEvaluationError:
            found = None
        assert found in (True, False, None)
        assert describe(expression, outcomes).startswith(text)
        assert static_value(expression) in (None, found) or found is None

    @thorough
    @given(texts)
    def test_a_reference_parses_or_raises_its_own_error(self, text: str) -> None:
        """Whatever the text, there is a reference or a ``ReferenceParseError`` with a position inside it."""
        reference = parsed(parse_reference, text, ReferenceParseError)
        assert reference is None or parse_reference(reference.text).path == reference.path

    @thorough
    @given(texts)
    def test_a_template_splits_or_raises_its_own_error(self, text: str) -> None:
        """Whatever the text, there are pieces, literal ones apart, or a ``ReferenceParseError``."""
        pieces = parsed(split_template, text, ReferenceParseError) or []
        assert "" not in pieces
        kinds = [type(piece) for piece in pieces]
        assert (str, str) not in itertools.pairwise(kinds)

    @pytest.mark.parametrize("fragment", FRAGMENTS)
    def test_repetition_is_no_burden(self, fragment: str) -> None:
        """No text makes the parsers backtrack: a hundred thousand characters of anything end at once."""
        text = fragment * (MAX_LENGTH // len(fragment))
        for prefix in ("", "'", "${a.output", "${a.output ?? ", "${a.output['", "1 == "):
            with pytest.raises(ConditionParseError):
                parse_condition(f"{prefix}{text})")
            for parse in (parse_reference, split_template):
                parsed(parse, prefix + text * 25, ReferenceParseError)


class TestValues:
    @thorough
    @given(values)
    def test_any_value_comes_through_a_reference_unchanged(self, value: Any) -> None:
        """A value that is one reference is what the action put out, at any depth of the inputs."""
        outcomes = {"a": Outcome("completed", {"v": value})}
        found = resolve_value({"x": ["${a.output.v}"]}, outcomes)
        assert canonical(found) == canonical({"x": [value]})

    @thorough
    @given(values, st.text(max_size=10), st.text(max_size=10))
    def test_any_json_can_be_a_default(self, value: Any, before: str, after: str) -> None:
        """A default may hold quotes and braces of its own; what stands around the reference is kept."""
        written = f"${{a.output ?? {json.dumps(value)}}}"
        assert canonical(resolve_value(written, {})) == canonical(value)
        rendered = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        escaped = [part.replace("${", "$${") for part in (before, after)]
        assume(not before.endswith("$"))
        assume(before + after)
        assert resolve_value(written.join(escaped), {}) == before + rendered + after

    @thorough
    @given(texts)
    def test_any_text_can_be_escaped(self, text: str) -> None:
        """With ``$${`` for every ``${``, any text is literal: no references, and the text itself."""
        escaped = text.replace("${", "$${")
        assert find_references([escaped]) == []
        assert resolve_value(escaped, {}) == text

    @thorough
    @given(values, values, st.booleans())
    def test_equality_is_that_of_the_canonical_form(self, one: Any, other: Any, same: bool) -> None:
        """``==`` agrees with comparing the values after tagging each with its JSON type."""
        if same:
            other = json.loads(json.dumps(one))
        outcomes = {"a": Outcome("completed", one), "b": Outcome("completed", other)}
        equal = canonical(one) == canonical(other)
        assert evaluate(parse_condition("${a.output} == ${b.output}"), outcomes) is equal
        assert evaluate(parse_condition("${b.output} != ${a.output}"), outcomes) is not equal
        outcomes["list"] = Outcome("completed", [[], other])
        assert evaluate(parse_condition("${a.output} in ${list.output}"), outcomes) is (equal or one == [])


# From here on: conditions as trees of plain tuples, what they mean, and how they may be written.

Tree: TypeAlias = tuple[Any, ...]
ABSENT = object()
NAMES = ["a", "b-1", "NFCORE.X_13"]
ORDERINGS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
SPELLINGS = {"==": ["==", "==="], "!=": ["!=", "!=="], "and": ["and", "&&"], "or": ["or", "||"]}

worlds = st.fixed_dictionaries({name: st.one_of(st.just(ABSENT), values) for name in NAMES})
atoms: st.SearchStrategy[Tree] = st.one_of(
    st.tuples(st.just("literal"), literals),
    st.tuples(st.just("read"), st.sampled_from(NAMES), st.one_of(st.just(ABSENT), values)),
)
comparisons = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"])
trees = st.recursive(
    st.one_of(atoms, st.tuples(st.just("compare"), comparisons, atoms, atoms)),
    lambda inner: st.one_of(
        st.tuples(st.just("compare"), comparisons, inner, inner),
        st.tuples(st.sampled_from(["not", "!"]), inner),
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)),
    ),
    max_leaves=12,
)


class Unlike(Exception):
    """The small evaluator's word for values that do not go together."""


def canonical(value: Any) -> Any:
    """A value of which Python's ``==`` is JSON's: each part tagged with its type."""
    if isinstance(value, list):
        return "list", [canonical(item) for item in value]
    if isinstance(value, dict):
        return "object", {key: canonical(item) for key, item in value.items()}
    if isinstance(value, bool) or value is None:
        return "constant", str(value)
    return ("text", value) if isinstance(value, str) else ("number", Fraction(value))


def meaning(tree: Tree, world: dict[str, Any]) -> Any:
    """The value of a tree, straight from the words of the design."""
    match tree:
        case ("literal", value):
            return value
        case ("read", name, default):
            return default if world[name] in (ABSENT, None) and default is not ABSENT else world[name]
        case ("not" | "!", inner):
            return not true(inner, world)
        case ("and", parts):
            return next((False for part in parts if not true(part, world)), True)
        case ("or", parts):
            return next((True for part in parts if true(part, world)), False)
        case ("compare", sign, left, right):
            return compared(sign, meaning(left, world), meaning(right, world))
    raise AssertionError(tree)


def true(tree: Tree, world: dict[str, Any]) -> bool:
    value = meaning(tree, world)
    return value is not ABSENT and value not in (None, False, 0, "", [], {})


def compared(sign: str, left: Any, right: Any) -> bool:
    if sign.startswith(("!", "not")):
        return not compared({"!=": "==", "not in": "in"}[sign], left, right)
    if left is ABSENT or right is ABSENT:
        return False
    (left_kind, one), (right_kind, other) = canonical(left), canonical(right)
    if sign == "==":
        return (left_kind, one) == (right_kind, other)
    if sign in ORDERINGS and left_kind == right_kind and left_kind in ("number", "text"):
        return bool(ORDERINGS[sign](one, other))
    if sign == "in" and right_kind == "list":
        return canonical(left) in other
    if sign == "in" and left_kind == "text" and right_kind in ("text", "object"):
        return left in right
    raise Unlike


class Writer:
    """Writes a tree as text, choosing freely between the ways in which it can be written."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def write(self, tree: Tree, least: int = 1) -> str:
        """``least`` is how tightly the text must bind: 1 or, 2 and, 3 not, 4 comparison, 5 operand."""
        match tree:
            case ("literal", value):
                binds, text = 5, self.literal(value)
            case ("read", name, default):
                middle = "" if default is ABSENT else f"??{self.blank('')}{json.dumps(default)}"
                binds, text = 5, f"${{{self.blank('')}{name}.output{self.blank('')}{middle}}}"
            case ("!", inner):
                binds, text = 5, f"!{self.blank('')}{self.write(inner, 5)}"
            case ("not", inner):
                binds, text = 3, f"not{self.blank()}{self.write(inner, 3)}"
            case ("compare", sign, left, right):
                middle = self.blank().join(self.chance.choice(SPELLINGS.get(sign, [sign])).split(" "))
                binds, text = 4, self.join(middle, [self.write(left, 5), self.write(right, 5)])
            case (word, parts):
                binds = {"or": 1, "and": 2}[word]
                middle = self.chance.choice(SPELLINGS[word])
                text = self.join(middle, [self.write(part, binds + 1) for part in parts])
        if binds < least or self.chance.random() < 0.1:
            return f"({self.blank('')}{text}{self.blank('')})"
        return text

    def blank(self, least: str = " ") -> str:
        return self.chance.choice([least, " ", "\n\t"])

    def join(self, middle: str, parts: list[str]) -> str:
        least = " " if middle[0].isalpha() else ""
        return f"{self.blank(least)}{middle}{self.blank(least)}".join(parts)

    def literal(self, value: Any) -> str:
        if isinstance(value, list):
            return f"[{self.blank('')}{', '.join(map(self.literal, value))}]"
        text = json.dumps(value, ensure_ascii=self.chance.random() < 0.5)
        if value is None or isinstance(value, bool):
            return self.chance.choice([text, str(value)])
        if isinstance(value, str):
            text = text.replace("${", "$${")
            if self.chance.random() < 0.5:
                return "'" + text[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"
        return text


class TestAgainstAnIndependentEvaluator:
    @settings(thorough, max_examples=600)
    @given(trees, worlds, st.randoms(use_true_random=False))
    def test_written_parsed_and_evaluated_is_what_the_tree_means(
        self, tree: Tree, world: dict[str, Any], chance: random.Random
    ) -> None:
        """However a tree is written, its text parses, and evaluates to what the tree means by the design."""
        text = Writer(chance).write(tree)
        assume(len(text) <= MAX_LENGTH)
        expression = parse_condition(text)
        outcomes = {
            name: Outcome("skipped") if value is ABSENT else Outcome("completed", value)
            for name, value in world.items()
        }
        try:
            expected = true(tree, world)
        except Unlike:
            with pytest.raises(ConditionEvaluationError):
                evaluate(expression, outcomes)
        else:
            assert evaluate(expression, outcomes) is expected
            assert static_value(expression) in (None, expected)
