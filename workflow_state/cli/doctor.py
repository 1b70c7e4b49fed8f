"""``workflow-state doctor``: does this set-up keep what is promised?"""

from __future__ import annotations

from dataclasses import asdict

import click

from workflow_state.cli.exits import Exit
from workflow_state.cli.output import json_option, print_json
from workflow_state.cli.session import Session, app_option, pass_session
from workflow_state.doctor import check_setup

_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@click.command("doctor", short_help="Check server, settings and workers.")
@app_option
@json_option
@pass_session
def doctor_command(session: Session, as_json: bool) -> None:
    """Check the server, the settings and the workers of a live set-up, and say what to change.

    Exit code: 0 when nothing fails (warnings do not count), 1 otherwise.
    """
    findings = check_setup(session.app, session.worker_command())
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{_MARKS[finding.level]}  {finding.check}: {finding.found}")
            if finding.hint:
                click.echo(f"      → {finding.hint}")
    failing = any(finding.level == "fail" for finding in findings)
    click.get_current_context().exit(Exit.FAILED if failing else Exit.DONE)
