"""``celery -A app workflow …``: the command line of workflow_state as a command of Celery's own.

Celery imports the plugins of every installed package whatever it is asked to do, also in the workers of apps that have
nothing to do with this library. Importing ``workflow_state`` registers its tasks and its sweeper with the
app, so this module stands outside of that package, and imports it when the command is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click


class _Forwarded(click.Command):
    """A command in name: to parse its arguments is to hand them over."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of the real group, which Celery then invokes."""
        group: click.Group = import_module("workflow_state.cli").main
        return group.make_context(info_name, args, parent, **extra)


workflow = _Forwarded("workflow", short_help="Run plans, DAGs of actions, and see where they stand.")
