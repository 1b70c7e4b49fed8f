"""What is stored of a plan is short where it is long, and readable where it is short."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from workflow_state.store.packing import COMPRESS_FROM, packed, unpacked


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()), st.integers(0, 2 * COMPRESS_FROM))
def test_json_comes_back(value: dict[str, object], more: int) -> None:
    """Whatever an object holds, and however long it is."""
    text = json.dumps({**value, "more": "é" * more}, ensure_ascii=False)
    assert unpacked(packed(text)) == text.encode()


def test_short_texts_can_be_read_on_the_server() -> None:
    """They would not get shorter."""
    assert packed('{"a":1}') == b'{"a":1}'


def test_a_long_plan_takes_a_fraction() -> None:
    """Its actions say the same words."""
    text = json.dumps([{"id": f"a{number}", "actionDefinitionId": "orders.price"} for number in range(1000)])
    assert len(packed(text)) < len(text) / 5
