"""What the estimator fits on, what it refuses, and the parameters it keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sales import blob, sales, shorten
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import ParameterGrid

from pipeline.detector.estimator import RecordDetector


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit of a few seconds: what is tested here is the face, not what a training learns."""
    shorten(monkeypatch)


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


def test_an_int_decides_the_scores_and_none_does_not() -> None:
    def scores(seed: int | None) -> np.ndarray:
        return RecordDetector(false_alarm_rate=0.1, random_state=seed).fit(blob(60)).score_samples(blob(20, 1))

    first = scores(3)
    np.testing.assert_array_equal(scores(3), first)
    assert not np.array_equal(scores(4), first)
