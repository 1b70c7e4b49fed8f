"""Plans come from outside: whatever is handed in, validation answers in its own words, and soon.

Ten thousand cases: arbitrary JSON, mutations of valid plans, arbitrary conditions. None may raise anything but
``PlanValidationError`` (``ConditionParseError`` for a condition), none may take over ``LIMIT`` of processor time.
"""

from __future__ import annotations

import copy
import json
import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from workflow_state import ConditionParseError, PlanValidationError, find_plan_problems
from workflow_state.conditions import parse_condition
from workflow_state.plan_checks import find_errors
from workflow_state.validation import prepare_plan, validate_execution_plan

Answer = TypeVar("Answer")

LIMIT = 0.1
"""Seconds of processor time for one case."""

TRIES = 4
"""A slow case is tried so often, and its fastest time counts: others use the machine too."""

MOST_PLACES = 2_000
"""A plan that has grown larger is left as it is: what takes long is not to be its size alone."""

CORPUS = Path(__file__).parents[1] / "corpus"
#: Plans to mutate: what runs as it is, and what is bad already.
SEEDS = [
    *(json.loads(path.read_text("utf-8")) for path in sorted((CORPUS / "original").glob("*.json"))),
    *(json.loads(path.read_text("utf-8")).get("plan") for path in sorted((CORPUS / "bad_plans").glob("*.json"))),
]
FRAGMENTS = [
    *(
        "${",
        "}",
        "$${",
        "${a.output}",
        "${b.output.x[0]}",
        "${a.status ?? ",
        "a.output",
        "??",
        "{}",
        "$",
        "\\",
        "'",
        '"',
    ),
    *("==", "and", "not", "(", ")", "[", "]", "in", "<", "null", "1e999", "0x1", "\x00", "\ud800", "é", "😀", "\n"),
]
WORDS = [
    "id",
    "actions",
    "inputs",
    "dependencies",
    "if",
    "else",
    "errorHandling",
    "alternative_action_id",
    "fallbackValue",
]
ODD: list[Any] = [
    *(None, True, 0, -1, 10**30, 10**5000, -(10**4400), 1e308, math.nan, math.inf, -0.0, "", " ", "a", "output"),
    *("${a.output}", "${", "x" * 1000, "\ud800", "😀", [], {}, [[]], {"": {}}, {"__type__": "x", "__value__": 1}),
]

texts = st.one_of(st.text(max_size=30), st.lists(st.sampled_from([*FRAGMENTS, *WORDS]), max_size=8).map("".join))
# Integers too large to be shown are below: Hypothesis shows what it draws.
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from([2**63, 10**400]), st.floats(), texts)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.one_of(st.sampled_from(WORDS), texts), inner, max_size=5),
    ),
    max_leaves=12,
)
actions = st.fixed_dictionaries(
    {"id": st.one_of(st.sampled_from("abc"), anything), "actionDefinitionId": st.one_of(st.just("x"), anything)},
    optional={
        "inputs": st.one_of(anything, st.dictionaries(texts, anything, max_size=3)),
        "dependencies": st.one_of(anything, st.lists(st.sampled_from("abcd"), max_size=3)),
        "condition": st.one_of(anything, st.fixed_dictionaries({"if": texts})),
        "errorHandling": st.one_of(anything, st.fixed_dictionaries({"alternativeActionId": st.sampled_from("abcd")})),
        "retry": anything,
        "timeout": anything,
    },
)
almost_plans = st.fixed_dictionaries(
    {"actions": st.one_of(st.lists(actions, max_size=4), anything)},
    optional={"name": anything, "metadata": anything, "expectedOutcome": anything, "intent": anything},
)


def check(data: Any) -> None:
    """Nothing but ``PlanValidationError``, in time, and whatever it says can be shown and written as JSON."""
    for ask in (lint, prepare_plan):
        error = in_time(lambda ask=ask: refused(ask, data), data)
        if error is None:
            assert can_be_sent(data)
        else:
            assert error.errors
            assert str(error)
            json.dumps([problem.to_dict() for problem in error.errors])


def can_be_sent(data: Any) -> bool:
    """Whether the plan, written as the text that is sent, is the same plan for who reads it."""
    plan = validate_execution_plan(data)
    return find_errors(plan) != [] or prepare_plan(plan.model_dump_json(by_alias=True, exclude_unset=True)) == plan


def lint(data: Any) -> None:
    find_plan_problems(validate_execution_plan(data))


def refused(ask: Callable[[Any], object], data: Any) -> PlanValidationError | None:
    """The error with which a plan is refused."""
    try:
        ask(data)
    except PlanValidationError as error:
        return error
    return None


def in_time(run: Callable[[], Answer], data: Any) -> Answer:
    """Run a case; one that was slow is run again, and must be fast once."""
    best = math.inf
    for _ in range(TRIES):
        began = time.process_time()
        answer = run()
        best = min(best, time.process_time() - began)
        if best < LIMIT:
            return answer
    raise AssertionError(f"took {best:.3f} s of processor time: {show(data)}")


def show(data: Any) -> str:
    """The beginning of it, where Python can write it."""
    try:
        return repr(data)[:2000]
    except ValueError:
        return "holds a number too large to be shown"


@settings(max_examples=1500, deadline=None)
@given(anything)
def test_arbitrary_json(data: Any) -> None:
    """Any JSON at all, as a value and as text: a plan, or ``PlanValidationError``."""
    check(data)
    check(text_of(data))


@settings(max_examples=700, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(almost_plans)
def test_json_that_is_almost_a_plan(data: Any) -> None:
    """What has the outline of a plan, with anything in it."""
    check(data)


@settings(max_examples=1500, deadline=None)
@given(st.one_of(texts, st.lists(st.sampled_from(FRAGMENTS), max_size=60).map(" ".join)))
def test_arbitrary_conditions(text: str) -> None:
    """Any text is a condition, or ``ConditionParseError``."""

    def parse() -> None:
        with suppress(ConditionParseError):
            parse_condition(text)

    in_time(parse, text)


# There is nothing to shrink in a seed.
@settings(max_examples=240, deadline=None, phases=[Phase.generate])
@given(st.integers(0, 2**64))
def test_mutations_of_plans(seed: int) -> None:
    """4,800 plans, good ones and bad ones, with up to six changes each anywhere in them."""
    chance = random.Random(seed)
    for _ in range(20):
        plan = copy.deepcopy(chance.choice(SEEDS))
        for _ in range(chance.randint(1, 6)):
            plan = mutated(plan, chance)
        check(plan)


def text_of(data: Any) -> str:
    """As JSON text, where Python can write it."""
    try:
        return json.dumps(data)
    except ValueError:
        return "1" * 5000


def mutated(plan: Any, chance: random.Random) -> Any:
    """One change somewhere in a plan: replaced, removed, doubled, renamed, moved or wrapped."""
    places = list(inside(plan))
    if not places:
        return copy.deepcopy(chance.choice(ODD))
    if len(places) > MOST_PLACES:
        return plan
    holder, key = chance.choice(places)
    match chance.randrange(7):
        case 0:
            holder[key] = copy.deepcopy(chance.choice(ODD))
        case 1:
            del holder[key]
        case 2:
            other, name = chance.choice(places)
            holder[key] = copy.deepcopy(
                other.get(name) if isinstance(other, dict) else dict(enumerate(other)).get(name)
            )
        case 3 if isinstance(holder, dict):
            holder[chance.choice([*WORDS, f"{key}x", "_", "\ud800"])] = holder.pop(key)
        case 4 if isinstance(holder, list):
            holder.extend(copy.deepcopy(holder[key]) for _ in range(chance.randint(1, 20)))
        case 5 if isinstance(holder[key], str):
            at = chance.randint(0, len(holder[key]))
            holder[key] = holder[key][:at] + chance.choice(FRAGMENTS) + holder[key][at:]
        case _:
            holder[key] = [holder[key]] if chance.random() < 0.5 else {"x": holder[key]}
    return plan


def inside(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value, as container and key."""
    stack = [value]
    while stack:
        item = stack.pop()
        pairs = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
        for key, child in pairs:
            yield item, key
            stack.append(child)


# From here on: what somebody would send who means harm.


def act(name: Any, *after: Any, **fields: Any) -> dict[str, Any]:
    return {"id": name, "action_definition_id": "x", "dependencies": list(after), **fields}


def many(count: int, make: Callable[[int], dict[str, Any]], **fields: Any) -> dict[str, Any]:
    return {"actions": [make(n) for n in range(count)], **fields}


def nested(depth: int, leaf: Any = 1) -> Any:
    for _ in range(depth):
        leaf = [leaf]
    return leaf


def reading(text: Any) -> dict[str, Any]:
    return {"actions": [act("a"), act("b", "a", inputs={"v": text})]}


def layers(count: int, width: int, **fields: Any) -> dict[str, Any]:
    """Every action of a layer depends on all of the layer before; ``z`` stands alone."""
    made = [
        act(f"l{n}-{m}", *([f"l{n - 1}-{k}" for k in range(width)] if n else []), **fields)
        for n in range(count)
        for m in range(width)
    ]
    return {"actions": [act("z"), *made]}


def matching(*patterns: str) -> dict[str, Any]:
    checks = [{"name": "x", "reference": "${a.output}", "operator": "matches", "value": p} for p in patterns]
    return {"actions": [act("a")], "expected_outcome": {"validations": checks}}


def alternative(name: str) -> dict[str, Any]:
    return {"error_handling": {"alternative_action_id": name}}


NASTY: dict[str, Callable[[], Any]] = {
    "deep text": lambda: "[" * 100_000,
    "deep text of objects": lambda: '{"actions":' * 50_000,
    "deep inputs": lambda: reading(nested(5_000)),
    "as deep as may be": lambda: reading(nested(59)),
    "a huge number": lambda: {"actions": 10**100_000},
    "a huge number in the inputs": lambda: reading(10**100_000),
    "a huge timeout": lambda: many(1, lambda _: act("a", timeout=10**400)),
    "digits without end": lambda: '{"actions": ' + "9" * 1_000_000 + "}",
    "not a number": lambda: reading([math.nan, math.inf, -math.inf]),
    "a huge text": lambda: reading("x" * 1_000_000),
    "a huge text of dollars": lambda: reading("$" * 1_000_000),
    "a huge text of openings": lambda: reading("${" * 500_000),
    "a huge text of escapes": lambda: reading("$${" * 40_000),
    "a huge text of references": lambda: reading("${a.output}" * 5_000),
    "references to nobody": lambda: reading("${nobody.output}" * 2_000),
    "references to itself": lambda: reading("${b.output}" * 2_000),
    "an opening and no end": lambda: reading("${" + "a" * 1_000_000),
    "an opening and dots": lambda: reading("${" + "a." * 500_000),
    "a path without end": lambda: reading("${a.output" + ".x" * 20_000 + "}"),
    "indices without end": lambda: reading("${a.output" + "[0]" * 20_000),
    "a deep default": lambda: reading("${a.output ?? " + "[" * 100_000),
    "a large default": lambda: reading("${a.output ?? " + json.dumps(["x"] * 20_000) + "}"),
    "2,000 unknown dependencies": lambda: many(2_000, lambda n: act(f"action-{n}", f"acton-{n}")),
    "long unknown dependencies": lambda: many(500, lambda n: act("x" * 190 + str(n), "x" * 195 + str(n))),
    "endless names": lambda: many(20, lambda n: act(f"a{n}", "y" * 100_000)),
    "2,000 unknown alternatives": lambda: many(2_000, lambda n: act(f"a{n}", **alternative(f"b{n}"))),
    "2,000 unknown sources": lambda: many(2_000, lambda n: act(f"a{n}", inputs={"v": f"${{b{n}.output}}"})),
    "2,000 unknown fields": lambda: many(2_000, lambda n: {**act(f"a{n}"), f"dependancies{n}": []}),
    "2,000 fields in one action": lambda: many(1, lambda _: {**act("a"), **{f"inputz{k}": k for k in range(2_000)}}),
    "2,000 wrong types": lambda: many(2_000, lambda n: act(n, timeout="soon")),
    "2,000 times one id": lambda: many(2_000, lambda _: act("same")),
    "2,000 times one id that waits for itself": lambda: many(2_000, lambda _: act("same", "same")),
    "2,000 cycles of one": lambda: many(2_000, lambda n: act(f"a{n}", f"a{n}")),
    "1,000 cycles of two": lambda: many(2_000, lambda n: act(f"a{n}", f"a{n ^ 1}")),
    "one cycle of 2,000": lambda: many(2_000, lambda n: act(f"a{n}", f"a{(n + 1) % 2_000}")),
    "everyone waits for everyone": lambda: many(150, lambda n: act(f"a{n}", *(f"a{m}" for m in range(150)))),
    "everyone waits for all before": lambda: many(200, lambda n: act(f"a{n}", *(f"a{m}" for m in range(n)))),
    "dense layers": lambda: layers(8, 40),
    "dense layers that read a stranger": lambda: layers(8, 40, inputs={"v": "${z.output}"}),
    "a chain that reads its first": lambda: many(
        1_000, lambda n: act(f"a{n}", *([f"a{n - 1}"] if n else []), inputs={"v": "${a0.output}"} if n else {})
    ),
    "a chain of alternatives": lambda: many(2_000, lambda n: act(f"a{n}", **alternative(f"a{n + 1}"))),
    "a ring of alternatives": lambda: many(2_000, lambda n: act(f"a{n}", **alternative(f"a{(n + 1) % 2_000}"))),
    "one alternative for all": lambda: many(1_000, lambda n: act(f"a{n}", **(alternative("a999") if n < 999 else {}))),
    "everyone waits for a chain": lambda: {
        "actions": [
            *(act(f"a{n}", **alternative(f"a{n + 1}")) for n in range(20)),
            *(act(f"b{n}", "a0", "a1", "a2") for n in range(300)),
            act("a20"),
        ]
    },
    "2,000 broken conditions": lambda: many(2_000, lambda n: act(f"a{n}", condition={"if": "((("})),
    "a condition of quotes": lambda: many(1, lambda _: act("a", condition={"if": "'" + "\\" * 3_999})),
    "a condition too long": lambda: many(1, lambda _: act("a", condition={"if": "(" * 1_000_000})),
    "long conditions": lambda: many(10, lambda n: act(f"a{n}", condition={"if": "true and " * 240 + "true"})),
    "a reader of much with a long condition": lambda: {
        "actions": [
            act("s", condition={"if": "${t.output}"}, dependencies=["t"]),
            act("t"),
            act(
                "a",
                *("s", "t"),
                inputs={f"v{n}": "${s.output.x}" for n in range(1_000)},
                condition={"if": "${t.output} or " * 200 + "true"},
            ),
        ]
    },
    "patterns without measure": lambda: matching("((a{100}){100}){100}", "(" * 5_000, "[" * 1_000, "(?:)" * 10_000),
    "101 patterns": lambda: matching(*[r"\w{150}"] * 101),
    "keys without end": lambda: reading({f"k{n}": n for n in range(20_000)}),
    "lists without end": lambda: reading(list(range(20_000))),
    "dependencies without end": lambda: many(1, lambda _: act("a", *["a"] * 20_000)),
    "tags without end": lambda: many(1, lambda _: act("a"), metadata={"tags": ["t"] * 20_000}),
    "half characters": lambda: reading({"\ud800": ["\udfff" * 1_000]}),
    "bytes": lambda: b"\xff" * 100_000,
    "a byte order mark": lambda: "\ufeff{}",
    "keys that are no texts": lambda: {1: 2, None: 3, "actions": [{4: 5}]},
}


@pytest.mark.parametrize("name", NASTY)
def test_what_is_sent_by_who_means_harm(name: str) -> None:
    """Depth, size, numbers, thousands of problems at once, dense graphs: an answer, in time."""
    check(NASTY[name]())
