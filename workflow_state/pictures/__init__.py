"""Pictures of plans and of their runs; nothing in here knows Celery or Redis."""

from __future__ import annotations

from workflow_state.pictures.graph import plan_to_dot, plan_to_mermaid, plan_to_svg

__all__ = ["plan_to_dot", "plan_to_mermaid", "plan_to_svg"]
