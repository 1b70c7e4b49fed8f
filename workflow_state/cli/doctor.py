"""``workflow-state doctor``: does this set-up keep what is promised?"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click
from celery.app.utils import find_app

from workflow_state.doctor import check_setup

_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@click.command("doctor")
@click.option("-A", "--app", "target", default="workflow_state.app", show_default=True, help="The Celery app.")
@click.option("--json", "as_json", is_flag=True, help="Findings as a JSON list.")
def doctor_command(target: str, as_json: bool) -> None:
    """Check the server, the settings and the workers of a live set-up, and say what to change.

    Exit code: 0 when nothing fails (warnings do not count), 1 otherwise.
    """
    findings = check_setup(find_app(target))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            click.echo(f"{_MARKS[finding.level]}  {finding.check}: {finding.found}")
            if finding.hint:
                click.echo(f"      → {finding.hint}")
    sys.exit(1 if any(finding.level == "fail" for finding in findings) else 0)
