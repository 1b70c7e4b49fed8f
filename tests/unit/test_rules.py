"""The rules, row by row from the tables of ``docs/behaviour.md``: what is documented is what is decided."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from workflow_state import ActionError, ActionStatus, ErrorDetail, ExecutionState, compile_plan
from workflow_state.models import MAX_MILLISECONDS, ErrorCategory, RetryPolicy
from workflow_state.program import Program, Step
from workflow_state.references import MISSING, Outcome
from workflow_state.rules import TRANSITIONS, Decision, decide, decide_all, looked_at, retry_delay
from workflow_state.testing import run_plan
from workflow_state.validation import prepare_plan

DOCUMENT = Path(__file__).parents[2] / "docs" / "behaviour.md"
NOTHING = "–"
Row = dict[str, str]

CONDITIONS: dict[str, dict[str, str] | None] = {
    NOTHING: None,
    "true": {"if": "true", "else": "fail"},
    "false, else skip": {"if": "false", "else": "skip"},
    "false, else fail": {"if": "false", "else": "fail"},
    "cannot be evaluated": {"if": "1 < 'x'", "else": "skip"},
}
CONTINUE = {"continue_on_failure": True}


def table(heading: str) -> list[Row]:
    """The rows of the first table under a heading, by the names of its columns."""
    text = DOCUMENT.read_text("utf-8").split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    columns, _, *rows = ([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def name_of(row: Row) -> str:
    return " | ".join(row.values())


def listed(cell: str) -> list[str]:
    return [] if cell == NOTHING else cell.split(", ")


def act(
    name: str, *after: str, do: str = "value", handling: dict[str, Any] | None = None, **fields: Any
) -> dict[str, Any]:
    return {
        "id": name,
        "action_definition_id": do,
        "dependencies": list(after),
        "error_handling": handling or {},
        **fields,
    }


class Scene:
    """A plan around the action ``x`` of a row, and the outcomes of what has ended."""

    def __init__(self, row: Row) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.actions: list[dict[str, Any]] = []
        self.handling: dict[str, Any] = {}
        policies = row["policy"].split(" + ")
        after = [self.dependency(n, cell) for n, cell in enumerate(listed(row["depends on"]))]
        for n, status in enumerate(listed(row["stands in for"])):
            tolerant = "principals continue" in policies or ("a principal continues" in policies and n == 0)
            self.ended(f"p{n}", status, {"alternative_action_id": "x", **(CONTINUE if tolerant else {})})
        for policy in policies:
            self.apply(policy)
        condition = CONDITIONS[row["condition"]]
        self.actions.append(act("x", *after, handling=self.handling, **({"condition": condition} if condition else {})))
        self.program: Program = compile_plan(prepare_plan({"actions": self.actions}))

    def ended(self, name: str, status: str, handling: dict[str, Any] | None = None) -> str:
        self.actions.append(act(name, handling=handling))
        output: Any = {"by": name} if status == "completed" else MISSING
        self.outcomes[name] = Outcome(status, output, {"message": "no"} if status == "failed" else None)
        return name

    def dependency(self, n: int, cell: str) -> str:
        status, _, of_alternative = cell.partition(" → ")
        if not of_alternative:
            return self.ended(f"d{n}", status)
        self.ended(f"e{n}", of_alternative)
        return self.ended(f"d{n}", status, {"alternative_action_id": f"e{n}"})

    def apply(self, policy: str) -> None:
        match policy:
            case "fallback":
                self.handling["fallback_value"] = "instead"
            case "continue":
                self.handling |= CONTINUE
            case "alternative":
                self.handling["alternative_action_id"] = "spare"
                self.actions.append(act("spare"))
            case "dependents continue":
                self.actions += [act("y0", "x", handling=CONTINUE), act("y1", "x", handling=CONTINUE)]
            case "a dependent continues":
                self.actions += [act("y0", "x", handling=CONTINUE), act("y1", "x")]
            case "principals continue" | "a principal continues" | "–":
                pass
            case _:
                raise AssertionError(policy)

    def decide(self) -> Decision:
        step = self.program.steps["x"]
        assert set(looked_at(self.program, ["x"])) == set(self.outcomes)
        return decide(self.program, step, self.outcomes)


REASONS = {
    "alternative of ": "not needed",
    "all of its dependencies were skipped": "not taken",
    "condition not met: ": "condition",
}


def in_words(decision: Decision) -> str:
    """What becomes of the action, as the table says it."""
    if decision.kind == "run":
        return "runs"
    if decision.kind == "skip":
        return f"skipped: {next(word for start, word in REASONS.items() if decision.reason.startswith(start))}"
    assert decision.error is not None
    assert decision.error.retryable is False
    return f"{'completed' if decision.kind == 'fall_back' else 'failed'}: {decision.error.category}"


@pytest.mark.parametrize("row", table("When its turn comes"), ids=name_of)
def test_when_its_turn_comes(row: Row) -> None:
    """What becomes of an action, and whether the execution goes on, is what the row says."""
    scene = Scene(row)
    decision = scene.decide()
    assert (in_words(decision), "halts" if decision.halts else "goes on") == (row["becomes"], row["execution"])


@pytest.mark.parametrize("row", table("When its turn comes"), ids=name_of)
def test_a_level_starts_as_a_whole_or_not_at_all(row: Row) -> None:
    """Once an action of a level halts the execution, none of the level starts; the others' decisions stand."""
    scene = Scene(row)
    program = scene.program.model_copy(
        update={"steps": {**scene.program.steps, "other": Step(id="other", definition="x", level=0)}}
    )
    decided = decide_all(program, ["x", "other"], scene.outcomes)
    halts, runs = row["execution"] == "halts", row["becomes"] == "runs"
    assert decided.halted == ("x" if halts else "")
    assert list(decided.run) == ([] if halts else ["x", "other"] if runs else ["other"])
    assert [name for name, _ in decided.ended] == ([] if runs else ["x"])


def failing(row: Row) -> dict[str, Any]:
    """A plan in which the last attempt of ``x`` that is described fails."""
    handling: dict[str, Any] = {}
    flag = row["continue_on_failure"]
    actions: list[dict[str, Any]] = []
    if row["fallback_value"] == "given":
        handling["fallback_value"] = "instead"
    if row["alternative"] == "given":
        handling["alternative_action_id"] = "spare"
        actions.append(act("spare"))
    if flag == "own":
        handling |= CONTINUE
    if flag == "principals":
        actions.append(act("p", do="fail", inputs={"final": True}, handling={**CONTINUE, "alternative_action_id": "x"}))
    if flag in ("dependents", "a dependent"):
        actions += [
            act("y0", "x", handling=CONTINUE),
            act("y1", "x", handling=CONTINUE if flag == "dependents" else {}),
        ]
    retry: dict[str, Any] = {"max_attempts": 2, "min_timeout_in_ms": 0}
    if row["error"] == "other category":
        retry["categories"] = ["auth_expired"]
    x = act("x", do="fail", inputs={"final": row["error"] == "final"}, handling=handling, retry=retry)
    return {"actions": [*actions, x]}


def fail(final: bool = False) -> None:
    raise ActionError("no", retryable=not final)


def run(plan: dict[str, Any]) -> ExecutionState:
    return run_plan(plan, {"fail": fail, "value": lambda **_: None})


@pytest.mark.parametrize("row", table("When an attempt has failed"), ids=name_of)
def test_when_an_attempt_has_failed(row: Row) -> None:
    """Tried again, completed with the fallback value, or failed; and whether the execution goes on."""
    plan = failing(row)
    state = run(plan)
    found = state.action_states["x"]
    step = compile_plan(prepare_plan(plan)).steps["x"]
    number = 1 if row["attempts"] == "left" else 2
    error = found.trace[number - 1].error
    assert error is not None
    again = retry_delay(step, number, 0, error, 0.5) is not None
    assert again == (row["becomes"] == "tried again")
    if again:
        assert len(found.trace) > number
        return
    assert len(found.trace) == number
    assert found.status == row["becomes"]
    halted = state.error is not None and state.error.context.get("action_id") == "x"
    assert ("halts" if halted else "goes on") == row["execution"]
    assert state.status == ("failed" if halted else "completed")


@pytest.mark.parametrize("row", table("How an execution ends"), ids=name_of)
def test_how_an_execution_ends(row: Row) -> None:
    """``failed`` when a failure is not tolerated or the expected outcome not met, else ``completed``."""
    handling = CONTINUE if row["failures"] == "tolerated" else {}
    plan: dict[str, Any] = {
        "actions": [act("a"), act("b", do="value" if row["failures"] == "none" else "fail", handling=handling)]
    }
    if row["expected outcome"] != NOTHING:
        value = "completed" if row["expected outcome"] == "met" else "skipped"
        check = {"name": "check", "reference": "${a.status}", "operator": "equals", "value": value}
        plan["expected_outcome"] = {"validations": [check]}
    state = run(plan)
    category = state.error.category.value if state.error else NOTHING
    assert (state.status.value, category) == (row["status"], row["error"])


def test_legal_transitions() -> None:
    """Only the listed changes of an action's status are legal; every status is in the table."""
    documented = {row["from"]: set(listed(row["to"])) for row in table("Legal transitions of an action")}
    assert documented == {status.value: {to.value for to in TRANSITIONS[status]} for status in ActionStatus}


def test_every_row_is_its_own() -> None:
    """No row of a table of rules is there twice, with the same or another decision."""
    for heading, decided in (
        ("When its turn comes", 2),
        ("When an attempt has failed", 2),
        ("How an execution ends", 2),
    ):
        given = [tuple(row.values())[:-decided] for row in table(heading)]
        assert len(given) == len(set(given)) > 5


def step(**policy: Any) -> Step:
    return Step(id="a", definition="x", level=0, retry=RetryPolicy.model_validate(policy))


def error(**fields: Any) -> ErrorDetail:
    return ErrorDetail(category=ErrorCategory.ACTION_FAILED, message="no", **fields)


@pytest.mark.parametrize(
    ("attempt", "delay"), [(1, 1_000), (2, 2_000), (3, 4_000), (4, 8_000), (5, 16_000), (6, 30_000), (60, 30_000)]
)
def test_waits_double_up_to_their_bound(attempt: int, delay: int) -> None:
    """1 s × 2ⁿ up to 30 s; jittered to between half and all of it."""
    policy = step(max_attempts=100)
    assert retry_delay(policy, attempt, 0, error(), 1.0) == delay
    assert retry_delay(policy, attempt, 0, error(), 0.0) == delay // 2
    assert retry_delay(step(max_attempts=100, randomize=False), attempt, 0, error(), 0.0) == delay


def test_lost_attempts_are_not_held_against_an_action() -> None:
    """Attempts that ended with their worker count neither for the limit nor for the wait."""
    assert retry_delay(step(), 4, 3, error(), 1.0) == 1_000
    assert retry_delay(step(), 3, 0, error(), 1.0) is None


@pytest.mark.parametrize("attempt", [1, 2, 500, 999])
def test_no_policy_overflows(attempt: int) -> None:
    """The largest numbers that validation lets through give a number."""
    largest = step(
        max_attempts=1000, factor=1000, min_timeout_in_ms=MAX_MILLISECONDS, max_timeout_in_ms=MAX_MILLISECONDS
    )
    assert retry_delay(largest, attempt, 0, error(retry_after=1e308), 1.0) == MAX_MILLISECONDS
    assert retry_delay(step(max_attempts=1000, min_timeout_in_ms=0), attempt, 0, error(retry_after=-5), 1.0) == 0
