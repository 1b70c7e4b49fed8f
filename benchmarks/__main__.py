"""``python -m benchmarks``: measure, print, and write down."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import environment, page, report
from benchmarks.app import app, raw_noop
from benchmarks.figures import Findings
from benchmarks.lab import Lab, open_lab
from benchmarks.peers import compare, table
from benchmarks.peers.catalogue import PEERS
from benchmarks.peers.standing import Standing
from benchmarks.plans import plan
from benchmarks.shapes import grid
from benchmarks.worker import BenchmarkError
from benchmarks.workload import Effort
from benchmarks.workloads import WORKLOADS
from workflow_state import EmbeddedServerError

ROUNDS = 5
#: What ``--only`` calls the comparison with others.
COMPARISON = "peers"


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line.

    ``only``: the workloads to run; ``peers``: the names of the peers to compare with, none: no comparison.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="The engine against raw Celery tasks.")
    names = [*WORKLOADS, COMPARISON]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--no-peers", action="store_true", help="measure the engine alone")
    parser.add_argument("--peer", action="append", choices=PEERS, metavar="NAME", help=", ".join(PEERS))
    rounds = f"samples of each figure (default {ROUNDS}; 1 of what takes a minute each)"
    parser.add_argument("--rounds", type=_positive, metavar="N", help=rounds)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one round: only to see that it works")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write figures, samples and environment there")
    parser.add_argument("--page", action="store_true", help="write that part of docs/performance.md anew")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a promise was not kept")
    given = parser.parse_args(words)
    given.slow_rounds = given.rounds or 1
    given.rounds = given.rounds or (1 if given.quick else ROUNDS)
    named = given.only
    wanted = named or [*(name for name, workload in WORKLOADS.items() if workload.usual), COMPARISON]
    given.peers = (given.peer or list(PEERS)) if COMPARISON in wanted and not given.no_peers else []
    given.only = [name for name in wanted if name != COMPARISON]
    if given.page:
        parts = {None: page.FIGURES if given.no_peers else None, COMPARISON: page.PEERS, "large": page.LARGE}
        given.page = parts.get(",".join(named) if named else None)
        if given.page is None or given.quick or given.peer or given.json:
            parser.error("--page goes with --no-peers, --only peers, or --only large, and writes its own JSON")
        given.json = given.page
    return given


def warm_up(lab: Lab) -> None:
    """Let every process import, connect and cache what it needs."""
    for _ in range(2):
        lab.run(plan("warm", grid(4, 4)))
        lab.drain(20)


def measure(lab: Lab, given: argparse.Namespace, console: Console) -> dict[str, Findings]:
    """Run what was asked for, print it, and write it down: after each workload, as a whole run takes a while."""
    effort = Effort(given.rounds, given.slow_rounds, given.quick)
    settings = {"rounds": given.rounds, "slow_rounds": given.slow_rounds, "quick": given.quick}
    facts = environment.facts(lab.client, app.conf)
    found: dict[str, Findings] = {}
    peers: dict[str, Standing] = {}

    def save() -> None:
        if given.json:
            report.write(given.json, report.to_json(facts, settings, found, peers))

    console.print(report.headline(facts))
    if given.quick:
        console.print("quick: tiny sizes whatever the titles say; no promise is judged\n")
    warm_up(lab)
    for name in given.only:
        found[name] = WORKLOADS[name].measure(lab, effort)
        report.show(console, WORKLOADS[name], found[name], judge=not given.quick)
        save()
    if given.peers:
        chosen = [PEERS[name] for name in given.peers]
        peers |= compare.measure(lab, effort, chosen, lambda line: console.print(f"beside others: {line}"))
        table.show(console, peers)
        save()
    return found


def main(words: Sequence[str] | None = None) -> int:
    """The exit code: 1 when ``--check`` was asked for and a promise was not kept."""
    given = arguments(words)
    with open_lab(app, raw_noop) as lab:
        found = measure(lab, given, Console(width=None if sys.stdout.isatty() else 120))
    if given.page:
        page.write()
    kept = given.quick or all(findings.kept(p) for findings in found.values() for p in findings.promises)
    return 1 if given.check and not kept else 0


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BenchmarkError, EmbeddedServerError) as error:
        sys.exit(f"benchmarks: {error}")
