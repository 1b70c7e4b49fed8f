"""The seam between the engine and when actions start: what every schedule answers, and what all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from celery import Celery
from celery.canvas import Signature

from workflow_state.program import Program
from workflow_state.redaction import Redactor
from workflow_state.runtime import canvas
from workflow_state.runtime.observers import Observers
from workflow_state.runtime.points import reached
from workflow_state.runtime.queues import Queues
from workflow_state.runtime.settling import Settling
from workflow_state.settings import Settings
from workflow_state.store.records import Head, Record
from workflow_state.store.redis import Store

#: Lost messages of one queue that the sweeper sends again in one look.
RESEND = 1000


def level_looks(level: int) -> str:
    """The name under which looks after the messages of a level are counted."""
    return f"level {level}"


@dataclass(frozen=True, slots=True)
class Means:
    """What a schedule works with."""

    app: Celery
    settings: Settings
    store: Store
    settling: Settling
    redactor: Redactor
    observers: Observers
    log: Any
    queues: Queues


class Schedule(ABC):
    """When the actions of a program start. Every step is safe to repeat, by whoever doubts that it was done.

    Where a head is returned, nothing of the execution is open any more and nothing more comes: it is to be ended.
    """

    def __init__(self, means: Means) -> None:
        self.means = means
        self.store = means.store

    @abstractmethod
    def advance(self, execution_id: str, program: Program, head: Head) -> Head | None:
        """Start what can be started, of an active execution."""

    @abstractmethod
    def publish_part(self, execution_id: str, program: Program, head: Head, part: Sequence[Any]) -> Head | None:
        """Publish those actions of a part that have not begun; again, if need be."""

    @abstractmethod
    def take_up(self, execution_id: str, program: Program, head: Head) -> Head | None:
        """After a pause: publish again what had its turn and did not begin, or waits for its next attempt."""

    @abstractmethod
    def look(self, execution_id: str, program: Program, head: Head) -> Head | None:
        """For the sweeper, when all seems well: find what is open, and whose message must be lost."""

    @abstractmethod
    def open_ids(self, execution_id: str, program: Program, head: Head) -> Sequence[str]:
        """Actions that may be open and not running; others may be among them."""

    def catch_up(self, execution_id: str, program: Program, action_id: str, head: Head) -> Head:
        """What should have followed an ended action may be lost: the head with what has to follow."""
        return head

    def stop(self, execution_id: str, program: Program, head: Head) -> Head:
        """After a halt or a cancel: end what is open and has not begun; what runs ends by itself."""
        if head.open == 0:
            return head
        ids = self.open_ids(execution_id, program, head)
        cancelled = bool(head.cancel)
        return self.means.settling.stop_open(execution_id, ids, head.halted, cancelled=cancelled) or head

    def publish_actions(self, execution_id: str, program: Program, ids: Sequence[str]) -> None:
        """Publish the first attempts of actions, in one batch."""
        app = self.means.app
        canvas.publish(app, canvas.level_group(app, program, execution_id, ids).tasks)
        reached("level published")

    def resend(
        self,
        execution_id: str,
        program: Program,
        head: Head,
        ids: Sequence[str],
        behind: Callable[[Sequence[str], Signature], Sequence[Signature]],
    ) -> None:
        """Send again what was published and never began, where its message must be lost.

        A message may be gone with a broker, or sit with a dead worker until the visibility timeout. But in a
        queue that holds messages it may just be waiting, and a long queue must not be flooded: there messages
        are put behind it, and what has not begun when their turn has come is sent again. Should they get lost
        too, others follow, at ever longer intervals.

        ``behind``: makes these messages, of the ids, to go where a given one goes.
        """
        app, waiting = self.means.app, defaultdict(list)
        for name in ids:
            step = program.steps[name]
            waiting[step.queue, step.priority].append(name)
        looks = self.store.count_look(execution_id, level_looks(head.cursor)) if waiting else 0
        for names in waiting.values():
            first = canvas.action_signature(app, program, program.steps[names[0]], execution_id)
            if self.means.queues.is_empty(first):
                lost = names[:RESEND]
                self.means.observers.tell("swept", "message_resent", len(lost))
                self.means.log.warning("lost messages sent again", execution_id=execution_id, count=len(lost))
                canvas.publish(app, canvas.level_group(app, program, execution_id, lost).tasks)
            elif looks.bit_count() == 1:
                canvas.publish(app, behind(names, first))

    def next_attempts(self, execution_id: str, program: Program, records: dict[str, Record]) -> list[Signature]:
        """Messages of the next attempts of those that wait for one; what waits longer is sent by the sweeper."""
        app, now, found = self.means.app, self.store.now(), []
        for name, record in records.items():
            wait = max(0, (record.due or 0) - now) / 1000
            if record.phase == "retry" and wait < self.means.settings.long_delay:
                step, attempt = program.steps[name], record.attempt + 1
                signature = canvas.action_signature(app, program, step, execution_id, attempt)
                found.append(signature.set(countdown=wait))
        return found


def confirmations(program: Program, ids: Sequence[str]) -> dict[str, int | None]:
    """Of the actions whose turn has come, those that a person must agree to, with their timeouts."""
    asked = ((name, program.steps[name].confirmation) for name in ids)
    return {name: confirmation.timeout for name, confirmation in asked if confirmation is not None}
