"""What must not be seen where people look: logs, dashboards, errors.

Two things make a value a secret: its name (``password``, ``apiKey``, ``X-Auth-Token``: see
:data:`SECRET_NAMES`), or its type, when an action declares a parameter as pydantic's ``SecretStr``,
``SecretBytes`` or ``Secret[...]``. Inputs and outputs are never shown at all; but the text of an error
is, since nobody can do without it, and so a secret that got into one is taken out of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote

from pydantic import BaseModel, JsonValue, Secret, SecretBytes, SecretStr

from workflow_state.models import ErrorDetail

#: What is shown in place of a secret.
REDACTED: Final = "[redacted]"

#: Names of secrets, in any spelling: ``api_key`` is also ``apiKey``, ``API-Key`` and ``stripe_api_key``.
SECRET_NAMES: Final = (
    *("password", "passwords", "passwd", "pwd", "passphrase", "secret", "secrets", "credential", "credentials"),
    *("token", "access_tokens", "jwt", "bearer", "authorization", "auth", "cookie", "cookies", "set_cookie"),
    *("api_key", "apikey", "api_keys", "access_key", "private_key", "secret_key", "encryption_key", "signing_key"),
    *("client_secret", "session_id", "session_key", "csrf", "otp", "ssn", "card_number", "cvv", "cvc", "iban"),
)

#: A shorter text is no secret worth the name, and taking it out would leave nothing readable.
SHORTEST: Final = 4
#: How deep values are looked into; pydantic and the plan's own limits stop far above.
MAX_DEPTH: Final = 100

#: The last kind is of letters that are not ASCII, which have words of their own.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W0-9_a-zA-Z]+")

#: A character of a URL that is not where the next of several begins.
_IN_URL = r"(?!;[a-zA-Z][a-zA-Z0-9+.-]*://)\S"
#: Up to the last @ of each: a password may hold any other character, also one that a URL should not.
_CREDENTIALS = re.compile(rf"(?<=//)(?:{_IN_URL})*(?=@)")
#: A parameter: what is before it, its name, its value.
_PARAMETER = re.compile(rf"([?&])([^\s?&=]+)=((?:(?!&){_IN_URL})*)")


class Redactor:
    """Finds secrets by name, and takes them out of values and texts.

    Args:
        names: of what is secret, in any spelling; they are found inside longer ones, as whole words of these.
    """

    def __init__(self, names: Iterable[str] = SECRET_NAMES) -> None:
        self._names = tuple(names)
        self._known: dict[str, bool] = {}

    def hides(self, name: object) -> bool:
        """Whether what bears this name is secret."""
        if not isinstance(name, str):
            return False
        found = self._known.get(name)
        if found is None:
            found = self._is_in(_words(name))
            # Names come from users' data: remember the usual ones, not all there ever are.
            if len(self._known) < 10_000:
                self._known[name] = found
        return found

    def clean(self, value: Any, secrets: Iterable[str] = ()) -> Any:
        """A copy of a value, of whatever types, without what bears a secret name, and without these texts."""
        return self._clean(value, _pattern_of(secrets), MAX_DEPTH)

    def clean_text(self, text: str, secrets: Iterable[str]) -> str:
        """A text without these secrets in it, also as they look quoted, in JSON or in a URL."""
        pattern = _pattern_of(secrets)
        return text if pattern is None else pattern.sub(REDACTED, text)

    def clean_error(self, error: ErrorDetail, secrets: Iterable[str] = ()) -> ErrorDetail:
        """An error as it may be kept and shown: category, codes and times stay, secrets do not."""
        pattern = _pattern_of(secrets)
        context = self._clean(error.context, pattern, MAX_DEPTH)
        if pattern is None:
            return error if context == error.context else error.model_copy(update={"context": context})
        texts = {name: getattr(error, name) for name in ("message", "code", "suggestion")}
        cleaned = {name: text and pattern.sub(REDACTED, text) for name, text in texts.items()}
        return error.model_copy(update={**cleaned, "context": context})

    def reads_secret(self, path: Iterable[object], value: object) -> bool:
        """Whether a value found at this path is secret, or has something secret in it."""
        return any(map(self.hides, path)) or self.clean(value) != value

    def secrets_in(self, value: JsonValue) -> set[str]:
        """Every text that bears a secret name, at any depth of a JSON value."""
        found: set[str] = set()
        stack: list[tuple[JsonValue, bool]] = [(value, False)]
        while stack:
            item, secret = stack.pop()
            if isinstance(item, dict):
                stack.extend((child, secret or self.hides(name)) for name, child in item.items())
            elif isinstance(item, list):
                stack.extend((child, secret) for child in item)
            elif secret and isinstance(item, str | int | float) and not isinstance(item, bool):
                found.add(str(item))
        return found

    @cached_property
    def _joined(self) -> frozenset[str]:
        return frozenset("".join(_words(name)) for name in self._names) - {""}

    def _is_in(self, words: list[str]) -> bool:
        """Whether some of these words, one after the other, are a name: ``pass word``, ``session id``, ``ap ikey``."""
        longest = max(map(len, self._joined), default=0)
        for start in range(len(words)):
            text = ""
            for word in words[start:]:
                text += word
                if len(text) > longest:
                    break
                if text in self._joined:
                    return True
        return False

    def _clean(self, value: Any, pattern: re.Pattern[str] | None, depth: int) -> Any:
        if isinstance(value, str):
            return value if pattern is None else pattern.sub(REDACTED, value)
        if depth == 0:
            return REDACTED
        if isinstance(value, Mapping):
            return {
                name: REDACTED if self.hides(name) and item is not None else self._clean(item, pattern, depth - 1)
                for name, item in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(item, pattern, depth - 1) for item in value]
        return value


#: Knows :data:`SECRET_NAMES`, for where no settings are at hand.
DEFAULT: Final = Redactor()


def declared_secrets(value: object, depth: int = MAX_DEPTH) -> Iterator[str]:
    """The texts inside every ``SecretStr``, ``SecretBytes`` and ``Secret`` of a value, at any depth of it."""
    if depth == 0:
        return
    if isinstance(value, SecretStr | SecretBytes | Secret):
        content = value.get_secret_value()
        yield content.decode(errors="replace") if isinstance(content, bytes) else str(content)
        return
    inner: Iterable[object] = ()
    if isinstance(value, BaseModel):
        inner = (*vars(value).values(), *(value.model_extra or {}).values())
    elif is_dataclass(value):
        inner = [getattr(value, field.name, None) for field in fields(value)]
    elif isinstance(value, Mapping):
        inner = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        inner = value
    for item in inner:
        yield from declared_secrets(item, depth - 1)


def hide_password(url: str) -> str:
    """A URL, or several as Sentinel has them, without user and password, whatever is in these; nor as parameters."""
    return _PARAMETER.sub(_hidden_parameter, _CREDENTIALS.sub("***", url))


def _hidden_parameter(found: re.Match[str]) -> str:
    before, name, _ = found.groups()
    secret = DEFAULT.hides(name) or "password" in name.lower() or name.lower() in ("user", "username")
    return f"{before}{name}=***" if secret else found[0]


def url_problem(url: str, error: Exception) -> str:
    """What an error says of a URL that cannot be used; it may quote a part of the password."""
    if isinstance(error, ValueError) and any(set("/?#[]") & set(found) for found in _CREDENTIALS.findall(url)):
        return "its user or password has one of / ? # [ ], which in a URL are written %2F %3F %23 %5B %5D"
    return f"{type(error).__name__}: {hide_password(str(error))}"


def _words(name: str) -> list[str]:
    """``X-ApiKey2`` → ``x api key 2``: so that spelling does not matter, but ``tokens`` is not ``token``."""
    return [word.lower() for word in _WORD.findall(name)]


def _pattern_of(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """Finds any of the texts, in the forms in which they get into messages; the longest first."""
    forms: set[str] = set()
    for secret in secrets:
        forms |= {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, safe="", errors="replace")}
    wanted = sorted((form for form in forms if len(form) >= SHORTEST), key=len, reverse=True)
    # Of several lines, each may be indented, or marked as those of an exception group are.
    escaped = (re.escape(form).replace("\\\n", r"\n[ \t|]*") for form in wanted)
    return re.compile("|".join(escaped)) if wanted else None
