"""The end of what is stored: an ended execution gets its TTL, or is deleted, and the index forgets what is gone.

Everything here is safe to repeat, and whatever is cut off half way is found by the deadline of the execution.
"""

from __future__ import annotations

from collections.abc import Sequence

from workflow_state.store.keys import deadline_member
from workflow_state.store.reader import SLICE, slices
from workflow_state.store.redis import Store


def close(
    store: Store, execution_id: str, action_ids: Sequence[str], seconds: float, *, look_again: bool = False
) -> None:
    """Give everything of an ended execution its TTL (0: keep for ever), and stop looking after it.

    Where somebody asked for it to be deleted, it is. ``look_again``: the sweeper has something to do for it yet,
    and closes it again after that.
    """
    names = [store.keys.execution(execution_id), store.keys.deadlines]
    answer = store.run("close", names, [execution_id, ""])
    if answer is None:
        return
    if answer == b"closed" or look_again:
        if seconds:
            keys = [*_result_keys(store, execution_id, action_ids), *store.keys.all_of(execution_id)]
            at: bytes | str = ""
            for part in slices(keys):
                # All at the same moment: whoever reads finds everything, or nothing.
                at = store.run("expire", part, [max(1, int(seconds * 1000)), at])
        if look_again:
            return
        # Somebody may have asked meanwhile.
        answer = store.run("close", names, [execution_id, "1"])
    if answer == b"deleting":
        remove(store, execution_id, action_ids)


def ask_to_delete(store: Store, execution_id: str, look_after_ms: int) -> tuple[str, str]:
    """Ask for an execution to be deleted; see ``delete.lua`` for the answers. The second is its status."""
    names = [store.keys.execution(execution_id), store.keys.deadlines]
    reply = [part.decode() for part in store.run("delete", names, [execution_id, look_after_ms])]
    return reply[0], reply[1] if len(reply) > 1 else ""


def remove(store: Store, execution_id: str, action_ids: Sequence[str]) -> None:
    """Remove all of an execution, the records last: until these are gone, it can be repeated."""
    for part in slices(_result_keys(store, execution_id, action_ids)):
        store.results.client.unlink(*part)
    with store.results.client.pipeline(transaction=True) as pipe:
        pipe.unlink(*store.keys.all_of(execution_id))
        pipe.zrem(store.keys.executions, execution_id)
        pipe.zrem(store.keys.deadlines, deadline_member(execution_id))
        pipe.execute()


def forget_expired(store: Store, cursor: int) -> tuple[int, int]:
    """Drop some executions from the index whose records are gone: where to go on (0: at the end), how many."""
    index = store.keys.executions
    cursor, found = store.results.client.zscan(index, cursor, count=SLICE)
    ids = [member.decode() for member, _ in found]
    gone = store.run("forget", [index, *map(store.keys.execution, ids)], ids)
    return int(cursor), int(gone)


def _result_keys(store: Store, execution_id: str, action_ids: Sequence[str]) -> list[str]:
    """Celery's keys: the results of these actions, and that of the execution itself."""
    own = store.results.task_key(execution_id)
    return [*store.results.keys(execution_id, action_ids), own]
