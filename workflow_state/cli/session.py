"""What the commands share: which app they talk to, and how the user called them."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import click
from celery import Celery
from celery.app.utils import find_app
from redis.exceptions import ConnectionError as ServerConnectionError
from redis.exceptions import TimeoutError as ServerTimeoutError

from workflow_state.cli.exits import CommandError, Exit, sentence
from workflow_state.doctor import SETUP_ERRORS, setup_problem
from workflow_state.errors import ExecutionNotFoundError
from workflow_state.models import ExecutionPlan
from workflow_state.program import Program
from workflow_state.redaction import hide_password
from workflow_state.runtime.engine import Engine, engine_of
from workflow_state.state_manager import StateManager
from workflow_state.validation import validate_execution_plan

#: Names the app where neither ``-A`` nor Celery's own option does.
APP_VARIABLE = "WORKFLOW_STATE_APP"
READY_MADE = "workflow_state.app"
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Session:
    """One call of the command line.

    ``program_name``: the words before the command, as they were typed. ``target``: the app as ``-A`` names it.
    ``given``: an app that Celery's own command line has loaded, by that name. ``typed``: the target was typed, so
    that commands which we suggest have to name it, too.
    """

    program_name: tuple[str, ...] = ("workflow-state",)
    target: str = READY_MADE
    given: Celery | None = None
    typed: bool = False

    @classmethod
    def of(cls, ctx: click.Context, target: str | None) -> Session:
        """From the context of our group, which may be a command of ``celery``."""
        typed = ctx.get_parameter_source("target") is click.core.ParameterSource.COMMANDLINE
        if ctx.parent is not None:
            root = ctx.find_root()
            app, name = root.params.get("app"), root.info_name or "celery"
            if not target and isinstance(app, str):
                return cls((name, "-A", app, ctx.info_name or "workflow"), app, ctx.obj.app)
            return cls((name, ctx.info_name or "workflow"), target or READY_MADE, typed=typed)
        name = ctx.info_name or "workflow-state"
        return cls(tuple(shlex.split(name)), target or READY_MADE, typed=typed)

    @cached_property
    def app(self) -> Celery:
        """The app, made the current one, so that tasks of ours are its tasks.

        Raises:
            CommandError: it cannot be imported; says why.
        """
        app = self.given or load_app(self.target)
        app.set_current()
        return app

    @property
    def is_named(self) -> bool:
        """Whether somebody said which app is meant."""
        return self.given is not None or self.target != READY_MADE

    def load_actions(self) -> None:
        """Import what the app's workers import, so that its actions are registered here, too.

        Raises:
            CommandError: a module of the app has an error.
        """
        try:
            self.app.loader.import_default_modules()
        except Exception as error:
            what = f"{type(error).__name__}: {sentence(error)}"
            raise CommandError(f"The modules of {self.target!r} cannot be imported: {what}", Exit.BAD_INPUT) from error

    @cached_property
    def engine(self) -> Engine:
        """The engine of the app, once its server has answered."""
        engine = engine_of(self.app)
        self.check_broker()
        try:
            engine.store.results.client.ping()
        except (ServerConnectionError, ServerTimeoutError) as error:
            raise CommandError(self._no_server(error), Exit.AWAY) from error
        return engine

    def check_broker(self) -> None:
        """See that the settings name a broker that can be talked to, before anything is stored; it may be away.

        Raises:
            CommandError: they do not; says why.
        """
        try:
            with self.app.connection_for_write() as connection:
                connection.get_transport_cls()
        except SETUP_ERRORS as error:
            problem = f"The app {self.target!r} has a broker that is wrongly set: {setup_problem(self.app, error)}"
            raise CommandError(f"{problem}; correct broker_url or broker_transport_options", Exit.BAD_INPUT) from error

    @cached_property
    def manager(self) -> StateManager:
        """The state manager of the app, whose server answers."""
        return StateManager(self.engine.app)

    def program(self, execution_id: str) -> Program:
        """The compiled plan of an execution.

        Raises:
            ExecutionNotFoundError: it is unknown.
        """
        found = self.engine.programs.get(execution_id)
        if found is None:
            raise ExecutionNotFoundError(execution_id)
        return found

    def plan(self, execution_id: str) -> ExecutionPlan:
        """The plan of an execution, as it was given.

        Raises:
            ExecutionNotFoundError: it is unknown.
        """
        return validate_execution_plan(self.engine.store.snapshot(execution_id).plan)

    def command(self, *words: str) -> str:
        """A command line of ours as the user would type it here, ready to be copied."""
        app = ("-A", self.target) if self.typed else ()
        return shlex.join((*self.program_name, *app, *words))

    def worker_command(self, queue: str = "") -> str:
        """How a worker for this app is started, or one for that queue alone."""
        return shlex.join(("celery", "-A", self.target, "worker", *(("--queues", queue) if queue else ())))

    def with_target(self, target: str) -> Session:
        """The same call with the app that was named behind the command."""
        name = self.program_name
        if self.given is not None:
            name = (name[0], name[-1])
        return replace(self, program_name=name, target=target, given=None, typed=True)

    def _no_server(self, error: Exception) -> str:
        url = hide_password(str(self.app.conf.result_backend))
        where = "REDIS_URL" if self.target == READY_MADE else f"the settings of {self.target}"
        return (
            f"No server answers at {url}, which {where} may change: {sentence(error)}. For development, "
            "`workflow-state server` starts one"
        )


def load_app(target: str) -> Celery:
    """The Celery app that ``-A`` names: a module, ``module:attribute``, or ``module.attribute``.

    Raises:
        CommandError: there is none, or its module has an error of its own.
    """
    hint = f"Name a module with a Celery app by -A or {APP_VARIABLE}"
    try:
        app = find_app(target)
    except ModuleNotFoundError as error:
        # A name that the module has not, Celery takes for a module at last.
        if ":" in target and isinstance(missing := error.__context__, AttributeError):
            raise CommandError(f"There is no Celery app in {target!r}: {missing}. {hint}", Exit.BAD_INPUT) from error
        raise CommandError(f"The app {target!r} cannot be imported: {error}. {hint}", Exit.BAD_INPUT) from error
    except (AttributeError, ImportError) as error:
        raise CommandError(f"There is no Celery app in {target!r}: {error}. {hint}", Exit.BAD_INPUT) from error
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise CommandError(f"The app {target!r} cannot be loaded: {what}", Exit.BAD_INPUT) from error
    if not isinstance(app, Celery):
        found = type(app).__name__
        raise CommandError(f"{target!r} is no Celery app but a value of type {found}. {hint}", Exit.BAD_INPUT)
    return app


def app_option(function: Function) -> Function:
    """``-A`` behind the command as well as before it: people type it in both places."""
    option = click.option(
        "-A",
        "--app",
        metavar="APP",
        expose_value=False,
        callback=_use_app,
        help="The Celery app, as `celery -A` names it.",
    )
    return option(function)


def _use_app(ctx: click.Context, _: click.Parameter, target: str | None) -> None:
    if target and isinstance(ctx.obj, Session):
        ctx.obj = ctx.obj.with_target(target)


pass_session = click.make_pass_decorator(Session)
