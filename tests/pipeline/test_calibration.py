"""Errors to surprises, scores to p-values and thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.calibration import KNOTS, SMALLEST, Conformal, EvenSurprise, TailSurprise, log_sum_exp, pareto

HELD_OUT = st.one_of(
    st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=300),
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
    st.lists(st.floats(0, 20), min_size=30, max_size=60),
)
ERRORS = st.lists(st.floats(0, 1e30), min_size=1, max_size=200)


def draws(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


class TestConformal:
    def test_p17_p_values_of_exchangeable_scores_are_valid_at_every_rate(self) -> None:
        """By rank P(p <= rate) = floor(rate (n + 1)) / (n + 1) over held-out and fresh scores together."""
        draw, held_out, repeats = draws(), 199, 400
        scores = draw.lognormal(size=(repeats, held_out + 1))
        p_values = np.array([Conformal.fit(row[:-1]).p_values(row[-1:])[0] for row in scores])
        for rate in (0.1, 0.2, 0.5):
            expected = np.floor(rate * (held_out + 1) + 1e-9) / (held_out + 1)
            low, high = stats.binom.interval(1 - 1e-6, repeats, expected)
            assert low <= (p_values <= rate).sum() <= high

    def test_p17_the_rate_of_flags_on_fresh_records_is_the_rate_asked_for(self) -> None:
        draw = draws(1)
        calibration, fresh = Conformal.fit(draw.gamma(2.0, size=20_000)), draw.gamma(2.0, size=50_000)
        for rate in (0.001, 0.01, 0.05):
            spread = np.sqrt(rate * (1 - rate) * (1 / 20_000 + 1 / 50_000))
            assert abs((fresh > calibration.threshold(rate)).mean() - rate) < 5 * spread

    def test_p17_ties_never_flag_more_than_asked(self) -> None:
        draw = draws(2)
        calibration = Conformal.fit(draw.integers(0, 6, 999).astype(float))
        fresh = draw.integers(0, 6, 20_000).astype(float)
        for rate in (0.01, 0.1, 0.2, 0.4):
            assert (calibration.p_values(fresh) <= rate).mean() <= rate + 5 * np.sqrt(rate / 999)

    def test_p17_a_p_value_is_the_rank_among_the_held_out(self) -> None:
        calibration = Conformal.fit(np.array([3.0, 1.0, 2.0, 2.0, *np.full(20, 9.0)]))
        found = calibration.p_values(np.array([0.0, 1.0, 2.0, 2.5, 3.0, 4.0]))
        np.testing.assert_allclose(found, np.array([25, 25, 24, 22, 22, 21]) / 25)

    @given(HELD_OUT, st.one_of(st.integers(2, 400).map(lambda n: 1 / n), st.floats(1e-6, 0.999)))
    def test_a_score_reaches_the_threshold_exactly_when_its_p_value_is_at_most_the_rate(
        self, held_out: list[float], rate: float
    ) -> None:
        calibration = Conformal.fit(np.array(held_out))
        threshold = calibration.threshold(rate)
        near = [np.nextafter(threshold, -np.inf), threshold, np.nextafter(threshold, np.inf)]
        scores = np.array([*near, *held_out, *np.linspace(-7, 30, 50)])
        assert np.isfinite(threshold)
        assert ((scores >= threshold) == (calibration.p_values(scores) <= rate)).all()

    @given(HELD_OUT)
    def test_p_values_are_monotone_and_in_0_to_1(self, held_out: list[float]) -> None:
        span = np.concatenate([np.sort(held_out), np.linspace(-1e9, 1e9, 50), max(held_out) + np.geomspace(1e-9, 1e9)])
        found = Conformal.fit(np.array(held_out)).p_values(np.sort(span))
        assert (np.diff(found) <= 0).all() and (found > 0).all() and (found <= 1).all()

    @given(HELD_OUT)
    def test_ranks_go_over_into_the_tail_without_a_jump_of_more_than_a_rank(self, held_out: list[float]) -> None:
        calibration = Conformal.fit(np.array(held_out))
        start, ranks = calibration.tail.start, len(held_out) + 1
        before, after = calibration.p_values(np.array([start, np.nextafter(start, np.inf)]))
        assert before - after <= held_out.count(start) / ranks + 1e-6
        assert after * ranks == pytest.approx(1 + sum(score > start for score in held_out), rel=1e-6)

    @pytest.mark.parametrize("rate", [0.001, 0.003, 0.01, 0.05, 0.07, 0.2, 1 / 3])
    def test_records_needed_are_just_enough(self, rate: float) -> None:
        """Above so many held-out records a score has a rank that is at most the rate; above one fewer it has not."""
        assert 1 / (Conformal.records_needed(rate) + 1) <= rate * (1 + 1e-12)
        assert 1 / Conformal.records_needed(rate) > rate

    def test_records_needed_for_a_rate_of_a_thousandth(self) -> None:
        assert Conformal.records_needed(0.001) == 999

    @pytest.mark.parametrize("scores", [[], [1.0, np.nan], [np.inf]])
    def test_p08_scores_that_cannot_be_compared_are_refused(self, scores: list[float]) -> None:
        with pytest.raises(ValueError, match="finite"):
            Conformal.fit(np.array(scores))

    def test_p16_the_scores_given_are_not_changed(self) -> None:
        scores = np.array([3.0, 1.0, 2.0])
        Conformal.fit(scores)
        assert scores.tolist() == [3.0, 1.0, 2.0]


class TestTail:
    @pytest.mark.parametrize("law", [stats.expon(), stats.gamma(2, scale=0.5)], ids=["one surprise", "mean of two"])
    def test_p17_rates_below_all_ranks_are_met_within_the_range_that_is_said(self, law: Any) -> None:
        """Of thresholds at 0.1 % from 400 records of surprises, about nine in ten meet a rate in the range said."""
        draw = draws(7)
        found = [Conformal.fit(law.rvs(400, random_state=draw)) for _ in range(60)]
        met = np.array([law.sf(each.threshold(0.001)) for each in found])
        low, high = np.array([each.rates_met(0.001) for each in found]).T
        assert 0.8 <= ((low <= met) & (met <= high)).mean() <= 0.99
        assert 0.0005 <= np.median(met) <= 0.002

    @pytest.mark.parametrize("rate", [0.001, 0.01, 0.05])
    def test_more_records_leave_less_in_doubt(self, rate: float) -> None:
        scores = draws(8).exponential(size=50_000)
        ranges = [Conformal.fit(scores[:n]).rates_met(rate) for n in (50, 400, 3_000, 50_000)]
        assert (np.diff([np.log(high / low) for low, high in ranges]) < 0).all()
        assert all(low < rate < high for low, high in ranges)

    def test_by_rank_the_range_is_a_beta_distribution_s(self) -> None:
        calibration = Conformal.fit(draws(9).normal(size=999))
        assert calibration.rates_met(0.05) == pytest.approx(stats.beta.ppf([0.05, 0.95], 50, 950))

    def test_scale_and_shape_of_a_generalised_pareto_distribution_are_found(self) -> None:
        excesses = stats.genpareto(0.2, scale=3.0).rvs(20_000, random_state=draws(10))
        assert pareto(excesses) == pytest.approx((3.0, 0.2), rel=0.1)

    def test_few_excesses_are_taken_for_exponential_and_no_score_for_the_highest_possible(self) -> None:
        wild = stats.genpareto(0.8, scale=1.0).rvs(12, random_state=draws(11))
        free = stats.genpareto.fit(wild, floc=0)[0]
        assert 0 <= pareto(wild)[1] < min(free, 0.2)
        assert pareto(draws(12).uniform(size=1_000))[1] == pytest.approx(0.0, abs=1e-6)

    def test_a_heavier_tail_has_a_farther_threshold(self) -> None:
        light, heavy = (Conformal.fit(stats.genpareto(c).ppf((np.arange(2_000) + 0.5) / 2_000)) for c in (0.0, 0.3))
        assert heavy.tail.shape > light.tail.shape
        assert heavy.threshold(1e-5) > 1.5 * light.threshold(1e-5)

    @pytest.mark.parametrize("held_out", [[0.0], [3.0, 3.0], [3.0] * 500], ids=len)
    def test_p03_few_and_equal_scores(self, held_out: list[float]) -> None:
        """What lies above equal scores is told from them by rank, and beyond falls by a nat a unit."""
        calibration = Conformal.fit(np.array(held_out))
        top, share = held_out[-1], calibration.tail.share
        assert share == pytest.approx(1 / (len(held_out) + 1))
        assert calibration.threshold(share * 0.9) == pytest.approx(top - np.log(0.9) * calibration.tail.scale, abs=1e-6)
        low, high = calibration.rates_met(share / 10)
        assert 0 < low < share / 10 < high <= 1

    def test_p18_far_scores_keep_a_positive_p_value(self) -> None:
        found = Conformal.fit(draws(13).exponential(size=400)).p_values(np.array([1e3, 1e9, 1e300, np.inf]))
        assert (found > 0).all() and (found < 1e-12).all()

    def test_p21_the_same_scores_have_the_same_tail(self) -> None:
        scores = draws(14).exponential(size=700)
        assert Conformal.fit(scores).tail == Conformal(np.sort(scores)).tail


class TestTailSurprise:
    @given(ERRORS, ERRORS)
    def test_a_larger_error_is_never_a_smaller_surprise(self, seen: list[float], later: list[float]) -> None:
        tail = TailSurprise.fit(np.array(seen))
        found = tail(np.sort([*seen, *later]))
        assert np.isfinite(found).all() and (found >= 0).all()
        assert (np.diff(found) >= 0).all()

    @given(ERRORS)
    def test_p18_beyond_everything_seen_surprise_always_grows(self, seen: list[float]) -> None:
        further = max(max(seen), SMALLEST) * np.geomspace(2, 1e200, 50)
        assert (np.diff(TailSurprise.fit(np.array(seen))(further)) > 0).all()

    @given(ERRORS)
    def test_p21_an_array_and_back(self, seen: list[float]) -> None:
        tail = TailSurprise.fit(np.array(seen))
        array = tail.to_array()
        again = TailSurprise.from_array(array)
        assert array.shape == (3 + 2 * KNOTS,)
        errors = np.array([0.0, *seen, 1e20, 1e40])
        np.testing.assert_array_equal(again(errors), tail(errors))
        np.testing.assert_array_equal(again.inverse(tail(errors)), tail.inverse(tail(errors)))

    @pytest.mark.parametrize("records", [25, 400, 5_000])
    def test_the_inverse_is_the_inverse(self, records: int) -> None:
        seen = draws(3).lognormal(0, 2, records)
        tail = TailSurprise.fit(seen)
        errors = np.concatenate([np.sort(seen), seen.max() * np.geomspace(1.1, 1e6, 20)])
        np.testing.assert_allclose(tail.inverse(tail(errors)), errors, rtol=1e-6)
        surprises = np.linspace(0, 60, 200)
        np.testing.assert_allclose(tail(tail.inverse(surprises)), surprises, atol=1e-9)

    def test_it_is_the_log_of_the_share_above(self) -> None:
        seen = draws(4).gamma(2.0, size=5_000)
        errors = np.quantile(seen, [0.1, 0.5, 0.9, 0.97])
        expected = -np.log([(seen >= error).mean() for error in errors])
        np.testing.assert_allclose(TailSurprise.fit(seen)(errors), expected, atol=0.02)

    def test_p17_surprise_of_fresh_errors_is_exponential_far_into_the_tail(self) -> None:
        """-log P of a continuous variable is exponential of mean 1; a Pareto tail goes on beyond what was seen."""
        draw = draws(5)
        tail, fresh = TailSurprise.fit(draw.pareto(2.0, 10_000)), draw.pareto(2.0, 1_000_000)
        for nats in (1.0, 3.0, 6.0):
            assert (tail(fresh) > nats).mean() == pytest.approx(np.exp(-nats), rel=0.15)
        assert (tail(fresh) > 11.0).mean() == pytest.approx(np.exp(-11.0), rel=0.75)

    def test_half_of_few_errors_make_the_tail(self) -> None:
        tail = TailSurprise.fit(np.array([1.0, 2.0, 4.0, 8.0]))
        assert tail.start == pytest.approx(np.log(4.0)) and tail.tail == pytest.approx(np.log(2.0))
        assert tail.excess == pytest.approx(np.log(8.0 / 4.0) / 2)

    @pytest.mark.parametrize("seen", [[0.0], [3.0], [3.0] * 500, [0.0] * 500], ids=["0", "3", "500 of 3", "500 of 0"])
    def test_p03_one_error_and_equal_errors(self, seen: list[float]) -> None:
        tail = TailSurprise.fit(np.array(seen))
        same, more = tail(np.array([seen[0], max(seen[0], 1e-6) * 10]))
        assert np.isfinite([same, more]).all()
        assert same <= tail.tail < more
        assert np.isfinite(tail.inverse(np.array([0.0, 1.0, 20.0]))).all()

    def test_p08_nan_is_no_surprise_and_no_lesson(self) -> None:
        seen = draws(6).gamma(2.0, size=300)
        tail = TailSurprise.fit(np.append(seen, [np.nan, np.inf]))
        np.testing.assert_array_equal(tail.to_array(), TailSurprise.fit(seen).to_array())
        assert tail(np.array([np.nan]))[0] == 0.0
        assert np.isfinite(tail(np.array([np.inf]))[0])

    def test_p08_no_error_at_all(self) -> None:
        tail = TailSurprise.fit(np.array([np.nan, np.nan]))
        assert np.isfinite(tail(np.array([0.0, 1.0]))).all()
        assert tail(np.array([1.0]))[0] > tail(np.array([0.0]))[0]


class TestEvenSurprise:
    @pytest.mark.parametrize("records", [400, 20_000])
    def test_it_is_the_surprise_but_for_some_hundredths_of_a_nat(self, records: int) -> None:
        seen = draws(7).gamma(0.5, size=records).astype("float32")
        errors = np.concatenate([[0.0, np.nan], seen, seen.max() * np.geomspace(1.1, 1e20, 50)])
        even, exact = EvenSurprise.fit(seen)(errors), TailSurprise.fit(seen)(errors)
        np.testing.assert_allclose(even, exact, rtol=1e-9, atol=0.1)
        assert np.abs(even - exact).mean() < 0.01 and np.abs(even - exact).max() > 0

    @given(ERRORS, ERRORS)
    def test_a_larger_error_is_never_a_smaller_surprise(self, seen: list[float], later: list[float]) -> None:
        found = EvenSurprise.fit(np.array(seen))(np.sort([*seen, *later]))
        assert np.isfinite(found).all() and (found > -1e-9).all()
        assert (np.diff(found) >= -1e-9).all()

    @given(ERRORS)
    def test_p18_beyond_everything_seen_surprise_always_grows(self, seen: list[float]) -> None:
        further = max(max(seen), SMALLEST) * np.geomspace(2, 1e200, 50)
        even, exact = EvenSurprise.fit(np.array(seen))(further), TailSurprise.fit(np.array(seen))(further)
        assert (np.diff(even) > 0).all()
        np.testing.assert_allclose(even, exact, rtol=1e-6)

    def test_p03_a_single_error(self) -> None:
        even, exact = EvenSurprise.fit(np.array([2.0])), TailSurprise.fit(np.array([2.0]))
        errors = np.array([0.0, 1.0, 2.5, 1e9])
        np.testing.assert_allclose(even(errors), exact(errors), rtol=1e-6)

    def test_p21_it_is_kept_as_the_other_is(self) -> None:
        even = EvenSurprise.fit(draws(8).gamma(2.0, size=300))
        again, errors = EvenSurprise.from_array(even.to_array()), draws(9).gamma(2.0, size=50)
        assert isinstance(again, EvenSurprise)
        np.testing.assert_array_equal(again(errors), even(errors))


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=8))
def test_log_sum_exp_is_a_smooth_maximum(surprises: list[float]) -> None:
    found = log_sum_exp(np.array([surprises]))[0]
    assert max(surprises) <= found <= max(surprises) + np.log(len(surprises)) + 1e-9
    assert log_sum_exp(np.array([[0.0, np.log(3.0)]]))[0] == pytest.approx(np.log(4.0))
