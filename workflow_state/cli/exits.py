"""Exit codes, and every error as one message with one of them: no command shows a traceback for what it foresees."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import Any

import click
from kombu.exceptions import OperationalError
from pydantic import ValidationError
from redis.exceptions import RedisError

from workflow_state.errors import (
    ActionNotFoundError,
    BackendNotSupportedError,
    ConfigurationError,
    EmbeddedServerError,
    ExecutionNotFoundError,
    InvalidTransitionError,
    NewerSchemaError,
    PlanValidationError,
)
from workflow_state.settings import Settings


class Exit(IntEnum):
    """What a command's exit code says; documented in docs/cli.md and part of the interface."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    NOT_FOUND = 3
    AWAY = 4
    REFUSED = 5
    TIMEOUT = 6
    INTERRUPTED = 130
    #: What a shell says of a command that SIGPIPE has ended.
    UNREAD = 141


#: What says that there is no room for the output.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class CommandError(click.ClickException):
    """One message, one exit code."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc] # click's own subclasses do the same


@contextmanager
def told() -> Iterator[None]:
    """Tell errors of the library, the server and the broker as a person wants to read them."""
    try:
        yield
    except (ExecutionNotFoundError, ActionNotFoundError) as error:
        raise CommandError(str(error), Exit.NOT_FOUND) from error
    except InvalidTransitionError as error:
        raise CommandError(str(error), Exit.REFUSED) from error
    except (PlanValidationError, BackendNotSupportedError, ConfigurationError, NewerSchemaError) as error:
        raise CommandError(str(error), Exit.BAD_INPUT) from error
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        raise CommandError(f"The app's setting workflow_state is not valid. {error}", Exit.BAD_INPUT) from error
    except EmbeddedServerError as error:
        raise CommandError(str(error), Exit.AWAY) from error
    except UnicodeEncodeError as error:
        # Python reads bytes of an argument that are no UTF-8 as halves of surrogate pairs.
        raise CommandError(f"{error.object!r} has bytes that are no text in UTF-8", Exit.BAD_INPUT) from error
    except RedisError as error:
        raise CommandError(f"The server of the results cannot be used: {sentence(error)}", Exit.AWAY) from error
    except OperationalError as error:
        raise CommandError(f"The broker cannot be reached: {sentence(error)}", Exit.AWAY) from error
    except KeyboardInterrupt:
        raise CommandError("Interrupted", Exit.INTERRUPTED) from None
    except BrokenPipeError:
        _drop_output()
        raise click.exceptions.Exit(Exit.UNREAD) from None
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        _drop_output()
        raise CommandError(f"The output cannot be written: {error.strerror}", Exit.BAD_INPUT) from error


def _drop_output() -> None:
    """Let what is left in the buffer of the standard output go: to write it would fail once more at the end."""
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def sentence(error: Exception) -> str:
    """An error's text, without a full stop: it is part of a sentence."""
    return str(error).rstrip(". ")


class Group(click.Group):
    """A group all of whose commands tell their errors so."""

    def list_commands(self, _: click.Context) -> list[str]:
        """In the order in which they were added: the most needed first."""
        return list(self.commands)

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Read the arguments; what is asked for with ``--help`` or ``--version`` is written here."""
        with told():
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was named."""
        with told():
            return super().invoke(ctx)
