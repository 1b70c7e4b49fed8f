"""The command line on the shared worker of a user's own app."""

from __future__ import annotations

import pytest

from tests.cli.commands import CommandLine
from tests.workers import Site


@pytest.fixture
def cli(own: Site) -> CommandLine:
    """The command line for the user's own app, whose worker runs."""
    return CommandLine(own)
