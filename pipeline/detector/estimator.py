"""The detector as a scikit-learn outlier detector, for notebooks.

Nothing else in pipeline/ imports this file: it loads scikit-learn and pandas, which the command line does without.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.types as pt
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from models import BUILDERS
from pipeline.calibration import Conformal
from pipeline.detector.detector import FEWEST_RECORDS, Detector, Scores
from pipeline.detector.reasons import explain
from pipeline.errors import RefusedData
from pipeline.monitor import Kind
from pipeline.records import as_text

REASONS = ("record", "column", "observed", "expected", "share", "reason")


class RecordDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """Finds the records of a table that are unlike the rest, and says which column is wrong.

    It is the detector that watches tables (`pipeline.detector.Detector`) behind scikit-learn's methods. X is a pandas
    DataFrame, a pyarrow Table or a 2-D array-like, of any mix of numbers, categories, booleans, datetimes, times of day
    and text, with values missing or not. Nothing needs scaling, encoding or imputing first. Columns of a DataFrame or a
    Table are found by name, in any order, and those that `fit` did not see are ignored; columns of an array are named
    x0, x1 and so on. A column of mixed objects is read as text.

    Parameters
    ----------
    model : "ensemble", "autoencoder" or "vae"
        "ensemble" reconstructs every cell from the other columns of its record.
    false_alarm_rate : float in (0, 0.5]
        The share of *normal* records that `predict` may call outliers, kept by calibration on records that the networks
        did not see. It is not scikit-learn's `contamination`, which is a share of the training records whatever they
        are: of a clean table few or none are flagged, and of a bad one many. `p_values` serves any other rate.
    kinds : mapping of column names to kinds, or None
        Overrides what is inferred: "numeric", "categorical", "boolean", "datetime", "clock" or "text". A pandas
        categorical is categorical without a word.
    partition_by : column name or None
        A date column, which is not scored: datetimes count from its day. Without it, a datetime later than all of
        those in the training is far out.
    random_state : int, RandomState or None
        Two fits with the same int and the same records give the same scores on the same machine.

    Attributes
    ----------
    detector_ : Detector
        The fitted detector.
    offset_ : float
        `decision_function` is `score_samples` less this.
    n_features_in_ : int
        The number of columns that `fit` saw.
    feature_names_in_ : ndarray of str (n_features_in_,)
        Their names, where `fit` saw names that are texts.
    """

    detector_: Detector
    offset_: float
    n_features_in_: int

    def __init__(
        self,
        model: str = "ensemble",
        false_alarm_rate: float = 0.001,
        kinds: Mapping[str, Kind] | None = None,
        partition_by: str | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.model = model
        self.false_alarm_rate = false_alarm_rate
        self.kinds = kinds
        self.partition_by = partition_by
        self.random_state = random_state

    def fit(self, X: Any, y: object = None) -> RecordDetector:
        """Learn from the records of X (n, columns), most of them normal and at least 20; `y` is ignored.

        Raises ValueError on a parameter that cannot be, on too few records, on a column that cannot be read and on a
        training that diverges. Warns when there are too few records to promise `false_alarm_rate`.
        """
        table = self._table(X, reset=True)
        if table.num_rows < FEWEST_RECORDS:
            had = f"{table.num_rows} sample(s) of {table.num_columns} feature(s)"
            raise ValueError(f"X has {had}; {FEWEST_RECORDS} samples are the least to learn from")
        self._check_parameters(table)
        kinds = dict(self.kinds or {})
        for field in table.schema:
            if pt.is_dictionary(field.type) and field.name != self.partition_by:
                kinds.setdefault(field.name, "categorical")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        try:
            self.detector_ = Detector(self.model, kinds, self.partition_by, seed).fit(table)
        except RefusedData as refusal:
            raise ValueError(str(refusal)) from refusal
        # A score at the threshold is flagged, a decision of 0 is not.
        self.offset_ = -float(np.nextafter(self.detector_.threshold(self.false_alarm_rate), -np.inf))
        needed, held = Conformal.records_needed(self.false_alarm_rate), len(self.detector_.calibration.scores)
        if held < needed:
            promise = f"to promise a false_alarm_rate of {self.false_alarm_rate:g} takes {needed} records"
            warnings.warn(f"{promise} and there are {held}; the threshold is extrapolated", stacklevel=2)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """The negative anomaly score of each record of X, float64 (n,): the lower, the less normal.

        Records that `fit` learned from score as more normal than their like. Raises ValueError when a column is missing
        or of a type that cannot be read, NotFittedError before `fit`; so do the methods below.
        """
        return -self._scores(X).score

    def decision_function(self, X: Any) -> np.ndarray:
        """`score_samples` less `offset_`, float64 (n,): negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """-1 for each record of X that is an outlier at `false_alarm_rate`, else 1, int64 (n,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X: Any) -> np.ndarray:
        """The share of normal records that are at least as anomalous as each record of X, float64 (n,) in (0, 1].

        Split-conformal (Bates et al. 2023): whoever flags what is at most r flags a share of r of new normal records.
        """
        return self._scores(X).p_value

    def explain(self, X: Any) -> pd.DataFrame:
        """The columns that make each record of X anomalous, a row for each of its five most surprising ones.

        `record` is its label in the index of a DataFrame, else its position. `share` is the column's part in the
        anomaly; a record's shares fall from row to row and sum to 1. `observed` and `expected` are texts in the
        column's own units, None where the value is missing. `reason` is "reconstruction" or what is wrong with the
        value by itself: "unseen_category", "out_of_range", "unexpected_null" or "unexpected_type".
        """
        table = self._table(X)
        labels = X.index if isinstance(X, pd.DataFrame) else range(table.num_rows)
        rows = [
            (label, each.column_name, each.observed, each.expected, each.share, each.reason)
            for label, contributions in zip(labels, explain(self.detector_, table), strict=True)
            for each in contributions
        ]
        return pd.DataFrame(rows, columns=list(REASONS))

    def _scores(self, X: Any) -> Scores:
        table = self._table(X)
        return self.detector_.score(table)

    def _table(self, X: Any, reset: bool = False) -> pa.Table:
        """X as an Arrow table; with `reset` its columns are what later ones are held against."""
        if not reset:
            check_is_fitted(self, "detector_")
        if isinstance(X, pd.DataFrame | pa.Table):
            X = X if reset else self._seen_columns(X)
            validate_data(self, X, reset=reset, skip_check_array=True)
            columns = [X.iloc[:, at] if isinstance(X, pd.DataFrame) else X.column(at) for at in range(X.shape[1])]
        else:
            # As an array of texts, a list of mixed records would lose its numbers.
            kept = object if isinstance(X, list) else None
            columns = list(
                validate_data(self, X, reset=reset, dtype=kept, ensure_all_finite=False, ensure_min_samples=0).T
            )
        names = list(getattr(self, "feature_names_in_", [f"x{at}" for at in range(len(columns))]))
        return pa.table([_arrow(name, column) for name, column in zip(names, columns, strict=True)], names=names)

    def _seen_columns(self, X: Any) -> Any:
        """The columns that `fit` saw, in their order; X itself where one is missing, for `validate_data` to name it."""
        names = list(getattr(self, "feature_names_in_", []))
        there = X.columns if isinstance(X, pd.DataFrame) else X.column_names
        if not names or not set(names) <= set(there):
            return X
        return X[names] if isinstance(X, pd.DataFrame) else X.select(names)

    def _check_parameters(self, table: pa.Table) -> None:
        """Raises ValueError on the first parameter that cannot be."""
        kinds, names = dict(self.kinds or {}), table.column_names
        if self.model not in BUILDERS:
            raise ValueError(f"model is {self.model!r}; it can be {', '.join(BUILDERS)}")
        if not 0 < self.false_alarm_rate <= 0.5:
            raise ValueError(f"false_alarm_rate is {self.false_alarm_rate!r}; it can be above 0 and up to 0.5")
        for name, kind in kinds.items():
            if name not in names:
                raise ValueError(f"kinds names a column {name!r}; X has {', '.join(names)}")
            if kind not in get_args(Kind):
                raise ValueError(f"kinds calls column {name!r} {kind!r}; it can be {', '.join(get_args(Kind))}")
        if self.partition_by is not None and self.partition_by not in names:
            raise ValueError(f"partition_by is {self.partition_by!r}; X has {', '.join(names)}")

    def __getstate__(self) -> dict[str, Any]:
        """The detector as numbers and JSON, as in a bundle: no Keras object is pickled."""
        state = dict(super().__getstate__())
        if "detector_" in state:
            state["detector_"] = state["detector_"].to_state()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "detector_" in state:
            state = {**state, "detector_": Detector.from_state(*state["detector_"])}
        super().__setstate__(state)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        return tags


def _arrow(name: str, values: Any) -> pa.Array | pa.ChunkedArray:
    """One column as Arrow; objects of several types as their texts. Raises ValueError on a type that Arrow has not."""
    if isinstance(values, pa.ChunkedArray):
        return values
    if isinstance(values.dtype, pd.SparseDtype):
        raise TypeError(f"column {name!r} is sparse; pass it dense: X[{name!r}].sparse.to_dense()")
    try:
        return pa.array(values, from_pandas=True)
    except pa.ArrowException as error:
        if values.dtype != object:
            raise ValueError(f"column {name!r} of type {values.dtype} cannot be read: {error}") from error
        return pa.array([None if missing else as_text(v) for v, missing in zip(values, pd.isna(values), strict=True)])
