"""What goes wrong in a chaos run: about once a second something, all of it chosen by a seed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import redis

from tests.chaos.fleet import Fleet
from tests.chaos.journal import append_only_file
from tests.chaos.scene import Scene
from tests.support import alive, wait_until

#: What happens, and how often compared with the others.
EVENTS = {"child": 60, "main": 12, "worker": 8, "drop all": 10, "drop one": 10}
#: How the server goes: asked to; by SIGKILL; by SIGKILL with the last second of its file gone, as in a power cut.
OUTAGES = ("restart", "kill", "power cut")
#: How often a child in the middle of an action is killed rather than any.
BUSY = 0.8
#: What of the plan has run when the server goes.
OUTAGES_AT = (0.3, 0.6)


@dataclass
class Report:
    """What was done to one run, and what it cost. ``duration``: seconds."""

    seed: int
    outage: str
    events: Counter[str] = field(default_factory=Counter)
    killed: list[int] = field(default_factory=list)
    duration: float = 0.0
    restarts: int = 0
    cut_off: int = 0
    lost: int = 0
    undone_bytes: int = 0

    @property
    def kills(self) -> int:
        """Processes that were sent a SIGKILL: children, main processes and whole workers."""
        return sum(self.events[name] for name in ("child", "main", "worker"))

    def row(self, kind: str) -> dict[str, str]:
        """The figures by the names of their columns."""
        drops = self.events["drop all"] + self.events["drop one"]
        kills = {"children": "child", "mains": "main", "workers": "worker"}
        return {
            "kind": kind,
            "seed": str(self.seed),
            "outage": self.outage,
            "seconds": f"{self.duration:.0f}",
            "kills": str(self.kills),
            **{name: str(self.events[event]) for name, event in kills.items()},
            "drops": str(drops),
            "outages": str(self.events[self.outage]),
            "restarts": str(self.restarts),
            "cut off": str(self.cut_off),
            "lost": str(self.lost),
            "undone": str(self.undone_bytes),
        }


class Storm:
    """Goes on until the plan has ended.

    Args:
        scene, fleet: what it happens to.
        actions: how many the plan has.
        seed: chooses everything: kinds, victims, pauses, and how the server goes.
        pause: seconds between two events, from and to.
    """

    def __init__(
        self, scene: Scene, fleet: Fleet, actions: int, seed: int, pause: tuple[float, float] = (0.6, 1.4)
    ) -> None:
        self._scene, self._fleet, self._actions, self._pause = scene, fleet, actions, pause
        self._chance = random.Random(seed)
        self._sizes: deque[tuple[float, int]] = deque(maxlen=1000)
        self._outages_at = list(OUTAGES_AT)
        self.report = Report(seed, OUTAGES[seed % len(OUTAGES)])

    def rage(self, execution_id: str, bound: float) -> Report:
        """Make things go wrong until the execution is closed; fails when that takes longer than ``bound``."""
        begun = time.monotonic()
        deadline = begun + bound
        while not self._calm(lambda: self._scene.closed(execution_id)):
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"seed {self.report.seed}: not ended within {bound:g} s, after {dict(self.report.events)}\n"
                    f"{self._scene.standing(execution_id)}\n{self._fleet.tails()}"
                )
            self._happen(execution_id)
        report = self.report
        report.duration = time.monotonic() - begun
        report.restarts = self._fleet.restarts
        report.cut_off = sum(line.pid in report.killed for line in self._scene.journal.cut_off(execution_id))
        traces = [found.trace for found in self._scene.state(execution_id).action_states.values()]
        report.lost = sum(attempt.outcome == "lost" for trace in traces for attempt in trace)
        return report

    def _calm(self, ended: Callable[[], bool]) -> bool:
        """Wait for the time of the next event, or for the end; whether it was the end."""
        until = time.monotonic() + self._chance.uniform(*self._pause)

        def over() -> bool:
            self._sizes.append((time.monotonic(), self._appended()))
            return time.monotonic() > until

        wait_until(lambda: ended() or over(), self._pause[1] + 60)
        return ended()

    def _happen(self, execution_id: str) -> None:
        done = len({line.action_id for line in self._scene.journal.lines(execution_id) if line.what == "end"})
        if self._outages_at and done > self._outages_at[0] * self._actions:
            self._outages_at.pop(0)
            self._take_server_down()
            return
        event = self._chance.choices(list(EVENTS), list(EVENTS.values()))[0]
        self.report.events[event] += 1
        if event.startswith("drop"):
            self._drop(event)
        else:
            self._kill(event)

    def _kill(self, what: str) -> None:
        """A pool child; a main process, its children left as orphans; or a whole worker."""
        if what == "child":
            children = [pid for worker in self._fleet.workers for pid in worker.children()]
            # Rather one in the middle of an action, if there is one: between actions there is less to break.
            rather = sorted(self._scene.journal.busy().intersection(children))
            among = rather if rather and self._chance.random() < BUSY else children
            victims = among and [self._chance.choice(among)]
        else:
            worker = self._chance.choice(self._fleet.workers)
            victims = [worker.pid, *(worker.children() if what == "worker" else ())]
        for pid in victims:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
                self.report.killed.append(pid)

    def _drop(self, what: str) -> None:
        try:
            if what == "drop all":
                self._scene.redis.execute_command("CLIENT KILL TYPE normal SKIPME yes")
            else:
                ids = [client["id"] for client in self._scene.redis.client_list(_type="normal")]
                self._scene.redis.execute_command("CLIENT KILL ID", self._chance.choice(ids))
        except redis.RedisError:
            self.report.events[f"{what}, refused"] += 1

    def _take_server_down(self) -> None:
        """The server goes, stays away for up to two seconds, and comes back with its file."""
        server, away = self._scene.server, self._chance.uniform(0, 2)
        self.report.events[self.report.outage] += 1
        if self.report.outage == "restart":
            server.restart()
            return
        server.kill()
        back = time.monotonic() + away
        if self.report.outage == "power cut":
            self._lose_last_second()
        wait_until(lambda: time.monotonic() > back, away + 10)
        server.start()

    def _lose_last_second(self) -> None:
        """Cut off the server's file what was appended in the last second: a crash of the machine loses it."""
        now = time.monotonic()
        size = max((size for at, size in self._sizes if at < now - 1), default=0)
        file, whole = append_only_file(self._scene.server.data_dir), self._appended()
        if file is not None and 0 < size < whole:
            os.truncate(file, size)
            self.report.undone_bytes += whole - size

    def _appended(self) -> int:
        file = append_only_file(self._scene.server.data_dir)
        return file.stat().st_size if file else 0
