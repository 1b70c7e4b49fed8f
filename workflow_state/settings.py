"""The library's own settings, read from ``app.conf.workflow_state`` (a dict); all have safe defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Final, Literal

from celery import Celery
from pydantic import BaseModel, ConfigDict, Field

from workflow_state.redaction import SECRET_NAMES

#: How lines are logged: one JSON object each, or text for people.
LogFormat = Literal["json", "console"]
#: 0 to 65535, as a regular expression.
PORT: Final = r"(\d{1,4}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])"

#: A hundred years at most: what is longer is a mistake, and neither a server's clock nor Python's waits could count it.
Seconds = Annotated[float, Field(le=100 * 365 * 24 * 3600.0)]


class Settings(BaseModel):
    """All seconds are at most a hundred years.

    Attributes:
        prefix: of every key in Redis. Apps that share a server need a ``task_default_queue`` of their own as well.
        lease: seconds, at least 0.1, after which an action whose worker went silent is started again. Leases are
            renewed every third of it, so it bounds the recovery time, never an action's length.
        sweep_interval: seconds between two looks of a worker's sweeper at passed deadlines.
        max_lost: how many workers an action may take down before it fails with ``worker_lost``.
        part_size: actions published by one worker in one go; wider levels are split.
        programs_cached: compiled programs that a worker process keeps, counted in actions; 1,000 characters of theirs
            count as one more.
        max_actions, max_plan_size: of a plan; the size is characters of its JSON.
        max_input_size: characters of JSON that references may bring into one action's inputs.
        max_result_size: bytes of one action's result; a larger one fails its action.
        secret_names: names, in any spelling, of values that errors and logs must not show.
        schedule: when actions start, for plans that do not say: ``levels``, when the level before theirs has ended,
            or ``dataflow``, when their own dependencies have.
        keep_completed, keep_failed: seconds that everything of an ended execution is kept, its own Celery
            result and those of its actions too; cancelled counts as failed. None: Celery's ``result_expires``
            (a day by default; 0 there keeps for ever). Whoever waits for a result must read it in that time.
        keep_untouched: seconds after the last change of an execution driven by hand that has not ended until
            it is taken as given up by its driver, and cancelled.
        long_delay: seconds from which a retry waits in Redis, not in a worker's memory.
        log_format: ``json`` or ``console``: what a worker logs goes through one pipeline, with execution, plan, action
            and attempt on every line of an action; None leaves Celery's logging as it is.
        on_error: a function, or its name as ``package.module.function``, that a worker calls with the exception
            and an ``AttemptInfo`` after every attempt that raised.
        metrics_address: ``host:port`` at which a worker serves metrics to Prometheus; port 0 takes a free one, which
            the log tells. None: no metrics. Needs the extra ``[prometheus]``.
        tracing: a span for each execution and attempt, in callers and workers. Needs the extra ``[otel]``.
        events: send every event of every execution to the exchange ``<prefix>.events`` (see ``workflow_state.events``).
            Each step of an action then takes a few round trips more. Requests of remote actions are always sent.
        remote_timeout: seconds after which a remote action without a ``timeout`` in the plan has failed unanswered.

    Example:
        >>> app.conf.workflow_state = {"prefix": "shop", "lease": 10.0, "keep_failed": 30 * 24 * 3600}
        >>> Settings.of(app).lease_ms
        10000
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prefix: str = Field(default="workflow-state", pattern=r"^[A-Za-z0-9_.:\-]{1,100}$")
    lease: Seconds = Field(default=30.0, ge=0.1)
    sweep_interval: Seconds = Field(default=2.0, gt=0)
    max_lost: int = Field(default=3, ge=1)
    part_size: int = Field(default=1000, ge=1)
    programs_cached: int = Field(default=200_000, ge=0)
    max_actions: int = Field(default=100_000, ge=1)
    max_plan_size: int = Field(default=64_000_000, ge=1)
    max_input_size: int = Field(default=16_000_000, ge=1)
    max_result_size: int = Field(default=16_000_000, ge=1)
    secret_names: tuple[str, ...] = SECRET_NAMES
    schedule: Literal["levels", "dataflow"] = "levels"
    keep_completed: Seconds | None = Field(default=None, gt=0)
    keep_failed: Seconds | None = Field(default=None, gt=0)
    keep_untouched: Seconds = Field(default=30 * 24 * 3600.0, gt=0)
    long_delay: Seconds = Field(default=60.0, gt=0)
    log_format: LogFormat | None = None
    on_error: str | Callable[..., Any] | None = None
    metrics_address: str | None = Field(default=None, pattern=rf"^\S+:{PORT}$")
    tracing: bool = False
    events: bool = False
    remote_timeout: Seconds = Field(default=3600.0, gt=0)

    @property
    def lease_ms(self) -> int:
        """The lease in milliseconds."""
        return int(self.lease * 1000)

    def kept(self, status: str, result_expires: int) -> float:
        """Seconds that an execution which ended so is kept; 0: for ever."""
        own = self.keep_completed if status == "completed" else self.keep_failed
        return result_expires if own is None else own

    @classmethod
    def of(cls, app: Celery) -> Settings:
        """The settings of an app.

        Raises:
            pydantic.ValidationError: unknown names or values out of range.
        """
        return cls.model_validate(app.conf.get("workflow_state") or {})
