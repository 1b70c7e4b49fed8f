"""What a plan does, interpreted in the plainest way: the measure that the engine is held against.

Written from the description of the product and from nothing of the engine: one action at a time, no messages,
no store, no clock. Of the package only the meaning of a condition and of a reference is used, which have tests
of their own. Readings of what the description leaves open are marked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from workflow_state.conditions import evaluate, parse_condition
from workflow_state.errors import ConditionEvaluationError, ReferenceNotFoundError
from workflow_state.references import MISSING, Missing, Outcome, look_up, parse_reference, resolve_value


class AttemptFailed(Exception):
    """Raised by ``perform``: an attempt failed."""

    def __init__(self, category: str, message: str, retryable: bool = True) -> None:
        super().__init__(message)
        self.category, self.message, self.retryable = category, message, retryable


@dataclass
class Ending:
    """How one action ended. ``reason``: why it was skipped, in a word."""

    status: str
    output: Any = MISSING
    error: AttemptFailed | None = None
    reason: str = ""
    attempts: int = 0


@dataclass
class Result:
    """How an execution ended. ``halted``: the action that ended it; ``unmet``: names of validations."""

    status: str
    endings: dict[str, Ending]
    halted: str = ""
    unmet: list[str] = field(default_factory=list)


class Interpreter:
    """One run of a valid plan, given as snake_case JSON. ``perform`` is the code of all actions."""

    def __init__(self, plan: dict[str, Any], perform: Callable[[str, Any, int], Any]) -> None:
        self.plan, self.perform = plan, perform
        self.actions = {action["id"]: action for action in plan["actions"]}
        self.endings: dict[str, Ending] = {}
        self.halted = ""
        self.counted: set[str] = set()

    def run(self) -> Result:
        """Run the actions, then check the expected outcome; after a failure nothing new starts."""
        self.run_actions()
        for name in self.actions:
            self.endings.setdefault(name, Ending("skipped", reason="halted"))
        validations = (self.plan.get("expected_outcome") or {}).get("validations") or []
        unmet = [] if self.halted else [check["name"] for check in validations if not self.is_met(check)]
        return Result("failed" if self.halted or unmet else "completed", self.endings, self.halted, unmet)

    def run_actions(self) -> None:
        """The next level starts when the one before has ended, or, as a data flow, each action when all that it
        waits for has.
        """
        if self.plan.get("schedule") == "dataflow":
            self.work(self.turns([name for name in self.actions if not self.waits_for(name)]))
            return
        for level in self.levels():
            if not self.halted:
                # Reading: where such a decision ends the execution, none of its level starts.
                self.work([(name, 1) for name in level if self.is_to_run(name)])

    def handling(self, name: str) -> dict[str, Any]:
        return self.actions[name].get("error_handling") or {}

    def stand_ins(self, name: str) -> list[str]:
        """Its alternative, the alternative of that, and so on."""
        alternative = self.handling(name).get("alternative_action_id")
        return [alternative, *self.stand_ins(alternative)] if alternative else []

    def principals(self, name: str) -> list[str]:
        """Those that name it as their alternative."""
        return [other for other in self.actions if self.handling(other).get("alternative_action_id") == name]

    def waits_for(self, name: str) -> set[str]:
        """An alternative runs after what it stands in for; who depends on that runs after both."""
        found = {*self.actions[name].get("dependencies", []), *self.principals(name)}
        for dependency in self.actions[name].get("dependencies", []):
            found.update(self.stand_ins(dependency))
        return found - {name}

    def levels(self) -> list[list[str]]:
        """Actions by the longest way to one that waits for nobody; in the plan's order within a level."""
        depth: dict[str, int] = {}
        while len(depth) < len(self.actions):
            for name in self.actions:
                if name not in depth and self.waits_for(name) <= depth.keys():
                    depth[name] = 1 + max((depth[other] for other in self.waits_for(name)), default=-1)
        return [[n for n in self.actions if depth[n] == number] for number in range(1 + max(depth.values()))]

    def work(self, queue: list[tuple[str, int]]) -> None:
        """Who ends without running has been decided; the others run first come, first served."""
        while queue:
            name, attempt = queue.pop(0)
            if self.halted and attempt == 1:
                self.endings[name] = Ending("skipped", reason="halted")
            elif self.is_to_be_tried_again(name, attempt):
                queue.append((name, attempt + 1))
            elif self.plan.get("schedule") == "dataflow" and not self.halted:
                queue += self.turns(self.freed_by(name))

    def turns(self, names: list[str]) -> list[tuple[str, int]]:
        """Who runs of those whose turn has come; who ends without running makes the turn of others."""
        run: list[str] = []
        while names and not self.halted:
            run += [name for name in names if self.is_to_run(name)]
            # Reading: where such a decision ends the execution, nothing that was decided with it starts.
            ended = [] if self.halted else [name for name in names if name in self.endings]
            names = [freed for name in ended for freed in self.freed_by(name)]
        return [(name, 1) for name in run]

    def freed_by(self, name: str) -> list[str]:
        self.counted.add(name)
        return [n for n in self.actions if name in self.waits_for(n) <= self.counted]

    def is_to_run(self, name: str) -> bool:
        principals = self.principals(name)
        called_for = any(self.endings[other].status == "failed" for other in principals)
        if principals and not called_for:
            return self.skip(name, "not needed")
        # Reading: what an alternative stands in for has failed, so only its other dependencies count.
        others = [other for other in self.actions[name].get("dependencies", []) if other not in principals]
        if others and all(self.seen_as(other).status == "skipped" for other in others):
            return self.skip(name, "not taken")
        condition = self.actions[name].get("condition")
        try:
            if condition is None or evaluate(parse_condition(condition["if"]), self.outcomes()):
                return True
        except ConditionEvaluationError as error:
            return self.fail(name, AttemptFailed("validation_failed", str(error)), 0)
        if condition.get("else") == "fail":
            return self.fail(name, AttemptFailed("condition_not_met", condition["if"]), 0)
        return self.skip(name, "condition")

    def skip(self, name: str, reason: str) -> bool:
        self.endings[name] = Ending("skipped", reason=reason)
        # An alternative that is called for and skipped leaves the failure as it was: tolerated or not.
        if reason != "not needed" and self.principals(name) and not self.is_tolerated(name):
            self.halted = self.halted or name
        return False

    def is_to_be_tried_again(self, name: str, attempt: int) -> bool:
        """Try an action once; its inputs must resolve first."""
        action, policy = self.actions[name], self.actions[name].get("retry") or {}
        try:
            inputs = resolve_value(action.get("inputs") or {}, self.outcomes())
            output = self.perform(action["action_definition_id"], inputs, attempt)
        except ReferenceNotFoundError as missing:
            error = AttemptFailed("validation_failed", str(missing), retryable=False)
        except AttemptFailed as failed:
            error = failed
        else:
            self.endings[name] = Ending("completed", output, attempts=attempt)
            return False
        again = error.retryable and attempt < policy.get("max_attempts", 3)
        if again and (policy.get("categories") is None or error.category in policy["categories"]):
            return True
        return self.fail(name, error, attempt)

    def fail(self, name: str, error: AttemptFailed, attempts: int) -> bool:
        """What follows a failure, after the retries."""
        if "fallback_value" in self.handling(name):
            self.endings[name] = Ending("completed", self.handling(name)["fallback_value"], error, "", attempts)
            return False
        self.endings[name] = Ending("failed", error=error, attempts=attempts)
        if not self.stand_ins(name) and not self.is_tolerated(name):
            self.halted = self.halted or name
        return False

    def is_tolerated(self, name: str) -> bool:
        """Either flag: its own, or (reading) that of all who depend on it.

        Reading: an alternative that fails is tolerated too where all are that it may stand in for.
        """
        flag = {other: bool(self.handling(other).get("continue_on_failure")) for other in self.actions}
        flags = [flag[other] for other in self.actions if name in self.actions[other].get("dependencies", [])]
        stood_for = [self.is_tolerated(other) for other in self.principals(name)]
        return flag[name] or (flags != [] and all(flags)) or (stood_for != [] and all(stood_for))

    def seen_as(self, name: str) -> Ending:
        """The ending of what stood in for it, where something did."""
        ending = self.endings[name]
        for alternative in self.stand_ins(name):
            stood_in = self.endings.get(alternative)
            if ending.status != "failed" or stood_in is None or stood_in.status == "skipped":
                break
            ending = stood_in
        return ending

    def outcomes(self) -> dict[str, Outcome]:
        """What references find: status and error are an action's own, the output that of what stood in."""
        return {
            name: Outcome(own.status, self.seen_as(name).output, own.error and vars(own.error))
            for name, own in self.endings.items()
        }

    def is_met(self, check: dict[str, Any]) -> bool:
        found, wanted = look_up(parse_reference(check["reference"]), self.outcomes()), check.get("value")
        if isinstance(found, Missing) or check["operator"] == "exists":
            return not isinstance(found, Missing)
        if check["operator"] == "equals":
            return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)
        if check["operator"] == "contains":
            inside = isinstance(found, list | dict) or (isinstance(found, str) and isinstance(wanted, str))
            return inside and wanted in found
        return isinstance(found, str) and re.search(wanted, found) is not None
