"""When a table has moved away from a model, in words: what asks for another training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.drift.measures import score_counts, score_drift, score_edges
from pipeline.drift.reference import Reference

RECENT = 5
LASTING = 3
"""A column drifts when so many of the last `RECENT` partitions, this one among them, are beyond its bound."""


@dataclass(frozen=True)
class Drift:
    """A partition beside the training window.

    `columns` holds `psi` and `ks` of each column, `score` `score_psi` and `score_ks`, as the store keeps them; `counts`
    is what `Reference.count` told of the partition.
    """

    reference: Reference
    counts: np.ndarray
    columns: dict[tuple[str, str], float]
    score: dict[str, float]

    @classmethod
    def of(cls, reference: Reference, counts: np.ndarray, calibration_scores: np.ndarray, scores: np.ndarray) -> Drift:
        """From the partition's counts and the `score_counts` of its accepted records, between those of calibration."""
        window = score_counts(score_edges(calibration_scores), calibration_scores)
        return cls(reference, counts, reference.measure(counts), score_drift(window, scores))

    def asks_for_training(
        self, columns_before: Sequence[Mapping[str, float]], scores_before: Sequence[float], max_drift: float
    ) -> list[str]:
        """Why another training is asked for, a line each; empty when nothing has drifted for long enough.

        `columns_before` holds the `psi` of the columns, `scores_before` the `score_psi`, of the partitions before this
        one that the same model scored, the latest first. One storm is no drift: a column must be beyond its bound here
        and in most of the latest partitions.
        """
        bounds = self.reference.bounds(max_drift)
        told = []
        for (column, name), value in self.columns.items():
            before = [partition[column] for partition in columns_before[: RECENT - 1] if column in partition]
            if name == "psi" and _lasts([value, *before], bounds[column]):
                words = self.reference.in_words(column, self.counts)
                told.append(f"{column} has drifted: PSI {value:.2f} (bound {bounds[column]:.2f}){words}")
        value = self.score.get("score_psi", 0.0)
        if _lasts([value, *scores_before[: RECENT - 1]], max_drift):
            told.append(f"the score has drifted: PSI {value:.2f} (bound {max_drift:.2f})")
        return told


def stale(window_last: str, partitions: Sequence[str], max_age: int) -> str | None:
    """Says so when more than `max_age` of `partitions` come after the champion's training window; else None."""
    past = sum(partition > window_last for partition in partitions)
    if past <= max_age:
        return None
    return f"the champion's window ended with {window_last}, {past} partitions ago (training.max_age {max_age})"


def _lasts(values: Sequence[float], bound: float) -> bool:
    return values[0] > bound and sum(value > bound for value in values) >= LASTING
