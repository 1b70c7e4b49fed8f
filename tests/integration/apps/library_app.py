"""The library's own app, as ``celery -A workflow_state.app worker`` runs it, and nothing else."""

from __future__ import annotations

from workflow_state.app import app

__all__ = ["app"]
