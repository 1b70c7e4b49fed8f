"""Actions that end without an attempt: by a decision of the rules, or because the execution stops."""

from __future__ import annotations

from collections.abc import Sequence

from workflow_state import rules
from workflow_state.models import ErrorCategory, ErrorDetail
from workflow_state.program import Program, Step
from workflow_state.store.records import Head, Settled
from workflow_state.store.redis import Store


class Settling:
    """Makes what the store takes for such an end, and ends what must not start any more.

    Args:
        store: of the executions.
        look_after_ms: milliseconds until the sweeper looks after what follows an end.
    """

    def __init__(self, store: Store, look_after_ms: int) -> None:
        self._store = store
        self._look_after_ms = look_after_ms

    def decided(self, execution_id: str, step: Step, decision: rules.Decision) -> Settled:
        """An action ended by a decision, as the store takes it."""
        if decision.error is None:
            return self.skipped(execution_id, step.id, decision.reason)
        error, results = decision.error.model_dump_json(), self._store.results
        if decision.kind == "fall_back" and step.fallback is not None:
            payload = results.success(execution_id, step.id, step.fallback[0])
            return Settled(step.id, "completed", payload, error=error)
        return Settled(step.id, "failed", results.failure(execution_id, step.id, decision.error), error=error)

    def skipped(self, execution_id: str, action_id: str, reason: str) -> Settled:
        """An action ended as skipped, as the store takes it."""
        return Settled(
            action_id, "skipped", self._store.results.skipped(execution_id, action_id, reason), reason=reason
        )

    def stop_open(self, execution_id: str, action_ids: Sequence[str], halted: str, *, cancelled: bool) -> Head | None:
        """End those of these open actions that must not start, as the execution halted or ("") was cancelled.

        Between two attempts, or with a remote service, an action goes on when the execution halted: it has begun.
        A cancel ends it, also of one that had halted.
        """
        records = self._store.records(execution_id, action_ids)
        settled = [
            self.skipped(execution_id, name, rules.not_started(halted))
            for name, record in records.items()
            if record.status == "pending"
        ]
        settled += [
            self._stopped_between(execution_id, name, record.error)
            for name, record in records.items()
            if record.phase in ("retry", "remote") and cancelled
        ]
        return self._store.settle(execution_id, settled, were_open=True, look_after_ms=self._look_after_ms)

    def skip_unstarted(self, execution_id: str, program: Program, halted: str) -> None:
        """When nothing is open any more, end all that never had its turn."""
        records = self._store.records(execution_id, list(program.steps))
        settled = [
            self.skipped(execution_id, name, rules.not_started(halted))
            for name, record in records.items()
            if record.status == "pending"
        ]
        self._store.settle(execution_id, settled, were_open=False, look_after_ms=self._look_after_ms)

    def _stopped_between(self, execution_id: str, action_id: str, error: str | None) -> Settled:
        detail = ErrorDetail.model_validate_json(error, extra="ignore") if error else _CANCELLED
        payload = self._store.results.failure(execution_id, action_id, detail)
        return Settled(action_id, "failed", payload, error=detail.model_dump_json(), between_attempts=True)


_CANCELLED = ErrorDetail(
    category=ErrorCategory.USER_CANCELLED,
    message="The execution was cancelled while a remote service was asked for this action",
    retryable=False,
)
