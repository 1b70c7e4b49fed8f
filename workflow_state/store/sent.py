"""What was sent and no worker has accepted yet: kept until one has, since its message may be lost on the way.

Whoever accepts an execution drops it in the same step (``create.lua``).
"""

from __future__ import annotations

from typing import Final

from workflow_state.store.packing import packed, unpacked
from workflow_state.store.redis import Store

#: Milliseconds after its time has come that a message is looked after.
KEPT_MS: Final = 24 * 3600 * 1000
#: Milliseconds between two looks, at most.
LONGEST_MS: Final = 3600 * 1000


def keep(store: Store, execution_id: str, message: str, wait_ms: int, look_after_ms: int) -> None:
    """Keep a message that is about to be sent, unless its execution is there.

    ``wait_ms``: until its time has come; ``look_after_ms``: from then until the sweeper looks. One try, see ``run``.
    """
    args = [execution_id, packed(message), wait_ms + look_after_ms, wait_ms + KEPT_MS]
    store.run("sent", _names(store, execution_id), args, 1)


def overdue(store: Store, execution_id: str, look_again_ms: int) -> tuple[str, int] | None:
    """The message of an execution that is not there, and how often it was looked after, this time included.

    None when it was accepted meanwhile, or there is no such message; then nobody looks any more.
    """
    reply = store.run("overdue", _names(store, execution_id), [execution_id, look_again_ms, LONGEST_MS])
    return (unpacked(reply[0]).decode(), int(reply[1])) if reply else None


def forget(store: Store, execution_id: str, tries: int | None = None) -> None:
    """Look after a message no longer. ``tries``: as of ``Store.run``."""
    store.run("unsent", _names(store, execution_id), [execution_id], tries)


def _names(store: Store, execution_id: str) -> list[str]:
    keys = store.keys
    return [keys.execution(execution_id), keys.sent(execution_id), keys.deadlines]
