"""The Celery tasks. They are ``shared_task``: they belong to whatever app is in use.

========================  ==================================================================
``execute_plan(plan)``    accept a plan and start it; its task id is the execution id
``execute_action``        one attempt of one action
``execute_batch``         the first attempts of some tiny actions
``record_answer``         record what a remote service answered
``advance``               start what can be started, or publish a part of it
``finish``                end the execution, as the very task that ``execute_plan`` was
========================  ==================================================================
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

from celery import Task, current_task, shared_task, signals
from celery.exceptions import Ignore, Reject, TimeLimitExceeded
from celery.result import EagerResult

from workflow_state.actions import registry
from workflow_state.compiler import compile_plan
from workflow_state.errors import (
    ActionFailedError,
    NewerSchemaError,
    PlanExecutionError,
    PlanValidationError,
)
from workflow_state.events import REQUEST_HEADER
from workflow_state.models import ExecutionPlan
from workflow_state.runtime import canvas, unaccepted
from workflow_state.runtime.batch import Batch
from workflow_state.runtime.engine import engine_of, new_owner
from workflow_state.runtime.inprocess import InProcessRun
from workflow_state.runtime.observers import observers_of
from workflow_state.runtime.outside import read_answer, take_answer
from workflow_state.runtime.privacy import hide_state
from workflow_state.runtime.runner import Delivery
from workflow_state.runtime.soft_limit import through_limit
from workflow_state.runtime.submission import (
    AnyPlan,
    EagerPlanResult,
    PlanResult,
    ValidPlanText,
    check_compression,
    check_id,
    check_limits,
    execution_error,
    plan_as_text,
    unchecked,
)
from workflow_state.settings import Settings
from workflow_state.store.outages import is_outage, told_in_outage
from workflow_state.store.packing import COMPRESS_FROM
from workflow_state.validation import prepare_plan

#: Seconds until a worker looks again at work that a newer version must do.
NEWER_SCHEMA_DELAY = 10
#: What the caller may have hung on ``execute_plan``; the finishing task takes it over.
_CARRIED = (
    "root_id",
    "parent_id",
    "group_id",
    "group_index",
    "chord",
    "chain",
    "link",
    "link_error",
    "reply_to",
    "priority",
    "queue",
    "exchange",
    "routing_key",
    "ignore_result",
    "headers",
    "shadow",
)


#: What ``task_annotations`` for all tasks must not change.
_NOT_FOR_ANNOTATIONS = (
    *("max_retries", "acks_late", "reject_on_worker_lost", "track_started", "serializer"),
    *("ignore_result", "store_errors_even_if_ignored"),
)


def _one_after_the_other(ours: Callable[..., None], theirs: Callable[..., None]) -> Callable[..., None]:
    def hook(*args: Any) -> None:
        ours(*args)
        theirs(*args)

    return hook


class EngineTask(Task):  # type: ignore[misc] # Celery has no types
    """Base of the engine's tasks: a lost server is no failure of theirs, the message comes again."""

    abstract = True
    Request = "workflow_state.runtime.requests:LastingRequest"
    max_retries = None
    acks_late = True
    reject_on_worker_lost = True
    # Whatever an app's other tasks use: a plan is data, and its text is no plain string to every serializer.
    serializer = "json"
    # Set here, so that an app's settings for its other tasks do no harm: a late copy of a message would
    # write STARTED over a result, and a lost process a failure that is none.
    track_started = False
    store_errors_even_if_ignored = False

    @classmethod
    def annotate(cls) -> None:
        """As ``Task.annotate``; what the engine rests on stays, an app's hooks are called after ours."""
        own = {name: getattr(cls, name) for name in _NOT_FOR_ANNOTATIONS}
        hooks = {name: getattr(super(cls, cls), name) for name in ("on_failure", "after_return")}
        super().annotate()
        for name, value in own.items():
            setattr(cls, name, value)
        for name, ours in hooks.items():
            if (theirs := cls.__dict__.get(name)) is not None:
                setattr(cls, name, _one_after_the_other(ours, theirs))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.request.called_directly:
            return super().__call__(*args, **kwargs)
        try:
            return through_limit(lambda: self.run(*args, **kwargs))
        except NewerSchemaError as error:
            raise self.retry(countdown=NEWER_SCHEMA_DELAY, exc=error) from None
        except Exception as error:
            if is_outage(error):
                raise Reject(error, requeue=True) from error
            raise


@signals.task_postrun.connect(weak=False)
def _let_go(task: Any = None, retval: Any = None, **_: Any) -> None:
    """Free at once what a task was called with, or failed with: a plan, a final state.

    The exception that ended it and the frame that caught it hold one another. Python's collector finds such a pair by
    the number of small things that it holds, so thousands of long plans could wait for it.
    """
    if isinstance(retval, BaseException) and isinstance(task, EngineTask) and not task.request.is_eager:
        retval.__traceback__ = None


class PlanTask(EngineTask):
    """``execute_plan``: plans are validated where they are sent, and travel as JSON text."""

    abstract = True
    Request = "workflow_state.runtime.requests:PlanRequest"

    def signature(self, args: Any = None, *starargs: Any, **starkwargs: Any) -> Any:
        """As ``Task.signature``; raises ``PlanValidationError`` here rather than in a worker."""
        return super().signature(plan_as_text(args), *starargs, **starkwargs)

    def delay(self, plan: AnyPlan) -> PlanResult:
        """Send a plan; see :func:`workflow_state.execute_plan`."""
        return self.apply_async((plan,))

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> PlanResult:
        """As ``Task.apply_async``; with ``task_always_eager`` the result is an ``EagerResult`` that gives the same.

        Raises:
            PlanValidationError: before anything is sent.
            ConfigurationError: messages cannot be compressed as is asked for; nothing is sent.
            kombu.exceptions.OperationalError: the broker cannot be reached; the text names a new execution that may
                have been sent.
        """
        follows = options.get("parent_id") is not None
        if kwargs and "plan" in kwargs:
            kwargs = dict(kwargs)
            args = (kwargs.pop("plan"), *(args or ()))
        try:
            if options.get("task_id"):
                check_id(options["task_id"])
            args = plan_as_text(args)
            if args and isinstance(args[0], ValidPlanText):
                check_limits(args[0].actions, len(args[0]), Settings.of(self.app), args[0].fallbacks)
        except PlanValidationError:
            if not follows:
                raise
            # The task before has done its work; it is this one that shall fail, in the worker it goes to.
            args = unchecked(args)
        if not self.app.conf.task_always_eager:
            check_compression(self.app, options.get("compression"))
        # The plan's inputs may hold secrets: neither Flower nor the logs get to see them.
        title = args[0].plan_title if args and isinstance(args[0], ValidPlanText) else None
        if title:
            options.setdefault("shadow", title)
        options.setdefault("argsrepr", f"(<plan {title or '?'!r}>,)")
        options.setdefault("kwargsrepr", "{}")
        own = getattr(self, "compression", None) or self.app.conf.task_compression
        if title and len(args[0]) >= COMPRESS_FROM and not own:
            # The broker holds it twice until it is accepted.
            options.setdefault("compression", "gzip")
        if headers := observers_of(self.app).headers():
            options["headers"] = {**headers, **(options.get("headers") or {})}
        given = options.get("task_id")
        options["task_id"] = execution_id = given or str(uuid.uuid4())
        doubt = f"execution {execution_id!r} may have been sent: sent again with this task_id, it runs once"
        kept = unaccepted.kept(self.app, (args, kwargs, options), insist=not (follows or current_task))
        with kept, nullcontext() if given else told_in_outage(doubt):
            result: Any = super().apply_async(args, kwargs, **options)
        return EagerPlanResult.of(result) if isinstance(result, EagerResult) else result

    def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called by Celery: a worker has refused the plan."""
        if not self.request.is_eager:
            unaccepted.withdraw(engine_of(self.app), task_id)

    def AsyncResult(self, task_id: str, **kwargs: Any) -> PlanResult:
        """The result of an execution, by its id."""
        return PlanResult(task_id, backend=self.backend, task_name=self.name, app=self.app, **kwargs)


def _plan_task(function: Callable[[Any, Any], Any]) -> PlanTask:
    """``shared_task``, with the type of what it gives, which Celery does not say."""
    task: PlanTask = shared_task(bind=True, base=PlanTask, name="workflow_state.execute_plan", ignore_result=False)(
        function
    )
    return task


@_plan_task
def execute_plan(self: Any, plan: Any) -> Any:
    """Run a plan; the id of the returned result is the execution id.

    Args:
        plan: an :class:`ExecutionPlan`, a dict, or JSON text; camelCase and snake_case are read alike.

    Returns:
        The final state, once the plan has ended (``.get()``), as :class:`ExecutionState`.

    Raises:
        PlanValidationError: in the caller, with every problem of the plan.
        PlanExecutionError: from ``.get()``, when the plan failed.

    Example:
        >>> result = execute_plan.delay({"actions": [
        ...     {"id": "tell", "actionDefinitionId": "mail.send", "inputs": {"text": "hello"}},
        ... ]})
        >>> result.get(timeout=30).action_states["tell"].result.output
        'sent: hello'
    """
    request = self.request
    if request.called_directly or request.is_eager:
        return _run_here(self.app, prepare_plan(plan), request.id or str(uuid.uuid4()))
    engine = engine_of(self.app)
    check_id(request.id)
    # Before it is read: what is too large is not worth the time and the memory.
    check_limits(0, len(plan) if isinstance(plan, str) else len(json.dumps(plan)), engine.settings)
    prepared: ExecutionPlan = prepare_plan(plan)
    head = engine.accept(prepared, request.id, _carried(self), keep=True)
    # A large one takes a lot of memory.
    del prepared
    engine.advance(request.id, head)
    raise Ignore("accepted: the task ends when the plan does")


# The engine stores the result itself, with the record; a failed action is no bug of the worker's to log.
_ACTION_OPTIONS = {"ignore_result": True, "typing": False, "throws": (ActionFailedError,)}


class ActionTask(EngineTask):
    """``execute_action``: an attempt that the hard time limit ended is recorded by the main process."""

    abstract = True

    def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called by Celery; only a passed hard limit is news here, other failures are recorded already."""
        if isinstance(exc, TimeLimitExceeded):
            execution_id, action_id, attempt = (*args, 1)[:3]
            # Nothing may hold the main process up here, or be raised: Celery kills the child after this.
            delivery = Delivery(engine_of(self.app), self, execution_id, action_id, attempt, tries=1)
            try:
                delivery.timed_out()
            except Exception:
                delivery.log.exception("timed-out attempt not recorded, it will count as lost")


@shared_task(bind=True, base=ActionTask, name="workflow_state.execute_action", **_ACTION_OPTIONS)
def execute_action(self: Any, execution_id: str, action_id: str, attempt: int = 1) -> str:
    """Run one attempt of an action; its result goes to the backend together with its record.

    Returns:
        What Flower and the log show in place of the output, which may be secret.

    Example:
        Nobody calls it; its name is what a route or a rate limit is given for, and what Flower shows:

        >>> app.conf.task_routes = {execute_action.name: {"queue": "actions"}}
        >>> execute_action.name
        'workflow_state.execute_action'
    """
    return Delivery(engine_of(self.app), self, execution_id, action_id, attempt).handle()


@shared_task(bind=True, base=EngineTask, name="workflow_state.execute_batch", ignore_result=True, typing=False)
def execute_batch(self: Any, execution_id: str, action_ids: list[str]) -> str:
    """Run the first attempts of some actions, one after the other; each has its own record, result and retries."""
    return Batch(engine_of(self.app), self, execution_id, action_ids).handle()


@shared_task(bind=True, base=EngineTask, name="workflow_state.record_answer", ignore_result=True)
def record_answer(self: Any, answer: dict[str, Any]) -> None:
    """Record what a remote service answered; one that cannot be read fails the attempt that it names, if any."""
    request = (self.request.headers or {}).get(REQUEST_HEADER, "")
    take_answer(engine_of(self.app), registry, read_answer(answer), request)


@shared_task(bind=True, base=EngineTask, name="workflow_state.advance", ignore_result=True)
def advance(self: Any, execution_id: str, *part: Any) -> None:
    """Start what can be started; with more arguments, publish a part of it, as the schedule names its parts."""
    engine = engine_of(self.app)
    if part:
        engine.publish_part(execution_id, part)
    else:
        engine.advance(execution_id)


class FinishTask(EngineTask):
    """``finish``: closes the execution after Celery has stored its result and called what follows."""

    abstract = True
    #: The state holds outputs, which are not for the worker's log; see :func:`_safe_first`.
    resultrepr_maxsize = 140

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Give the records their TTL; a worker that dies before this leaves a deadline to the sweeper.

        So does a failure that is not the plan's, such as a broker that was away when its caller was to be
        carried on: the execution stays open, and is ended again.
        """
        if status == "SUCCESS" or isinstance(retval, PlanExecutionError):
            engine_of(self.app).close(args[0])


@shared_task(
    bind=True, base=FinishTask, name="workflow_state.finish", throws=(PlanExecutionError,), ignore_result=False
)
def finish(self: Any, execution_id: str, created: str = "") -> dict[str, Any]:
    """End the execution that was created then. It runs under the execution's own task id, with the links, chain and
    chord of ``execute_plan``, so Celery itself stores the result and carries on.

    Raises:
        PlanExecutionError: the plan failed or was cancelled.
    """
    engine = engine_of(self.app)
    state = engine.complete(execution_id, new_owner(self.request.hostname), created)
    if state is None:
        raise Ignore("nothing to finish")
    if self.request.callbacks or self.request.chain:
        # Celery would make a broker that is away the failure of the execution.
        canvas.check_broker(self.app)
    engine.tell_ended(state)
    if state["status"] != "completed":
        program = engine.programs.get(execution_id)
        raise execution_error(state, program.title if program else state["plan_id"])
    return _safe_first(state)


def _safe_first(state: dict[str, Any]) -> dict[str, Any]:
    """The same state; its status and counts, which are longer than what Flower and the log show of it, come first."""
    return {name: state[name] for name in ("status", "metrics")} | state


def _run_here(app: Any, plan: ExecutionPlan, execution_id: str) -> dict[str, Any]:
    """With ``task_always_eager``, or called as a function: run the plan in this process."""
    state = InProcessRun(compile_plan(plan, Settings.of(app).schedule), execution_id, registry).run()
    if state.status != "completed":
        raise execution_error(state.to_json_dict(), plan.title)
    return state.to_json_dict()


def _carried(task: Any) -> Mapping[str, Any]:
    """What the finishing message must carry on: Celery's own description of this request, less its timing."""
    signature = task.signature_from_request(args=())
    options = {name: signature.options.get(name) for name in _CARRIED}
    hide_state([*(options["link"] or ()), *(options["chain"] or ())[-1:], *filter(None, [options["chord"]])])
    return {name: value for name, value in options.items() if value not in (None, [], {})}
