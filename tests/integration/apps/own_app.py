"""A user's own app: its own name, queue and key prefix, ``shared_task`` s and actions of its own.

The lease is short, so that recovery can be watched; an action of any length must live with it. ``SHOP_SETTINGS``
in the environment has more Celery settings as JSON; those of the library and of the transport are added to ours.
"""

from __future__ import annotations

import json
import os

from celery import Celery

from workflow_state import durable

SETTINGS = {"prefix": "shop-flows", "lease": 2, "sweep_interval": 0.5, "part_size": 50}


def make_app() -> Celery:
    """The app; a test process makes one for each database that it talks to."""
    made = Celery("shop")
    made.config_from_object("workflow_state.durable")
    more = json.loads(os.environ.get("SHOP_SETTINGS", "{}"))
    made.conf.update(
        imports=["tests.integration.actions"],
        task_default_queue="shop",
        worker_send_task_events=True,
        result_expires=3600,
        broker_transport_options={
            **durable.broker_transport_options,
            "unacked_restore_interval": 1,
            **more.pop("broker_transport_options", {}),
        },
        workflow_state={**SETTINGS, **more.pop("workflow_state", {})},
        **more,
    )
    return made


app = make_app()
