"""Random plans for the engine to agree on, and the action that they are made of."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.reference_interpreter import AttemptFailed
from workflow_state import ActionContext, ActionError, action

ACT = "random.act"
NOBODY = "random.nobody"
"""A definition that nobody registers."""


def act(definition: str, inputs: dict[str, Any], attempt: int) -> Any:
    """What the action does: ``script`` has a word for each attempt, the last one for all that follow.

    Raises:
        AttemptFailed: the attempt is to fail.
    """
    if definition != ACT:
        raise AttemptFailed("unknown_action", definition, retryable=False)
    match inputs["script"][min(attempt, len(inputs["script"])) - 1]:
        case "fail":
            raise AttemptFailed("action_failed", f"attempt {attempt} fails")
        case "limit":
            raise AttemptFailed("rate_limit_burst", f"attempt {attempt} is one too many")
        case "final":
            raise AttemptFailed("auth_invalid", f"attempt {attempt} was the last", retryable=False)
    number = inputs["number"]
    # What was read is in the output as a text of bounded length: nested, it would double at every level.
    seen = json.dumps(inputs["reads"], sort_keys=True)[:200]
    whole = {"number": number, "kind": "even" if number % 2 == 0 else "odd", "seen": seen}
    return {"object": whole, "number": number, "text": whole["kind"], "list": [number, seen], "null": None}[
        inputs["shape"]
    ]


@action(ACT)
def act_on_a_worker(ctx: ActionContext, **inputs: Any) -> Any:
    """The same, as an action."""
    try:
        return act(ACT, inputs, ctx.attempt)
    except AttemptFailed as failed:
        raise ActionError(failed.message, category=failed.category, retryable=failed.retryable) from failed


def one_in(times: int) -> st.SearchStrategy[bool]:
    """True once in so many times; shrinks to False."""
    return st.integers(0, times - 1).map(lambda n: n == times - 1)


SCRIPTS = st.lists(st.sampled_from(["ok", "ok", "fail", "fail", "limit", "final"]), min_size=1, max_size=4)
SHAPES = st.sampled_from(["object", "object", "object", "object", "number", "text", "list", "null"])
FALLBACKS = st.sampled_from([None, 7, {"number": 7, "kind": "fallback"}, ["fallback"]])
CONDITIONS = [
    *("${X.status} == 'completed'", "${X.status} != 'skipped'", "${X.status} in ['failed', 'skipped']"),
    *("${X.output.number} > 2", "${X.output.number ?? 1} < 3", "${X.output.kind} == 'odd'", "${X.output}"),
    *("${X.error}", "not ${X.error.category}", "${X.output.seen} !== null", "${X.output.kind} < 'o'"),
    # A text has no order with a number: this one cannot be evaluated where there is one.
    *("${X.output.kind} < 3", "true", "false"),
]
REFERENCES = [
    *("${X.status}", "${X.output}", "${X.output ?? null}", "${X.output.number ?? 0}", "${X.output.kind ?? 'none'}"),
    *("${X.error.category ?? 'none'}", "${X.output[0] ?? 1}", "is ${X.status} with ${X.output ?? 'nothing'}"),
    *("${X.output.number}", "${X.error.category}", "costs $${X} for ${X.output.seen}"),
]
OPERATORS = ["exists", "equals", "contains", "matches"]
EXPECTED = ["odd", "even", "o", "^ev", "number", 0, 1, 7, None]


class Draft:
    """A plan while it is drawn: positions 0 to n - 1, all edges from lower to higher ones."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        size = draw(st.integers(1, 12))
        self.names = [f"a{n}" for n in range(size)]
        self.alternative: dict[int, int] = {}
        for n in range(size - 1):
            if draw(one_in(4)):
                self.alternative[n] = draw(st.integers(n + 1, size - 1))
        self.dependencies = [self.draw_dependencies(n) for n in range(size)]

    def stand_ins(self, n: int) -> list[int]:
        return [self.alternative[n], *self.stand_ins(self.alternative[n])] if n in self.alternative else []

    def draw_dependencies(self, n: int) -> list[int]:
        """Whoever depends on an action comes after its stand-ins as well."""
        possible = [before for before in range(n) if all(other <= n for other in self.stand_ins(before))]
        return self.draw(st.lists(st.sampled_from(possible), unique=True, max_size=3)) if possible else []

    def ancestors(self, n: int) -> list[str]:
        """Whom it may read: all that it waits for, directly or not."""
        found: set[int] = set()
        waiting = [n]
        while waiting:
            now = waiting.pop()
            before = {*self.dependencies[now], *(p for p, other in self.alternative.items() if other == now)}
            before.update(s for d in self.dependencies[now] for s in self.stand_ins(d) if s != now)
            waiting += before - found
            found |= before
        return [self.names[other] for other in sorted(found)]

    def action(self, n: int) -> dict[str, Any]:
        draw, ancestors = self.draw, self.ancestors(n)
        reads = [] if not ancestors else draw(st.lists(st.sampled_from(REFERENCES), max_size=2))
        definition = NOBODY if draw(one_in(40)) else ACT
        drawn: dict[str, Any] = {
            "id": self.names[n],
            "action_definition_id": definition,
            "inputs": {
                "script": draw(SCRIPTS) if draw(one_in(3)) else ["ok"],
                "number": draw(st.integers(0, 5)),
                "shape": draw(SHAPES),
                "reads": [text.replace("X.", f"{draw(st.sampled_from(ancestors))}.") for text in reads],
            },
            "dependencies": [self.names[other] for other in self.dependencies[n]],
            "retry": {"max_attempts": draw(st.integers(1, 3)), "min_timeout_in_ms": 0, "max_timeout_in_ms": 0},
        }
        if draw(one_in(8)):
            drawn["retry"]["categories"] = draw(st.sampled_from([["rate_limit_burst"], ["action_failed"], []]))
        if draw(one_in(3)):
            drawn["condition"] = {
                "if": self.condition(ancestors),
                "else": draw(st.sampled_from(["skip", "skip", "fail"])),
            }
        drawn["error_handling"] = self.handling(n)
        return drawn

    def condition(self, ancestors: list[str]) -> str:
        possible = CONDITIONS if ancestors else ["true", "false"]
        terms = self.draw(st.lists(st.sampled_from(possible), min_size=1, max_size=2))
        written = [t.replace("X.", f"{self.draw(st.sampled_from(ancestors))}.") if "X." in t else t for t in terms]
        return self.draw(st.sampled_from([" and ", " or "])).join(written)

    def handling(self, n: int) -> dict[str, Any]:
        found: dict[str, Any] = {"continue_on_failure": self.draw(st.booleans())}
        if self.draw(one_in(6)):
            found["fallback_value"] = self.draw(FALLBACKS)
        if n in self.alternative:
            found["alternative_action_id"] = self.names[self.alternative[n]]
        return found

    def validations(self) -> list[dict[str, Any]]:
        count = self.draw(st.sampled_from([0, 0, 0, 1, 2]))
        fields = st.sampled_from(["output", "output.kind", "output.number", "output[0]", "status", "error.category"])
        found = []
        for number in range(count):
            operator = self.draw(st.sampled_from(OPERATORS))
            value = self.draw(st.sampled_from(EXPECTED))
            value = str(value) if operator == "matches" else value
            reference = f"${{{self.draw(st.sampled_from(self.names))}.{self.draw(fields)}}}"
            found.append({"name": f"v{number}", "reference": reference, "operator": operator, "value": value})
        return found


@st.composite
def plans(draw: st.DrawFn) -> dict[str, Any]:
    """A valid plan with every policy in it, of either schedule, as snake_case JSON; its actions in any order."""
    draft = Draft(draw)
    actions = [draft.action(n) for n in range(len(draft.names))]
    schedule = draw(st.sampled_from(["levels", "dataflow"]))
    drawn: dict[str, Any] = {"schedule": schedule, "actions": draw(st.permutations(actions))}
    if validations := draft.validations():
        drawn["expected_outcome"] = {"validations": validations}
    return drawn
