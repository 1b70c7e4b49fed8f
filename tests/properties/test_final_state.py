"""What a plan's result holds is what the state manager reads, whatever became of its actions."""

from __future__ import annotations

import json
from typing import Any

import fakeredis
from celery import Celery
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_state.models import ErrorCategory, ErrorDetail, ExecutionState
from workflow_state.program import Outline
from workflow_state.store.redis import Store
from workflow_state.store.results import ActionResults
from workflow_state.store.state import final_state, read_state

times = st.integers(0, 4_000_000_000_000)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
errors = st.builds(
    ErrorDetail,
    category=st.sampled_from(ErrorCategory),
    message=texts,
    code=st.none() | texts,
    retry_after=st.none() | st.floats(0, 1e9),
    context=st.dictionaries(texts, values, max_size=2),
).flatmap(lambda error: st.sampled_from((error.model_dump_json(), error.model_dump_json(exclude_defaults=True))))
"""As JSON text, with and without what is at its default."""


@st.composite
def attempts(draw: st.DrawFn, numbers: range) -> list[dict[str, Any]]:
    """Attempts that failed or were lost."""
    return [
        {
            "number": number,
            "started_at": draw(times),
            "ended_at": draw(times),
            "worker": draw(st.sampled_from(("", "w@host:1"))),
            "outcome": outcome,
            **({"error": json.loads(draw(errors))} if outcome == "failed" else {}),
        }
        for number in numbers
        if (outcome := draw(st.sampled_from(("failed", "lost"))))
    ]


@st.composite
def actions(draw: st.DrawFn) -> dict[str, Any]:
    """All that is stored of one action, by where it is stored."""
    status = draw(st.sampled_from(("absent", "pending", "running", "completed", "failed", "skipped")))
    if status == "absent":
        return {}
    ran = status in ("running", "completed") and draw(st.integers(0, 3)) > 0
    before = draw(attempts(range(1, 1 + draw(st.integers(0, 2)))))
    record: dict[str, Any] = {"status": status, "attempt": len(before) + ran, "token": 7, "owner": "w/1", "entry": 3}
    if record["attempt"]:
        record |= {"started_at": draw(times), "attempt_at": draw(times), "worker": "w@host:1"}
    if status in ("completed", "failed", "skipped"):
        record["ended_at"] = draw(times)
    if status == "failed" or draw(st.booleans()):
        record["error"] = draw(errors)
    if status == "skipped" or draw(st.booleans()):
        record["reason"] = draw(texts)
    found: dict[str, Any] = {"record": record, "attempts": before}
    if status == "completed" and draw(st.integers(0, 9)):
        found["output"] = draw(values)
    if draw(st.booleans()):
        fraction = draw(st.sampled_from((0, 0.5, 1)))
        found["progress"] = {"fraction": fraction, "message": draw(texts), "attempt": 1, "at": draw(times)}
    if draw(st.booleans()):
        answer = {"responded_at": draw(times), "confirmed": draw(st.booleans()), "user_id": draw(texts)}
        found["confirmation"] = {"requested_at": draw(times), **(answer if draw(st.booleans()) else {})}
    return found


executions = st.fixed_dictionaries(
    {"status": st.sampled_from(("completed", "failed", "cancelled")), "started_at": times, "completed_at": times},
    optional={"error": errors, "rerun_of": st.just("old"), "paused": st.just("1"), "cancel": st.just("enough")},
)


@settings(max_examples=200, deadline=None)
@given(executions, st.lists(actions(), max_size=5), st.sampled_from((None, "gzip")))
def test_the_final_state_is_what_the_state_manager_reads(
    fields: dict[str, Any], given_actions: list[dict[str, Any]], compression: str | None
) -> None:
    """The JSON that ends a plan is, field for field, that of the state which is read from the same records."""
    app = Celery("final-state", backend="redis://", set_as_current=False)
    app.conf.result_compression = compression
    app.backend.client = fakeredis.FakeRedis(server_type="valkey")
    store = Store(ActionResults(app), "final")
    names = [f"a{number}" for number in range(len(given_actions))]
    write(store, fields, dict(zip(names, given_actions, strict=True)))
    final = final_state(store, "one", Outline.from_json(store.program("one") or b""))
    assert list(final["action_states"]) == names
    text = json.dumps(final)
    assert text == json.dumps(read_state(store, "one").to_json_dict())
    assert text == json.dumps(ExecutionState.model_validate_json(text).to_json_dict())


def write(store: Store, fields: dict[str, Any], given_actions: dict[str, dict[str, Any]]) -> None:
    """Store an execution of one level as the scripts would leave it."""
    client, keys = store.results.client, store.keys
    program = {"schema_version": 1, "plan_id": "p", "title": "p", "levels": [list(given_actions)], "steps": {}}
    client.hset(keys.execution("one"), mapping={"version": 5, "open": 0, **fields})
    client.set(keys.plan("one"), "{}")
    client.set(keys.program("one"), json.dumps(program))
    for name, found in given_actions.items():
        for kind, key in {
            "record": keys.actions,
            "progress": keys.progress,
            "confirmation": keys.confirmations,
        }.items():
            if kind in found:
                client.hset(key("one"), name, json.dumps(found[kind]))
        for entry in found.get("attempts", ()):
            client.hset(keys.attempts("one"), f"{entry['number']}:{name}", json.dumps(entry))
        if "output" in found:
            client.set(store.results.key("one", name), store.results.success("one", name, found["output"]))
