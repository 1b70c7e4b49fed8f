"""An app whose result backend is whatever ``ODD_BACKEND`` says; empty: none."""

from __future__ import annotations

import os

from celery import Celery

app = Celery("odd")
app.config_from_object("workflow_state.durable")
app.conf.update(imports=["workflow_state"], result_backend=os.environ.get("ODD_BACKEND") or None)
