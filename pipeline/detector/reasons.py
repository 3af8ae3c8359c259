"""Why a record was flagged: which column, put right, would make it normal, and what value would do so."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.detector.detector import Detector, Scores
from pipeline.encoding import EVENTS, Encoded
from pipeline.records import as_text
from pipeline.results import Contribution, Reason

CANDIDATES = 5


def explain(detector: Detector, table: pa.Table, scores: Scores | None = None) -> list[tuple[Contribution, ...]]:
    """The contributions to each record of `table`, largest first; shares sum to 1.

    The most surprising columns are repaired one at a time: hidden, reconstructed from the others, put in place, and the
    record scored again. A column's share is its part in the fall of the score. Columns that merely disagree with a
    wrong one do not bring the score down, so the wrong one leads.
    """
    if table.num_rows == 0:
        return []
    scores = scores or detector.score(table)
    rows, columns = _candidates(scores.surprise)
    output = detector.network.reconstruct(scores.matrix[rows], columns)
    fall = _falls(detector, scores, rows, columns, output)
    expected = _expected(detector, table, rows, columns, output)
    names = list(detector.encoder.columns)
    reasons: list[tuple[Contribution, ...]] = []
    each = CANDIDATES if len(names) >= CANDIDATES else len(names)
    for row in range(table.num_rows):
        own = slice(row * each, (row + 1) * each)
        shares = _shares(fall[own], scores.surprise[row, columns[own]])
        order = np.argsort(-shares, kind="stable")
        reasons.append(
            tuple(
                Contribution(
                    column_name=names[columns[own][at]],
                    observed=as_text(table.column(names[columns[own][at]])[row].as_py()),
                    expected=expected[row * each + at],
                    share=float(shares[at]),
                    rank=rank,
                    reason=_reason(scores.events[row, columns[own][at]]),
                )
                for rank, at in enumerate(order, start=1)
            )
        )
    return reasons


def _candidates(surprise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each record's most surprising columns, as flat pairs of record and column."""
    each = min(CANDIDATES, surprise.shape[1])
    columns = np.argsort(-surprise, axis=1, kind="stable")[:, :each]
    return np.repeat(np.arange(len(surprise)), each), columns.ravel()


def _falls(detector: Detector, scores: Scores, rows: np.ndarray, columns: np.ndarray, output: np.ndarray) -> np.ndarray:
    """How far each record's score falls when one column is repaired."""
    mended = detector.network.repaired(scores.matrix[rows], columns, output)
    events = scores.events[rows].copy()
    events[np.arange(len(rows)), columns] = False
    return np.asarray(scores.score[rows] - detector.score_encoded(Encoded(mended, events)).score)


def _shares(fall: np.ndarray, surprise: np.ndarray) -> np.ndarray:
    """Shares in proportion to the falls; where no single repair helps, to the surprises."""
    weight = np.maximum(fall, 0.0)
    if weight.sum() <= 1e-9:
        weight = surprise + 1e-9
    return np.asarray(weight / weight.sum())


def _expected(
    detector: Detector, table: pa.Table, rows: np.ndarray, columns: np.ndarray, output: np.ndarray
) -> list[str | None]:
    """The text of each expected value, in the column's own units."""
    spec, found = detector.network.spec, np.full(len(rows), None, dtype=object)
    for index, name in enumerate(detector.encoder.columns):
        here = np.flatnonzero(columns == index)
        if len(here):
            cells = [detector.network.cell(output[here], c) for c, own in enumerate(spec.columns) if own == index]
            values = detector.encoder.decode(name, cells, table.take(pa.array(rows[here])))
            found[here] = [as_text(value) for value in values]
    return list(found)


def _reason(events: np.ndarray) -> Reason:
    return next((name for name, happened in zip(EVENTS, events, strict=True) if happened), "reconstruction")
