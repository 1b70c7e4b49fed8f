"""``python -m workflow_state``: the command line, where its script is not on PATH."""

from __future__ import annotations

from workflow_state.cli import main

if __name__ == "__main__":
    main(prog_name="python -m workflow_state")
