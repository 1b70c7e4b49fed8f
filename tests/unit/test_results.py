"""Ids and payloads of action results: what any Celery tool would write itself, only sooner."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st
from kombu.exceptions import EncodeError
from kombu.serialization import register, register_json

from workflow_state import action_task_id
from workflow_state.store.results import ActionResults

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def results(**settings: Any) -> ActionResults:
    """Of an app with these settings; nothing is connected."""
    app = Celery("shop", backend="redis://", set_as_current=False)
    app.conf.update(settings)
    return ActionResults(app)


@given(execution_id=st.uuids(), action_id=st.text())
def test_the_task_id_of_an_action_is_a_uuid5(execution_id: uuid.UUID, action_id: str) -> None:
    """Anybody can work it out from the ids of execution and action; an id that is no UUID is made one first."""
    assert action_task_id(str(execution_id), action_id) == str(uuid.uuid5(execution_id, action_id))
    named = f"nightly-{execution_id}"
    assert action_task_id(named, action_id) == str(uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_OID, named), action_id))


@given(execution_id=st.uuids().map(str) | st.just("nightly"), names=st.lists(st.text()))
def test_keys_of_many_results_are_those_of_each(execution_id: str, names: list[str]) -> None:
    """Worked out at once they are the same, whatever the app puts before its keys."""
    for options in ({}, {"global_keyprefix": "shop-"}):
        found = results(result_backend_transport_options=options)
        assert found.keys(execution_id, names) == [found.key(execution_id, name) for name in names]


@given(output=VALUES)
def test_a_payload_is_what_the_codec_writes(output: Any) -> None:
    """Byte for byte, for whatever is JSON."""
    found = results()
    payload = found.success("e", "a", output)
    assert payload == found._backend.encode(json.loads(payload))
    assert json.loads(payload)["result"] == output


def test_what_is_no_json_is_left_to_the_codec() -> None:
    """It knows more types than JSON has, and what it cannot write either raises as it always does."""
    found = results()
    one: Any = uuid.uuid4()
    assert found.output(found.success("e", "a", one)) == one
    nothing: Any = object()
    with pytest.raises(EncodeError):
        found.success("e", "a", nothing)


def test_compressed_results_are_compressed() -> None:
    """Where an app compresses results, those of actions are no exception."""
    found = results(result_compression="gzip")
    payload = found.success("e", "a", "x" * 1000)
    assert len(payload) < 1000
    assert found.output(payload) == "x" * 1000


def test_an_encoder_of_the_apps_own_is_used() -> None:
    """An app may have another way to write JSON; results are written in it."""
    register("json", shorter, json.loads, "application/json", "utf-8")
    try:
        assert str(results().success("e", "a", [1, 2])).startswith('{"status":"SUCCESS","result":[1,2],')
    finally:
        register_json()


def shorter(value: Any) -> str:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))


def test_the_size_of_a_result_is_that_of_its_json() -> None:
    """A limit on results holds for what is read into memory, not for what is stored."""
    output = "x" * 5000
    plain, compressed = (results(result_compression=how).success("e", "a", output) for how in (None, "gzip"))
    assert results().size(plain) == results().size(compressed) == len(plain)


def test_short_results_are_not_compressed() -> None:
    """They would only get longer."""
    assert str(results(result_compression="gzip").success("e", "a", "x")).startswith("{")
