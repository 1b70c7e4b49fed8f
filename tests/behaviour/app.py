"""The app whose workers run the behaviour tests and the random plans: a user's own, with actions of its own."""

from __future__ import annotations

from celery import Celery

MAX_RESULT_SIZE = 1_000_000


def make_app() -> Celery:
    """The app; a test process makes one for each database that it talks to."""
    made = Celery("behaviour")
    made.config_from_object("workflow_state.durable")
    made.conf.update(
        imports=[
            "tests.integration.actions",
            "tests.behaviour.actions",
            "tests.behaviour.original_actions",
            "tests.random_plans",
        ],
        task_default_queue="behaviour",
        result_expires=3600,
        workflow_state={
            "prefix": "behaviour",
            "lease": 10,
            "sweep_interval": 0.5,
            "max_result_size": MAX_RESULT_SIZE,
        },
    )
    return made


app = make_app()
