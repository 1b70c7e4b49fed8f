"""Celery settings under which work is neither lost nor stuck, each with its reason.

Use them whole, ``app.config_from_object("workflow_state.durable")``, or as a base, with
``from workflow_state.durable import *`` in a ``celeryconfig.py`` of your own. Addresses come from
``REDIS_URL``; the modules with your actions from ``WORKFLOW_STATE_ACTIONS`` (comma-separated).
"""

from __future__ import annotations

import os

# One server is both broker and result backend, unless you set them apart. The backend must be Redis
# or Valkey (>= 6.2): the engine's records and Celery's results change together, in one script.
broker_url: str = os.environ.get("REDIS_URL") or "redis://localhost:6379/0"
result_backend = broker_url
imports: list[str] = [name for name in os.environ.get("WORKFLOW_STATE_ACTIONS", "").split(",") if name]

# JSON only: a message or a result is data from outside and must never run code when it is read.
task_serializer = result_serializer = event_serializer = "json"
accept_content: list[str] = ["json"]
result_accept_content: list[str] = ["json"]

# A message is gone only when its work is done; a killed worker gives it back.
task_acks_late = True
task_reject_on_worker_lost = True
# One message in hand per process: a dying worker holds back little, a long action blocks no short one.
worker_prefetch_multiplier = 1

# The broker may be away for long: workers wait for it, they do not give up.
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
# One that is there and refuses, since it is full or a replica, is waited for too: workers do not exit over it.
broker_channel_error_retry = True
# A worker that loses its connection lets its actions run on: the copy that the broker delivers meanwhile is
# dropped, as the lease is alive. True would kill them at every drop, and the third one (``max_lost``) would
# be the end of a long action.
worker_cancel_long_running_tasks_on_connection_loss = False
broker_transport_options: dict[str, object] = {
    # How long the broker waits before it delivers an unacknowledged message again. Recovery does not
    # hang on it (leases end in seconds), so it may well be shorter or longer than an action.
    "visibility_timeout": 3600,
    # Look for such messages at every interval; by default only every tenth is a real look.
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    # A server that accepts a connection and says nothing is as good as down.
    "socket_timeout": 30,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 25,
}
# Publishing tries again for a moment, then tells the caller.
broker_connection_timeout: float = 4.0
task_publish_retry_policy: dict[str, float] = {
    "max_retries": 3,
    "interval_start": 0.1,
    "interval_step": 0.2,
    "interval_max": 0.5,
}

# A result that could not be written is written again, not turned into a failure.
result_backend_always_retry = True
redis_socket_timeout: float = 30.0
redis_socket_connect_timeout: float = 5.0
# Celery cannot open a Unix socket with it.
redis_socket_keepalive: bool = not result_backend.startswith(("redis+socket:", "socket:"))
redis_backend_health_check_interval = 25
# The state of a plan says the same words for each of its actions: compressed, it takes a tenth of the room, on the
# server and on its way to who waits. Every Celery since 5.7 reads both kinds; None is for readers that are no Celery.
result_compression = "gzip"
# States and results stay readable for a week after the end.
result_expires = 7 * 24 * 3600

# The events that workers send are enough for Flower; one more for each sent task is a cost without use.
task_send_sent_event = False
