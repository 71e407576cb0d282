"""Intervals and tests against scipy, Holm's correction against its definition."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from actc.search.statistics import estimate, holm, welch

samples = st.lists(st.integers(0, 1000).map(lambda count: count / 1000), min_size=2, max_size=8)


@given(samples, st.sampled_from([0.9, 0.95, 0.99]))
def test_estimate(values: list[float], level: float) -> None:
    ours = estimate(values, level)
    if len(set(values)) == 1:
        assert math.isclose(ours.low, ours.high, abs_tol=1e-12)
        return
    interval = stats.ttest_1samp(values, 0.0).confidence_interval(level)
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high), rel=1e-9, abs=1e-12)
    assert ours.count == len(values)


@given(samples, samples)
def test_welch(first: list[float], second: list[float]) -> None:
    ours = welch(first, second)
    if len(set(first)) == 1 and len(set(second)) == 1:
        assert ours.p == pytest.approx(float(first[0] == second[0]), abs=1e-9)
        return
    theirs = stats.ttest_ind(first, second, equal_var=False)
    interval = theirs.confidence_interval(0.95)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-9, abs=1e-12)
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high), rel=1e-9, abs=1e-12)


def test_a_single_value_has_no_interval() -> None:
    assert estimate([0.5]).mean == 0.5
    assert math.isnan(estimate([0.5]).low)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm(values: list[float]) -> None:
    adjusted = holm(values)
    assert len(adjusted) == len(values)
    for value, corrected in zip(values, adjusted, strict=True):
        assert value <= corrected <= min(1.0, len(values) * value) + 1e-12
        # The definition: the largest of the stepwise corrected p-values up to this rank.
        ordered = sorted(values)
        steps = [min(1.0, (len(values) - rank) * p) for rank, p in enumerate(ordered) if p <= value]
        assert corrected == pytest.approx(max(steps))
