"""A peer's program is asked, answers in time or is given up, and leaves nothing behind."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.peers import conversation
from benchmarks.peers.catalogue import PEERS, Peer
from benchmarks.peers.conversation import Conversation, PeerError
from benchmarks.shapes import chain, grid
from tests.benchmarks.programs.on_odd import END, ERROR, HANG
from tests.support import alive, wait_until

ODD = Peer("odd", "odd", (), "", environ={"FOLDER": "{folder}"}, programs="tests.benchmarks.programs")


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Conversation]:
    with conversation.started(ODD, Path(sys.executable), "redis://nowhere", tmp_path) as started:
        yield started


def test_a_program_says_its_versions_and_answers_with_seconds_and_note(talk: Conversation) -> None:
    """What its libraries print on the standard output does not get between."""
    assert talk.versions["celery"][0].isdigit()
    assert talk.run(chain(1), timeout=20) == (0.25, "quick")
    assert talk.run(chain(1), timeout=20) == (0.25, "quick")


def test_an_error_of_the_peer_is_told_with_its_kind(talk: Conversation) -> None:
    """And the program can be asked again."""
    with pytest.raises(PeerError, match="ValueError: two are too many"):
        talk.run(chain(ERROR), timeout=20)
    assert talk.run(chain(1), timeout=20) == (0.25, "quick")


def test_a_program_that_ends_is_told_with_its_last_words(talk: Conversation) -> None:
    """Its log's last line is in the message."""
    with pytest.raises(PeerError, match="it has ended: gone"):
        talk.run(chain(END), timeout=20)


def test_a_program_that_hangs_is_given_up_and_ended_with_its_workers(tmp_path: Path) -> None:
    """One bad peer cannot hang the run, and nothing of it lives on."""
    with conversation.started(ODD, Path(sys.executable), "redis://nowhere", tmp_path, stop_timeout=0.2) as talk:
        worker = int((tmp_path / "worker.pid").read_text())
        assert alive(worker)
        with pytest.raises(PeerError, match=r"not done within 0\.5 s"):
            talk.run(chain(HANG), timeout=0.5)
    wait_until(lambda: not alive(worker), message="the worker of the program has ended")


def test_a_program_that_does_not_start_is_told(tmp_path: Path) -> None:
    """With the last line of its traceback."""
    missing = Peer("missing", "missing", (), "", programs="tests.benchmarks.programs")
    with (
        pytest.raises(PeerError, match="No module named"),
        conversation.started(missing, Path(sys.executable), "redis://nowhere", tmp_path),
    ):
        pytest.fail("it cannot have started")


@pytest.mark.worker
def test_the_canvas_of_celery_runs_the_shapes(database: Callable[[], str], tmp_path: Path) -> None:
    """A real peer, in our own environment, which has all that it needs."""
    with conversation.started(PEERS["celery"], Path(sys.executable), database(), tmp_path) as talk:
        assert set(talk.versions) == {"celery", "kombu", "redis"}
        for graph in (chain(1), chain(3), grid(2, 3)):
            seconds, note = talk.run(graph, timeout=60)
            assert seconds > 0
            assert note == ""
