"""Medians, percentiles and ratios are those of the samples."""

from __future__ import annotations

from benchmarks.figures import Figure, Findings, Promise


def test_a_ratio_is_median_over_median_and_its_samples_are_the_pairs() -> None:
    """One slow pair does not move the value, but shows in the samples."""
    raw, whole = Figure.median("raw", [1.0, 2.0, 4.0], "s"), Figure.median("whole", [3.0, 4.0, 40.0], "s")
    ratio = Figure.ratio("whole / raw", whole, raw)
    assert (ratio.value, ratio.samples, ratio.unit) == (2.0, (3.0, 2.0, 10.0), "x")
    assert Figure.of_values("x", whole, raw).samples == (2.0,)


def test_p95_is_a_sample_that_95_of_100_do_not_exceed() -> None:
    """Of few samples it is the largest."""
    assert Figure.p95("x", [float(n) for n in range(100, 0, -1)], "ms").value == 95
    assert Figure.p95("x", [3.0, 1.0, 2.0], "ms").value == 3
    assert Figure.p95("x", [7.0], "ms").value == 7


def test_a_promise_is_kept_up_to_its_limit() -> None:
    """The limit itself is kept."""
    findings = Findings((Figure.median("a", [1.3], "x"), Figure.median("b", [1.31], "x")))
    assert findings.kept(Promise("", "a", 1.3))
    assert not findings.kept(Promise("", "b", 1.3))
