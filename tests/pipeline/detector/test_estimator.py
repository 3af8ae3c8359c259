"""The detector behind scikit-learn's methods: tables of every kind, scikit-learn's conventions and its own battery."""

from __future__ import annotations

import pickle  # noqa: TID251  what joblib and notebooks do with an estimator
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sales import blob, sales, shorten, spoilt
from sklearn.base import clone
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from pipeline.detector.estimator import RecordDetector

EXPECTED_FAILURES = {
    "check_n_features_in_after_fitting": "fits on 15 records; below 20 there is nothing to learn and fit says so",
    "check_classifier_data_not_an_array": "fits on 12 records; below 20 there is nothing to learn and fit says so",
    "check_methods_subset_invariance": "networks compute in 32 bits: alone and among others a score may differ by 1e-6",
    "check_methods_sample_order_invariance": "networks compute in 32 bits: in another place a score may differ by 1e-6",
    "check_estimators_pickle": "networks compute in 32 bits: restored, a score may differ by 1e-6",
}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit of a few seconds: what is tested here is the face, not what a training learns."""
    shorten(monkeypatch)


@pytest.fixture(scope="module")
def fitted() -> Iterator[RecordDetector]:
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        yield RecordDetector(false_alarm_rate=0.01, random_state=0).fit(sales())


@pytest.fixture(scope="module")
def on_array() -> Iterator[RecordDetector]:
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        yield RecordDetector(false_alarm_rate=0.05, random_state=0).fit(blob(300))


@pytest.mark.slow
@parametrize_with_checks(
    [RecordDetector(false_alarm_rate=0.1)], expected_failed_checks=lambda _: EXPECTED_FAILURES, xfail_strict=False
)
def test_scikit_learn_s_battery(estimator: RecordDetector, check: Any) -> None:
    check(estimator)


def test_a_mixed_frame_is_scored_as_the_detector_scores_its_arrow_table(fitted: RecordDetector) -> None:
    new = sales(50, 1)
    table = pa.Table.from_pandas(new, preserve_index=False)
    expected = fitted.detector_.score(table)
    np.testing.assert_array_equal(fitted.score_samples(new), -expected.score)
    np.testing.assert_array_equal(fitted.p_values(new), expected.p_value)
    np.testing.assert_array_equal(fitted.score_samples(table), -expected.score)


def test_attributes_say_what_fit_saw(fitted: RecordDetector, on_array: RecordDetector) -> None:
    assert fitted.n_features_in_ == 8
    assert list(fitted.feature_names_in_) == list(sales(1).columns)
    assert on_array.n_features_in_ == 3 and not hasattr(on_array, "feature_names_in_")
    assert list(on_array.detector_.encoder.columns) == ["x0", "x1", "x2"]


def test_scores_decisions_labels_and_p_values_agree(fitted: RecordDetector) -> None:
    both = pd.concat([sales(200, 1), spoilt()])
    scores, decisions, labels = fitted.score_samples(both), fitted.decision_function(both), fitted.predict(both)
    assert scores.dtype == decisions.dtype == np.float64 and labels.dtype == np.int64
    np.testing.assert_array_equal(decisions, scores - fitted.offset_)
    np.testing.assert_array_equal(labels, np.where(decisions < 0, -1, 1))
    np.testing.assert_array_equal(labels == -1, fitted.p_values(both) <= 0.01)
    assert set(labels) == {-1, 1}
    assert (np.diff(fitted.p_values(both)[np.argsort(scores)]) >= 0).all()


def test_wrong_values_are_outliers_and_normal_records_seldom(fitted: RecordDetector) -> None:
    assert list(fitted.predict(spoilt())) == [-1, -1, -1]
    assert (fitted.predict(sales(400, 1)) == -1).mean() <= 0.04


def test_a_broken_relation_between_numbers_scores_below_normal_records(on_array: RecordDetector) -> None:
    normal = blob(200, 1)
    broken = normal * [1, -1, 1]
    broken = broken[np.abs(normal[:, 0]) > 1]
    below = on_array.score_samples(broken)[:, None] < on_array.score_samples(normal)
    assert len(broken) > 40 and below.mean() > 0.95


def test_explain_is_tidy_and_labelled_by_the_index(fitted: RecordDetector) -> None:
    reasons = fitted.explain(spoilt())
    assert list(reasons.columns) == ["record", "column", "observed", "expected", "share", "reason"]
    leads = reasons.drop_duplicates("record").set_index("record")
    assert list(leads.index) == [1000, 1001, 1002]
    assert list(leads["column"]) == ["price", "cost", "shop"]
    assert list(leads["reason"]) == ["out_of_range", "unexpected_null", "unseen_category"]
    assert leads.loc[1000, "observed"] == "10000" and 0 < float(leads.loc[1000, "expected"]) < 50
    assert pd.isna(leads.loc[1001, "observed"])
    np.testing.assert_allclose(reasons.groupby("record")["share"].sum(), 1)
    assert (reasons.groupby("record")["share"].diff().dropna() <= 0).all()


def test_nothing_to_explain_is_an_empty_frame(fitted: RecordDetector) -> None:
    reasons = fitted.explain(spoilt().iloc[:0])
    assert reasons.empty and "share" in reasons.columns
    assert fitted.predict(spoilt().iloc[:0]).shape == (0,)


def test_records_of_an_array_are_explained_by_position(on_array: RecordDetector) -> None:
    reasons = on_array.explain([[0.0, 0.0, 0.0], [0.0, 50.0, 0.0]])
    assert list(reasons["record"].unique()) == [0, 1]
    assert reasons[reasons["record"] == 1].iloc[0]["column"] == "x1"


def test_columns_are_found_by_name(fitted: RecordDetector) -> None:
    new = sales(30, 2)
    expected = fitted.score_samples(new)
    np.testing.assert_array_equal(fitted.score_samples(new[new.columns[::-1]].assign(label="a")), expected)
    shuffled = pa.Table.from_pandas(new, preserve_index=False).select(list(new.columns[::-1]))
    np.testing.assert_array_equal(fitted.score_samples(shuffled), expected)


@pytest.mark.parametrize("kind", [lambda x: x, lambda x: pa.Table.from_pandas(x, preserve_index=False)])
def test_a_missing_column_is_named(fitted: RecordDetector, kind: Any) -> None:
    with pytest.raises(ValueError, match="now missing:\n- shop"):
        fitted.predict(kind(sales(5).drop(columns="shop")))


def test_the_order_of_records_does_not_matter(fitted: RecordDetector) -> None:
    new = sales(60, 3)
    order = np.random.default_rng(0).permutation(60)
    np.testing.assert_allclose(fitted.score_samples(new.iloc[order]), fitted.score_samples(new)[order], rtol=1e-5)


def test_a_record_scores_alone_as_it_does_among_others(on_array: RecordDetector) -> None:
    """What scikit-learn's check of subsets asks for, to the digits that 32 bits give."""
    new = blob(20, 4)
    alone = [on_array.score_samples(record[None])[0] for record in new]
    np.testing.assert_allclose(on_array.score_samples(new), alone, rtol=1e-5)


def test_lists_objects_and_frames_are_scored_as_their_array(on_array: RecordDetector) -> None:
    """With the numbers of records that a fit needs, what the battery asks of array-likes on 12."""
    new = blob(30, 5)
    expected = on_array.score_samples(new)
    for like in (new.tolist(), new.astype(object), np.asfortranarray(new), pd.DataFrame(new)):
        np.testing.assert_array_equal(on_array.score_samples(like), expected)
    with pytest.warns(UserWarning, match="fitted without feature names"):
        named = on_array.score_samples(pd.DataFrame(new, columns=["a", "b", "c"]))
    np.testing.assert_array_equal(named, expected)


def test_another_number_of_columns_is_refused(on_array: RecordDetector) -> None:
    with pytest.raises(ValueError, match="X has 2 features, but RecordDetector is expecting 3"):
        on_array.predict(blob(5)[:, :2])
    with pytest.raises(ValueError, match="Reshape your data"):
        on_array.predict(blob(5)[0])


def test_a_pickle_holds_no_keras_object_and_scores_the_same(fitted: RecordDetector) -> None:
    pickled = pickle.dumps(fitted)
    assert b"keras" not in pickled and b"tensorflow" not in pickled
    restored = pickle.loads(pickled)
    new = pd.concat([sales(30, 6), spoilt()])
    np.testing.assert_allclose(restored.decision_function(new), fitted.decision_function(new), rtol=1e-4)
    pd.testing.assert_frame_equal(restored.explain(spoilt()), fitted.explain(spoilt()))


@pytest.mark.slow
def test_it_is_the_last_step_of_a_pipeline_and_is_cross_validated() -> None:
    table = sales(60)
    chain = make_pipeline(FunctionTransformer(lambda x: x.drop(columns="note")), RecordDetector(random_state=0))
    chain.set_params(recorddetector__false_alarm_rate=0.1)
    found = cross_val_predict(chain, table, cv=2, method="decision_function")
    own = clone(chain).fit(table.iloc[30:]).decision_function(table.iloc[:30])
    np.testing.assert_allclose(found[:30], own, atol=1e-4)
