"""The store's part in what leaves the engine: attempts of remote services, and events to listeners."""

from __future__ import annotations

from workflow_state.store.keys import EVENTS, deadline_member
from workflow_state.store.records import LogEntry
from workflow_state.store.redis import Store


class OutwardStore:
    """One method for each transition, as in :class:`Store`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys = store.keys

    def delegate(self, execution_id: str, action_id: str, token: int, answer_ms: int, created: str = "") -> bool:
        """Leave an attempt to a remote service; False when it has ended or is not the token's any more.

        ``created``: of the execution that is meant, "" whichever has the id.
        """
        keys = self._keys
        names = [keys.execution(execution_id), keys.actions(execution_id), keys.deadlines]
        return bool(self._store.run("delegate", names, [execution_id, action_id, token, answer_ms, created]))

    def unsent(
        self, execution_id: str, owner: str, lease_ms: int, sent: int | None, most: int, sweep_ms: int
    ) -> list[LogEntry] | None:
        """Claim what listeners have not been sent yet: [] when there is nothing, None when another is at it.

        ``sent``: number of the last entry that ``owner`` has sent since its last call. ``most``: entries at most; 0
        gives the claim back, and leaves what there is to the next change, and after ``sweep_ms`` to a sweeper (None).
        """
        names = [self._keys.execution(execution_id), self._keys.log(execution_id)]
        args = [execution_id, owner, lease_ms, "" if sent is None else sent, most]
        if not most:
            names.append(self._keys.deadlines)
            args += [deadline_member(execution_id, EVENTS), sweep_ms]
        reply = self._store.run("forward", names, args)
        if reply[0] in (b"held", b"left"):
            return None
        return [LogEntry.read_raw(entry) for entry in reply[1]] if reply[0] == b"send" else []
