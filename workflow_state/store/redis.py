"""The store: one method for each transition, each one script, so each is atomic and safe to repeat."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from redis.exceptions import ResponseError

from workflow_state.models import ErrorDetail
from workflow_state.store.keys import deadline_member, split_member
from workflow_state.store.lua import FROM_KEY, script_texts
from workflow_state.store.outages import ServerRefusesError, refuses
from workflow_state.store.packing import packed
from workflow_state.store.reader import SLICE, Reader
from workflow_state.store.records import Begun, Head, Settled
from workflow_state.store.results import ActionResults

#: Keys and arguments of a script that are one action's own.
Call = tuple[list[str], list[Any]]

#: Milliseconds after which nobody remembers that a sweeper looked.
SWEEPER_FORGOTTEN_MS = 24 * 3600 * 1000


class Store(Reader):
    """Records of executions on one Redis-compatible server.

    Args:
        results: where action results live; its client is used for everything.
        prefix: of every key.
        now: the clock in milliseconds, for tests; the server's own when None.
    """

    def __init__(self, results: ActionResults, prefix: str, now: Callable[[], int] | None = None) -> None:
        super().__init__(results, prefix)
        self._now = now
        #: Called with the execution's id after what may have added to its log.
        self.on_change: Callable[[str], object] | None = None
        self._scripts = {name: results.client.register_script(text) for name, text in script_texts(self.keys).items()}

    def create(
        self,
        execution_id: str,
        plan: str,
        program: str,
        fields: Mapping[str, str | int],
        look_after_ms: int | None,
        *,
        started: bool = True,
    ) -> Head | None:
        """Accept an execution, and start it or only store it.

        Returns where it stands; None when it was there already.

        ``look_after_ms``: until the sweeper looks at it; None: never.
        """
        keys = self.keys
        look_after = "" if look_after_ms is None else look_after_ms
        args: list[Any] = [execution_id, packed(plan), packed(program), look_after, "1" if started else ""]
        for name, value in fields.items():
            args += [name, value]
        own = (keys.execution(execution_id), keys.plan(execution_id), keys.program(execution_id))
        others = (keys.deadlines, keys.executions, keys.log(execution_id), keys.sent(execution_id))
        reply = self.run("create", [*own, *others], args)
        return Head.read(reply) if reply else None

    def begin(
        self,
        execution_id: str,
        action_id: str,
        attempt: int,
        owner: str,
        lease_ms: int,
        sources: Sequence[str],
        level: int | None = -1,
        *,
        remote: bool = False,
        created: str = "",
    ) -> Begun:
        """Take the lease of an action; see ``begin.lua`` for the answers.

        ``level``: -1, whatever is open; None: no level is waited for, the action itself must be ready. ``remote``:
        a service carries it out. ``created``: of the execution that is meant, "" whichever has the id.
        """
        what = (action_id, attempt, owner, lease_ms, sources, level)
        keys, args = self.begin_call(execution_id, *what, remote=remote, created=created)
        reply = self.run("begin", [self.keys.execution(execution_id), *keys], [execution_id, *args])
        return Begun.read(reply, created)

    def begin_call(
        self,
        execution_id: str,
        action_id: str,
        attempt: int,
        owner: str,
        lease_ms: int,
        sources: Sequence[str],
        level: int | None,
        *,
        remote: bool = False,
        created: str = "",
    ) -> Call:
        """What ``begin`` is given of one action alone."""
        asked = "1" if remote else ""
        args = [action_id, attempt, owner, lease_ms, "" if level is None else level, asked, created, *sources]
        return [self.results.key(execution_id, name) for name in sources], args

    def finish(
        self, execution_id: str, action_id: str, token: int, outcome: str, *, tries: int | None = None, **what: Any
    ) -> tuple[str, Head | None]:
        """End an attempt (``completed``, ``failed``, ``retry``); the answer is ok, repeated or stale.

        There is a head where something may follow from it; see ``finish.lua``.

        ``tries``: how often, a second apart, while the server is away; None: as the backend's policy says.
        ``what``: as :meth:`finish_call` takes it.
        """
        keys, args = self.finish_call(execution_id, action_id, token, outcome, **what)
        reply = self.run("finish", [self.keys.execution(execution_id), *keys], [execution_id, *args], tries)
        return reply[0].decode(), Head.read(*reply[1:]) if len(reply) > 1 and reply[1] else None

    def finish_call(
        self,
        execution_id: str,
        action_id: str,
        token: int,
        outcome: str,
        *,
        payload: bytes | str = "",
        error: ErrorDetail | None = None,
        traceback: str = "",
        halts: bool = False,
        delay_ms: int = 0,
        look_after_ms: int,
        then: tuple[int, int] | None = None,
        created: str = "",
        waiting: Sequence[tuple[str, int]] = (),
    ) -> Call:
        """What ``finish`` is given of one action alone.

        ``then``: number and size of the level that may be opened in the same step. ``created``: of the execution that
        the lease is of, "" whichever has the id. ``waiting``: who waits for the action, each with the number of its
        needs; of those the head says whose turn has come.
        """
        args = [
            action_id,
            token,
            outcome,
            error.model_dump_json() if error else "",
            json.dumps(traceback) if traceback else "",
            payload,
            "1" if halts else "",
            delay_ms,
            look_after_ms,
            *(then or ("", "")),
            created,
            *(item for pair in waiting for item in pair),
        ]
        return [self.results.key(execution_id, action_id)], args

    def report_progress(
        self, execution_id: str, action_id: str, token: int, fraction: float, message: str, created: str = ""
    ) -> bool:
        """Note how far an attempt has come; False when it is not under way any more. ``created``: as of ``begin``."""
        keys = self.keys
        names = [keys.execution(execution_id), keys.actions(execution_id), keys.progress(execution_id)]
        return bool(self.run("progress", names, [execution_id, action_id, token, fraction, message, created], 1))

    def advance(
        self,
        execution_id: str,
        level: int,
        ready: int,
        parts: int,
        settled: Sequence[Settled],
        halted: str,
        opener: str,
        look_after_ms: int,
        waiting: Mapping[str, int | None] | None = None,
    ) -> bool:
        """Open a level; False when another call opened it or the one before it has not ended.

        ``opener`` is unique to the call, so that one whose answer was lost can be repeated. ``waiting``:
        of the ready actions, those that wait for a confirmation, each with its timeout in milliseconds.
        """
        keys = self.keys
        names = [
            keys.execution(execution_id),
            keys.actions(execution_id),
            keys.deadlines,
            keys.parts(execution_id),
            keys.confirmations(execution_id),
            keys.log(execution_id),
        ]
        asked = [item for name, ms in (waiting or {}).items() for item in (name, "" if ms is None else ms)]
        names += [self.results.key(execution_id, s.action_id) for s in settled]
        head = [execution_id, level, ready, parts, look_after_ms, halted, opener, len(waiting or {})]
        args: list[Any] = [*head, *asked, *rows_of(settled)]
        return bool(self.run("advance", names, args))

    def confirm(
        self, execution_id: str, action_id: str, confirmed: bool, user_id: str, look_after_ms: int
    ) -> tuple[str, str]:
        """Answer a confirmation; see ``confirm.lua`` for the answers. The second is the action's status."""
        keys = self.keys
        names = [
            keys.execution(execution_id),
            keys.actions(execution_id),
            keys.deadlines,
            keys.confirmations(execution_id),
            keys.log(execution_id),
        ]
        args = [execution_id, action_id, "1" if confirmed else "0", user_id, look_after_ms]
        reply = [part.decode() for part in self.run("confirm", names, args)]
        return reply[0], reply[1] if len(reply) > 1 else ""

    def transition(
        self,
        execution_id: str,
        action_id: str,
        status: str,
        *,
        payload: bytes | str,
        error: ErrorDetail | None,
        reason: str,
        halts: bool,
        halts_if: tuple[str, Sequence[str]] = ("", ()),
        look_after_ms: int,
    ) -> tuple[str, str]:
        """Change an action of an execution driven by hand; see ``transition.lua`` for the answers.

        ``halts_if``: a status, and actions: if one of them has it, this end halts the execution, too.
        """
        keys = self.keys
        names = [
            keys.execution(execution_id),
            keys.actions(execution_id),
            keys.attempts(execution_id),
            keys.log(execution_id),
            self.results.key(execution_id, action_id),
            keys.deadlines,
        ]
        detail = error.model_dump_json() if error else ""
        args = [execution_id, action_id, status, detail, reason, payload, "1" if halts else "", look_after_ms]
        reply = [part.decode() for part in self.run("transition", names, [*args, halts_if[0], *halts_if[1]])]
        return reply[0], reply[1] if len(reply) > 1 else ""

    def start(self, execution_id: str, look_after_ms: int) -> bool:
        """Start an execution that was stored without; False when it was started before."""
        names = [self.keys.execution(execution_id), self.keys.deadlines, self.keys.log(execution_id)]
        return bool(self.run("start", names, [execution_id, look_after_ms]))

    def halt(self, execution_id: str, action_id: str) -> None:
        """Note which action halts the execution; the first one stays."""
        self.run("halt", [self.keys.execution(execution_id)], [action_id])

    def cancel(self, execution_id: str, reason: str, look_after_ms: int) -> tuple[str, Head | None]:
        """Cancel an execution: ``cancelled``, ``ended`` or ``unknown``, and where it stands."""
        names = [self.keys.execution(execution_id), self.keys.deadlines, self.keys.log(execution_id)]
        reply = self.run("cancel", names, [execution_id, reason, look_after_ms])
        return reply[0].decode(), Head.read(reply[1]) if len(reply) > 1 else None

    def pause(self, execution_id: str, paused: bool) -> tuple[str, Head | None]:
        """Pause an execution or let it go on: ``ok``, ``repeated``, ``ended`` or ``unknown``, and where it stands."""
        names = [self.keys.execution(execution_id), self.keys.log(execution_id)]
        reply = self.run("pause", names, [execution_id, "1" if paused else ""])
        return reply[0].decode(), Head.read(reply[1]) if len(reply) > 1 else None

    def published(self, execution_id: str, level: int, part: int, look_after_ms: int) -> int:
        """Note that a part of a level is published; how many are left."""
        keys = self.keys
        names = [keys.execution(execution_id), keys.deadlines, keys.parts(execution_id)]
        return int(self.run("published", names, [execution_id, level, part, look_after_ms]))

    def settle(
        self, execution_id: str, settled: Sequence[Settled], *, were_open: bool, look_after_ms: int
    ) -> Head | None:
        """End actions that will never begin; those that have begun or ended are left alone."""
        keys, head = self.keys, None
        for start in range(0, len(settled), SLICE):
            part = settled[start : start + SLICE]
            names = [keys.execution(execution_id), keys.actions(execution_id), keys.deadlines]
            names.append(keys.log(execution_id))
            names += [self.results.key(execution_id, s.action_id) for s in part]
            reply = self.run("settle", names, [execution_id, "1" if were_open else "", look_after_ms, *rows_of(part)])
            head = Head.read(reply) if reply else None
        return head

    def put_final(self, execution_id: str, payload: bytes | str) -> None:
        """Store the result of an execution that no task ends, and wake who waits for it."""
        key, seconds = self.results.task_key(execution_id), self.results.expires
        with self.results.client.pipeline() as pipe:

            def put() -> None:
                pipe.set(key, payload, ex=seconds or None)
                pipe.publish(key, payload)
                pipe.execute()

            self._again(put)

    def claim_end(self, execution_id: str, owner: str, lease_ms: int, created: str = "") -> tuple[str, Head | None]:
        """Claim the ending of an execution: ``claimed``, with where it stands, or why not; see ``claim.lua``.

        ``created``: of the execution that is meant, "" whichever has the id.
        """
        reply = self.run("claim", [self.keys.execution(execution_id)], [owner, lease_ms, created])
        return reply[0].decode(), Head.read(reply[1]) if len(reply) > 1 else None

    def finalize(
        self, execution_id: str, status: str, error: ErrorDetail | None, look_after_ms: int
    ) -> tuple[str, str] | None:
        """End the execution; the status it has now and what its caller hung on it (JSON), None when it is unknown.

        It goes on when it was cancelled meanwhile and is to end otherwise, and where actions are open or not begun.
        """
        keys = self.keys
        names = [keys.execution(execution_id), keys.deadlines, keys.log(execution_id), keys.actions(execution_id)]
        args = [execution_id, status, error.model_dump_json() if error else "", look_after_ms]
        reply = self.run("finalize", names, args)
        return (reply[0].decode(), (reply[1] or b"{}").decode()) if reply else None

    def renew(self, execution_id: str, leases: Iterable[tuple[str, int]], lease_ms: int, created: str) -> list[str]:
        """Renew leases given as (action id, token); the ids of those held no more. ``created``: as of ``begin``."""
        keys = self.keys
        names = [keys.execution(execution_id), keys.actions(execution_id), keys.deadlines]
        flat = [item for lease in leases for item in lease]
        return [name.decode() for name in self.run("renew", names, [execution_id, lease_ms, created, *flat])]

    def due(self, limit: int, push_back_ms: int) -> list[tuple[str, str]]:
        """Claim passed deadlines: (execution id, action id or "") of each."""
        names = [self.keys.deadlines, self.keys.sweeper]
        members = self.run("due", names, [limit, push_back_ms, SWEEPER_FORGOTTEN_MS])
        return [split_member(member.decode()) for member in members]

    def forget_deadline(self, execution_id: str, action_id: str = "") -> None:
        """Drop a deadline that means nothing any more."""
        self.results.client.zrem(self.keys.deadlines, deadline_member(execution_id, action_id))

    def count_look(self, execution_id: str, what: str, wait: int = 0) -> int:
        """How often it was looked whether messages are lost, this time included; 0 once the execution is closed.

        ``what``: they are of, such as an action. ``wait``: tells this time from earlier ones, which count no more.
        """
        names = [self.keys.execution(execution_id), self.keys.looks(execution_id)]
        return int(self.run("looked", names, [what, wait]))

    def forget_looks(self, execution_id: str, what: str) -> None:
        """Count these looks from 1 again."""
        self.results.client.hdel(self.keys.looks(execution_id), what)

    def postpone(self, execution_id: str, until_ms_from_now: int) -> None:
        """Have the sweeper look at an execution again, but not sooner than given."""
        member = deadline_member(execution_id)
        self.results.client.zadd(self.keys.deadlines, {member: self.now() + until_ms_from_now}, xx=True)

    def now(self) -> int:
        """The server's clock, milliseconds since the epoch."""
        if self._now is not None:
            return self._now()
        seconds, micros = self.results.client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def run(self, script: str, keys: Sequence[str], args: Sequence[Any], tries: int | None = None) -> Any:
        """Run a script; in an outage again and again, as all scripts bear repeating.

        ``tries``: how often, a second apart; None: as the backend's policy says.
        """
        clock = "" if self._now is None else self._now()
        sent = ["", *args[1:]] if script in FROM_KEY else args

        reply = self._again(lambda: self._scripts[script](keys, [clock, *sent]), tries)
        if self.on_change is not None and script in _LOGGED:
            self.on_change(args[0])
        return reply

    def _again(self, write: Callable[[], Any], tries: int | None = None) -> Any:
        def once() -> Any:
            try:
                return write()
            except ResponseError as error:
                if refuses(error):
                    raise ServerRefusesError(f"The server does not write now: {error}") from error
                raise

        return self.results.ensure(once, tries)


#: After these the log may have grown (after ``begin`` it is sent under the lease); their first argument is the id.
_OF_PLANS = ("create", "start", "advance", "settle", "cancel", "pause", "finalize", "flow_open", "flow_decide")
_OF_ACTIONS = ("finish", "finish_each", "confirm", "transition", "by_hand")
_LOGGED = frozenset((*_OF_PLANS, *_OF_ACTIONS))


def rows_of(settled: Sequence[Settled]) -> list[bytes | str]:
    """Actions that are ended, as scripts take them: id, record, result payload by turns."""
    return [item for s in settled for item in (s.action_id, s.record(), s.payload)]
