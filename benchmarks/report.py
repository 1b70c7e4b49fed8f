"""What a run has found, as a table for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Findings
from benchmarks.peers.standing import Standing
from benchmarks.workload import Workload

#: Raised whenever a reader of the JSON would have to change.
SCHEMA = 2


def headline(facts: Mapping[str, Any]) -> str:
    """The environment in one line."""
    packages = ", ".join(f"{name} {found}" for name, found in facts["packages"].items() if found)
    server, worker = facts["server"], facts["worker"]
    return (
        f"Python {facts['python']} on {facts['system']}, {facts['cores']} cores, load {facts['load']}; {packages}; "
        f"{server['name']} {server['version']} (appendonly {server['appendonly']}, {server['appendfsync']}); "
        f"one worker of {worker['processes']} processes\n"
    )


def show(console: Console, workload: Workload, findings: Findings, *, judge: bool) -> None:
    """Print the figures of one workload and, when they are judged, whether its promises were kept."""
    table = Table(title=f"{workload.name}: {workload.title}", title_justify="left", box=SIMPLE)
    table.add_column("", min_width=48)
    for column in ("median", "least", "most"):
        table.add_column(column, justify="right", min_width=9)
    table.add_column("of", justify="right")
    for figure in findings.figures:
        table.add_row(figure.name, *_cells(figure))
    console.print(table)
    for promise in findings.promises if judge else ():
        word = "[green]pass[/]" if findings.kept(promise) else "[red]FAIL[/]"
        value = findings.value(promise.figure)
        console.print(f"  {word}  {promise.text}: {value:.2f}, promised at most {promise.limit:g}\n")


def to_json(
    environment: Mapping[str, Any],
    settings: Mapping[str, Any],
    found: Mapping[str, Findings],
    peers: Mapping[str, Standing],
) -> dict[str, Any]:
    """Everything that a run has found."""
    return {
        "schema": SCHEMA,
        "environment": dict(environment),
        "settings": dict(settings),
        "workloads": {name: findings.to_json() for name, findings in found.items()},
        "peers": {name: standing.to_json() for name, standing in peers.items()},
    }


def write(path: Path, report: Mapping[str, Any]) -> None:
    """Write the JSON file."""
    path.write_text(json.dumps(report, indent=2) + "\n", "utf-8")


def _cells(figure: Figure) -> list[str]:
    values = (figure.value, min(figure.samples), max(figure.samples))
    return [*(f"{short(value)} {figure.unit}".strip() for value in values), str(len(figure.samples))]


def short(value: float) -> str:
    """A number with as many digits as say something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"
