"""The comparison with others as a table for people."""

from __future__ import annotations

from collections.abc import Mapping

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.peers.standing import Result, Standing
from benchmarks.peers.trials import TRIALS


def show(console: Console, standings: Mapping[str, Standing]) -> None:
    """Milliseconds of each action and, behind them, times as long as a raw task of the same minute."""
    title = "peers: ms of each action (times a raw Celery task)"
    table = Table(title=title, title_justify="left", box=SIMPLE)
    table.add_column("")
    for trial in TRIALS.values():
        table.add_column(trial.title, justify="right")
    remarks = []
    for standing in standings.values():
        cells = [cell(standing.results[name]) if name in standing.results else "-" for name in TRIALS]
        table.add_row(standing.title, *cells)
        remarks += [f"{standing.title}: not measured: {standing.skipped}"] if standing.skipped else []
        for name, result in standing.results.items():
            if said := "; ".join(filter(None, (result.note, result.reason))):
                remarks.append(f"{standing.title}, {name} ({result.size}): {said}")
    console.print(table)
    for remark in remarks:
        console.print(f"  {remark}", highlight=False, markup=False)


def cell(result: Result) -> str:
    """Cost and ratio of one result, or a dash."""
    return f"{sorted(result.cost)[len(result.cost) // 2]:,.2f} ({result.ratio:.2f})" if result.cost else "-"
