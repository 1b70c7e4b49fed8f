"""The service: it hears ``action.execute.requested``, makes the HTTP call, and answers."""

from __future__ import annotations

import signal
from typing import Any

import httpx

from remote.app import app
from workflow_state import ActionContext, ActionError, RemoteExecutor

executor = RemoteExecutor(app, queue="http-executor")
client = httpx.Client(timeout=10)

#: What a status says about trying again, in the words of the error categories.
CATEGORIES = {401: "auth_invalid", 403: "auth_invalid", 404: "api_endpoint_removed", 410: "api_endpoint_removed"}


@executor.action("http.request")
def http_request(url: str, context: ActionContext, method: str = "GET", body: Any = None) -> dict[str, Any]:
    """Make the call; the key is the same in every attempt, so that the other side can drop repeats."""
    try:
        response = client.request(method, url, json=body, headers={"Idempotency-Key": context.idempotency_key})
    except httpx.TimeoutException as error:
        raise ActionError(f"{url}: no answer in time", category="network_timeout") from error
    except httpx.TransportError as error:
        raise ActionError(f"{url}: {error}", category="network_connection_refused") from error
    if response.status_code == 429:
        wait = float(response.headers.get("Retry-After", 1))
        raise ActionError("too many requests", category="rate_limit_burst", status_code=429, retry_after=wait)
    if response.is_error:
        category = CATEGORIES.get(response.status_code, "api_unexpected_status")
        message = f"{url} answered {response.status_code}"
        raise ActionError(
            message, category=category, status_code=response.status_code, retryable=response.is_server_error
        )
    try:
        return {"status": response.status_code, "body": response.json()}
    except ValueError as error:
        raise ActionError(f"{url} did not answer JSON", category="api_response_malformed") from error


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: executor.stop())
    executor.declare()
    print("ready", flush=True)
    executor.run()
