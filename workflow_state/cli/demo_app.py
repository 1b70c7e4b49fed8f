"""The demo's Celery app: the durable settings, with a corner of the server to itself.

On a server that others use as well, nothing of the demo may reach their workers, and its own worker must not
take up their lost work. So all of its keys, those of Celery and of its transport too, have a prefix of the run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from celery import Celery

#: Tells the worker process the prefix of its run.
NAMESPACE_VARIABLE = "WORKFLOW_STATE_DEMO"

# Not the current app of a process that only imports the command line.
app = Celery("workflow_state.demo", set_as_current=False, config_source="workflow_state.durable")


def use_server(url: str, namespace: str) -> None:
    """Make it the current app, on that server, with that prefix for every key."""
    prefix = {"global_keyprefix": f"{namespace}:"}
    app.conf.update(
        broker_url=url,
        result_backend=url,
        broker_transport_options={**app.conf.broker_transport_options, **prefix},
        result_backend_transport_options=prefix,
        # A short lease: who kills a process of the pool wants to see its action start again.
        workflow_state={"prefix": namespace, "lease": 5.0, "sweep_interval": 1.0},
    )
    app.set_current()


def forget_run(namespace: str) -> None:
    """Remove every key of the run from a server that stays."""
    client = app.backend.client
    keys: Iterable[bytes] = client.scan_iter(match=f"{namespace}:*", count=1000)
    for key in keys:
        client.delete(key)


if NAMESPACE_VARIABLE in os.environ:
    use_server(os.environ["REDIS_URL"], os.environ[NAMESPACE_VARIABLE])
