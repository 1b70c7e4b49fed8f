"""Program level → Celery group, and how it is published.

A level is a chord in everything but the counting: its header is the group made here, its body is
``advance`` to the next level. Celery's own counter is replaced by the store's, because counting and
storing a result must be one step, and because a chord of chords carries everything downstream in
every message.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from celery import Celery, group
from celery.canvas import Signature

from workflow_state.program import Program, Step
from workflow_state.runtime.points import reached
from workflow_state.store.keys import action_task_id

#: Seconds between the soft limit, which the action can catch, and the hard one, which ends its process.
HARD_LIMIT_GRACE = 5.0


def action_signature(app: Celery, program: Program, step: Step, execution_id: str, attempt: int = 1) -> Signature:
    """The message that runs one action: ids only, so no input or secret is in it.

    Its task id is fixed, so a repeated message is the same task. The name shown by Flower and the logs
    is ``plan/action``.
    """
    options: dict[str, Any] = {
        "task_id": action_task_id(execution_id, step.id),
        "root_id": execution_id,
        "parent_id": execution_id,
        "shadow": f"{program.title}/{step.id}",
    }
    if step.queue is not None:
        options["queue"] = step.queue
    if step.priority is not None:
        options["priority"] = step.priority
    if step.timeout is not None:
        options["soft_time_limit"] = step.timeout / 1000
        options["time_limit"] = step.timeout / 1000 + HARD_LIMIT_GRACE
    task = app.tasks["workflow_state.execute_action"]
    signature: Signature = task.signature((execution_id, step.id, attempt), options=options)
    return signature


def level_group(app: Celery, program: Program, execution_id: str, action_ids: Iterable[str]) -> group:
    """The header of a level: the group of its actions that must run."""
    steps = program.steps
    return group([action_signature(app, program, steps[name], execution_id) for name in action_ids], app=app)


def publish(app: Celery, signatures: Iterable[Signature]) -> None:
    """Send signatures in one batch, where the transport can."""
    with app.producer_or_acquire() as producer, producer.batch():
        for signature in signatures:
            signature.apply_async(producer=producer, add_to_parent=False)
            reached("level half published")


def queue_of(app: Celery, signature: Signature) -> str:
    """The name of the queue that a signature's message goes to."""
    options = {name: signature.options[name] for name in ("queue",) if name in signature.options}
    route = app.amqp.router.route(options, signature.task, signature.args, signature.kwargs)
    queue = route.get("queue", app.conf.task_default_queue)
    return str(getattr(queue, "name", queue))


def empty_queues(app: Celery, signatures: Iterable[Signature]) -> set[str]:
    """Which of the queues of these signatures hold no message that a worker could take."""
    names = {queue_of(app, signature) for signature in signatures}
    if not names:
        return set()
    with app.connection_for_read() as connection:
        return {name for name in names if _message_count(connection, name) == 0}


def _message_count(connection: Any, queue: str) -> int:
    # A channel for each question: a broker may close the one on which it said that there is no such queue.
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(queue=queue, passive=True).message_count)
        except connection.channel_errors:
            return 0
