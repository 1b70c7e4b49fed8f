"""1.1: a plan written as JSON for the original loads and runs unchanged, and states serialise to camelCase.

The plans are those of the original's README, with every optional field of 1.2 in the original's spelling.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.endings import Endings
from workflow_state import ExecutionPlan, ExecutionState, validate_execution_plan, validate_plan_logic

CORPUS = Path(__file__).parents[1] / "corpus" / "original"
PLANS = {path.stem: path.read_text("utf-8") for path in sorted(CORPUS.glob("*.json"))}
COMPLETED, FAILED, SKIPPED = "completed", "failed", "skipped"

#: Plan → how its actions end.
ENDS = {
    "sequential-pipeline": {"validate": COMPLETED, "transform": COMPLETED, "save": COMPLETED},
    "fan-out-fan-in": {"fetch-1": COMPLETED, "fetch-2": COMPLETED, "fetch-3": COMPLETED, "combine-results": COMPLETED},
    "conditional-branch": {
        "check-user-type": COMPLETED,
        "premium-flow": SKIPPED,
        "basic-flow": COMPLETED,
        "upsell": COMPLETED,
        "goodbye": COMPLETED,
    },
    "retry-with-fallback": {"primary": FAILED, "secondary": COMPLETED, "archive": COMPLETED},
    "batch-processing": {"batch-0": COMPLETED, "batch-1": COMPLETED, "batch-2": COMPLETED},
    "error-handling": {"optional": FAILED, "defaulted": COMPLETED, "guarded": COMPLETED, "report": COMPLETED},
    "failing-plan": {"send": FAILED, "archive": SKIPPED},
    "every-field": {"first": COMPLETED, "spare": SKIPPED, "second": COMPLETED},
}
OUTPUTS: dict[tuple[str, str], Any] = {
    ("sequential-pipeline", "save"): {"saved": 1, "label": "1 rejected"},
    ("fan-out-fan-in", "combine-results"): {
        "count": 3,
        "items": ["item of 1", "item of 2", "item of 3"],
        "summary": "200 and item of 3",
    },
    ("conditional-branch", "goodbye"): {
        "count": 1,
        "items": ["no premium", "welcome, user u-17"],
        "summary": "bye",
    },
    ("retry-with-fallback", "archive"): {"saved": 1, "label": "sent"},
    ("batch-processing", "batch-2"): {"saved": 2, "label": "batch 2"},
    ("error-handling", "report"): {"saved": 2, "label": "report of failed"},
    ("every-field", "second"): {
        "count": 1,
        "items": ["user u-1", {"nested": ["basic"]}],
        "summary": "completed",
    },
}


@pytest.mark.parametrize("name", PLANS)
def test_it_loads(name: str) -> None:
    """Text, dict and model are the same plan, without a problem; written by alias it is the original again."""
    plan = validate_execution_plan(PLANS[name])
    assert plan == validate_execution_plan(json.loads(PLANS[name])) == ExecutionPlan.model_validate_json(PLANS[name])
    assert {problem.severity for problem in validate_plan_logic(plan)} <= {"warning"}
    written = json.loads(plan.model_dump_json(by_alias=True, exclude_unset=True))
    original = json.loads(PLANS[name])
    created = written["metadata"].pop("createdAt"), original["metadata"].pop("createdAt")
    assert [text.replace(".000Z", "Z") for text in created] == ["2024-05-01T12:00:00Z"] * 2
    assert written == original


@pytest.mark.parametrize("name", PLANS)
def test_it_runs_unchanged(ended: Endings, name: str) -> None:
    """Handed in as the text that it is, it runs on a real worker and ends as the original promised it."""
    assert ended.statuses(name) == ENDS[name]
    assert ended[name].status == ("failed" if name == "failing-plan" else "completed")
    assert ended[name].plan_id == json.loads(PLANS[name])["id"]


@pytest.mark.parametrize(("name", "action_id"), OUTPUTS)
def test_data_flows_by_reference(ended: Endings, name: str, action_id: str) -> None:
    """What the last action put out shows that all references before it were read."""
    assert ended.output(name, action_id) == OUTPUTS[name, action_id]


@pytest.mark.parametrize("name", PLANS)
def test_its_state_is_camel_case_by_alias(ended: Endings, name: str) -> None:
    """``by_alias`` gives the state in the original's spelling, and it is read back as the same state."""
    camel = ended[name].model_dump(mode="json", by_alias=True)
    assert {"id", "planId", "status", "startedAt", "completedAt", "actionStates", "metrics", "version"} <= camel.keys()
    assert set(camel["metrics"]) == {
        "totalActions",
        "completedActions",
        "failedActions",
        "skippedActions",
        "totalDuration",
    }
    for action_id, state in camel["actionStates"].items():
        assert state["actionId"] == action_id
        assert {"status", "startedAt", "completedAt", "duration", "attempts", "result"} <= state.keys()
        assert not [key for key in state if "_" in key]
    assert ExecutionState.model_validate(camel) == ended[name]


def test_the_first_choice_was_retried_before_the_second(ended: Endings) -> None:
    """``retry`` in the original's spelling counts: three attempts, then the alternative, which can read why."""
    primary = ended.action("retry-with-fallback", "primary")
    assert (primary.attempts, [attempt.outcome for attempt in primary.trace]) == (3, ["failed"] * 3)
    assert ended.output("retry-with-fallback", "secondary")["why"] == "ConnectionRefusedError: no mail today"
