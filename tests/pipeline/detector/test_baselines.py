"""The baselines against plain linear algebra, and what is measured with them and a model on the same canaries."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.detector import Detector, baselines
from pipeline.detector.baselines import Gaussian, Nearest, auc_roc, exceeded_by, measure, plain
from pipeline.detector.canaries import make_canaries
from pipeline.encoding import Encoder

Normal = Callable[..., pa.Table]


def small_table() -> pa.Table:
    return pa.table(
        {
            "amount": [1.0, 2.0, 3.0, 2.0] * 10,
            "gap": [None, 5.0, 6.0, 7.0] * 10,
            "carrier": ["AA", "BB", "AA", "AA"] * 10,
        }
    )


class TestPlain:
    def test_numbers_flags_of_missing_ones_and_one_hot_levels(self) -> None:
        table = small_table()
        rows = plain(Encoder.fit(table), table)
        z = (np.array([1.0, 2.0, 3.0, 2.0]) - 2) / np.std([1.0, 2.0, 3.0, 2.0])
        assert rows.dtype == np.float64 and rows.shape == (40, 2 + 2 + 4)
        np.testing.assert_allclose(rows[:4, 0], z, rtol=1e-6)
        assert rows[:4, 1].tolist() == [0, 0, 0, 0]
        np.testing.assert_allclose(rows[:4, 2], np.array([0, -1, 0, 1]) / np.std([5, 6, 7]), atol=1e-6)
        assert rows[:4, 3].tolist() == [1, 0, 0, 0]
        # never seen, null, AA, BB
        assert rows[:2, 4:].tolist() == [[0, 0, 1, 0], [0, 0, 0, 1]]

    def test_what_was_never_seen_has_a_place_and_what_is_far_out_stays_near(self) -> None:
        encoder = Encoder.fit(small_table())
        rows = plain(encoder, pa.table({"amount": [None, 1e9], "gap": [5.0, -1e9], "carrier": ["ZZ", None]}))
        assert rows[0, :2].tolist() == [0, 1]
        assert rows[1, [0, 2]].tolist() == [10, -10]
        assert rows[:, 4:].tolist() == [[1, 0, 0, 0], [1, 0, 0, 0]]

    def test_every_kind_of_column(self, normal: Normal) -> None:
        rows = plain(Encoder.fit(normal(), anchor="day"), normal(100, 9))
        assert np.isfinite(rows).all() and np.abs(rows).max() <= 10


class TestBaselines:
    def test_the_gaussian_is_the_mahalanobis_distance_to_the_shrunk_covariance(self) -> None:
        draw = np.random.default_rng(0)
        known, new = draw.normal(0, 1, (60, 5)) @ draw.normal(0, 1, (5, 5)), draw.normal(0, 3, (20, 5))
        centred = known - known.mean(axis=0)
        covariance = centred.T @ centred / 60
        # Ledoit & Wolf 2004, lemma 3.2 and section 3.3, record by record.
        mu = np.trace(covariance) / 5
        spread = sum(((np.outer(x, x) - covariance) ** 2).sum() for x in centred) / 60**2
        away = ((covariance - mu * np.eye(5)) ** 2).sum()
        shrunk = covariance + min(1, spread / away) * (mu * np.eye(5) - covariance)
        off = new - known.mean(axis=0)
        expected = [x @ np.linalg.inv(shrunk) @ x for x in off]
        np.testing.assert_allclose(Gaussian(known).score(new), expected, rtol=1e-6)

    def test_the_nearest_is_the_smallest_distance(self) -> None:
        draw = np.random.default_rng(0)
        known, new = draw.normal(0, 1, (50, 4)), draw.normal(0, 3, (20, 4))
        expected = [min(np.linalg.norm(x - each) for each in known) for x in new]
        np.testing.assert_allclose(Nearest(known).score(new), expected)

    def test_a_constant_table_has_a_gaussian_too(self) -> None:
        score = Gaussian(np.ones((30, 3))).score(np.array([[1.0, 1, 1], [1, 1, 2]]))
        assert np.isfinite(score).all() and score[0] == 0 < score[1]


def test_auc_roc_is_the_share_of_pairs_in_order_with_ties_half() -> None:
    draw = np.random.default_rng(0)
    wrong, right = draw.integers(3, 12, 40).astype(float), draw.integers(0, 10, 70).astype(float)
    pairs = [(w > r) + 0.5 * (w == r) for w in wrong for r in right]
    assert auc_roc(wrong, right) == pytest.approx(np.mean(pairs))
    assert auc_roc(np.array([2.0, 3.0]), np.array([1.0])) == 1


@pytest.mark.parametrize(("count", "above"), [(100, 1), (1_000, 10), (199, 1), (99, 0)])
def test_the_rate_of_controls_exceeds_the_score(count: int, above: int) -> None:
    scores = np.random.default_rng(0).permutation(count).astype(float)
    assert (scores > exceeded_by(scores, 0.01)).sum() == above


@pytest.fixture(scope="module")
def detector(fitted: Callable[[str], Detector]) -> Detector:
    return fitted("ensemble")


@pytest.fixture(scope="module")
def found(detector: Detector, normal: Normal) -> dict[str, Any]:
    return measure(detector, normal(300, 5), normal(), seed=4)


class TestMeasure:
    def test_the_figures_are_those_of_the_scores(
        self, detector: Detector, normal: Normal, found: dict[str, Any]
    ) -> None:
        held_out = normal(300, 5)
        kinds = {name: encoder.kind for name, encoder in detector.encoder.columns.items()}
        made = make_canaries(held_out, kinds, 200, 4)
        known, *rows = (plain(detector.encoder, table) for table in (normal(), made.table, held_out))
        scores = {
            "model": [detector.score(table).score for table in (made.table, held_out)],
            "gaussian": [Gaussian(known).score(each) for each in rows],
            "nearest": [Nearest(known).score(each) for each in rows],
        }
        for method, (wrong, right) in scores.items():
            above = wrong > np.sort(right)[-4]  # three of 300 are above
            assert found[method]["caught"] == pytest.approx(above.mean())
            assert found[method]["auc_roc"] == pytest.approx(auc_roc(wrong, right))
        above = scores["model"][0] > np.sort(scores["model"][1])[-4]
        for kind, of_kind in found["model"]["corruptions"].items():
            here = [caught for caught, name in zip(above, made.corruptions, strict=True) if name == kind]
            assert of_kind == {"count": len(here), "caught": pytest.approx(np.mean(here))}
        assert sum(each["count"] for each in found["model"]["corruptions"].values()) == 200

    def test_what_is_found_is_better_than_chance_and_reasons_mostly_right(self, found: dict[str, Any]) -> None:
        assert (found["count"], found["controls"], found["rate"], found["note"]) == (200, 300, 0.01, None)
        for method in ("model", "gaussian", "nearest"):
            assert 0.55 < found[method]["auc_roc"] <= 1
            assert 0.1 < found[method]["caught"] <= 1
        assert 0.6 < found["model"]["right_column"] <= 1
        assert json.loads(json.dumps(found, allow_nan=False)) == found

    def test_what_either_flags_vouches_for_nobody_and_equals_lose_nothing_to_each_other(
        self, detector: Detector, normal: Normal
    ) -> None:
        held_out = normal(300, 5)
        flagged = int((detector.score(held_out).score >= detector.threshold(0.1)).sum())
        found = measure(detector, held_out, normal(), seed=4, asked=0.1, champion=detector)
        assert found["controls"] == 300 - flagged < found["held_out"] == 300
        assert found["model"]["flagged"] == found["champion"]["flagged"] == flagged
        assert found["champion"]["lost"] == found["champion"]["won"] == 0
        assert found["champion"]["caught"] == found["model"]["caught"]

    def test_lost_and_won_are_what_only_one_catches(self, found: dict[str, Any]) -> None:
        for method in ("gaussian", "nearest"):
            ahead = found[method]["won"] - found[method]["lost"]
            assert ahead / found["count"] == pytest.approx(found["model"]["caught"] - found[method]["caught"])
            assert found[method]["won"] > 0

    def test_the_same_seed_measures_the_same(self, detector: Detector, normal: Normal, found: dict[str, Any]) -> None:
        assert measure(detector, normal(300, 5), normal(), seed=4) == found
        assert measure(detector, normal(300, 5), normal(), seed=5)["nearest"] != found["nearest"]

    def test_the_leading_column_is_the_corrupted_one_only_where_it_is(
        self, detector: Detector, normal: Normal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held_out = normal(200, 6)

        def wrong_amounts(table: pa.Table, kinds: dict[str, Any], count: int, seed: int) -> baselines.Canaries:
            some = table.slice(0, 20)
            at = some.column_names.index("amount")
            wrong = some.set_column(at, some.schema.field("amount"), pa.array([99.0] * 20))
            named = ("amount",) * 15 + ("carrier",) * 5
            return baselines.Canaries(wrong, np.arange(20), named, ("shifted",) * 20)

        monkeypatch.setattr(baselines, "make_canaries", wrong_amounts)
        model = measure(detector, held_out, normal())["model"]
        assert model["caught"] == 1
        assert model["right_column"] == 0.75

    def test_the_baselines_learn_from_no_more_than_their_share(
        self, detector: Detector, normal: Normal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        learned: list[np.ndarray] = []
        monkeypatch.setattr(baselines, "Nearest", lambda rows: learned.append(rows) or Nearest(rows))
        monkeypatch.setattr(baselines, "BASELINE_RECORDS", 50)
        measure(detector, normal(20, 5), normal())
        measure(detector, normal(20, 5), normal().slice(0, 40))
        assert [len(rows) for rows in learned] == [50, 40]
        assert len(np.unique(learned[0], axis=0)) == 50

    def test_few_controls_measure_no_share_and_say_so(self, detector: Detector, normal: Normal) -> None:
        found = measure(detector, normal(99, 5), normal())
        assert found["note"] == "the share caught was not measured: 1% of 99 controls is less than one"
        assert found["count"] == 99
        for method in ("model", "gaussian", "nearest"):
            assert found[method]["caught"] is None
            assert 0.5 < found[method]["auc_roc"] <= 1
        assert found["model"]["right_column"] is found["model"]["corruptions"] is None
        assert measure(detector, normal(100, 5), normal())["note"] is None

    @pytest.mark.parametrize("controls", [0, 9])
    def test_too_few_records_measure_nothing_and_say_so(
        self, detector: Detector, normal: Normal, controls: int
    ) -> None:
        found = measure(detector, normal(100, 5).slice(0, controls), normal())
        assert found == {
            "count": 0,
            "controls": controls,
            "held_out": controls,
            "rate": 0.01,
            "asked": 0.01,
            "note": f"nothing was measured: it takes 10 held-out records and there are {controls}",
            "model": {"auc_roc": None, "caught": None, "right_column": None, "corruptions": None, "flagged": 0},
            "gaussian": {"auc_roc": None, "caught": None},
            "nearest": {"auc_roc": None, "caught": None},
        }

    def test_records_that_cannot_be_corrupted_measure_nothing(
        self, detector: Detector, normal: Normal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(baselines, "make_canaries", lambda table, *_: make_canaries(table, {}, 5, 0))
        found = measure(detector, normal(20, 5), normal())
        assert found["note"] == "nothing was measured: in none of 20 held-out records could a field be corrupted"
        assert found["nearest"]["auc_roc"] is None
