"""docs/performance.md and its picture say what the committed JSON says, and nothing else."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from benchmarks import page, plot
from benchmarks.peers.trials import TRIALS
from benchmarks.workloads import WORKLOADS

USUAL: dict[str, Any] = json.loads(page.FIGURES.read_text("utf-8"))
PEERS: dict[str, Any] = json.loads(page.PEERS.read_text("utf-8"))
LARGE: dict[str, Any] = json.loads(page.LARGE.read_text("utf-8"))


def test_page_and_json_agree() -> None:
    """Whoever measures again runs ``python -m benchmarks.page``, and nobody edits a figure by hand."""
    text = page.PAGE.read_text("utf-8")
    assert page.fill(text, USUAL, PEERS, LARGE) == text


def test_picture_and_json_agree() -> None:
    """A bar for everyone who has a figure."""
    text = page.PICTURE.read_text("utf-8")
    assert plot.draw(PEERS["peers"], page.TITLES) == text
    bars = [rect for rect in ET.fromstring(text).iter() if rect.tag.endswith("rect") and rect.get("height") == "16"]
    measured = [found for peer in PEERS["peers"].values() for found in peer["shapes"].values() if "cost" in found]
    assert len(bars) == len(measured)


def test_the_committed_runs_were_whole_ones() -> None:
    """Every usual workload, every shape, five rounds at least, nothing quick."""
    assert set(USUAL["workloads"]) == {name for name, workload in WORKLOADS.items() if workload.usual}
    assert set(LARGE["workloads"]) == {"large"}
    for report in (USUAL, PEERS, LARGE):
        assert report["settings"]["rounds"] >= 5
        assert report["settings"]["quick"] is False
    ours = PEERS["peers"]["workflow_state, levels"]["shapes"]
    assert set(ours) == set(TRIALS)


def test_a_broken_promise_is_shown_as_such() -> None:
    """The page hides nothing that the run found."""
    shown = page.PAGE.read_text("utf-8")
    promises = [p for report in (USUAL, LARGE) for w in report["workloads"].values() for p in w["promises"]]
    assert shown.count("**not kept**") == sum(not promise["kept"] for promise in promises)
    assert shown.count("| kept |") == sum(promise["kept"] for promise in promises)


def test_a_page_without_a_mark_is_refused_with_its_name() -> None:
    """So that a table cannot vanish without a word."""
    text = page.PAGE.read_text("utf-8").replace("<!-- end of peers -->", "")
    with pytest.raises(ValueError, match="no <!-- peers -->"):
        page.fill(text, USUAL, PEERS, LARGE)


def test_a_bar_in_the_picture_grows_with_the_logarithm_of_its_cost() -> None:
    """Names are escaped, ours have a colour of their own."""
    peers = {
        name: {"title": name, "shapes": {"grid": {"cost": {"value": value}, "ratio": value}}}
        for name, value in (("workflow_state, levels", 1.0), ("b & c", 10.0), ("d", 100.0))
    }
    root = ET.fromstring(plot.draw(peers, {"grid": "a <grid>"}))
    bars = [rect for rect in root.iter() if rect.tag.endswith("rect") and rect.get("height") == "16"]
    first, second, third = (float(bar.get("width", 0)) for bar in bars)
    assert second - first == pytest.approx(third - second, abs=0.2)
    assert [bar.get("fill") for bar in bars] == [plot.OURS, plot.OTHERS, plot.OTHERS]
    assert "b & c" in [text.text for text in root.iter() if text.tag.endswith("text")]
