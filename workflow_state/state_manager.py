"""The StateManager: what is available, running, done, and why, read from any process at any time."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

from celery import Celery, current_app
from pydantic import JsonValue

from workflow_state import rules
from workflow_state.actions import registry
from workflow_state.arguments import checked_methods, member_of
from workflow_state.errors import ActionNotFoundError, ExecutionNotFoundError, InvalidTransitionError
from workflow_state.event_types import Event
from workflow_state.models import (
    ActionExecutionState,
    ActionResult,
    ActionStatus,
    ExecutionPage,
    ExecutionState,
    ExecutionStatus,
)
from workflow_state.pictures import execution_report
from workflow_state.program import Program
from workflow_state.references import MISSING
from workflow_state.runtime import control
from workflow_state.runtime.engine import engine_of
from workflow_state.runtime.manual import ManualDriver, check_size, result_for, result_of
from workflow_state.runtime.outside import record_result
from workflow_state.runtime.reporting import secrets_given_in
from workflow_state.runtime.rerun import rerun
from workflow_state.runtime.submission import PlanResult, check_compression, check_id
from workflow_state.runtime.tasks import PlanTask, execute_plan
from workflow_state.store.history import await_end, await_events, check_known, read_events
from workflow_state.store.index import Wanted, in_milliseconds, read_page
from workflow_state.store.outages import told_in_outage
from workflow_state.store.reader import SLICE, outcome_of
from workflow_state.store.records import Record
from workflow_state.store.state import action_state, iter_states, read_state
from workflow_state.validation import prepare_plan


@checked_methods
class StateManager:
    """Reads the state of executions from the app's result backend.

    Args:
        app: the Celery app whose workers run the plans; the current app when None.

    Raises:
        BackendNotSupportedError: the app's result backend is not Redis-compatible.

    Example:
        >>> manager = StateManager(app)
        >>> manager.get_action_result(state.id, "publish").output
        'sent: USD 1.1'
        >>> # Driven by hand, without any worker:
        >>> driven = manager.initialize_state(plan, start=False)
        >>> manager.get_available_actions(driven.id)
        ['fetch']
        >>> manager.update_action_status(driven.id, "fetch", "running")
        >>> manager.record_action_result(driven.id, "fetch", {"EUR": 1.0, "USD": 1.1})
        >>> manager.get_available_actions(driven.id)
        ['check']
    """

    def __init__(self, app: Celery | None = None) -> None:
        self._engine = engine_of(app or current_app._get_current_object())
        self._store = self._engine.store
        # By itself it is the task of whatever app is the current one.
        self._execute_plan: PlanTask = self._engine.app.tasks[execute_plan.name]
        self._manual = ManualDriver(self._engine)

    def initialize_state(self, plan: object, *, start: bool = True, execution_id: str | None = None) -> ExecutionState:
        """Validate a plan, store an execution of it with every action pending, and start it.

        Args:
            plan: as for ``execute_plan``.
            start: hand it to the workers. False only stores it: its caller drives it, through
                ``get_available_actions``, ``update_action_status`` and ``record_action_result``.
            execution_id: a new one when None; one that is there already is not changed.

        Raises:
            PlanValidationError: with every problem of the plan, a cycle among them.
            ConfigurationError: messages cannot be compressed as is asked for; nothing is stored.
            redis.exceptions.ConnectionError, kombu.exceptions.OperationalError: the server, or the broker, is away.
                The text names the execution, and says whether it is stored.
        """
        execution_id = str(uuid.uuid4()) if execution_id is None else execution_id
        check_id(execution_id)
        prepared = prepare_plan(plan)
        if start:
            check_compression(self._engine.app)
        with told_in_outage(
            f"execution {execution_id!r} may be stored: the same call with this execution_id stores it once"
        ):
            if not start:
                self._manual.create(prepared, execution_id)
                return self.get_full_state(execution_id)
            self._engine.accept(prepared, execution_id, {})
        with told_in_outage(f"execution {execution_id!r} is stored, and a worker starts it when the broker is back"):
            state = self.get_full_state(execution_id)
            # Not the plan once more: a message that outlives a deletion must not run what was deleted.
            self._engine.app.tasks["workflow_state.advance"].apply_async((execution_id,))
        return state

    def update_action_status(self, execution_id: str, action_id: str, status: ActionStatus | str) -> None:
        """Change the status of an action of an execution that you drive.

        Where workers drive, only as :meth:`record_action_result` may. ``running`` needs every dependency to have
        ended well enough; ``completed``, ``failed`` and ``skipped`` record an empty result of that kind.

        Raises:
            ExecutionNotFoundError, ActionNotFoundError: no such execution or action.
            InvalidTransitionError: the rules do not allow it, or workers drive the execution; nothing changed.
        """
        wanted = member_of(ActionStatus, status)
        if wanted == ActionStatus.RUNNING:
            self._manual.start(execution_id, action_id)
        elif wanted == ActionStatus.PENDING:
            raise InvalidTransitionError(f"Action {action_id!r} cannot become pending: every action starts so")
        else:
            self._end(execution_id, action_id, result_for(wanted))

    def record_action_result(self, execution_id: str, action_id: str, result: object) -> None:
        """Record how an action ended; status and result change together.

        For executions that you drive. Where workers drive, it ends a remote action, or one that waits for a
        confirmation: those that no worker runs.

        Args:
            execution_id, action_id: which action.
            result: :class:`Success`, :class:`Failure` or :class:`Skipped`, or the JSON dict of one (``status``
                tells which); anything else is the output of a success.

        Raises:
            ExecutionNotFoundError, ActionNotFoundError: no such execution or action.
            InvalidTransitionError: the action is not running, or a worker runs it; nothing changed.
            ValueError: the result cannot be kept as JSON, or is larger than ``max_result_size``; nothing changed.
        """
        self._end(execution_id, action_id, result_of(result))

    def get_full_state(self, execution_id: str) -> ExecutionState:
        """Everything known of an execution, read at one moment.

        Raises:
            ExecutionNotFoundError: it is unknown, or its records have expired.
        """
        return read_state(self._store, execution_id)

    def iter_action_states(self, execution_id: str, *, page: int = 1000) -> Iterator[ActionExecutionState]:
        """The states of an execution's actions in the order of its levels, without holding all of them.

        ``page``: how many are read at once, 1 to 1000; what is in one page was read at about one moment.

        Raises:
            ExecutionNotFoundError: at once when it is unknown; later when it was deleted or has expired meanwhile.
            ValueError: ``page`` is out of range.
        """
        if not 1 <= page <= SLICE:
            raise ValueError(f"page is {page}; expected 1 to {SLICE}")
        return iter_states(self._store, execution_id, page)

    def list_executions(
        self,
        *,
        status: ExecutionStatus | str | None = None,
        plan_id: str | None = None,
        name: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> ExecutionPage:
        """The executions whose records are kept, the newest first, a page at a time.

        Going from page to page gives each of them once, whatever is accepted or expires meanwhile. The fields of
        an execution are read to filter it, so a page of what is rare costs a look at all (0.5 s for 10,000).

        Args:
            status: only those that stand so, ``paused_for_confirmation`` included.
            plan_id: only those of the plan with this id.
            name: only those whose plan's name has this in it, in upper or lower case.
            since, until: only those accepted from then on, and before then; both with a time zone.
            cursor: of the page before; None for the first page.
            limit: how many a page has at most, 1 to 1000.

        Raises:
            ValueError: no such status, a time without zone, a limit out of range, a cursor that no page had.
        """
        if not 1 <= limit <= SLICE:
            raise ValueError(f"limit is {limit}; expected 1 to {SLICE}, and the cursor of the page for more")
        state = None if status is None else member_of(ExecutionStatus, status)
        wanted = Wanted(state, plan_id, name, in_milliseconds(since), in_milliseconds(until))
        return read_page(self._store, wanted, cursor, limit)

    def get_action_result(self, execution_id: str, action_id: str) -> ActionResult | None:
        """How an action ended: ``Success``, ``Failure`` or ``Skipped``; None while it has not.

        Raises:
            ExecutionNotFoundError: the execution is unknown.
            ActionNotFoundError: its plan has no such action.
        """
        self._step_of(execution_id, action_id)
        record = self._store.records(execution_id, [action_id])[action_id]
        outputs = self._store.outputs(execution_id, [action_id]) if record.status == "completed" else {}
        if action_id not in outputs:
            self._store.check_there(execution_id, whole=record.status != "completed")
        return action_state(execution_id, action_id, record, outputs).result

    def get_available_actions(self, execution_id: str) -> list[str]:
        """Ids of the pending actions that may start now by the rules, conditions included, in plan order.

        With workers driving the execution, a level at a time, these are about to start or wait for
        their level.

        Raises:
            ExecutionNotFoundError: the execution is unknown.
        """
        snapshot = self._store.snapshot(execution_id)
        if snapshot.fields["status"] not in ("initializing", "running", "paused_for_confirmation"):
            return []
        if any(snapshot.fields.get(name) for name in ("halted", "cancel", "paused")):
            return []
        program, records = Program.from_json(snapshot.program), snapshot.actions
        ended = {name: record for name, record in records.items() if record.ended_at is not None}
        open_steps = [
            step
            for name, step in program.steps.items()
            if records.get(name, Record()).may_begin and all(before in ended for before in step.needs)
        ]
        read = {source for step in open_steps for source in step.sources if step.condition}
        completed = [name for name in read if name in ended and ended[name].status == "completed"]
        outputs = self._store.outputs(execution_id, completed)
        outcomes = {name: outcome_of(record, outputs.get(name, MISSING)) for name, record in ended.items()}
        return [step.id for step in open_steps if rules.decide(program, step, outcomes).kind == "run"]

    def cancel_execution(self, execution_id: str, reason: str = control.NO_REASON) -> bool:
        """Cancel: nothing new starts, what runs may look at its context and ends, what was done is kept.

        Returns False when the execution had ended already; cancelling twice is the same as once.

        Raises:
            ExecutionNotFoundError: it is unknown.
        """
        cancelled = control.cancel(self._engine, execution_id, reason)
        if self._store.fields(execution_id, "driver") == ["manual"]:
            self._manual.follow(execution_id)
        return cancelled

    def pause_execution(self, execution_id: str) -> bool:
        """Pause: nothing new starts, what runs goes on to its end; no worker and no message is held meanwhile.

        An execution whose last action ends meanwhile ends with it; a confirmation that is not given in time still
        rejects. Returns False when the execution had ended already; pausing twice is the same as once.

        Raises:
            ExecutionNotFoundError: it is unknown.
        """
        return control.pause(self._engine, execution_id)

    def resume_execution(self, execution_id: str) -> bool:
        """Let a paused execution go on where it stood. Returns False when it had ended already.

        Raises:
            ExecutionNotFoundError: it is unknown.
        """
        return control.resume(self._engine, execution_id)

    def history(self, execution_id: str, *, after: int = 0) -> list[Event]:
        """What has happened in an execution, in order: its events with a higher ``sequence`` than ``after``.

        Kept as long as the execution's records.

        Raises:
            ExecutionNotFoundError: it is unknown, or its records have expired.
        """
        return list(read_events(self._store, self._program(execution_id), execution_id, after))

    def watch(self, execution_id: str, *, after: int = 0) -> Iterator[Event]:
        """What has happened and what happens, as it does; the iterator ends after the last event.

        It waits on the server, so nothing is asked again and again, also for a worker to accept what was just sent.
        After a lost connection go on with ``after=``, the ``sequence`` of the last event that came.

        Raises:
            ExecutionNotFoundError: at once, when the execution is unknown; later, when what was sent was withdrawn.
        """
        check_known(self._store, execution_id)
        return await_events(self._store, self._program, execution_id, after)

    def wait(self, execution_id: str, timeout: float | None = None) -> ExecutionState:
        """Wait for the end and give the final state, however it ended; ``timeout``: seconds, None for ever.

        Raises:
            ExecutionNotFoundError: it is unknown, or what was sent was revoked, refused or has expired.
            TimeoutError: it has not ended in time.
        """
        if not await_end(self._store, execution_id, timeout):
            raise TimeoutError(f"Execution {execution_id!r} has not ended within {timeout:g} s; it goes on")
        return self.get_full_state(execution_id)

    def report(self, execution_id: str) -> str:
        """An execution, ended or not, as one HTML file: see :func:`workflow_state.execution_report`.

        What the app's settings call secret by name is not in it, nor what actions known here declare secret by type.

        Raises:
            ExecutionNotFoundError: it is unknown.
        """
        program, state = self._program(execution_id), self.get_full_state(execution_id)
        secrets = secrets_given_in(program, state, registry, self._engine.redactor)
        return execution_report(program, state, redactor=self._engine.redactor, secrets=secrets)

    def delete(self, execution_id: str) -> bool:
        """Delete an ended execution: records, history, results, those of Celery included, and its place in the lists.

        Its id can be used again afterwards; what runs is then the new plan.

        Returns:
            True when it is gone; False when no worker has carried out its end yet (stored its result, called what
            its caller hung on it): the one that does deletes it.

        Raises:
            ExecutionNotFoundError: it is unknown, or was deleted before.
            InvalidTransitionError: it has not ended; cancel it first.
        """
        return control.delete(self._engine, execution_id)

    def confirm_action(self, execution_id: str, action_id: str, confirmed: bool, user_id: str | None = None) -> None:
        """Answer a confirmation: True lets the action run, False cancels; the same answer again changes nothing.

        Raises:
            ExecutionNotFoundError, ActionNotFoundError: no such execution or action.
            InvalidTransitionError: the action does not wait for one, or the other answer was given.
            TypeError: the answer is neither True nor False, as the text of a form; nothing changes.
        """
        control.confirm(self._engine, execution_id, action_id, confirmed, user_id or "")

    def rerun(
        self,
        execution_id: str,
        from_action: str | None = None,
        *,
        inputs: Mapping[str, Mapping[str, JsonValue]] | None = None,
        skip: Collection[str] = (),
        results: Mapping[str, JsonValue] | None = None,
    ) -> PlanResult:
        """Run an ended execution again as a new one: what completed is taken over, the rest runs.

        Args:
            execution_id: the execution that has ended.
            from_action: runs again, and all that waits for it.
            inputs: new inputs by action id; these actions run again, and all that waits for them.
            skip: actions that are marked skipped instead of run.
            results: outputs by action id that stand for running these actions.

        Returns:
            The result of the new execution, with its id. With the broker away it starts later, when a worker looks.

        Raises:
            ExecutionNotFoundError, ActionNotFoundError: no such execution or action.
            InvalidTransitionError: the execution has not ended.
            PlanValidationError: the plan is not valid with the new inputs, a result is no JSON or too large, or an
                action is named in two of these.
        """
        new_id, edited, given = str(uuid.uuid4()), inputs or {}, results or {}
        rerun(self._engine, execution_id, new_id, from_action=from_action, inputs=edited, skip=skip, results=given)
        return self._execute_plan.AsyncResult(new_id)

    def _end(self, execution_id: str, action_id: str, result: ActionResult) -> None:
        (driver,) = self._store.fields(execution_id, "driver")
        check_size(self._engine, execution_id, action_id, result)
        if driver == "manual":
            self._manual.end(execution_id, action_id, result)
        else:
            record_result(self._engine, registry, execution_id, action_id, result)

    def _step_of(self, execution_id: str, action_id: str) -> None:
        steps = self._program(execution_id).steps
        if action_id not in steps:
            raise ActionNotFoundError(execution_id, action_id, steps)

    def _program(self, execution_id: str) -> Program:
        text = self._store.program(execution_id)
        if text is None:
            raise ExecutionNotFoundError(execution_id)
        return Program.from_json(text)


def create_state_manager(app: Celery | None = None) -> StateManager:
    """A :class:`StateManager`, under the original's name for making one.

    Example:
        >>> create_state_manager(app).get_full_state(state.id).status.value
        'completed'
    """
    return StateManager(app)
