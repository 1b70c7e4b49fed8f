"""Program level → Celery group, and how it is published.

A level is a chord in everything but the counting: its header is the group made here, its body is
``advance`` to the next level. Celery's own counter is replaced by the store's, because counting and
storing a result must be one step, and because a chord of chords carries everything downstream in
every message.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from celery import Celery, group
from celery.canvas import Signature

from workflow_state.program import Program, Step
from workflow_state.runtime.messages import send_all
from workflow_state.runtime.points import reached
from workflow_state.store.keys import action_task_id

#: Seconds between the soft limit, which the action can catch, and the hard one, which ends its process.
HARD_LIMIT_GRACE = 5.0


def action_signature(app: Celery, program: Program, step: Step, execution_id: str, attempt: int = 1) -> Signature:
    """The message that runs one action: ids only, so no input or secret is in it.

    Its task id is fixed, so a repeated message is the same task. The name shown by Flower and the logs
    is ``plan/action``.
    """
    args = (execution_id, step.id, attempt) if attempt > 1 else (execution_id, step.id)
    options: dict[str, Any] = {
        "task_id": action_task_id(execution_id, step.id),
        "root_id": execution_id,
        "parent_id": execution_id,
        "shadow": f"{program.title}/{step.id}",
        "argsrepr": repr(args),
        "kwargsrepr": "{}",
    }
    options |= _destination(step)
    if step.timeout is not None:
        options["soft_time_limit"] = step.timeout / 1000
        options["time_limit"] = step.timeout / 1000 + HARD_LIMIT_GRACE
    task = app.tasks["workflow_state.execute_action"]
    signature: Signature = task.signature(args, options=options)
    return signature


def part_signature(app: Celery, execution_id: str, part: Sequence[Any], behind: Signature | None = None) -> Signature:
    """The message that publishes one part of what is open, again if need be.

    ``part``: as the schedule names it, JSON; ``behind``: put the message where that one goes.
    """
    options: dict[str, Any] = {"root_id": execution_id}
    if behind is not None:
        options |= {name: behind.options[name] for name in ("queue", "priority") if name in behind.options}
    advance = app.tasks["workflow_state.advance"]
    signature: Signature = advance.signature((execution_id, *part), options=options)
    return signature


def _destination(step: Step) -> dict[str, Any]:
    found = {"queue": step.queue, "priority": step.priority}
    return {name: value for name, value in found.items() if value is not None}


def batch_signature(app: Celery, program: Program, steps: Sequence[Step], execution_id: str) -> Signature:
    """The message that runs the first attempts of some actions of one kind, one after the other."""
    first, ids = steps[0], [step.id for step in steps]
    shown = f"({execution_id!r}, [{ids[0]!r}, ... {len(ids)} actions])"
    options: dict[str, Any] = {
        "task_id": action_task_id(execution_id, " ".join(ids)),
        "root_id": execution_id,
        "parent_id": execution_id,
        "shadow": f"{program.title}/{first.definition} in batches",
        "argsrepr": shown,
        "kwargsrepr": "{}",
    }
    batch = app.tasks["workflow_state.execute_batch"]
    signature: Signature = batch.signature((execution_id, ids), options={**options, **_destination(first)})
    return signature


def level_group(app: Celery, program: Program, execution_id: str, action_ids: Iterable[str]) -> group:
    """The header of a level: the group of its actions that must run, those that are batched together."""
    batches: dict[tuple[Any, ...], list[Step]] = defaultdict(list)
    signatures = []
    for step in (program.steps[name] for name in action_ids):
        if step.batch_size == 1:
            signatures.append(action_signature(app, program, step, execution_id))
        else:
            batches[step.definition, step.queue, step.priority, step.batch_size].append(step)
    for (*_, size), steps in batches.items():
        for start in range(0, len(steps), size):
            some = steps[start : start + size]
            if len(some) > 1:
                signatures.append(batch_signature(app, program, some, execution_id))
            else:
                signatures.append(action_signature(app, program, some[0], execution_id))
    return group(signatures, app=app)


def publish(app: Celery, signatures: Iterable[Signature]) -> None:
    """Send signatures in one batch, where the transport can."""
    send_all(app, signatures, lambda: reached("level half published"))


def check_broker(app: Celery) -> None:
    """Do nothing when the broker answers, on a connection of its own: an older one may not know yet.

    Raises:
        kombu.exceptions.OperationalError: it does not.
    """
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
        connection.channel().close()
