"""What work costs beside time: traffic to the server, commands, processor seconds, memory."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
from redis import Redis

from benchmarks.lab import Lab

#: Seconds between two looks at the memory of processes.
LOOK = 0.05
MIB = 1024 * 1024


def bytes_in(lab: Lab, work: Callable[[], object]) -> int:
    """Bytes that the server receives over the network while some work is done, ours for looking included."""
    lab.await_quiet()
    before = int(lab.client.info("stats")["total_net_input_bytes"])
    work()
    lab.await_quiet()
    return int(lab.client.info("stats")["total_net_input_bytes"]) - before


@dataclass(frozen=True, slots=True)
class Commands:
    """How often each command was run: sent by a client, or executed inside a script that a client sent."""

    sent: Counter[str]
    scripted: Counter[str]


def commands(lab: Lab, work: Callable[[], object]) -> Commands:
    """Every command that the server runs during some work, told apart by what MONITOR says of its origin.

    The looks of the lab itself at the queue are left out. A transaction's MULTI and EXEC count.
    """
    lab.await_quiet()
    sent: Counter[str] = Counter()
    scripted: Counter[str] = Counter()
    marker = "benchmarks-end-of-monitoring"
    with Redis.from_url(lab.app.conf.broker_url, decode_responses=True) as client, client.monitor() as monitor:
        listener = threading.Thread(target=_listen, args=(monitor, marker, sent, scripted))
        listener.start()
        try:
            work()
            lab.await_quiet()
        finally:
            lab.client.echo(marker)
            listener.join()
    for look in ("LLEN celery", "HLEN unacked"):
        sent.pop(look, None)
    return Commands(sent, scripted)


def _listen(monitor: object, marker: str, sent: Counter[str], scripted: Counter[str]) -> None:
    for heard in monitor.listen():  # type: ignore[attr-defined]
        words = heard["command"].split(" ", 2)
        if words[-1] == marker:
            return
        name = words[0].upper()
        # The lab looks at these two; nobody else asks for their length.
        name = f"{name} {words[1]}" if name in {"LLEN", "HLEN"} and len(words) > 1 else name
        (scripted if heard["client_type"] == "lua" else sent)[name] += 1


@dataclass(slots=True)
class Usage:
    """``cpu``: seconds by part: server, worker main, pool, client. ``rss``: the most of each, in bytes."""

    cpu: dict[str, float] = field(default_factory=dict)
    rss: dict[str, int] = field(default_factory=dict)


@contextmanager
def usage(lab: Lab) -> Iterator[Usage]:
    """What the processes use during a block: filled when it has ended. ``pool`` is the sum of cpu, the largest rss."""
    main = psutil.Process(lab.worker_pid)
    crew = {
        "server": [psutil.Process(lab.server_pid)],
        "worker main": [main],
        "pool": main.children(recursive=True),
        "client": [psutil.Process()],
    }
    found, ended = Usage(rss=_rss(crew)), threading.Event()

    def look() -> None:
        while not ended.wait(LOOK):
            for name, now in _rss(crew).items():
                found.rss[name] = max(found.rss[name], now)

    looker = threading.Thread(target=look)
    looker.start()
    before = _cpu(crew)
    try:
        yield found
    finally:
        after = _cpu(crew)
        ended.set()
        looker.join()
        found.cpu.update({name: after[name] - before[name] for name in crew})


def _cpu(crew: dict[str, list[psutil.Process]]) -> dict[str, float]:
    return {name: sum(sum(process.cpu_times()[:2]) for process in processes) for name, processes in crew.items()}


def _rss(crew: dict[str, list[psutil.Process]]) -> dict[str, int]:
    return {name: max(process.memory_info().rss for process in processes) for name, processes in crew.items()}
