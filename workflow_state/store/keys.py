"""Every key name, and what is stored under it. No other module spells a key.

========================  =======  ====================================================================================
``<p>:{E}:sent``          hash     what is kept of a plan's message until a worker has accepted it; has a TTL
``<p>:{E}:execution``     hash     status, cursor, open, counters, timestamps, halted, caller
``<p>:{E}:plan``          string   the plan, JSON, compressed when it is long
``<p>:{E}:program``       string   the compiled program, JSON, compressed when it is long
``<p>:{E}:actions``       hash     action id → record, JSON (absent: pending)
``<p>:{E}:attempts``      hash     ``<n>:<action id>`` → one failed or lost attempt, JSON
``<p>:{E}:confirmations`` hash     action id → request and answer, JSON
``<p>:{E}:log``           stream   what happened, entries ``1-0``, ``2-0`` ...: type, action, time, data
``<p>:{E}:progress``      hash     action id → how far its attempt has come, JSON
``<p>:{E}:parts``         set      parts of the current level that are not known to be published
``<p>:{E}:looks``         hash     level, action or end whose message is overdue → number of looks, and at which wait
``<p>:{E}:ready``         zset     action whose turn has come, not begun → when it was sent last, ms (dataflow)
``<p>:{E}:met``           hash     action id → how many of its needs have ended, if any (dataflow)
``<p>:deadlines``         zset     ``E|<action id>``, ``E|`` for the execution itself, ``E|*events`` → due, ms
``<p>:executions``        zset     E → time of acceptance, ms
``<p>:sweeper``           string   when a sweeper last looked, ms; has a TTL
``<p>:doctor``            string   for a millisecond: whether the server takes what is written
========================  =======  ====================================================================================

Results of actions are not here: they are in Celery's own result backend, under its own keys. Keys of
one execution share the hash tag ``{E}``. They have no TTL while the execution runs, and get one when
it has ended.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

_EXECUTION_ID = re.compile(r"[A-Za-z0-9._:\-]{1,200}")
_SEPARATOR = "|"
#: In the place of an action id, which has no such sign: events of the execution that are left to send.
EVENTS = "*events"
#: The digit of a hash in which a UUID has its variant, as it stands there.
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


@dataclass(frozen=True, slots=True)
class Keys:
    """Key names under one prefix."""

    prefix: str = "workflow-state"

    def sent(self, execution_id: str) -> str:
        return self._of(execution_id, "sent")

    def execution(self, execution_id: str) -> str:
        return self._of(execution_id, "execution")

    def plan(self, execution_id: str) -> str:
        return self._of(execution_id, "plan")

    def program(self, execution_id: str) -> str:
        return self._of(execution_id, "program")

    def actions(self, execution_id: str) -> str:
        return self._of(execution_id, "actions")

    def attempts(self, execution_id: str) -> str:
        return self._of(execution_id, "attempts")

    def parts(self, execution_id: str) -> str:
        return self._of(execution_id, "parts")

    def looks(self, execution_id: str) -> str:
        return self._of(execution_id, "looks")

    def ready(self, execution_id: str) -> str:
        return self._of(execution_id, "ready")

    def met(self, execution_id: str) -> str:
        return self._of(execution_id, "met")

    def log(self, execution_id: str) -> str:
        return self._of(execution_id, "log")

    def progress(self, execution_id: str) -> str:
        return self._of(execution_id, "progress")

    def confirmations(self, execution_id: str) -> str:
        return self._of(execution_id, "confirmations")

    @property
    def deadlines(self) -> str:
        return f"{self.prefix}:deadlines"

    @property
    def executions(self) -> str:
        return f"{self.prefix}:executions"

    @property
    def sweeper(self) -> str:
        return f"{self.prefix}:sweeper"

    @property
    def doctor(self) -> str:
        return f"{self.prefix}:doctor"

    def all_of(self, execution_id: str) -> list[str]:
        """Every key that belongs to one execution alone."""
        names = ("execution", "plan", "program", "actions", "attempts", "confirmations", "parts", "log", "progress")
        return [self._of(execution_id, name) for name in (*names, "looks", "ready", "met")]

    def spelled_in_lua(self, names: Iterable[str]) -> str:
        """Lua that puts keys of these names behind the first key that a script is sent, which is ``execution``.

        The execution id, which all scripts have as ARGV[2], comes from it as well.
        """
        spelled = [f"'{self.deadlines}'" if name == "deadlines" else f"base .. '{name}'" for name in names]
        base = "local base = string.sub(KEYS[1], 1, -1 - #'execution')"
        own_id = "ARGV[2] = string.match(base, '{([^{}]*)}:$')"
        return f"{base}\n{own_id}\nlocal KEYS = with_rest({{KEYS[1], {', '.join(spelled)}}}, KEYS)\n"

    def _of(self, execution_id: str, name: str) -> str:
        return f"{self.prefix}:{{{execution_id}}}:{name}"


def is_execution_id(execution_id: object) -> bool:
    """Whether a task id can be an execution id: it must not reach another execution's keys."""
    return isinstance(execution_id, str) and _EXECUTION_ID.fullmatch(execution_id) is not None


@lru_cache(maxsize=4096)
def action_task_id(execution_id: str, action_id: str) -> str:
    """The Celery task id of an action: ``uuid5(E, action_id)``, so ``AsyncResult`` finds its result.

    An execution id that is no UUID (a ``task_id=`` of the caller's own) is hashed into one first; so is a
    UUID in another spelling than the usual one, or two executions would share their results.

    Example:
        >>> from celery.result import AsyncResult
        >>> AsyncResult(action_task_id(state.id, "publish"), app=app).get(timeout=10)
        'sent: USD 1.1'
    """
    return next(action_task_ids(execution_id, (action_id,)))


def action_task_ids(execution_id: str, action_ids: Iterable[str]) -> Iterator[str]:
    """As :func:`action_task_id`, of many, one after the other; nothing is kept."""
    # As uuid.uuid5 does it, in a third of the time: every action has one, in every process that touches it.
    space = _hashed_namespace(execution_id)
    for action_id in action_ids:
        hashed = space.copy()
        hashed.update(action_id.encode())
        text = hashed.hexdigest()
        yield f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


@lru_cache(maxsize=256)
def _hashed_namespace(execution_id: str) -> hashlib._Hash:
    return hashlib.sha1(_namespace(execution_id).bytes, usedforsecurity=False)


def _namespace(execution_id: str) -> uuid.UUID:
    with suppress(ValueError):
        if str(found := uuid.UUID(execution_id)) == execution_id:
            return found
    return uuid.uuid5(uuid.NAMESPACE_OID, execution_id)


def deadline_member(execution_id: str, action_id: str = "") -> str:
    """The member of the deadlines set for an action, or for the execution itself."""
    return f"{execution_id}{_SEPARATOR}{action_id}"


def split_member(member: str) -> tuple[str, str]:
    """``(execution id, action id)`` of a member; the action id is "" for the execution itself."""
    execution_id, _, action_id = member.partition(_SEPARATOR)
    return execution_id, action_id
