"""What a worker makes of the engine's tasks beside running them."""

from __future__ import annotations

import pytest
from billiard.einfo import ExceptionInfo
from celery import states
from celery.contrib.testing.mocks import TaskMessage
from redis.exceptions import OutOfMemoryError

from tests.integration.apps.own_app import make_app
from workflow_state.runtime.requests import LastingRequest


@pytest.mark.parametrize(
    ("error", "requeued"), [(OutOfMemoryError("OOM command not allowed"), [True]), (KeyError(), [])]
)
def test_an_outage_in_celerys_own_code_is_no_failure(error: Exception, requeued: list[bool]) -> None:
    """A server that is too full for a plan's result gives the message back; no failure is stored, as is of a defect."""
    app = make_app()
    app.conf.update(result_backend="cache+memory://", result_compression=None)
    rejected: list[bool] = []
    task, message = app.tasks["workflow_state.finish"], TaskMessage("workflow_state.finish", id="e", args=("e",))
    request = LastingRequest(message, app=app, task=task, on_reject=lambda _log, _errors, again: rejected.append(again))
    try:
        raise error
    except type(error):
        request.on_failure(ExceptionInfo(internal=True))
    assert rejected == requeued
    assert app.AsyncResult("e").state == (states.PENDING if requeued else states.FAILURE)
