"""Keep inputs and outputs out of what Celery itself logs and shows.

What the engine puts into its own messages is ids. What is left are the plan, which travels as an argument of
``execute_plan``, and the final state, which Celery hands to whatever the caller hung on it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Any

from celery import signals

#: Shown, by Flower for one, as the arguments of a task that is given a final state.
STATE_SHOWN = "(<final state>, ...)"
#: How Celery writes out a message's body in its logs: the body, cut, then its size.
_BODY = re.compile(r".* \((\d+)b\)", re.DOTALL)


class BodyFilter(logging.Filter):
    """Leaves the bodies of messages out of Celery's records; a plan may be in any, behind a task of a chain."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True: the record stays, without the body."""
        if isinstance(record.args, tuple):
            if str(record.msg).startswith("TaskPool: Apply"):
                record.args = (record.args[0], "(...)", "{...}")
            else:
                record.args = tuple(map(_without_body, record.args))
        return True


def hide_state(signatures: Iterable[dict[str, Any]]) -> None:
    """Have Celery show no state as an argument of these signatures, nor of those inside them that are given it."""
    for signature in signatures:
        parts = signature.get("kwargs") or {}
        match signature.get("task"):
            case "celery.group":
                hide_state(parts["tasks"])
            case "celery.chain":
                hide_state(parts["tasks"][:1])
            case "celery.chord":
                header = parts["header"]
                hide_state([header] if isinstance(header, dict) else header)
            case _ if not signature.get("immutable"):
                signature.setdefault("options", {}).setdefault("argsrepr", STATE_SHOWN)


def _without_body(argument: object) -> object:
    found = _BODY.match(argument) if isinstance(argument, str) else None
    return f"<{found[1]} bytes>{found.string[found.end() :]}" if found else argument


@signals.celeryd_init.connect(weak=False)
def _install_in_worker(**_: Any) -> None:
    """In every worker that imported the tasks."""
    for name in ("celery.pool", "celery.worker.consumer.consumer"):
        logger = logging.getLogger(name)
        if not any(isinstance(known, BodyFilter) for known in logger.filters):
            logger.addFilter(BodyFilter())
