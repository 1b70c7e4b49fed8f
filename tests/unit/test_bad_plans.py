"""The corpus of bad plans: every code, at exactly the place where the problem is, and nothing else.

A file of ``tests/corpus/bad_plans`` has a ``plan`` (or the ``text`` of one), and the ``codes`` of its errors, or
the ``warnings`` for a plan that can run, each with its location, in the order in which they are given.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from workflow_state import (
    ExecutionPlan,
    PlanProblem,
    PlanValidationError,
    find_plan_problems,
    validate_execution_plan,
    validate_plan_logic,
)
from workflow_state.validation import prepare_plan

ROOT = Path(__file__).parents[2]
CORPUS = sorted((ROOT / "tests" / "corpus" / "bad_plans").glob("*.json"))
DOCUMENT = ROOT / "docs" / "validation.md"
#: Codes that say something of how a plan is sent, not of the plan.
OF_SENDING = {"too_many_actions", "plan_too_large", "result_too_large", "invalid_execution_id"}
#: Found by the command line: in a file before there is a plan, and of the app that the plan is for.
OF_THE_COMMANDS = {"invalid_yaml", "unknown_action"}


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def wanted(case: dict[str, Any], kind: str) -> list[tuple[str, str]]:
    return [(code, location) for code, location in case.get(kind, [])]


def refused(case: dict[str, Any]) -> tuple[PlanProblem, ...]:
    """The errors with which a plan is refused."""
    with pytest.raises(PlanValidationError) as error:
        prepare_plan(case.get("text", case.get("plan")))
    return error.value.errors


@pytest.mark.parametrize("path", [p for p in CORPUS if "codes" in read(p)], ids=lambda path: path.stem)
def test_a_bad_plan_has_exactly_these_problems(path: Path) -> None:
    """Every problem is found at once, with its stable code and its location; nothing is found that is none."""
    case = read(path)
    found = refused(case)
    assert [(problem.code, problem.location) for problem in found] == wanted(case, "codes")
    for problem in found:
        assert problem.severity == "error"
        assert problem.message
        assert len(str(problem)) < 1000
        assert PlanProblem(**json.loads(json.dumps(problem.to_dict()))) == problem


@pytest.mark.parametrize("path", [p for p in CORPUS if "warnings" in read(p)], ids=lambda path: path.stem)
def test_a_dubious_plan_has_exactly_these_warnings(path: Path) -> None:
    """A plan that can run but may not mean what it says is accepted; the linter gives warnings, and no errors."""
    case = read(path)
    plan = prepare_plan(case["plan"])
    found = validate_plan_logic(plan)
    assert [(problem.code, problem.location) for problem in found] == wanted(case, "warnings")
    assert {problem.severity for problem in found} == {"warning"}
    assert find_plan_problems(plan) == found


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_all_ways_to_hand_it_in_find_the_same(path: Path) -> None:
    """As JSON text, as bytes or as a dict: the problems are the same, in the same order."""
    case = read(path)
    if "plan" not in case or "warnings" in case:
        case = {"plan": None, **case}
    text = case.get("text", json.dumps(case["plan"]))
    ways = [text, text.encode()] if "text" in case else [text, text.encode(), case["plan"]]
    assert len({str(problems(way)) for way in ways}) == 1


def problems(data: Any) -> list[tuple[str, str, str]]:
    try:
        plan = validate_execution_plan(data)
    except PlanValidationError as error:
        found = list(error.errors)
    else:
        assert isinstance(plan, ExecutionPlan)
        found = find_plan_problems(plan)
    return [(problem.code, problem.location, problem.suggestion) for problem in found]


def test_the_corpus_is_large_enough() -> None:
    """At least 60 bad plans, besides those that are only dubious."""
    assert sum("codes" in read(path) for path in CORPUS) >= 60


def test_the_corpus_covers_every_code() -> None:
    """Every code that the package can give for a plan is in the corpus."""
    found = {code for path in CORPUS for kind in ("codes", "warnings") for code, _ in read(path).get(kind, [])}
    assert found == codes_of_the_package() - OF_SENDING - OF_THE_COMMANDS


def test_every_code_is_documented() -> None:
    """``docs/validation.md`` has one line for each code, and for no other."""
    documented = re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert sorted(documented) == sorted(codes_of_the_package())


def codes_of_the_package() -> set[str]:
    """First argument of every ``PlanProblem`` and ``_warning``, and what the validator's own table maps to."""
    found: set[str] = set()
    for path in (ROOT / "workflow_state").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("PlanProblem", "_warning") and node.args:
                if isinstance(node.args[0], ast.Constant):
                    found.add(str(node.args[0].value))
            elif isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(node.value, ast.Dict):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(getattr(target, "id", "") == "_CODES" for target in targets):
                    found.update(str(v.value) for v in node.value.values if isinstance(v, ast.Constant))
    return found | {"wrong_type", "invalid_value"}
