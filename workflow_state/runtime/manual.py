"""Driving an execution by hand: the caller starts actions and records their results, the rules do the rest.

After every change, whatever the rules decide without running anything (skips, failed conditions, the
end of the execution) is carried out at once, by the same decisions that the workers' engine makes.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from workflow_state import rules
from workflow_state.errors import ActionNotFoundError, ExecutionNotFoundError, InvalidTransitionError
from workflow_state.json_values import problem_in
from workflow_state.models import (
    ActionResult,
    ActionStatus,
    ErrorCategory,
    ErrorDetail,
    ExecutionPlan,
    Failure,
    Skipped,
    Success,
)
from workflow_state.program import Program, Step
from workflow_state.references import Outcome
from workflow_state.runtime.engine import Engine, new_owner
from workflow_state.runtime.submission import LARGE_HINT, execution_error, over_limit
from workflow_state.store.records import Settled


class ManualDriver:
    """Transitions of executions that were stored with ``start=False``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, plan: ExecutionPlan, execution_id: str) -> None:
        """Store an execution that only its caller drives; skips that need no action are made at once.

        One that is there already and that workers drive is left to them.
        """
        self._engine.accept(plan, execution_id, {}, driver="manual")
        if self._engine.store.fields(execution_id, "driver") == ["manual"]:
            self.follow(execution_id)

    def start(self, execution_id: str, action_id: str) -> None:
        """pending → running, if the rules allow it now."""
        step = self._step(execution_id, action_id)
        if self._ready(execution_id, step):
            self._change(execution_id, step, ActionStatus.RUNNING)
            return
        status = self._engine.store.records(execution_id, [action_id])[action_id].status
        if status != "pending":
            raise _illegal(execution_id, action_id, status, "running")
        waits = ", ".join(repr(name) for name in step.needs)
        raise InvalidTransitionError(
            f"Action {action_id!r} of execution {execution_id!r} cannot start yet: it waits for {waits or 'nothing'}; "
            "get_available_actions() lists what can"
        )

    def end(self, execution_id: str, action_id: str, result: ActionResult) -> None:
        """Record how an action ended, then carry out what follows by the rules."""
        step = self._step(execution_id, action_id)
        results = self._engine.store.results
        match result:
            case Success(output=output):
                payload = results.success(execution_id, action_id, output)
                self._change(execution_id, step, ActionStatus.COMPLETED, payload=payload)
            case Failure(error=error) if step.fallback is not None:
                payload = results.success(execution_id, action_id, step.fallback[0])
                self._change(execution_id, step, ActionStatus.COMPLETED, payload=payload, error=error)
            case Failure(error=error):
                payload = results.failure(execution_id, action_id, error)
                self._change(execution_id, step, ActionStatus.FAILED, payload=payload, error=error)
            case Skipped(reason=reason):
                payload = results.skipped(execution_id, action_id, reason)
                self._change(execution_id, step, ActionStatus.SKIPPED, payload=payload, reason=reason)
        self.follow(execution_id)

    def _change(
        self,
        execution_id: str,
        step: Step,
        status: ActionStatus,
        *,
        payload: bytes | str = "",
        error: ErrorDetail | None = None,
        reason: str = "",
    ) -> None:
        halts_if: tuple[str, Sequence[str]] = ("", ())
        # Called for and skipped, in whichever order, an alternative leaves the failure that it stands in for unhandled.
        if status == "skipped" and step.on_skip == "halt":
            halts_if = ("failed", step.stands_in_for)
        elif status == "failed" and step.alternative and self._step(execution_id, step.alternative).on_skip == "halt":
            halts_if = ("skipped", (step.alternative,))
        answer, found = self._engine.store.transition(
            execution_id,
            step.id,
            status,
            payload=payload,
            error=error,
            reason=reason,
            halts=status == "failed" and step.on_failure == "halt",
            halts_if=halts_if,
            look_after_ms=self._engine.settings.lease_ms,
        )
        match answer:
            case "ok":
                return
            case "unknown":
                raise ExecutionNotFoundError(execution_id)
            case "driven":
                raise InvalidTransitionError(
                    f"Execution {execution_id!r} is driven by workers, which record its results themselves; "
                    "initialize_state(plan, start=False) makes one that you drive"
                )
            case "ended":
                # Whoever ended it may have died over it, and no worker be there to see to it.
                self.follow(execution_id)
                raise InvalidTransitionError(
                    f"Execution {execution_id!r} has ended ({found}): nothing changes any more"
                )
            case "stopping":
                raise InvalidTransitionError(
                    f"Execution {execution_id!r} is stopping: an action failed or it was cancelled, nothing new starts"
                )
            case "paused":
                raise InvalidTransitionError(
                    f"Execution {execution_id!r} is paused: nothing new starts before resume_execution()"
                )
        # A caller that died after its last change comes back and repeats it: what should have followed does now.
        self.follow(execution_id)
        raise _illegal(execution_id, step.id, found, status)

    def follow(self, execution_id: str) -> None:
        """Carry out every decision that needs no action to run, and end the execution when all is done."""
        program = self._program(execution_id)
        while decided := self._decisions(execution_id, program):
            store, look_after = self._engine.store, self._engine.settings.lease_ms
            if halting := next((name for name, decision in decided if decision.halts), ""):
                store.halt(execution_id, halting)
            settled: list[Settled] = [
                self._engine.settling.decided(execution_id, program.steps[name], decision) for name, decision in decided
            ]
            store.settle(execution_id, settled, were_open=False, look_after_ms=look_after)
        self._end_when_done(execution_id, program)

    def look_after(self, execution_id: str) -> None:
        """Carry out what a driver that died left undone, and end what nobody has touched for too long."""
        self.follow(execution_id)
        store, head = self._engine.store, self._engine.store.head(execution_id)
        if head is None or head.ended:
            return
        created, touched = store.fields(execution_id, "created_at", "touched_at")
        kept = self._engine.settings.keep_untouched
        left = int(touched or created) + int(kept * 1000) - store.now()
        if left > 0:
            store.postpone(execution_id, left)
            return
        reason = f"Nobody has driven it for {kept:g} s (keep_untouched)"
        store.cancel(execution_id, reason, self._engine.settings.lease_ms)
        error = ErrorDetail(category=ErrorCategory.STATE_INCONSISTENT, message=reason, retryable=False)
        steps = self._program(execution_id).steps
        for name, record in store.records(execution_id, list(steps)).items():
            if record.status == "running":
                self.end(execution_id, name, Failure(error=error))
        self.follow(execution_id)

    def _decisions(self, execution_id: str, program: Program) -> list[tuple[str, rules.Decision]]:
        head = self._engine.store.head(execution_id)
        if head is None or head.stopping or head.status not in ("initializing", "running"):
            return []
        outcomes = self._engine.store.outcomes(execution_id, list(program.steps), with_outputs=True)
        decided = [
            (name, rules.decide(program, step, outcomes, self._engine.redactor))
            for name, step in program.steps.items()
            if outcomes[name].status == "pending" and _may_be_decided(step, outcomes)
        ]
        return [(name, decision) for name, decision in decided if decision.kind != "run"]

    def _end_when_done(self, execution_id: str, program: Program) -> None:
        """End an execution of which nothing is left to do; what was begun of that and not done is done again."""
        engine = self._engine
        head = engine.store.head(execution_id)
        if head is None:
            return
        if not head.ended:
            records = engine.store.records(execution_id, list(program.steps))
            left = {"running"} if head.stopping else {"running", "pending"}
            if any(record.status in left for record in records.values()):
                return
        state = engine.complete(execution_id, new_owner(None))
        if state is None:
            return
        error = None if state["status"] == "completed" else execution_error(state, program.title)
        engine.store.put_final(execution_id, engine.store.results.final(execution_id, state, error))
        engine.tell_ended(state)
        engine.close(execution_id)

    def _ready(self, execution_id: str, step: Step) -> bool:
        program = self._program(execution_id)
        seen = rules.looked_at(program, [step.id])
        outcomes = self._engine.store.outcomes(execution_id, [step.id, *seen], with_outputs=True)
        pending = outcomes[step.id].status == "pending"
        return pending and _may_be_decided(step, outcomes) and rules.decide(program, step, outcomes).kind == "run"

    def _program(self, execution_id: str) -> Program:
        program = self._engine.programs.get(execution_id)
        if program is None:
            raise ExecutionNotFoundError(execution_id)
        return program

    def _step(self, execution_id: str, action_id: str) -> Step:
        steps = self._program(execution_id).steps
        if action_id not in steps:
            raise ActionNotFoundError(execution_id, action_id, steps)
        return steps[action_id]


_RESULT: TypeAdapter[ActionResult] = TypeAdapter(ActionResult)


def result_of(result: object) -> ActionResult:
    """What a caller gave as result: one of the three kinds, its JSON, or else the output of a success.

    Raises:
        ValueError: it cannot be kept as JSON, or is not one of the three kinds though its ``status`` says so.
    """
    try:
        if isinstance(result, Success | Failure | Skipped):
            found: ActionResult = result
        elif isinstance(result, dict) and result.get("status") in ("success", "failure", "skipped"):
            found = _RESULT.validate_python(result)
        else:
            found = Success.model_validate({"output": result})
    except ValidationError as error:
        # Where and why, never the value: it may be a secret.
        wrong = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, wrong["loc"]))
        raise ValueError(f"The result cannot be kept as JSON: {place}: {wrong['msg']}; nothing was changed") from None
    if problem := problem_in(found.output if isinstance(found, Success) else found.model_dump()):
        raise ValueError(f"The result cannot be kept as JSON: {problem}; nothing was changed")
    return found


def check_size(engine: Engine, execution_id: str, action_id: str, result: ActionResult) -> None:
    """Refuse a result that is larger than the settings allow.

    Raises:
        ValueError: it is.
    """
    results = engine.store.results
    match result:
        case Success(output=output):
            payload = results.success(execution_id, action_id, output)
        case Failure(error=error):
            payload = results.failure(execution_id, action_id, error)
        case Skipped(reason=reason):
            payload = results.skipped(execution_id, action_id, reason)
    if said := over_limit(results.size(payload), engine.settings):
        raise ValueError(f"The result for action {action_id!r} is {said}; nothing was changed: {LARGE_HINT}")


def result_for(status: ActionStatus) -> ActionResult:
    """The result of an action whose end was given as a bare status."""
    if status == "completed":
        return Success()
    if status == "skipped":
        return Skipped(reason="skipped by hand")
    return Failure(error=ErrorDetail(category=ErrorCategory.ACTION_FAILED, message="failed, as recorded by hand"))


def _may_be_decided(step: Step, outcomes: dict[str, Outcome]) -> bool:
    return all(outcomes[name].status in ("completed", "failed", "skipped") for name in step.needs)


def _illegal(execution_id: str, action_id: str, found: str, wanted: str) -> InvalidTransitionError:
    return InvalidTransitionError(
        f"Action {action_id!r} of execution {execution_id!r} is {found} and cannot become {wanted}; nothing was changed"
    )
