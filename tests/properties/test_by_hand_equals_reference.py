"""Random plans driven by hand, through the six methods of the state manager alone, end as they do on workers.

A driver by hand makes one attempt for each action: retries are its own business, and what it records is final. So
the measure is the reference interpreter with one attempt for every action, which the engine is held against too.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from celery import Celery
from hypothesis import given, settings

from tests.properties.test_engine_equals_reference import Summary, summary_of_result, summary_of_state
from tests.random_plans import act, plans
from tests.reference_interpreter import AttemptFailed, Interpreter
from workflow_state import (
    ErrorDetail,
    ExecutionState,
    Failure,
    InvalidTransitionError,
    Outcome,
    StateManager,
    Success,
    compile_plan,
    rules,
    validate_execution_plan,
)
from workflow_state.errors import ReferenceNotFoundError
from workflow_state.references import MISSING, resolve_value


class OneByOne(Interpreter):
    """As a driver by hand goes: no level is waited for, and what ends without running does so as soon as it can."""

    def run_actions(self) -> None:
        order = [name for level in self.levels() for name in level]
        while not self.halted:
            ready = self.ready()
            if not ready:
                return
            name = min(ready, key=order.index)
            self.is_to_be_tried_again(name, 1)

    def ready(self) -> list[str]:
        """Who may run now, once all decisions are taken that need nobody to run."""
        while True:
            open_ = [n for n in self.actions if n not in self.endings and self.waits_for(n) <= self.endings.keys()]
            run = [name for name in open_ if self.is_to_run(name)]
            if self.halted:
                return []
            if run == open_:
                return run


class Driver:
    """Drives an execution of a plan; ``order``: which of the available actions comes next."""

    def __init__(self, manager: StateManager, plan: dict[str, Any]) -> None:
        self.manager = manager
        self.program = compile_plan(validate_execution_plan(plan))
        order = [name for level in Interpreter(plan, act).levels() for name in level]
        self.order: Callable[[str], int] = order.index
        self.id = manager.initialize_state(plan, start=False).id

    def run(self) -> ExecutionState:
        """One action after the other, those of lower levels first."""
        while available := self.manager.get_available_actions(self.id):
            name = min(available, key=self.order)
            assert self.manager.get_action_result(self.id, name) is None
            self.manager.update_action_status(self.id, name, "running")
            self.manager.record_action_result(self.id, name, self.result(name))
        return self.manager.get_full_state(self.id)

    def help_out(self) -> None:
        """Take whatever nobody else has taken, until the execution has ended."""
        while not self.manager.get_full_state(self.id).status.ended:
            for name in self.manager.get_available_actions(self.id):
                try:
                    self.manager.update_action_status(self.id, name, "running")
                except InvalidTransitionError:
                    continue  # another driver was faster, or the execution has halted
                self.manager.record_action_result(self.id, name, self.result(name))

    def result(self, name: str) -> Success | Failure:
        """Do what the action does, once."""
        step = self.program.steps[name]
        try:
            seen = rules.see_through(self.program, step.sources, self.outcomes())
            return Success(output=act(step.definition, resolve_value(step.inputs, seen), 1))
        except ReferenceNotFoundError as error:
            failed = AttemptFailed("validation_failed", str(error), retryable=False)
        except AttemptFailed as error:
            failed = error
        return Failure(error=ErrorDetail(category=failed.category, message=failed.message, retryable=failed.retryable))

    def outcomes(self) -> dict[str, Outcome]:
        """What the references of an action may see of those that have ended."""
        found = {}
        for name, state in self.manager.get_full_state(self.id).action_states.items():
            if state.status.ended:
                output = state.result.output if isinstance(state.result, Success) else MISSING
                error = state.error.model_dump(mode="json") if state.error else None
                found[name] = Outcome(state.status.value, output, error, getattr(state.result, "reason", ""))
        return found


def once(plan: dict[str, Any]) -> dict[str, Any]:
    """The plan with one attempt for each action."""
    actions = [{**action, "retry": {**action["retry"], "max_attempts": 1}} for action in plan["actions"]]
    return {**plan, "actions": actions}


@pytest.fixture(scope="module")
def manager(database: Callable[[], str]) -> Iterator[StateManager]:
    """On a database that no worker looks at."""
    app = Celery("by-hand", set_as_current=False, backend=database())
    yield StateManager(app)
    app.close()
    app.backend.client.close()


def is_halted(ending: dict[str, Any]) -> bool:
    return bool(ending["reason"] == "halted")


def agree(by_hand: Summary, on_workers: Summary, plan: dict[str, Any]) -> None:
    """An execution that nothing halts ends alike to the letter. One that something halts is halted in both, and
    what has run in both has ended alike: how far the others came is a matter of who was faster, on workers too.
    """
    text = json.dumps(plan, indent=1)
    assert by_hand["status"] == on_workers["status"], text
    one, other = by_hand["actions"], on_workers["actions"]
    halted = [name for name in one if is_halted(one[name]) or is_halted(other[name])]
    assert {n: one[n] for n in one if n not in halted} == {n: other[n] for n in one if n not in halted}, text
    assert halted or by_hand["cause"] == on_workers["cause"], text


def clean_up(manager: StateManager, driver: Driver) -> None:
    """Nothing of an execution is left once it is deleted: not a key in the whole database."""
    assert manager.delete(driver.id)
    assert manager._store.results.client.dbsize() == 0


@settings(max_examples=150, deadline=None)
@given(plans())
def test_one_driver(manager: StateManager, plan: dict[str, Any]) -> None:
    """Statuses, outputs, errors, reasons, attempts, overall status and its cause are what the interpreter has for
    a driver that takes one action after the other, and agree with those on workers, level by level.
    """
    driver = Driver(manager, plan)
    found = summary_of_state(driver.run())
    assert found == summary_of_result(OneByOne(once(plan), act).run()), json.dumps(plan, indent=1)
    agree(found, summary_of_result(Interpreter(once(plan), act).run()), plan)
    clean_up(manager, driver)


@settings(max_examples=25, deadline=None)
@given(plans())
def test_four_drivers(manager: StateManager, plan: dict[str, Any]) -> None:
    """Four drivers of one execution share its actions: each runs once, and the end is the same."""
    driver = Driver(manager, plan)
    together = threading.Barrier(4)

    def drive(_: int) -> None:
        together.wait(10)
        driver.help_out()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(drive, range(4)))
    found = summary_of_state(manager.get_full_state(driver.id))
    agree(found, summary_of_result(Interpreter(once(plan), act).run()), plan)
    clean_up(manager, driver)
