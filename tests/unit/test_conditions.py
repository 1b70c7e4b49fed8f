"""The promises of conditions: their grammar, their meaning, their limits, and how they are described."""

from __future__ import annotations

import dataclasses
import itertools
import pickle
from typing import Any

import pytest

from workflow_state import conditions
from workflow_state.conditions import (
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_TOKENS,
    MAX_VALUE_DEPTH,
    MAX_VALUE_SHOWN,
    MAX_VALUES_SHOWN,
    describe,
    evaluate,
    parse_condition,
    static_value,
)
from workflow_state.errors import ConditionEvaluationError, ConditionParseError, WorkflowStateError
from workflow_state.references import Outcome

OUTCOMES = {
    "check": Outcome(
        "completed",
        {
            "userType": "basic",
            "n": 3,
            "half": 0.5,
            "one": 1,
            "onef": 1.0,
            "yes": True,
            "no": False,
            "null": None,
            "zero": 0,
            "zerof": 0.0,
            "empty": "",
            "none": [],
            "nothing": {},
            "list": [1, "a", None, [2], {"k": 1.0}],
            "object": {"key": 1, "other": None},
            "quote": 'it\'s "so"',
        },
    ),
    "primary": Outcome("failed", error={"message": "connection refused", "category": "network_timeout"}),
    "branch": Outcome("skipped", reason="branch not taken"),
    "later": Outcome("pending"),
    "NFCORE.ILLUMINA.FASTP_13": Outcome("completed", {"reads": 7}),
}


def holds(text: str, outcomes: dict[str, Outcome] | None = None) -> bool:
    return evaluate(parse_condition(text), OUTCOMES if outcomes is None else outcomes)


def check(field: str) -> str:
    return f"${{check.output.{field}}}"


MISSING = check("nope")


class TestForms:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("${check.output.userType} == 'premium'", False),
            ("${check.output.userType} == 'basic'", True),
            ("${primary.status} != 'completed'", True),
            ("${primary.error.category} in ['network_timeout', 'rate_limit_burst']", True),
            ("${check.output.yes}", True),
            ("${check.output.no}", False),
            ("not ${check.output.no}", True),
            ("${check.output.n} >= 3 and (${check.output.n} < 10 or false)", True),
            ("'key' in ${check.output.object}", True),
            ("'x' not in ${check.output.userType}", True),
            ("${NFCORE.ILLUMINA.FASTP_13.output.reads} > 6", True),
            ("${branch.output.x ?? 'none'} == 'none'", True),
            ("  ${check.output.n}\n==\t3  ", True),
            ("3==${check.output.n}and(true)", True),
        ],
    )
    def test_a_condition_is_a_reference_or_an_expression_over_references(self, text: str, expected: bool) -> None:
        """A reference (its truth), a comparison, or a boolean expression; blanks mean nothing."""
        result = holds(text)
        assert result is expected

    @pytest.mark.parametrize(
        ("original", "ours"),
        [
            ("${check.output.userType} === 'basic'", "${check.output.userType} == 'basic'"),
            ("${check.output.userType} !== 'basic'", "${check.output.userType} != 'basic'"),
            ("${check.output.yes} && ${check.output.no}", "${check.output.yes} and ${check.output.no}"),
            ("${check.output.no} || ${check.output.yes}", "${check.output.no} or ${check.output.yes}"),
            ("!${check.output.no}", "not ${check.output.no}"),
            ("!(1 === 2) && !!true", "not (1 == 2) and not not true"),
        ],
    )
    def test_the_originals_operators_are_read_as_well(self, original: str, ours: str) -> None:
        """``===``, ``!==``, ``&&``, ``||`` and ``!`` mean what they meant in the original."""
        assert holds(original) == holds(ours)

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("0", 0),
            ("-1", -1),
            ("1.50", 1.5),
            ("-2E-1", -0.2),
            ("1e3", 1000),
            ("true", True),
            ("True", True),
            ("false", False),
            ("False", False),
            ("null", None),
            ("None", None),
            ("'text'", "text"),
            ('"text"', "text"),
            ("''", ""),
            (r"'it\'s'", "it's"),
            (r'"it\'s"', "it's"),
            ("'say \"hi\"'", 'say "hi"'),
            (r'"say \"hi\""', 'say "hi"'),
            (r"'\\ \/ \n \t \u00e9 \ud83d\ude00'", "\\ / \n \t é 😀"),
            ("'line\nbreak'", "line\nbreak"),
            ("'and or not in == ('", "and or not in == ("),
            ("'$${a.output}'", "${a.output}"),
            ("'5$ {x}'", "5$ {x}"),
            ("[]", []),
            ("[1, 'a',[true , null]]", [1, "a", [True, None]]),
        ],
    )
    def test_literals(self, text: str, value: Any) -> None:
        """JSON's numbers, constants in both spellings, text in both quotes with escapes, lists."""
        outcomes = {"a": Outcome("completed", value)}
        assert holds(f"${{a.output}} == {text}", outcomes)
        assert holds(f"{text} == ${{a.output}}", outcomes)
        assert holds(text) is bool(value)

    def test_all_references_are_known_before_evaluation(self) -> None:
        """``references`` has every reference in order of appearance, also where ``and`` stops early."""
        expression = parse_condition("${a.output.x ?? 1} == 1 or not (${b.status} in ['x'] and ${a.error})")
        first = expression.references[0]
        assert (first.action_id, first.root, first.default) == ("a", "output", 1)
        assert [r.text for r in expression.references] == ["${a.output.x}", "${b.status}", "${a.error}"]
        assert parse_condition("1 == 1").references == ()

    def test_an_expression_is_frozen_and_equal_to_its_like(self) -> None:
        """Parsing the same text twice gives equal trees that cannot be changed."""
        expression = parse_condition("${a.output} == 1")
        assert expression == parse_condition("${a.output} == 1")
        with pytest.raises(dataclasses.FrozenInstanceError):
            expression.text = "true"  # type: ignore[misc]

    @pytest.mark.parametrize(
        ("text", "grouped"),
        [
            ("true or false and false", "true or (false and false)"),
            ("not true or true", "(not true) or true"),
            ("not false and false", "(not false) and false"),
            ("not 'x' == true", "not ('x' == true)"),
            ("!'x' == false", "(!'x') == false"),
            ("not 1 in [2]", "not (1 in [2])"),
            ("1 == 1 and 2 == 2", "(1 == 1) and (2 == 2)"),
        ],
    )
    def test_what_binds_tighter(self, text: str, grouped: str) -> None:
        """``!`` before comparison before ``not`` before ``and`` before ``or``."""
        assert parse_condition(text).root == parse_condition(grouped).root

    def test_an_expression_in_parentheses_is_a_boolean_value(self) -> None:
        """The outcome of an expression can be compared like any boolean."""
        assert holds("(${check.output.n} and 'x') == true")
        assert holds("(1 == 2) == ${check.output.no}")
        assert holds("(1 < 2) in [true]")


class TestTruth:
    @pytest.mark.parametrize("field", ["no", "null", "zero", "zerof", "empty", "none", "nothing", "nope"])
    def test_empty_values_are_false(self, field: str) -> None:
        """null, false, 0, "", [] and {} are false, and so is what is not there."""
        assert holds(check(field)) is False
        assert holds(f"not {check(field)}") is True
        assert holds(f"!{check(field)}") is True

    @pytest.mark.parametrize("field", ["yes", "n", "half", "userType", "list", "object"])
    def test_all_else_is_true(self, field: str) -> None:
        """Any other value is true."""
        assert holds(check(field)) is True
        assert holds(f"not {check(field)}") is False

    def test_and_and_or_give_booleans(self) -> None:
        """``and`` and ``or`` give true or false, never one of their operands."""
        assert holds("${check.output.n} and 'x'") is True
        assert holds("(${check.output.n} or 0) == 3") is False

    def test_and_and_or_stop_early(self) -> None:
        """What the left side decides is not evaluated any further, so a guard works."""
        error = "${check.output.userType} < 1"
        assert holds(f"false and {error}") is False
        assert holds(f"true or {error}") is True
        with pytest.raises(ConditionEvaluationError):
            holds(f"true and {error}")


class TestEquality:
    @pytest.mark.parametrize(
        ("left", "right", "expected"),
        [
            ("1", "1.0", True),
            (check("one"), check("onef"), True),
            ("1e2", "100", True),
            ("0", "-0.0", True),
            ("9007199254740993", "9007199254740992.0", False),
            ("true", "1", False),
            ("false", "0", False),
            (check("yes"), check("one"), False),
            ("true", "true", True),
            ("null", "null", True),
            ("null", "false", False),
            ("null", "0", False),
            ("''", "null", False),
            ("''", "false", False),
            ("'1'", "1", False),
            ("'a'", "'A'", False),
            ("[]", "[]", True),
            ("[1, 2]", "[2, 1]", False),
            ("[1]", "[1, 1]", False),
            ("[1, [true]]", "[1.0, [true]]", True),
            ("[[true]]", "[[1]]", False),
            ("[]", check("nothing"), False),
            (check("list"), check("list"), True),
            (check("object"), check("object"), True),
            (check("object"), check("nothing"), False),
            (check("object"), check("list"), False),
        ],
    )
    def test_equality_is_that_of_json_values(self, left: str, right: str, expected: bool) -> None:
        """Numbers are equal by value, a boolean is no number, also inside lists and objects."""
        for one, other in ((left, right), (right, left)):
            assert holds(f"{one} == {other}") is expected
            assert holds(f"{one} != {other}") is not expected

    def test_objects_are_equal_whatever_the_order_of_their_keys(self) -> None:
        """Two objects are equal when they have the same keys with equal values."""
        outcomes = {
            "a": Outcome("completed", {"x": 1, "y": [{"z": None}]}),
            "b": Outcome("completed", {"y": [{"z": None}], "x": 1.0}),
            "c": Outcome("completed", {"y": [{"z": 0}], "x": 1}),
        }
        assert holds("${a.output} == ${b.output}", outcomes)
        assert holds("${a.output} != ${c.output}", outcomes)

    def test_deep_values_are_compared_up_to_a_limit(self) -> None:
        """Values nest at most ``MAX_VALUE_DEPTH`` levels in ``==`` and ``in``; deeper is an error."""

        def nested(depth: int) -> Outcome:
            value: Any = {}
            for n in range(depth - 1):
                value = [value] if n % 2 else {"k": value}
            return Outcome("completed", value)

        deepest = {"a": nested(MAX_VALUE_DEPTH), "b": nested(MAX_VALUE_DEPTH)}
        assert holds("${a.output} == ${b.output}", deepest)
        for depth in (MAX_VALUE_DEPTH + 1, 100_000):
            deeper = {"a": nested(depth), "b": nested(depth)}
            for operator in ("==", "!="):
                with pytest.raises(ConditionEvaluationError, match="100 levels"):
                    holds(f"${{a.output}} {operator} ${{b.output}}", deeper)
            assert "cannot be evaluated" in describe(parse_condition("${a.output} == ${b.output}"), deeper)


class TestMissing:
    @pytest.mark.parametrize("source", [MISSING, "${branch.output}", "${primary.output}", "${later.output}"])
    def test_what_is_not_there_equals_nothing(self, source: str) -> None:
        """A missing field, a skipped, failed or unfinished source: not even null or itself is equal."""
        for other in ("null", "false", "0", "''", "[]", "'x'", source, check("null")):
            assert holds(f"{source} == {other}") is False
            assert holds(f"{other} == {source}") is False
            assert holds(f"{source} != {other}") is True

    def test_null_is_not_missing(self) -> None:
        """A field that is there with the value null is equal to null."""
        assert holds(f"{check('null')} == null")
        assert not holds(f"{check('null')} != null")

    @pytest.mark.parametrize("operator", ["<", "<=", ">", ">="])
    def test_what_is_not_there_has_no_order(self, operator: str) -> None:
        """Ordering against a missing value is false, whatever the other side is."""
        for other in ("1", "'x'", "null", "[]", MISSING):
            assert holds(f"{MISSING} {operator} {other}") is False
            assert holds(f"{other} {operator} {MISSING}") is False

    def test_what_is_not_there_is_in_nothing_and_holds_nothing(self) -> None:
        """``in`` with a missing value on either side is false, ``not in`` is true."""
        for left, right in ((MISSING, "[null]"), (MISSING, "5"), ("1", MISSING), (MISSING, MISSING)):
            assert holds(f"{left} in {right}") is False
            assert holds(f"{left} not in {right}") is True

    def test_a_default_counts_before_missing_does(self) -> None:
        """A reference with a default is never missing, and the default replaces null too."""
        assert holds("${check.output.nope ?? 5} > 4")
        assert holds("${check.output.null ?? 'd'} == 'd'")
        assert holds("${branch.output ?? null} == null")
        assert holds("""${branch.output ?? {"a": "}"}} == ${branch.output ?? {"a": "}"}}""")
        assert not holds("${check.output.zero ?? 5} == 5")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("${branch.status} == 'skipped'", True),
            ("${later.status} == 'pending'", True),
            ("${unknown.status} == 'pending'", False),
            ("${primary.error}", True),
            ("${check.error}", False),
        ],
    )
    def test_status_and_error_of_actions_that_gave_no_output(self, text: str, expected: bool) -> None:
        """A status can be asked for at any time, an error when there is one."""
        assert holds(text) is expected


class TestOrder:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("1 < 2", True),
            ("1 < 1.5", True),
            ("2 <= 2.0", True),
            ("2 > 2", False),
            ("-1 >= -1", True),
            ("9007199254740993 > 9007199254740992.0", True),
            ("'a' < 'b'", True),
            ("'B' < 'a'", True),
            ("'10' < '9'", True),
            ("'' <= ''", True),
            (f"{check('half')} < {check('one')}", True),
        ],
    )
    def test_numbers_and_texts_have_an_order(self, text: str, expected: bool) -> None:
        """Numbers are ordered by value, texts by their characters' code points."""
        assert holds(text) is expected

    @pytest.mark.parametrize("operator", ["<", "<=", ">", ">="])
    @pytest.mark.parametrize(
        ("left", "right", "left_shown", "right_shown"),
        [
            (check("userType"), "1", '${check.output.userType} = "basic" is a text', "1 is a number"),
            ("null", check("n"), "null is null", "${check.output.n} = 3 is a number"),
            (check("yes"), "true", "${check.output.yes} = true is a boolean", "true is a boolean"),
            ("1", "true", "1 is a number", "true is a boolean"),
            ("[1]", "[2]", "[1] is a list", "[2] is a list"),
            (check("object"), check("nothing"), "is an object", "${check.output.nothing} = {} is an object"),
            ("(1 == 1)", "2", "true is a boolean", "2 is a number"),
        ],
    )
    def test_unlike_values_have_no_order(
        self, left: str, right: str, left_shown: str, right_shown: str, operator: str
    ) -> None:
        """Ordering anything else is an error that shows both values, their types and where they are from."""
        with pytest.raises(ConditionEvaluationError) as caught:
            holds(f"{left} {operator} {right}")
        message = str(caught.value)
        assert left_shown in message
        assert right_shown in message
        assert repr(operator) in message


class TestIn:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("1 in [1, 2]", True),
            ("1.0 in [1]", True),
            ("true in [1]", False),
            ("null in [null]", True),
            ("null in []", False),
            ("[2] in ${check.output.list}", True),
            ("'a' in ['ab']", False),
            ("'as' in 'basic'", True),
            ("'' in ''", True),
            ("'x' in ${check.output.userType}", False),
            ("'key' in ${check.output.object}", True),
            ("'other' in ${check.output.object}", True),
            ("'nope' in ${check.output.object}", False),
        ],
    )
    def test_in_looks_into_lists_texts_and_objects(self, text: str, expected: bool) -> None:
        """Membership of a list by ``==``, part of a text, key of an object; ``not in`` is the opposite."""
        assert holds(text) is expected
        assert holds(text.replace(" in ", " not in ")) is not expected

    @pytest.mark.parametrize(
        "text", ["1 in 5", "'a' in null", "1 in 'a1'", "null in 'null'", "1 in ${check.output.object}", "1 in true"]
    )
    def test_in_anything_else_is_an_error(self, text: str) -> None:
        """Looking for what cannot be there is an error that says what ``in`` looks for."""
        for operator in ("in", "not in"):
            with pytest.raises(ConditionEvaluationError, match="a value in a list, a text in a text or"):
                holds(text.replace(" in ", f" {operator} "))


class TestSyntaxErrors:
    @pytest.mark.parametrize(
        ("text", "position", "says"),
        [
            ("", 0, "expected a value"),
            ("   ", 3, "the end"),
            ("1 ==", 4, "expected a value"),
            ("== 1", 0, "expected a value"),
            ("true and", 8, "expected a value"),
            ("true true", 5, "'and', 'or' or the end"),
            ("(1 == 1", 7, "expected ')'"),
            ("1 == 1)", 6, "found ')'"),
            ("()", 1, "expected a value"),
            ("[1, 2", 5, "',' or ']'"),
            ("[1 2]", 3, "',' or ']'"),
            ("[1,]", 3, "a literal"),
            ("[${a.output}]", 1, "a literal"),
            ("1 = 1", 2, "'=='"),
            ("true & true", 5, "'and'"),
            ("true | true", 5, "'or'"),
            ("1 == not true", 5, "expected a value"),
            ("'open", 0, "not closed"),
            ("1 == \"open'", 5, "not closed"),
            (r"'\x41'", 0, "escape"),
            ("01 == 1", 0, "a number is written as in JSON"),
            ("1. == 1", 0, "a number is written as in JSON"),
            ("1 == 1e999", 5, "too large"),
            ("1 + 1 == 2", 2, "no arithmetic"),
            ("1 -1", 2, "'and', 'or' or the end"),
            ("1 - 1", 2, "no arithmetic"),
            ("premium", 0, "in quotes, as in 'premium'"),
            ("check.output.userType == 'x'", 0, "${action.output.field}"),
            ("true AND false", 5, "write 'and'"),
            ("NaN == 1", 0, "unknown word"),
            ("undefined == 1", 0, "unknown word"),
            ("${check} == 1", 2, "<action id>.output"),
            ("1 == ${check.result.x}", 7, "<action id>.output"),
            ("1 == ${check.output.x", 21, "close the reference"),
            ("${a.output ?? } == 1", 14, "after '??'"),
            ("${a.output}.name == 1", 11, "inside the braces"),
            ("$a == 1", 0, "${action.output.field}"),
            ("$${a.output} == 1", 0, "${action.output.field}"),
            ("{} == {}", 0, "no meaning"),
            ("1 == 1; 2", 6, "no meaning"),
            ("'${check.output.userType}' === 'premium'", 0, "without quotes"),
        ],
    )
    def test_what_is_not_a_condition_is_refused_with_its_position(self, text: str, position: int, says: str) -> None:
        """An error has the text as it was given, the offset of what is wrong, and what to write instead."""
        with pytest.raises(ConditionParseError) as caught:
            parse_condition(text)
        assert (caught.value.text, caught.value.position) == (text, position)
        assert says in str(caught.value)
        assert f"position {position} " in str(caught.value)

    @pytest.mark.parametrize("first", ["<", "<=", "==", "!=", "in", "not in"])
    def test_a_chained_comparison_is_refused_with_a_suggestion(self, first: str) -> None:
        """``1 < x < 3`` has two readings, so the error says how to write the one that was meant."""
        text = f"1 {first} ${{a.output}} < 3"
        with pytest.raises(ConditionParseError) as caught:
            parse_condition(text)
        assert f"{first} ${{a.output}} and ${{a.output}} < ..." in str(caught.value)
        assert caught.value.position == text.rindex("<")

    @pytest.mark.parametrize(
        "text",
        [
            "__import__('os').system('true')",
            "().__class__",
            "().__class__.__bases__[0].__subclasses__()",
            "''.__class__",
            "[].append(1)",
            "${a.output}.__class__",
            "${a.output}['x']",
            "${a.output.f()}",
            "f()",
            "len(${a.output}) > 1",
            "lambda: 1",
            "(x := 1)",
            "[x for x in [1]]",
            "1 if true else 2",
            "import os",
            "eval('1')",
            "`1`",
            "f'{1}'",
            "b'x'",
            "1 ** 9",
            "~1",
            "1 << 9",
            "{'a': 1}",
            "yield 1",
            "globals",
            "1, 2",
            "'a' 'b'",
            "true # comment",
            "@a",
        ],
    )
    def test_no_attribute_call_or_import_can_be_reached(self, text: str) -> None:
        """What Python would evaluate is no condition: everything of that kind is a syntax error."""
        with pytest.raises(ConditionParseError):
            parse_condition(text)

    def test_a_field_named_like_an_attribute_is_only_a_field(self) -> None:
        """Inside a reference such a name finds what JSON has under it, so nothing."""
        for name in ("__class__", "__dict__", "keys", "mro"):
            assert holds(f"${{check.output.{name}}}") is False

    def test_a_parse_error_survives_pickling(self) -> None:
        """Errors cross process borders with all that they know, and belong to the library's tree."""
        with pytest.raises(WorkflowStateError) as caught:
            parse_condition("1 =")
        again = pickle.loads(pickle.dumps(caught.value))
        assert isinstance(again, ConditionParseError)
        assert (str(again), again.text, again.position) == (str(caught.value), "1 =", 2)


class TestLimits:
    def test_length(self) -> None:
        """A condition has at most ``MAX_LENGTH`` characters."""
        assert holds("true".ljust(MAX_LENGTH))
        with pytest.raises(ConditionParseError, match=str(MAX_LENGTH)) as caught:
            parse_condition("true".ljust(MAX_LENGTH + 1))
        assert caught.value.position == MAX_LENGTH

    def test_tokens(self) -> None:
        """A condition has at most ``MAX_TOKENS`` words, operators and references."""
        longest = "not " + " or ".join(["0"] * (MAX_TOKENS // 2))
        assert holds(longest) is True
        with pytest.raises(ConditionParseError, match=str(MAX_TOKENS)):
            parse_condition(f"not {longest}")

    @pytest.mark.parametrize(
        ("opening", "closing"), [("(", ")"), ("not ", ""), ("!", ""), ("(not !", ")"), ("(1 and (0 or ", "))")]
    )
    def test_depth(self, opening: str, closing: str) -> None:
        """Parentheses and negations nest at most ``MAX_DEPTH`` levels, however they are mixed."""
        levels = opening.count("(") + opening.count("not") + opening.count("!")
        fits, too_many = MAX_DEPTH // levels, MAX_DEPTH // levels + 1
        holds(opening * fits + "true" + closing * fits)
        with pytest.raises(ConditionParseError, match=f"{MAX_DEPTH} levels"):
            parse_condition(opening * too_many + "true" + closing * too_many)

    def test_depth_of_lists(self) -> None:
        """Lists nest at most ``MAX_DEPTH`` levels, so that all that parses can be compared."""
        deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
        assert holds(f"{deepest} == {deepest}")
        with pytest.raises(ConditionParseError, match=f"{MAX_DEPTH} levels"):
            parse_condition(f"1 in [{deepest}]")

    def test_depth_is_counted_where_it_is(self) -> None:
        """Many groups side by side are not deep."""
        assert holds(" and ".join(["(not (0))"] * 60))

    @pytest.mark.parametrize(
        "term", ["0 in ${a.output}", "${a.output} != ${b.output}", "not ${a.output} in ${c.output}"]
    )
    def test_the_number_of_values_compared_is_bounded(self, term: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """All comparisons together look at ``MAX_VALUES_COMPARED`` values at most, however large outputs are, and
        however often they are named. Sizes do not matter where it is decided sooner.
        """
        monkeypatch.setattr(conditions, "MAX_VALUES_COMPARED", 5_000)
        many = [1] * 1_000
        outcomes = {
            "a": Outcome("completed", many),
            "b": Outcome("completed", list(many)),
            "c": Outcome("completed", [many]),
        }
        evaluate(parse_condition(" or ".join([term] * 4)), outcomes)
        costly = parse_condition(" or ".join([term] * 60))
        with pytest.raises(ConditionEvaluationError, match="at most 5000 values"):
            evaluate(costly, outcomes)
        assert "cannot be evaluated" in describe(costly, outcomes)
        assert evaluate(parse_condition(" and ".join(["1 in ${a.output}"] * 60)), outcomes)


class TestDescribe:
    @pytest.mark.parametrize(
        ("text", "verdict"),
        [
            ("${check.output.userType} == 'premium'", 'is false (${check.output.userType} = "basic")'),
            (
                "${check.output.n} > ${check.output.half ?? 2}",
                "is true (${check.output.n} = 3, ${check.output.half} = 0.5)",
            ),
            (
                "${branch.output.x} == 1",
                "is false (${branch.output.x} finds nothing: action 'branch' was skipped (branch not taken))",
            ),
            ("${branch.output ?? 'd'} == 1", 'is false (${branch.output} = "d")'),
            ("${check.output.n} < 'a'", "cannot be evaluated (${check.output.n} = 3)"),
            ("${check.output.n} == 3 or ${check.output.n}", "is true (${check.output.n} = 3)"),
            ("1 == 2", "is false"),
        ],
    )
    def test_the_reason_has_the_condition_and_what_it_read(self, text: str, verdict: str) -> None:
        """The condition as written, how it came out, and once each reference with its value."""
        assert describe(parse_condition(text), OUTCOMES) == f"{text} {verdict}"

    def test_values_are_shortened(self) -> None:
        """A value is cut after ``MAX_VALUE_SHOWN`` characters, be it text, list, object or deep."""
        deep: Any = 1
        for _ in range(100_000):
            deep = [deep]
        values = ["é" * 500, list(range(10_000)), {"key": "v" * 500}, deep]
        for value in values:
            outcomes = {"a": Outcome("completed", value)}
            reason = describe(parse_condition("${a.output}"), outcomes)
            shown = reason.removeprefix("${a.output} is true (${a.output} = ").removesuffix(")")
            assert len(shown) == MAX_VALUE_SHOWN
            assert shown.endswith("…")

    def test_the_reason_for_missing_is_shortened(self) -> None:
        """A skip caused by a skip caused by a skip does not grow without end."""
        outcomes = {"a": Outcome("skipped", reason="because " * 1000)}
        assert len(describe(parse_condition("${a.output}"), outcomes)) < 2 * MAX_VALUE_SHOWN

    def test_the_number_of_values_is_bounded(self) -> None:
        """At most ``MAX_VALUES_SHOWN`` values are shown, and how many there are besides."""
        text = " or ".join(f"${{a{n}.output}}" for n in range(MAX_VALUES_SHOWN + 5))
        reason = describe(parse_condition(text), {f"a{n}": Outcome("completed", 0) for n in range(50)})
        assert reason.count(" = 0") == MAX_VALUES_SHOWN
        assert reason.endswith(", … and 5 more)")

    def test_evaluation_errors_show_shortened_values(self) -> None:
        """The message of an evaluation error stays short, whatever the values."""
        outcomes = {"a": Outcome("completed", "x" * 100_000)}
        with pytest.raises(ConditionEvaluationError) as caught:
            holds("${a.output} < 1", outcomes)
        assert len(str(caught.value)) < 300


class TestStaticValue:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("true", True),
            ("'text'", True),
            ("0", False),
            ("1 == 2", False),
            ("1 in [1] and not false", True),
            ("(1 == 1) == true", True),
            ("${a.output}", None),
            ("not ${a.output}", None),
            ("${a.output} == 1", None),
            ("${a.output} and false", False),
            ("${a.output} and true", None),
            ("false and ${a.output}", False),
            ("${a.output} or 1", True),
            ("${a.output} or 0", None),
            ("not (${a.output} or 1)", False),
            ("not (${a.output} and '') and (${b.output} or 'x')", True),
            ("(${a.output} or true) == false", None),
            ("'a' < 1", None),
            ("${a.output ?? 1} == 1", None),
        ],
    )
    def test_conditions_that_no_output_can_change(self, text: str, value: bool | None) -> None:
        """What always or never holds is known beforehand; what depends on a reference is not."""
        assert static_value(parse_condition(text)) is value

    def test_a_static_value_is_the_value(self) -> None:
        """Where a static value is given, evaluation agrees whatever the references find."""
        atoms = ["true", "0", "${a.output}", "not ${b.output}", "1 == 1"]
        worlds = [{}, {"a": Outcome("completed", 1)}, {"a": Outcome("completed", 0), "b": Outcome("completed", 1)}]
        for left, right, operator in itertools.product(atoms, atoms, ("and", "or")):
            expression = parse_condition(f"{left} {operator} {right}")
            found = {evaluate(expression, world) for world in worlds}
            assert static_value(expression) is None or found == {static_value(expression)}
