"""Which errors say that the server cannot do its work now: they are waited out, and no failure of the work."""

from __future__ import annotations

import pytest
import redis
from redis.exceptions import ResponseError

from workflow_state.embedded import EmbeddedServer
from workflow_state.store.outages import is_outage, refuses

#: As Redis 6.2.14 answers a script that was about to write.
OLD = (
    "Error running script (call to f_296e3cb72b5133836213373ff7f0b5277871afba): @user_script:179: @user_script: 179: -"
)


@pytest.mark.parametrize(
    "said",
    [
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        "NOREPLICAS Not enough good replicas to write. script: on @user_script:179.",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        OLD + "OOM command not allowed when used memory > 'maxmemory'.",
        OLD + "READONLY You can't write against a read only replica.",
        OLD + "NOREPLICAS Not enough good replicas to write.",
        OLD + "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    ],
)
def test_a_server_that_does_not_write_now_is_waited_for(said: str) -> None:
    """Full, a replica, without replicas or disk: so it is told by Redis from 6.2 on, and by Valkey."""
    assert refuses(ResponseError(said))
    assert is_outage(ResponseError(said))


@pytest.mark.parametrize(
    "said", ["WRONGTYPE Operation against a key", OLD + "WRONGTYPE Operation against a key", "OOM?"]
)
def test_any_other_answer_is_no_outage(said: str) -> None:
    """To repeat what cannot work would only hide it."""
    assert not is_outage(ResponseError(said))


@pytest.mark.redis
@pytest.mark.parametrize("limit", ["min-replicas-to-write", "maxmemory"])
def test_a_transaction_that_is_refused_is_waited_for(limit: str) -> None:
    """At its first command or at its end: so Celery stores results, and its outage is none of the execution's."""
    with EmbeddedServer(appendonly=False) as server, redis.Redis.from_url(server.url) as client:
        with client.pipeline() as whole:
            whole.set("result", "of pipeline caused error:\n").publish("result", "")
            client.config_set(limit, 1)
            with pytest.raises(ResponseError, match="pipeline caused error") as refused:
                whole.execute()
        assert is_outage(refused.value)
        client.config_set(limit, 0)
        with client.client() as begun:
            begun.execute_command("MULTI")
            begun.set("result", "")
            client.config_set(limit, 1)
            with pytest.raises(ResponseError, match="Transaction discarded") as refused:
                begun.execute_command("EXEC")
        assert is_outage(refused.value)
