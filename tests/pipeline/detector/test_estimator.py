"""The detector behind scikit-learn's methods: tables of every kind, scikit-learn's conventions and its own battery."""

from __future__ import annotations

import pickle  # noqa: TID251  what joblib and notebooks do with an estimator
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import ParameterGrid, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from pipeline.detector import network
from pipeline.detector.estimator import RecordDetector

EXPECTED_FAILURES = {
    "check_n_features_in_after_fitting": "fits on 15 records; below 20 there is nothing to learn and fit says so",
    "check_classifier_data_not_an_array": "fits on 12 records; below 20 there is nothing to learn and fit says so",
    "check_methods_subset_invariance": "networks compute in 32 bits: alone and among others a score differs by 1e-6",
    "check_estimators_pickle": "networks compute in 32 bits: restored, a score differs by 1e-6",
}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit of a few seconds: what is tested here is the face, not what a training learns."""
    shorten(monkeypatch)


def shorten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(network, "PARTS", 1)
    patch.setattr(network, "SCHEDULES", {"ensemble": network.Schedule(100, 64, 3e-3)})


def sales(n: int = 400, seed: int = 0) -> pd.DataFrame:
    """Normal records, `price` about twice `cost`; the index is not 0, 1, 2."""
    draw = np.random.default_rng(seed)
    cost = draw.normal(10, 2, n)
    return pd.DataFrame(
        {
            "cost": np.round(cost, 2),
            "price": np.round(2 * cost + draw.normal(0, 0.2, n), 2),
            "count": np.where(draw.random(n) < 0.1, np.nan, draw.poisson(5, n)),
            "shop": draw.choice(["Bern", "Chur", "Thun"], n),
            "size": pd.Categorical(draw.choice([1, 2, 3, 4], n)),
            "sold": pd.Timestamp("2024-03-01") + pd.to_timedelta(draw.integers(0, 10 * 86_400, n), unit="s"),
            "note": [f"order {i:06d}" for i in draw.integers(0, 10**6, n)],
            "paid": draw.random(n) < 0.9,
        },
        index=pd.Index(range(1000, 1000 + n)),
    )


def spoilt() -> pd.DataFrame:
    """Three new records with a value each that is wrong: an unseen shop, a price out of range, no cost."""
    return sales(3, 9).assign(
        shop=["Bern", "Chur", "Ulm"], price=[1e4, 20.0, 21.0], cost=[10.0, np.nan, 10.5], count=5.0
    )


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


def blob(n: int, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    x = draw.normal(0, 1, n)
    return np.stack([x, -x + draw.normal(0, 0.1, n), draw.normal(0, 1, n)], axis=1)


@pytest.mark.slow
@parametrize_with_checks(
    [RecordDetector(false_alarm_rate=0.1)], expected_failed_checks=lambda _: EXPECTED_FAILURES, xfail_strict=True
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


def test_kinds_are_inferred_declared_and_overridden() -> None:
    table = sales(60).assign(count=1.0, zone=[100 + i % 3 for i in range(60)])
    kinds = RecordDetector(kinds={"zone": "categorical"}, partition_by="sold", random_state=0)
    with pytest.warns(UserWarning, match=r"false_alarm_rate of 0\.001 takes 999 records and there are 60"):
        columns = kinds.fit(table).detector_.encoder.columns
    assert columns["size"].kind == "categorical", "a pandas categorical of integers"
    assert columns["zone"].kind == "categorical" and columns["cost"].kind == "numeric"
    assert "sold" not in columns


def test_mixed_lists_keep_their_numbers_and_mixed_objects_are_texts() -> None:
    records = [[float(i), "ab"[i % 2], i if i % 3 else "x", None if i % 5 else i] for i in range(40)]
    columns = RecordDetector(false_alarm_rate=0.1).fit(records).detector_.encoder.columns
    assert [encoder.kind for encoder in columns.values()] == ["numeric", "categorical", "categorical", "numeric"]
    assert {"x", "1", "2"} <= {*columns["x2"].levels, *columns["x2"].rare}


@pytest.mark.parametrize(
    ("X", "error", "words"),
    [
        (sales(40).assign(z=1 + 2j), ValueError, "column 'z' of type complex128 cannot be read"),
        (blob(40) + 1j, ValueError, "Complex data not supported"),
        (sparse.csr_array(blob(40)), TypeError, "[Ss]parse"),
        (pd.DataFrame(blob(40)).astype(pd.SparseDtype(float)), TypeError, "column 'x0' is sparse"),
        (sales(19), ValueError, r"X has 19 sample\(s\) of 8 feature\(s\); 20 samples are the least"),
        (sales(40)[["cost", "cost"]], ValueError, "cost"),
        (sales(40)["cost"], ValueError, "2-dimensional"),
    ],
)
def test_what_cannot_be_read_is_refused(X: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        RecordDetector().fit(X)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"model": "forest"}, "model is 'forest'; it can be autoencoder, vae, ensemble"),
        ({"false_alarm_rate": 0.0}, r"false_alarm_rate is 0\.0; it can be above 0 and up to 0\.5"),
        ({"false_alarm_rate": 0.6}, r"false_alarm_rate is 0\.6"),
        ({"kinds": {"x9": "text"}}, "kinds names a column 'x9'; X has x0, x1, x2"),
        ({"kinds": {"x0": "number"}}, "kinds calls column 'x0' 'number'; it can be numeric"),
        ({"partition_by": "day"}, "partition_by is 'day'; X has x0, x1, x2"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_by_fit(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RecordDetector(**parameters).fit(blob(30))


def test_before_fit_and_after_a_refused_fit_there_is_nothing_to_ask() -> None:
    detector = RecordDetector()
    with pytest.raises(ValueError, match="samples are the least"):
        detector.fit(blob(5))
    for method in ("score_samples", "decision_function", "predict", "p_values", "explain"):
        with pytest.raises(NotFittedError):
            getattr(detector, method)(blob(5))


def test_parameters_are_kept_as_given_and_cloned() -> None:
    kinds = {"shop": "text"}
    detector = RecordDetector("vae", 0.02, kinds, "sold", 7)
    assert detector.kinds is kinds
    expected = {
        "model": "vae",
        "false_alarm_rate": 0.02,
        "kinds": kinds,
        "partition_by": "sold",
        "random_state": 7,
    }
    assert detector.get_params() == clone(detector).get_params() == expected
    for each in ParameterGrid({"model": ["vae", "ensemble"], "false_alarm_rate": [0.01, 0.1]}):
        tried = clone(detector).set_params(**each)
        assert tried.get_params() == expected | each


def test_a_pickle_holds_no_keras_object_and_scores_the_same(fitted: RecordDetector) -> None:
    pickled = pickle.dumps(fitted)
    assert b"keras" not in pickled and b"tensorflow" not in pickled
    restored = pickle.loads(pickled)
    new = pd.concat([sales(30, 6), spoilt()])
    np.testing.assert_allclose(restored.decision_function(new), fitted.decision_function(new), rtol=1e-4)
    pd.testing.assert_frame_equal(restored.explain(spoilt()), fitted.explain(spoilt()))


def test_an_int_decides_the_scores_and_none_does_not() -> None:
    def scores(seed: int | None) -> np.ndarray:
        return RecordDetector(false_alarm_rate=0.1, random_state=seed).fit(blob(60)).score_samples(blob(20, 1))

    first = scores(3)
    np.testing.assert_array_equal(scores(3), first)
    assert not np.array_equal(scores(4), first)


@pytest.mark.slow
def test_it_is_the_last_step_of_a_pipeline_and_is_cross_validated() -> None:
    table = sales(60)
    chain = make_pipeline(FunctionTransformer(lambda x: x.drop(columns="note")), RecordDetector(random_state=0))
    chain.set_params(recorddetector__false_alarm_rate=0.1)
    found = cross_val_predict(chain, table, cv=2, method="decision_function")
    own = clone(chain).fit(table.iloc[30:]).decision_function(table.iloc[:30])
    np.testing.assert_allclose(found[:30], own, atol=1e-4)
