"""The promises of references: what they read, keep, render and refuse."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from workflow_state.errors import ReferenceNotFoundError, ReferenceParseError
from workflow_state.references import (
    MAX_DEFAULT_DEPTH,
    MISSING,
    Outcome,
    Reference,
    explain_missing,
    find_references,
    iter_strings,
    kind_of,
    look_up,
    look_up_or_default,
    parse_reference,
    parse_reference_at,
    resolve_reference,
    resolve_value,
    split_template,
)

OUTCOMES = {
    "fetch": Outcome(
        "completed",
        {
            "users": [{"name": "Ada"}, {"name": "Grace"}],
            "count": 2,
            "rate": 0.5,
            "ok": True,
            "nothing": None,
            "empty": "",
            "first name": "Ada L.",
            "größe": "XL",
            "0": "zero",
        },
    ),
    "list": Outcome("completed", [10, [20, 21], {"x": 30}]),
    "null": Outcome("completed", None),
    "skip": Outcome("skipped", reason="its condition is false"),
    "fail": Outcome("failed", error={"message": "boom", "category": "action_failed", "context": {"n": 1}}),
    "run": Outcome("running"),
    "NFCORE.ILLUMINA.FASTP_13": Outcome("completed", {"reads": 7}),
    "fan-out-1": Outcome("completed", "one"),
    "outputs": Outcome("completed", "tricky"),
}


def value_of(text: str) -> object:
    return resolve_reference(text, OUTCOMES)


class TestParse:
    def test_a_reference_has_an_action_a_root_and_a_path(self) -> None:
        """``${fetch.output.users[0].name}`` names the action, its output, and a way into it."""
        assert parse_reference("${fetch.output.users[0].name}") == Reference(
            "fetch", "output", ("users", 0, "name"), MISSING, "${fetch.output.users[0].name}"
        )

    def test_braces_may_be_left_out_where_only_a_reference_can_stand(self) -> None:
        """``fetch.output.id`` parses as ``${fetch.output.id}`` does."""
        assert parse_reference("fetch.output.id") == parse_reference("${fetch.output.id}")

    @pytest.mark.parametrize("root", ["output", "status", "error"])
    def test_the_three_roots(self, root: str) -> None:
        """An action's output, status and error can be read."""
        assert parse_reference(f"${{a.{root}}}").root == root

    @pytest.mark.parametrize(
        ("text", "action_id", "path"),
        [
            ("${NFCORE.ILLUMINA.FASTP_13.output.reads}", "NFCORE.ILLUMINA.FASTP_13", ("reads",)),
            ("${fan-out-1.output}", "fan-out-1", ()),
            ("${a:b.output.c-d}", "a:b", ("c-d",)),
            ("${outputs.output}", "outputs", ()),
            ("${status-page.output.status}", "status-page", ("status",)),
            ("${1.output}", "1", ()),
        ],
    )
    def test_ids_with_dots_dashes_and_colons(self, text: str, action_id: str, path: tuple[str | int, ...]) -> None:
        """An id may have dots, dashes and colons, as those of real pipelines do."""
        reference = parse_reference(text)
        assert (reference.action_id, reference.path) == (action_id, path)

    @pytest.mark.parametrize(
        ("path", "steps"),
        [
            (".users.0", ("users", "0")),
            ("[-1]", (-1,)),
            ("[ 2 ]", (2,)),
            ("['first name']", ("first name",)),
            ('["a.b"]', ("a.b",)),
            (r'["say \"hi\""]', ('say "hi"',)),
            ("['}']", ("}",)),
            (".größe", ("größe",)),
            (".a[1].b['c'][0]", ("a", 1, "b", "c", 0)),
        ],
    )
    def test_steps_of_a_path(self, path: str, steps: tuple[str | int, ...]) -> None:
        """Fields, indices and quoted keys can be mixed; a key in quotes may hold anything."""
        assert parse_reference(f"${{a.output{path}}}").path == steps

    @pytest.mark.parametrize(
        ("written", "default"),
        [
            ("0", 0),
            ("-1.5e3", -1500.0),
            ("null", None),
            ("true", True),
            ("'text'", "text"),
            ("'}'", "}"),
            ("''", ""),
            ('"a \\"quoted\\" text"', 'a "quoted" text'),
            ('{"a": {"b": "}"}}', {"a": {"b": "}"}}),
            ("[1, [2, '3']]".replace("'", '"'), [1, [2, "3"]]),
        ],
    )
    def test_a_default_is_json_or_text_in_single_quotes(self, written: str, default: object) -> None:
        """A default may be any JSON, braces and quotes included, or ``'text'``; blanks do not matter."""
        assert parse_reference(f"${{a.output ?? {written}}}").default == default
        assert parse_reference(f"${{ a.output??{written} }}").default == default
        assert parse_reference(f"a.output ?? {written}").default == default

    def test_the_text_of_a_reference_leaves_blanks_and_default_out(self) -> None:
        """Messages show a reference in one spelling, without its default."""
        assert parse_reference("${  a.output.n  ?? 1 }").text == "${a.output.n}"

    @pytest.mark.parametrize(
        ("text", "position"),
        [
            ("", 0),
            ("${}", 2),
            ("${a}", 2),
            ("${a.result}", 2),
            ("${.output}", 2),
            ("${a b.output}", 2),
            ("${a.output.}", 10),
            ("${a.output[}", 10),
            ("${a.output[x]}", 10),
            ("${a.output.users[0].name", 24),
            ("a.output extra", 9),
            ("${a.output} extra", 11),
            ("${a.output}${b.output}", 11),
            ("${a.status.x}", 10),
            ("${a.output ?? }", 14),
            ("${a.output ?? 'open}", 14),
            ("${a.output ?? {}", 16),
            ("${a.output ?? NaN}", 14),
            ("${a.output ?? -Infinity}", 14),
            ("${a.output ?? 1e999}", 14),
            ("${a.output ?? 1 2}", 16),
            ("${a.output ?? text}", 14),
            ('${a.output["\\x"]}', 11),
        ],
    )
    def test_what_is_not_a_reference_is_refused_with_its_position(self, text: str, position: int) -> None:
        """An error has the text as it was given and the offset of what could not be read."""
        with pytest.raises(ReferenceParseError) as caught:
            parse_reference(text)
        assert (caught.value.text, caught.value.position) == (text, position)
        assert f"position {position}" in str(caught.value)

    @pytest.mark.parametrize(
        "text",
        [
            "${a.output.f()}",
            "${a.output + 1}",
            "${__import__('os')}",
            "${a.__class__}",
            "${(a).output}",
            "${a.output; b}",
            "${a.output[b.output]}",
            "${a.output[0:2]}",
            "${lambda: 1}",
        ],
    )
    def test_no_code_can_be_written(self, text: str) -> None:
        """A reference has no calls, operators, slices or computed steps."""
        with pytest.raises(ReferenceParseError):
            parse_reference(text)

    @pytest.mark.parametrize("depth", [MAX_DEFAULT_DEPTH + 1, 5_000])
    def test_the_depth_of_a_default_is_bounded(self, depth: int) -> None:
        """A default nests at most ``MAX_DEFAULT_DEPTH`` levels, since what reads it may recurse."""
        with pytest.raises(ReferenceParseError):
            parse_reference(f"${{a.output ?? {'[' * depth}{']' * depth}}}")
        deepest = "[" * MAX_DEFAULT_DEPTH + "]" * MAX_DEFAULT_DEPTH
        assert parse_reference(f"${{a.output ?? {deepest}}}").default == json.loads(deepest)

    def test_parse_reference_at_reads_inside_a_longer_text(self) -> None:
        """It returns the reference and where the text goes on; positions are those of the whole text."""
        reference, end = parse_reference_at("x ${a.output ?? {}} y", 2)
        assert (reference.action_id, reference.default, end) == ("a", {}, 19)
        with pytest.raises(ReferenceParseError) as caught:
            parse_reference_at("x ${a.output y", 2)
        assert caught.value.position == 13

    def test_a_parse_error_survives_pickling(self) -> None:
        """Errors cross process borders with all that they know."""
        with pytest.raises(ReferenceParseError) as caught:
            parse_reference("${nope}")
        again = pickle.loads(pickle.dumps(caught.value))
        assert (str(again), again.text, again.position) == (str(caught.value), "${nope}", 2)


class TestTemplate:
    def test_text_and_references_alternate(self) -> None:
        """A text splits into literal pieces and references, in order."""
        pieces = split_template("Dear ${a.output.name}, ${b.output}!")
        assert [p if isinstance(p, str) else p.text for p in pieces] == [
            "Dear ",
            "${a.output.name}",
            ", ",
            "${b.output}",
            "!",
        ]

    @pytest.mark.parametrize(
        ("text", "pieces"),
        [
            ("", []),
            ("$", ["$"]),
            ("cost: 5$ {x}", ["cost: 5$ {x}"]),
            ("$${a.output}", ["${a.output}"]),
            ("a $${ b $${ c", ["a ${ b ${ c"]),
            ("$$${", ["$${"]),
        ],
    )
    def test_an_escaped_brace_is_literal(self, text: str, pieces: list[str]) -> None:
        """``$${`` stands for ``${``; a lone ``$`` or ``{`` means itself."""
        assert split_template(text) == pieces

    def test_a_brace_in_a_default_does_not_close_the_reference(self) -> None:
        """A ``}`` inside a JSON default, a quoted default or a quoted key belongs to it."""
        pieces = split_template("""<${a.output ?? {"k": "}"}}|${b.output ?? '}'}|${c.output['}']}>""")
        assert [p for p in pieces if isinstance(p, str)] == ["<", "|", "|", ">"]

    @pytest.mark.parametrize(("text", "position"), [("a ${", 4), ("a ${b.output", 12), ("${a.output} ${x}", 14)])
    def test_an_unclosed_or_wrong_reference_is_refused(self, text: str, position: int) -> None:
        """A ``${`` that starts no reference is an error, never literal text."""
        with pytest.raises(ReferenceParseError) as caught:
            split_template(text)
        assert (caught.value.text, caught.value.position) == (text, position)

    def test_references_are_found_at_any_depth(self) -> None:
        """References count anywhere in a JSON value, in order of appearance; keys are not read."""
        value: Any = {"a": ["${x.output}", {"b": "${y.status} and ${z.error}"}], "${no.output}": 1, "c": None}
        assert [r.action_id for r in find_references(value)] == ["x", "y", "z"]

    def test_every_text_has_a_location(self) -> None:
        """``iter_strings`` says where each text is, as a plan's problems do."""
        value: Any = {"items": [1, {"name": "n"}], "x": "y"}
        assert list(iter_strings(value, "inputs")) == [("inputs.items[1].name", "n"), ("inputs.x", "y")]
        assert list(iter_strings(value)) == [("items[1].name", "n"), ("x", "y")]

    def test_a_deep_value_needs_no_recursion(self) -> None:
        """Looking for references works on values deeper than Python's stack."""
        value: Any = "${a.output}"
        for _ in range(20_000):
            value = [value]
        assert [r.action_id for r in find_references(value)] == ["a"]


class TestResolve:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("${fetch.output.users[0].name}", "Ada"),
            ("${fetch.output.users.1.name}", "Grace"),
            ("${fetch.output.users[-1].name}", "Grace"),
            ("${fetch.output['first name']}", "Ada L."),
            ("${fetch.output.größe}", "XL"),
            ("${fetch.output[0]}", "zero"),
            ("${list.output[1][0]}", 20),
            ("${fetch.status}", "completed"),
            ("${skip.status}", "skipped"),
            ("${run.status}", "running"),
            ("${fail.status}", "failed"),
            ("${fail.error.message}", "boom"),
            ("${fail.error.context.n}", 1),
            ("${NFCORE.ILLUMINA.FASTP_13.output.reads}", 7),
            ("${fan-out-1.output}", "one"),
            ("${outputs.output}", "tricky"),
        ],
    )
    def test_what_a_reference_reads(self, text: str, value: object) -> None:
        """Outputs by field, index and key, the status at any time, the error of a failed action."""
        assert value_of(text) == value

    @pytest.mark.parametrize("field", ["users", "count", "rate", "ok", "nothing", "empty"])
    def test_a_value_that_is_one_reference_keeps_its_type(self, field: str) -> None:
        """A number stays a number, a list a list, null null."""
        output = OUTCOMES["fetch"].output
        assert isinstance(output, dict)
        found: Any = resolve_value({"x": f"${{fetch.output.{field}}}"}, OUTCOMES)
        assert found == {"x": output[field]}
        assert type(found["x"]) is type(output[field])

    @pytest.mark.parametrize(
        ("text", "rendered"),
        [
            ("n=${fetch.output.count}", "n=2"),
            ("${fetch.output.count} ", "2 "),
            ("${fetch.output.users[0].name}/${fetch.output.count}", "Ada/2"),
            ("ok: ${fetch.output.ok}", "ok: true"),
            ("v: ${fetch.output.nothing}", "v: null"),
            ("u: ${fetch.output.users[0]}", 'u: {"name": "Ada"}'),
            ("s: ${fetch.output['größe']}${fetch.output.empty}", "s: XL"),
            ("$${fetch.output.count} = ${fetch.output.count}", "${fetch.output.count} = 2"),
            ("$${fetch.output.count}", "${fetch.output.count}"),
            ("d: ${fetch.output.nope ?? 'ü'}", "d: ü"),
        ],
    )
    def test_a_reference_inside_text_is_rendered(self, text: str, rendered: str) -> None:
        """Text is put in as it is, anything else as JSON."""
        assert resolve_value(text, OUTCOMES) == rendered

    def test_references_work_at_any_depth_and_the_inputs_stay_as_they_were(self) -> None:
        """Resolving gives a new value; keys, numbers and plain text are left alone."""
        inputs: Any = {"a": [{"b": ["${list.output[0]}", 1, None, "x"]}], "${fetch.status}": True}
        before = json.dumps(inputs)
        assert resolve_value(inputs, OUTCOMES) == {"a": [{"b": [10, 1, None, "x"]}], "${fetch.status}": True}
        assert json.dumps(inputs) == before

    def test_a_text_that_was_read_is_not_read_again(self) -> None:
        """An output that looks like a reference is data: it is never resolved in turn."""
        outcomes = {"a": Outcome("completed", "${secret.output}"), "secret": Outcome("completed", "s3cret")}
        assert resolve_value(["${a.output}", "<${a.output}>"], outcomes) == [
            "${secret.output}",
            "<${secret.output}>",
        ]

    @pytest.mark.parametrize(
        ("text", "because"),
        [
            ("${fetch.output.nope}", "fetch.output is an object with the fields users, count"),
            ("${fetch.output.users[2]}", "fetch.output.users is a list of 2"),
            ("${fetch.output.users[-3]}", "fetch.output.users is a list of 2"),
            ("${fetch.output.users[0].age}", "fetch.output.users[0] is an object with the fields name"),
            ("${fetch.output.users.name}", "fetch.output.users is a list of 2"),
            (f"${{fetch.output.users.{'9' * 5000}}}", "fetch.output.users is a list of 2"),
            ("${fetch.output.count.x}", "fetch.output.count is a number"),
            ("${fetch.output.empty.x}", "fetch.output.empty is a text"),
            ("${fetch.output.ok.x}", "fetch.output.ok is a boolean"),
            ("${fetch.output.nothing.x}", "fetch.output.nothing is null"),
            ("${null.output.x}", "null.output is null"),
            ("${skip.output}", "action 'skip' was skipped (its condition is false)"),
            ("${skip.error.message}", "action 'skip' was skipped"),
            ("${fail.output.x}", "action 'fail' failed (boom)"),
            ("${fail.error.nope}", "fail.error is an object with the fields message, category, context"),
            ("${fetch.error.message}", "action 'fetch' has no error"),
            ("${run.output}", "action 'run' has not ended"),
            ("${unknown.output}", "action 'unknown' has not ended"),
        ],
    )
    def test_a_reference_that_finds_nothing_says_what_was_there_instead(self, text: str, because: str) -> None:
        """Never a silent empty string: the error names the reference and what it met."""
        with pytest.raises(ReferenceNotFoundError) as caught:
            resolve_value({"x": [f"<{text}>"]}, OUTCOMES)
        assert str(caught.value).startswith(f"Reference {text} finds nothing: {because}")

    def test_what_was_there_instead_is_never_shown_by_a_python_name(self) -> None:
        """An action that completed without any output is reported in a plan author's words."""
        reference = parse_reference("${a.output.x}")
        assert explain_missing(reference, {"a": Outcome("completed")}).endswith("action 'a' has no output")
        message = explain_missing(reference, {"a": Outcome("completed", {})})
        assert message.endswith("a.output is an object with no fields")

    @pytest.mark.parametrize(
        "text",
        [
            "${fetch.output.nope ?? 'd'}",
            "${fetch.output.nothing ?? 'd'}",
            "${null.output ?? 'd'}",
            "${null.output.deep.er ?? 'd'}",
            "${skip.output.x ?? 'd'}",
            "${fail.output ?? 'd'}",
            "${fetch.error.message ?? 'd'}",
            "${run.output ?? 'd'}",
            "${unknown.status ?? 'd'}",
        ],
    )
    def test_a_default_stands_in_for_nothing_and_for_null(self, text: str) -> None:
        """Missing field, null, skipped, failed or unfinished source: the default is the value."""
        assert value_of(text) == "d"

    @pytest.mark.parametrize("field", ["count", "ok", "empty"])
    def test_a_default_does_not_replace_a_value(self, field: str) -> None:
        """What is there is kept, also when it is empty or false."""
        assert value_of(f"${{fetch.output.{field} ?? 'd'}}") == value_of(f"${{fetch.output.{field}}}")

    def test_a_null_default_is_a_value(self) -> None:
        """``?? null`` makes a missing value null instead of an error."""
        assert value_of("${skip.output ?? null}") is None

    def test_null_and_missing_are_told_apart(self) -> None:
        """Looking up null gives None, looking up nothing gives ``MISSING``, which is false and no value."""
        assert look_up(parse_reference("${fetch.output.nothing}"), OUTCOMES) is None
        assert look_up(parse_reference("${fetch.output.nope}"), OUTCOMES) is MISSING
        assert look_up(parse_reference("${fetch.output.nope ?? 1}"), OUTCOMES) is MISSING
        assert look_up_or_default(parse_reference("${fetch.output.nope ?? 1}"), OUTCOMES) == 1
        assert not MISSING
        assert repr(MISSING) == "MISSING"

    @pytest.mark.parametrize("name", ["__class__", "keys", "__len__", "append", "upper"])
    def test_python_attributes_cannot_be_read(self, name: str) -> None:
        """A path walks JSON only: methods and attributes of the values are not there."""
        for source in ("fetch.output", "fetch.output.users", "fetch.output.empty", "list.output", "fail.error"):
            with pytest.raises(ReferenceNotFoundError):
                value_of(f"${{{source}.{name}}}")

    @pytest.mark.parametrize("text", ["${nope}", "x ${a.output", "${a.output ?? }"])
    def test_resolving_what_is_not_a_reference_is_a_parse_error(self, text: str) -> None:
        """A syntax error stays a syntax error at run time."""
        with pytest.raises(ReferenceParseError):
            resolve_value(text, OUTCOMES)

    @pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
    def test_copies_are_equal_and_read_alike(self, again: Any) -> None:
        """A reference and an outcome that went to another process, or were copied, are what they were."""
        reference, outcome = parse_reference("${a.output.id}"), Outcome("failed", error={"message": "no stock"})
        assert again(reference) == reference
        assert again(outcome) == outcome
        with pytest.raises(ReferenceNotFoundError, match=r"action 'a' failed \(no stock\)"):
            resolve_reference(again(reference), {"a": again(outcome)})

    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            (None, "null"),
            (True, "a boolean"),
            (1, "a number"),
            (1.5, "a number"),
            ("", "a text"),
            ([], "a list"),
            ({}, "an object"),
            ((), "a tuple"),
        ],
    )
    def test_kinds_have_names_of_json(self, value: object, kind: str) -> None:
        """Messages speak of JSON's kinds; a boolean is no number."""
        assert kind_of(value) == kind
