"""The store's part of a result by hand: an action that waits for its confirmation ends in one step."""

from __future__ import annotations

from typing import Any

from workflow_state.store.records import Head
from workflow_state.store.redis import Store


def end_waiting(
    store: Store,
    execution_id: str,
    action_id: str,
    owner: str,
    who: str,
    level: int | None,
    outcome: str,
    *,
    tries: int | None = None,
    **what: Any,
) -> tuple[str, str, Head | None]:
    """Agree to an action, and end its first attempt; see ``by_hand.lua`` for the answers.

    Returns the answer, for ``not waiting`` the status of the action, and where the execution stands if something may
    follow.

    Args:
        owner: unique to the call, so that it can be repeated.
        who: answers the confirmation.
        level: of the action; None: no level is waited for.
        outcome, tries, what: as of ``Store.finish``.
    """
    keys = store.keys
    own, args = store.finish_call(execution_id, action_id, 0, outcome, **what)
    names = [keys.execution(execution_id), keys.actions(execution_id), keys.deadlines, keys.attempts(execution_id)]
    names += [keys.log(execution_id), keys.ready(execution_id), keys.met(execution_id), keys.parts(execution_id), *own]
    names.append(keys.confirmations(execution_id))
    head = [execution_id, owner, who, what["look_after_ms"], "" if level is None else level]
    reply = store.run("by_hand", names, [*head, *args], tries)
    answer = reply[0].decode()
    if answer in ("ok", "repeated"):
        return answer, "", Head.read(*reply[1:]) if reply[1] else None
    return answer, reply[1].decode() if len(reply) > 1 else "", None
