"""The names that users may rely on: frozen here, so that losing or adding one is a decision."""

from __future__ import annotations

import inspect
import json
import pickle
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import workflow_state
from workflow_state import errors

ROOT = Path(__file__).parents[2]

#: Every public name, in the groups of ``__init__``; add a name here and to the change log together.
NAMES = """
    execute_plan execute_action PlanResult StateManager create_state_manager action_task_id
    action ActionContext ActionRegistry registry
    ExecutionPlan PlannedAction Condition ErrorHandling ExpectedOutcome Intent OutcomeValidation PlanMetadata
    RetryPolicy UserConfirmation
    ExecutionState ExecutionStatus ExecutionMetrics ExecutionPage ExecutionSummary ActionExecutionState ActionStatus
    Attempt Progress ErrorCategory ErrorDetail Success Failure Skipped
    Event EventError PlanStarted PlanPaused PlanResumed PlanCancelling PlanCompleted PlanFailed PlanCancelled
    ActionRequested ActionCompleted ActionFailed ActionRetrying ActionLost ActionSkipped
    ConfirmationRequested ConfirmationReceived EventListener
    RemoteExecutor Answer CompletedAnswer FailedAnswer publish_answer
    validate_execution_plan validate_plan_logic find_plan_problems find_circular_dependencies compile_plan
    parse_reference resolve_reference Reference Outcome
    execution_report plan_to_svg plan_to_mermaid plan_to_dot
    create_sequential_pipeline create_fan_out_fan_in_pattern create_conditional_branch create_retry_with_fallback
    create_batch_processing are_dependencies_satisfied calculate_execution_metrics extract_successful_results
    PerformanceMetrics
    configure_logging AttemptInfo
    WorkflowStateError ActionError ActionFailedError ActionNotFoundError ActionRegistrationError
    BackendNotSupportedError ConditionEvaluationError ConditionParseError ConfigurationError EmbeddedServerError
    ExecutionNotFoundError InvalidTransitionError NewerSchemaError PlanExecutionError PlanProblem
    PlanValidationError ReferenceNotFoundError ReferenceParseError UnknownActionError
""".split()  # noqa: SIM905 - a line of text is shorter than a line of quotes


def test_the_names_are_frozen() -> None:
    """``__all__`` is exactly this list, in this order, each name once, and each is there."""
    assert workflow_state.__all__ == NAMES
    assert len(set(NAMES)) == len(NAMES)
    assert all(hasattr(workflow_state, name) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_documented(name: str) -> None:
    """Whoever asks ``help()`` of a public name gets an answer that is its own."""
    found = getattr(workflow_state, name)
    if inspect.isclass(found) or inspect.isroutine(found):
        assert found.__doc__, name
        assert not found.__doc__.startswith(f"{name}("), f"{name} has a generated docstring"


def test_the_version_is_that_of_the_package() -> None:
    """``__version__`` is the version in ``pyproject.toml``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert workflow_state.__version__ == project["version"]


def test_the_error_tree_is_the_one_that_is_drawn() -> None:
    """The tree at the top of ``errors`` names every error class, and no other."""
    drawn = set(re.findall(r"^ {4}[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE))
    defined = {
        name
        for name, found in vars(errors).items()
        if inspect.isclass(found) and issubclass(found, errors.WorkflowStateError)
    }
    assert drawn == defined - {"WorkflowStateError"}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            errors.PlanValidationError([errors.PlanProblem("cycle", "actions[0]", "a → a", "cut it")]),
            "The plan has 1 problem:\n  - actions[0]: a → a (cut it) [cycle]",
        ),
        (errors.PlanExecutionError("Plan 'p' ended failed", "e1", {"a": "no"}), "Plan 'p' ended failed"),
        (errors.ActionFailedError("Action 'a' failed: no", "a", {"code": "E"}), "Action 'a' failed: no"),
        (
            errors.ActionNotFoundError("e1", "x", ["a", "b"]),
            "Execution 'e1' has no action 'x'; its actions are: 'a', 'b'",
        ),
        (errors.ReferenceParseError("expected '}'", "${a", 3), "expected '}'"),
        (errors.UnknownActionError("No action is registered as 'x'"), "No action is registered as 'x'"),
    ],
)
def test_errors_cross_process_borders(error: Exception, text: str) -> None:
    """An error rebuilt from its type and its JSON arguments, as a result backend does, is the same error."""
    rebuilt = type(error)(*json.loads(json.dumps(error.args)))
    for found in (error, rebuilt, pickle.loads(pickle.dumps(error))):
        assert str(found) == text
        assert {k: v for k, v in vars(found).items() if k != "known"} == {
            k: v for k, v in vars(error).items() if k != "known"
        }


def test_a_long_list_of_problems_is_cut_in_the_text_only() -> None:
    """The text of an error shows 20 problems and says how many more; ``errors`` has them all."""
    error = errors.PlanValidationError([errors.PlanProblem("x", f"actions[{n}]", "bad") for n in range(25)])
    assert len(error.errors) == 25
    assert str(error).startswith("The plan has 25 problems:\n  - actions[0]: bad [x]\n")
    assert str(error).endswith("\n  … and 5 more")


IMPORT_AND_WATCH = """
import sys, threading
connected = []
sys.addaudithook(lambda event, args: connected.append(args) if event == "socket.connect" else None)
import workflow_state, workflow_state.app
print(connected, threading.active_count())
"""


def test_importing_needs_no_server() -> None:
    """``import workflow_state`` opens no connection and starts no thread."""
    command = [sys.executable, "-c", IMPORT_AND_WATCH]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[] 1\n"
