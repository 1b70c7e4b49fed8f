"""The shop's Celery app: yours looks like this."""

from __future__ import annotations

from celery import Celery

# `include`: what workers import; the modules with actions are among it.
app = Celery("shop", include=["shop.actions"])
# The settings under which work is neither lost nor stuck; the server is the one that REDIS_URL names.
app.config_from_object("workflow_state.durable")
app.conf.update(
    task_default_queue="shop",
    # Settings of the library itself, all of them with good defaults; these two are for a shop that shares a server.
    workflow_state={"prefix": "shop", "lease": 15.0},
)
