"""What is secret by its name or its type is found, however it is spelt and wherever it stands."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue, Secret, SecretBytes, SecretStr

from workflow_state import ActionContext, ActionError, BackendNotSupportedError, PlanValidationError
from workflow_state.doctor import setup_problem
from workflow_state.models import ErrorCategory, ErrorDetail
from workflow_state.redaction import DEFAULT, REDACTED, Redactor, declared_secrets, hide_password
from workflow_state.runtime.failures import MESSAGE_LIMIT, describe_error, format_traceback
from workflow_state.store.results import ActionResults
from workflow_state.telemetry import get_logger
from workflow_state.testing import run_plan
from workflow_state.validation import prepare_plan

SECRET = "hunter2/\"'\n& é"

HIDDEN = [
    *(
        "password",
        "PASSWORD",
        "dbPassword",
        "db_password",
        "password2",
        "passwd",
        "token",
        "accessToken",
        "X-Auth-Token",
    ),
    *(
        "api_key",
        "apiKey",
        "API-KEY",
        "APIKEY",
        "stripe_api_key",
        "apiKeyV2",
        "Authorization",
        "Set-Cookie",
        "sessionId",
    ),
    *("PassWord", "APIkey", "sessionid", "PRIVATEKEY", "apikeys2"),
    *("client secret", "SECRET_KEY", "private.key", "oauth_token", "credentials"),
]
SHOWN = [
    *(
        "author",
        "authors",
        "max_tokens",
        "tokens_used",
        "secretary",
        "key",
        "monkey",
        "name",
        "passwordless",
        "tokenizer",
    ),
    *("", "cookiecutter", "keyboard", "passenger", "user"),
]


@pytest.mark.parametrize("name", HIDDEN)
def test_names_of_secrets(name: str) -> None:
    """A name is that of a secret in any spelling, also inside a longer one."""
    assert DEFAULT.hides(name)


@pytest.mark.parametrize("name", SHOWN)
def test_names_of_other_things(name: str) -> None:
    """A word that only begins like the name of a secret is none."""
    assert not DEFAULT.hides(name)


def test_names_can_be_chosen() -> None:
    """``secret_names`` replaces the list; with none, nothing is hidden by name."""
    own = Redactor(["shoe_size"])
    assert own.clean({"shoeSize": 43, "password": "x"}) == {"shoeSize": REDACTED, "password": "x"}


@pytest.mark.parametrize(
    ("name", "spelling"),
    [("пароль", "Пароль"), ("пароль", "user_пароль"), ("contraseña", "CONTRASEÑA"), ("パスワード", "my-パスワード")],
)
def test_names_of_any_alphabet(name: str, spelling: str) -> None:
    """``secret_names`` may be words of any language; one that is written otherwise than in ASCII counts, too."""
    assert Redactor([name]).hides(spelling)
    assert not Redactor([name]).hides("名前")
    assert Redactor([]).clean({"password": "x"}) == {"password": "x"}
    assert not DEFAULT.hides(7)


def test_a_value_is_copied_without_its_secrets() -> None:
    """What bears a secret name is replaced whole, at any depth; null stays null, the value itself is not touched."""
    value: Any = {"a": [{"token": {"x": 1}}, ("b", {"cookie": None})], "password": SECRET, "count": 3}
    before = json.dumps(value)
    cleaned = DEFAULT.clean(value)
    assert cleaned == {"a": [{"token": REDACTED}, ["b", {"cookie": None}]], "password": REDACTED, "count": 3}
    assert json.dumps(value) == before


def test_a_value_without_end() -> None:
    """A value that contains itself is cut, not followed for ever."""
    loop: list[Any] = []
    loop.append(loop)
    assert REDACTED in str(DEFAULT.clean(loop))


@pytest.mark.parametrize(
    "text",
    [SECRET, repr(SECRET), json.dumps({"p": SECRET}), urlencode({"p": SECRET}).replace("+", "%20"), f"<{SECRET}>"],
)
def test_a_text_without_its_secrets(text: str) -> None:
    """A known secret is taken out of a text as it is, as Python or JSON quote it, and as a URL has it."""
    cleaned = DEFAULT.clean_text(f"refused: {text}!", [SECRET, "x"])
    assert "hunter2" not in cleaned
    assert REDACTED in cleaned
    assert cleaned.startswith("refused: ")


def test_short_texts_stay() -> None:
    """A secret of fewer than four characters is not searched for: that would leave no readable error."""
    assert DEFAULT.clean_text("a taxi", ["a", "tax"]) == "a taxi"


def test_the_longest_secret_goes_first() -> None:
    """A secret that begins like another leaves no rest of itself."""
    assert DEFAULT.clean_text("key abcdef!", ["abcd", "abcdef"]) == f"key {REDACTED}!"


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*HIDDEN, *SHOWN]), inner),
)


@given(json_values)
def test_nothing_found_is_left(value: JsonValue) -> None:
    """What ``secrets_in`` finds is what ``clean`` removes: a cleaned value has no secret but the mark itself."""
    assert DEFAULT.secrets_in(DEFAULT.clean(value)) <= {REDACTED}
    assert DEFAULT.reads_secret((), value) == (DEFAULT.clean(value) != value)


@given(st.text("0123'\"\\/%é", min_size=4), st.text("abc \n"), st.text("abc \n"))
def test_no_secret_survives_in_a_text(secret: str, before: str, after: str) -> None:
    """Whatever it is made of and stands around it, a known secret is gone, and nothing but it."""
    assert DEFAULT.clean_text(f"{before}{secret}{after}", [secret]) == f"{before}{REDACTED}{after}"


class Login(BaseModel):
    """With secrets at several depths."""

    password: SecretStr
    keys: list[SecretBytes] = []
    born: Secret[date] | None = None


@dataclass
class Wrapped:
    """A dataclass around it."""

    login: Login
    other: str = "other"


def test_declared_secrets() -> None:
    """Pydantic's secret types are found in models, dataclasses, lists and dicts, with what they hold."""
    login = Login(password=SecretStr("pass-1"), keys=[SecretBytes(b"key-1")], born=Secret(date(2000, 1, 2)))
    found = declared_secrets({"w": [Wrapped(login)], "plain": "plain", "alone": SecretStr("alone-1")})
    assert set(found) == {"pass-1", "key-1", "2000-01-02", "alone-1"}


def login(ctx: ActionContext, phrase: SecretStr, api_key: str) -> str:
    """Gives its secrets away in the error."""
    assert phrase.get_secret_value() == SECRET
    context = {"password": "p", "at": object(), "tried": [{"token": "t"}], "why": f"bad {api_key}"}
    raise ActionError(f"no {phrase.get_secret_value()} for {api_key}", context=context, retryable=False)


def test_an_error_keeps_no_secret() -> None:
    """An action gets a ``SecretStr`` as pydantic makes it; message, context and what could not be read of an
    error hold neither its secret inputs nor what bears a secret name.
    """
    inputs = {"phrase": SECRET, "api_key": "key-0815"}
    state = run_plan(
        {"actions": [{"id": "a", "action_definition_id": "login", "inputs": inputs}]}, actions={"login": login}
    )
    error = state.action_states["a"].error
    assert error is not None
    assert error.message == f"no {REDACTED} for {REDACTED}"
    assert "hunter2" not in error.model_dump_json()
    assert "key-0815" not in error.model_dump_json()
    assert f"'token': '{REDACTED}'" in str(error.context)


def test_the_context_of_a_readable_error() -> None:
    """A context that is JSON stays JSON; only what is secret is replaced."""
    error = ActionError("no", context={"status": 401, "headers": {"Authorization": "Bearer x", "Accept": "*"}})
    found = describe_error(error).context
    assert found == {"status": 401, "headers": {"Authorization": REDACTED, "Accept": "*"}}


def test_an_error_without_secrets_is_the_same() -> None:
    """Nothing is copied or changed when there is nothing to hide."""
    error = ErrorDetail(category=ErrorCategory.ACTION_FAILED, message="no", context={"a": 1})
    assert DEFAULT.clean_error(error) is error


def test_pydantic_errors_show_no_values() -> None:
    """An action that lets pydantic's error out is not made to show what was validated."""
    with pytest.raises(ValueError, match="hunter2") as raised:
        Login.model_validate({"password": ["hunter2"]})
    message = describe_error(raised.value).message
    assert message == "ValidationError: Login: password: Input should be a valid string"


def test_secrets_in_conditions_and_outcomes() -> None:
    """A condition or an outcome on something secret says so, and shows no value of it, nor the plan's own."""
    read = {"id": "r", "action_definition_id": "read"}
    guarded = {"id": "g", "action_definition_id": "read", "dependencies": ["r"]}
    for condition in ("${r.output.token} == 'wanted'", "${r.output} == 'wanted'", "${r.output.token} < 7"):
        state = run_plan({"actions": [read, {**guarded, "condition": {"if": condition}}]}, actions={"read": reads})
        shown = state.action_states["g"].model_dump_json()
        assert "hunter2" not in shown
        assert "wanted" not in shown
        assert "whose values are secret" in shown
    check = {"name": "t", "reference": "${r.output.token}", "operator": "equals", "value": "wanted"}
    state = run_plan({"actions": [read], "expected_outcome": {"validations": [check]}}, actions={"read": reads})
    assert state.error is not None
    assert state.error.message.endswith("t: ${r.output.token} equals does not hold; the values are secret")


@pytest.mark.parametrize(
    "value",
    [
        "${r.output.token}",
        "Bearer ${r.output.token}",
        "${r.output.login.credentials}",
        "all: ${r.output}",
        "${r.output}",
    ],
)
def test_a_secret_that_a_reference_reads(value: str) -> None:
    """What bears a secret name in an output is secret for who reads it, under whatever name and in whatever text."""

    def use(value: object) -> None:
        raise ActionError(f"refused {value}")

    read = {"id": "r", "action_definition_id": "read"}
    use_it = {"id": "u", "action_definition_id": "use", "dependencies": ["r"], "inputs": {"value": value}}
    given = {"read": lambda: {**reads(), "login": {"credentials": ["user-17", "hunter2"]}}, "use": use}
    error = run_plan({"actions": [read, {**use_it, "retry": {"max_attempts": 1}}]}, given).action_states["u"].error
    assert error is not None
    assert "hunter2" not in error.model_dump_json()
    assert REDACTED in error.message


def reads() -> dict[str, str]:
    """Has a secret in its output."""
    return {"token": "hunter2"}


def test_the_logger_hides_secrets(caplog: pytest.LogCaptureFixture) -> None:
    """What is bound or logged under a secret name is not written, at any depth; the rest is."""
    with caplog.at_level(logging.INFO, "workflow_state"):
        log = get_logger(Redactor(["shoe_size", "password"]), plan_id="p", shoe_size=43)
        log.info("logging in", user="ada", known=[{"Password": "hunter2"}])
    (record,) = caplog.records
    assert "hunter2" not in record.getMessage()
    assert "43" not in record.getMessage()
    for shown in ("logging in", "ada", "plan_id", REDACTED):
        assert shown in record.getMessage()


def test_what_is_wrong_with_a_plan_is_told_without_its_data() -> None:
    """A problem names its place; values of inputs and fallbacks, and texts under secret names, are not shown."""
    inputs = {"api_key": "hunter2 ${nowhere", "n": float("nan"), "deep": [{"password": "hunter2${"}]}
    step = {"id": "a", "action_definition_id": "x", "inputs": {**inputs, "n": 1}}
    for plan in (
        {"actions": [step]},
        {"actions": [{**step, "inputs": ["hunter2"]}]},
        {"actions": [{**step, "inputs": inputs, "error_handling": {"fallback_value": inputs["n"]}}]},
        {"actions": [["hunter2"]]},
        {"actions": {"hunter2": step}},
    ):
        with pytest.raises(PlanValidationError) as refused:
            prepare_plan(plan)
        assert "hunter2" not in str(refused.value)
        assert str(refused.value).startswith("The plan has ")
    with pytest.raises(PlanValidationError, match="at position 10 of a text that is secret by its name"):
        prepare_plan({"actions": [step]})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:pw@host:1/0", "redis://***@host:1/0"),
        ("sentinel://u:a@h1:1;sentinel://u:b@h2:2", "sentinel://***@h1:1;sentinel://***@h2:2"),
        ("redis://:p@ss@host:1/0", "redis://***@host:1/0"),
        ("redis://:p/a?s#s@host:1/0", "redis://***@host:1/0"),
        ("sentinel://:a/b@h1:1;sentinel://:c/d@h2:2", "sentinel://***@h1:1;sentinel://***@h2:2"),
        ("rpc://", "rpc://"),
        ("db+postgresql://u:p@h/d?x=a@b", "db+postgresql://***@b"),
        ("sentinel://:pw@a:1;sentinel://:pw@b:1", "sentinel://***@a:1;sentinel://***@b:1"),
        ("redis://h/0?password=pw&db=2&username=u", "redis://h/0?password=***&db=2&username=***"),
        (
            "sentinel://a:1/0?password=pw;sentinel://b:1/0?sslPassword=pw",
            "sentinel://a:1/0?password=***;sentinel://b:1/0?sslPassword=***",
        ),
        (
            "rediss://u:p@h/0?ssl_keyfile_password=pw&ssl_cert_reqs=none",
            "rediss://***@h/0?ssl_keyfile_password=***&ssl_cert_reqs=none",
        ),
        ("sqs://h/?access_key=pw", "sqs://h/?access_key=***"),
        ("redis://:p/w@h:1/0", "redis://***@h:1/0"),
        ("redis://:p?w@h:1/0", "redis://***@h:1/0"),
        ("redis://:p;w@h:1/0", "redis://***@h:1/0"),
    ],
)
def test_urls_without_password(url: str, shown: str) -> None:
    """User and password of a URL are not shown, of none of several, nor where they are parameters, or not escaped."""
    assert hide_password(url) == shown


def test_a_password_that_breaks_its_url() -> None:
    """A slash in a password ends the host's part of a URL: no message shows any of it, and it says how to write it."""
    url = "redis://:hunter/2@127.0.0.1:1/0"
    app = Celery("broken", set_as_current=False, broker=url, backend=url)
    with pytest.raises(BackendNotSupportedError) as refused:
        ActionResults(app)
    with pytest.raises(ValueError, match="hunter") as broken:
        app.connection_for_write().connect()
    for message in (str(refused.value), setup_problem(app, broken.value)):
        assert "hunter" not in message
        assert "%2F" in message


KEY = "".join(f"k3y{number:05}\n" for number in range(1500))


@pytest.mark.parametrize(
    "error",
    [
        ValueError(f"cannot read {KEY}"),
        ActionError("no", code=KEY, suggestion=f"not {KEY}"),
        ActionError(f"{'x' * (MESSAGE_LIMIT - 20)}{KEY}", status_code=KEY),  # type: ignore[arg-type]
        ExceptionGroup("some", [ValueError(KEY[:400])]),
    ],
)
def test_a_secret_that_does_not_fit_is_not_cut(error: Exception) -> None:
    """Of a secret that is longer than what is kept of an error, or stands at its end, no part is shown; nor of one of
    several lines that the traceback indents.
    """
    secret = KEY if not isinstance(error, ExceptionGroup) else KEY[:400]
    assert "k3y" not in describe_error(error, secrets=[secret]).model_dump_json()
    assert "k3y" not in format_traceback(error, secrets=[secret])
