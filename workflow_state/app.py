"""A ready-made Celery app: ``celery -A workflow_state.app worker``.

It reads ``celeryconfig.py`` from the working directory, as Celery apps do, or else the durable
defaults. An app of your own needs nothing from here: import ``workflow_state`` in it, and its
workers run plans.
"""

from __future__ import annotations

from importlib.util import find_spec

from celery import Celery

app = Celery("workflow_state")
app.config_from_object("celeryconfig" if find_spec("celeryconfig") else "workflow_state.durable")
# The current app is one of this thread alone: in all others ``execute_plan`` would be that of Celery's fallback app,
# which knows no server of ours.
app.set_default()
