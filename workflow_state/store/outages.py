"""Errors that say: the server cannot be reached, or cannot do its work now. They are no plan's fault.

Work that meets one is tried again: first where it stands, then by its message, then by the sweeper.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from kombu.exceptions import BatchPublishError, OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import (
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

_AWAY = (OperationalError, RedisConnectionError, RedisTimeoutError)
#: A script that is not there was taken away again while it was sent: the client has sent it by then.
_REFUSING = (OutOfMemoryError, ReadOnlyError, MasterDownError, TryAgainError, NoScriptError)
#: Such replies for which the client has no class: no disk to write to, too few replicas, a long script. To a command of
#: a pipeline, the client puts which one it was before them.
_REFUSED = re.compile(r"(Command # \d+ \(.*\) of pipeline caused error: )?(MISCONF|NOREPLICAS|BUSY) ", re.DOTALL)
#: How Redis before 7 gives any of them to a script that was about to write: within an error of the script.
_REFUSED_SCRIPT = re.compile(r"Error running script .*: -(OOM|READONLY|NOREPLICAS|MISCONF) ")
#: What the end of a transaction is told that began while the server still wrote.
_REFUSED_END = re.compile(r"Transaction discarded because of: (OOM|READONLY|NOREPLICAS|MISCONF|MASTERDOWN) ")
_FORMS = (_REFUSED, _REFUSED_SCRIPT, _REFUSED_END)


@contextmanager
def told_in_outage(text: str) -> Iterator[None]:
    """Around work that may be half done when the server or the broker goes away: the error then says this, too."""
    try:
        yield
    except Exception as error:
        if is_outage(error):
            error.args = (f"{error}; {text}",)
        raise


class ServerRefusesError(RedisConnectionError):
    """The server is there and does not write now: it is full, a replica, or has lost its disk or a script."""


def is_outage(error: BaseException | None) -> bool:
    """Whether an error of broker or store is one that goes away by itself, or by an operator's hand."""
    if isinstance(error, BatchPublishError):
        return is_outage(error.__cause__)
    return isinstance(error, _AWAY) or refuses(error)


def refuses(error: BaseException | None) -> bool:
    """Whether it is the answer of a server that does not write now."""
    if isinstance(error, _REFUSING):
        return True
    return isinstance(error, ResponseError) and any(form.match(str(error)) for form in _FORMS)
