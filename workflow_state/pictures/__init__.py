"""Pictures of plans and of their runs; nothing in here knows Celery or Redis."""

from __future__ import annotations

# Registers what a state looks like in a notebook.
from workflow_state.pictures import notebook as _notebook  # noqa: F401 - imported for that
from workflow_state.pictures.graph import plan_to_dot, plan_to_mermaid, plan_to_svg
from workflow_state.pictures.report import execution_report

__all__ = ["execution_report", "plan_to_dot", "plan_to_mermaid", "plan_to_svg"]
