"""The command line: ``workflow-state``, or ``python -m workflow_state``. One command, one file."""

from __future__ import annotations

import click

from workflow_state import __version__
from workflow_state.cli.demo import demo_command
from workflow_state.cli.doctor import doctor_command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="workflow-state")
def main() -> None:
    """Run plans, DAGs of actions, on Celery workers."""


main.add_command(demo_command)
main.add_command(doctor_command)
