"""Runs to report on: real ones in process for small plans, and made-up times for large ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.pictures import plans
from workflow_state import ActionError, ErrorDetail, ExecutionState, compile_plan, validate_execution_plan
from workflow_state.models import ActionExecutionState, Attempt, ExecutionMetrics, Failure, Skipped, Success
from workflow_state.program import Program
from workflow_state.testing import run_plan

SECRET = "t0ps3cret"
"""A text that an output of the shop bears under the name ``token``, and that another output repeats."""
START = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)


class Recorder:
    """Makes the state of a run up, action by action, as a pool of workers would have run it.

    Args:
        program: what ran.
        seed: of all that is by chance.
        failing: the action that fails for good; whoever waits for it is skipped, and nothing starts after its level.
        workers: how many actions run at a time.
    """

    def __init__(self, program: Program, seed: int = 7, failing: str = "", workers: int = 16) -> None:
        self.program, self.failing, self.workers = program, failing, workers
        self.chance = random.Random(seed)
        self.states: dict[str, ActionExecutionState] = {}

    def run(self) -> ExecutionState:
        clock, halted = 0, False
        for level in self.program.levels:
            free = [clock] * self.workers
            for name in level:
                if halted:
                    self.skip(name)
                    continue
                free.sort()
                free[0] = self.act(name, free[0] + self.chance.randrange(4, 20))
            halted = halted or self.failing in level
            clock = max([clock, *free])
        count = {status: sum(s.status == status for s in self.states.values()) for status in ("completed", "failed")}
        message = f"Action {self.failing!r} failed: the archive does not answer"
        return ExecutionState(
            id="3f2a9c51-7d1e-4e0b-9a44-52c1a8f0b6d2",
            plan_id=self.program.plan_id,
            status="failed" if self.failing else "completed",
            started_at=START,
            completed_at=START + timedelta(milliseconds=clock + 12),
            action_states=self.states,
            error=ErrorDetail(category="network_timeout", message=message) if self.failing else None,
            metrics=ExecutionMetrics(
                total_actions=len(self.states),
                completed_actions=count["completed"],
                failed_actions=count["failed"],
                skipped_actions=len(self.states) - count["completed"] - count["failed"],
                total_duration=clock + 12,
            ),
        )

    def skip(self, name: str) -> None:
        reason = f"not started: the execution had halted on action {self.failing!r}"
        self.states[name] = ActionExecutionState(action_id=name, status="skipped", result=Skipped(reason=reason))

    def act(self, name: str, begin: int) -> int:
        """Run one action from a time on; when it ended."""
        fails = 3 if name == self.failing else 1 if self.chance.random() < 0.06 else 0
        trace: list[Attempt] = []
        at = begin
        for number in range(1, fails + (name != self.failing) + 1):
            length = int(self.chance.lognormvariate(6, 0.7))
            bad = number <= fails
            error = ErrorDetail(category="network_timeout", message="the archive does not answer") if bad else None
            trace.append(
                Attempt(
                    number=number,
                    started_at=moment(at),
                    completed_at=moment(at + length),
                    duration=length,
                    worker=f"w{self.chance.randrange(4)}@shop",
                    outcome="failed" if bad else "completed",
                    error=error,
                )
            )
            at += length + (int(400 * 2**number) if number < fails + (name != self.failing) else 0)
        failed = name == self.failing
        error = trace[-1].error
        self.states[name] = ActionExecutionState(
            action_id=name,
            status="failed" if failed else "completed",
            started_at=moment(begin),
            completed_at=moment(at),
            duration=at - begin,
            attempts=len(trace),
            result=Failure(error=error) if failed and error else Success(output={"rows": self.chance.randrange(9000)}),
            error=error if failed else None,
            trace=tuple(trace),
        )
        return at


def moment(milliseconds: int) -> datetime:
    return START + timedelta(milliseconds=milliseconds)


def recorded(plan: dict[str, Any], failing: str = "") -> tuple[Program, ExecutionState]:
    """A plan, compiled, and a made-up run of it."""
    program = compile_plan(validate_execution_plan(plan))
    return program, Recorder(program, failing=failing).run()


def shop(**behaviour: Callable[..., Any]) -> ExecutionState:
    """A real run of the shop's plan in process; the card is declined unless told otherwise, so an invoice is sent."""

    def charge(amount: int) -> dict[str, Any]:
        raise ActionError("the card was declined", category="validation_failed", retryable=False)

    def check(number: int, apiKey: str) -> dict[str, Any]:
        return {"kind": "premium", "total": 42, "name": "Ada", "token": SECRET, "debug": f"{number} by {apiKey}"}

    actions: dict[str, Callable[..., Any]] = {
        "customers.check": check,
        "stock.reserve": lambda: {"reserved": 3},
        "payments.charge": charge,
        "payments.invoice": lambda: {"invoice": 17},
        "people.approve": lambda: True,
        "warehouse.pack": lambda: {"box": "B-7"},
        "mail.send": lambda: f"sent, with {SECRET} in it",
    }
    return run_plan(plans.SHOP, {**actions, **{name.replace("_", "."): fake for name, fake in behaviour.items()}})
