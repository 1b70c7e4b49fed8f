"""An app whose actions handle secrets, carelessly: they log them, raise them and return them."""

from __future__ import annotations

from typing import Annotated, Any

from celery import Celery, shared_task
from pydantic import AfterValidator, BaseModel, SecretStr

from tests.integration.apps.own_app import make_app as make_own
from workflow_state import ActionContext, ActionError, action


class Account(BaseModel):
    """A secret inside a model."""

    user: str
    password: SecretStr


@action("secret.login")
def login(ctx: ActionContext, account: Account, api_key: str, note: str) -> dict[str, Any]:
    """Refused at first, with everything that it knows in the error; then gives a token away."""
    known = {"user": account.user, "apiKey": api_key, "nested": [{"X-Auth-Token": api_key}]}
    ctx.logger.info("logging in", password=account.password.get_secret_value(), known=known)
    if ctx.attempt == 1:
        raise ActionError(
            f"login refused for {account.user} at /login?p={account.password.get_secret_value()}&k={api_key}",
            context={**known, "count": 3, "cookie": api_key, "when": object()},
            suggestion=f"use another key than {api_key}",
        )
    return {"token": f"{api_key}:{note}", "text": note, "length": len(account.password)}


@action("secret.break")
def break_(ctx: ActionContext, password: SecretStr, note: str) -> None:
    """Fails for good; what pydantic says of a bad value is part of the traceback."""
    try:
        Account.model_validate({"user": "u", "password": {"wrong": password.get_secret_value()}})
    except ValueError as error:
        ctx.logger.warning("no account", problem=type(error).__name__, passwords=[password.get_secret_value()])
        raise ValueError(f"no account: {password.get_secret_value()!r}") from error


@action("secret.parse")
def parse(ctx: ActionContext, note: str) -> int:
    """Lets pydantic's own error out, which shows the value."""
    return Number.model_validate({"value": note}).value


class Number(BaseModel):
    """What ``secret.parse`` expects."""

    value: int


def refused(phrase: str) -> str:
    """What a validator of the user's own may do: name the value, raise what pydantic does not expect."""
    if phrase.startswith("value"):
        raise ValueError(f"too simple: {phrase}")
    if phrase.startswith("type"):
        raise TypeError(f"not of a kind: {phrase}")
    return phrase


@action("secret.remote", remote=True)
def remote(password: Annotated[str, AfterValidator(refused)]) -> str:
    """Carried out by nobody: tests answer."""
    raise AssertionError("a remote action ran in a worker")


@action("secret.echo")
def echo(ctx: ActionContext, **values: Any) -> dict[str, Any]:
    """Its inputs."""
    return values


@shared_task(name="secret.before")
def before() -> None:
    """Stands before a plan; its message carries the plan."""


@shared_task(name="secret.after")
def after(*args: Any) -> int:
    """Stands after a plan, and is given its final state."""
    return len(args)


def make_app() -> Celery:
    """The app; a test process makes one for each database that it talks to."""
    made = make_own()
    made.conf.imports = ["tests.integration.apps.secret_app"]
    return made


app = make_app()
