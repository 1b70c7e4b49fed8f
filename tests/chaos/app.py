"""The app of the chaos tests: the durable settings, and what a test changes of them."""

from __future__ import annotations

from typing import Any

from celery import Celery

#: Leases and looks are short so that recovery can be watched; being lost is the rule here, not a reason to give up.
SETTINGS: dict[str, Any] = {"lease": 2.0, "sweep_interval": 0.5, "max_lost": 1000}


def make_app(url: str, **conf: Any) -> Celery:
    """An app on one server.

    ``conf``: of Celery; what it says of ``workflow_state`` and ``broker_transport_options`` goes on top of
    :data:`SETTINGS` and of the durable ones.
    """
    made = Celery("chaos", set_as_current=False)
    made.config_from_object("workflow_state.durable")
    settings = SETTINGS | conf.pop("workflow_state", {})
    transport = made.conf.broker_transport_options | conf.pop("broker_transport_options", {})
    made.conf.update(
        {"broker_url": url, "result_backend": url, "imports": ["tests.chaos.actions"], **conf},
        broker_transport_options=transport,
        workflow_state=settings,
    )
    return made
