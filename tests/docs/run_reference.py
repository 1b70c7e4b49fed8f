"""Runs the examples of the reference: `python -m tests.docs.run_reference`, with a worker on the same server.

The page says what they share; this adds executions that end otherwise, so that there is an event of each type.
"""

from __future__ import annotations

import doctest
import sys
from typing import Any

import workflow_state
from tests.docs import documents
from tests.docs.examples import WITHOUT_DOCSTRING, examples_of
from workflow_state import StateManager

PAGE = documents.ROOT / "docs" / "reference" / "index.md"
ACTIONS = """
import os
import signal

from workflow_state import ActionContext, action


@action("test.fragile")
def fragile(context: ActionContext) -> int:
    if context.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return 1
"""
#: What a worker runs: the actions of the page, and one that takes its process down.
ACTIONS_FILE = documents.blocks(PAGE, "python")[0].code + ACTIONS


def shared_names() -> dict[str, Any]:
    """What the page's code defines, and `seen`."""
    _, *setup = documents.blocks(PAGE, "python")
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in setup:
        exec(compile("\n" * block.line + block.code, str(PAGE), "exec"), names)
    names["seen"] = seen_events(names["manager"], [names["state"].id, *other_executions(names)])
    return names


def other_executions(names: dict[str, Any]) -> list[str]:
    """The ids of executions that failed, were paused, were cancelled, and lost a worker."""
    manager: StateManager = names["manager"]
    failed = manager.initialize_state(names["plan_that_fails"])
    waiting = manager.initialize_state(
        {"actions": [{**names["plan_that_fails"]["actions"][0], "userConfirmation": {}}]}
    )
    lost = manager.initialize_state({"actions": [{"id": "fragile", "actionDefinitionId": "test.fragile"}]})
    next(event for event in manager.watch(waiting.id) if event.type == "user.confirmation.requested")
    manager.pause_execution(waiting.id)
    manager.resume_execution(waiting.id)
    manager.cancel_execution(waiting.id, "no longer needed")
    for started in (failed, waiting, lost):
        manager.wait(started.id, timeout=60)
    return [failed.id, waiting.id, lost.id]


def seen_events(manager: StateManager, executions: list[str]) -> dict[str, Any]:
    """The first event of each type."""
    seen: dict[str, Any] = {}
    for execution_id in executions:
        for event in manager.history(execution_id):
            seen.setdefault(event.type, event)
    return seen


def main() -> int:
    """Run every example; what went wrong is printed as doctest does. The exit code is 1 if anything did."""
    shared = shared_names()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for name in [*workflow_state.__all__, "testing.run_plan", "settings.Settings"]:
        if name in WITHOUT_DOCSTRING:
            continue
        # Each has the names to itself: no example may lean on another.
        runner.run(doctest.DocTest(examples_of(name), dict(shared), name, None, 0, None))
    for page in set(WITHOUT_DOCSTRING.values()):
        code = "".join(block.code for block in documents.blocks(PAGE.parent / page, "python"))
        exec(compile(code, page, "exec"), dict(shared))
    return 1 if runner.failures else 0


if __name__ == "__main__":
    sys.exit(main())
