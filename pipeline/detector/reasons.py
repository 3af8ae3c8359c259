"""Why a record was flagged: which column, put right, would make it normal, and what value would do so."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from pipeline.detector.detector import Detector, Scores
from pipeline.detector.side_by_side import even_parts, side_by_side
from pipeline.encoding import EVENTS, Encoded
from pipeline.encoding.categories import CategoricalEncoder
from pipeline.records import as_text
from pipeline.results import Contribution, Reason

CANDIDATES = 12
REASONS = 5
FINALISTS = 5
"""The repairs of so many candidates are measured in full; which of them, the fewest passes there are tell."""
LEVELS, SHORTLIST = 16, 2
"""Likewise of levels."""
AT_ONCE = 256
"""So many records are explained together: their repairs, a hundred a record, are all in memory."""

Measure = Callable[[Detector, Scores, np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""How surprising the columns of repaired records are together, and their scores, NaN where they are not measured."""


def explain(detector: Detector, table: pa.Table, scores: Scores | None = None) -> list[tuple[Contribution, ...]]:
    """The `REASONS` largest contributions to each record of `table`, largest first; shares sum to 1.

    The `CANDIDATES` most surprising columns are repaired one at a time: hidden, reconstructed from the others, put in
    place, and the record looked at again; those `FINALISTS` whose repair helps most at a glance are scored again. A
    column's share is its part in the fall of the score. Columns that merely disagree with a wrong one do not bring the
    score down, so the wrong one leads. An impossible value leads always.
    """
    scores = scores or detector.score(table)

    def told(part: slice) -> list[tuple[Contribution, ...]]:
        rows = np.arange(part.start, part.stop)
        return _explained(detector, table.take(pa.array(rows)), scores.take(rows))

    return [each for part in side_by_side(told, even_parts(table.num_rows, AT_ONCE)) for each in part]


def _explained(detector: Detector, table: pa.Table, scores: Scores) -> list[tuple[Contribution, ...]]:
    impossible = _impossible(detector, scores.events)
    rows, columns = _candidates(np.where(impossible, np.inf, scores.surprise))
    output = detector.network.reconstruct(scores.matrix[rows], columns)
    _lead_with_fitting_levels(detector, scores, rows, columns, output, LEVELS, _at_a_glance)
    final = _finalists(detector, scores, impossible, rows, columns, output)
    rows, columns, output = rows[final], columns[final], output[final]
    left = _lead_with_fitting_levels(detector, scores, rows, columns, output, SHORTLIST, _in_full)
    fall = _falls(detector, scores, rows, columns, output, left)
    expected = _expected(detector, table, rows, columns, output)
    names = list(detector.encoder.columns)
    reasons: list[tuple[Contribution, ...]] = []
    each = len(rows) // table.num_rows
    for row in range(table.num_rows):
        own = slice(row * each, (row + 1) * each)
        shares = _shares(fall[own], scores.surprise[row, columns[own]], impossible[row, columns[own]])
        order = np.argsort(-shares, kind="stable")[:REASONS]
        reasons.append(
            tuple(
                Contribution(
                    column_name=names[columns[own][at]],
                    observed=as_text(table.column(names[columns[own][at]])[row].as_py()),
                    expected=expected[row * each + at],
                    share=float(shares[at] / shares[order].sum()),
                    rank=rank,
                    reason=_reason(scores.events[row, columns[own][at]]),
                )
                for rank, at in enumerate(order, start=1)
            )
        )
    return reasons


def _impossible(detector: Detector, events: np.ndarray) -> np.ndarray:
    """Which values show an event that fewer than two in the window match in rarity, bool (n, columns)."""
    never = (len(detector.calibration.scores) + 1) * np.exp(-detector.rare) < 2
    return np.asarray((events & never).any(axis=2))


def _candidates(surprise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each record's most surprising columns, as flat pairs of record and column."""
    each = min(CANDIDATES, surprise.shape[1])
    columns = np.argsort(-surprise, axis=1, kind="stable")[:, :each]
    return np.repeat(np.arange(len(surprise)), each), columns.ravel()


def _finalists(
    detector: Detector,
    scores: Scores,
    impossible: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    output: np.ndarray,
) -> np.ndarray:
    """Which of the candidates, as many for each record, are the least loud at a glance when repaired, int (k,).

    The most surprising one, which comes first, and an impossible value are among them whatever a repair does.
    """
    each = len(rows) // len(scores.score)
    if each <= FINALISTS:
        return np.arange(len(rows))
    left = detector.loudness(detector.network.repaired(scores.matrix[rows], columns, output))
    left[impossible[rows, columns]] = -np.inf
    left[::each] = -np.inf
    best = np.argsort(left.reshape(-1, each), axis=1, kind="stable")[:, :FINALISTS]
    return np.asarray(np.sort(best, axis=1) + each * np.arange(len(best))[:, None]).ravel()


def _falls(
    detector: Detector, scores: Scores, rows: np.ndarray, columns: np.ndarray, output: np.ndarray, left: np.ndarray
) -> np.ndarray:
    """How far each record's score falls when one column is repaired; `left` are the scores that are known already."""
    new = np.flatnonzero(np.isnan(left))
    mended = detector.network.repaired(scores.matrix[rows[new]], columns[new], output[new])
    left[new] = _scored_anew(detector, scores, rows[new], columns[new], mended).score
    return np.asarray(scores.score[rows] - left)


def _scored_anew(
    detector: Detector, scores: Scores, rows: np.ndarray, columns: np.ndarray, mended: np.ndarray
) -> Scores:
    """The scores of records in which one column was put right, whose events are gone with it."""
    events = scores.events[rows].copy()
    events[np.arange(len(rows)), columns] = False
    return detector.score_encoded(Encoded(mended, events))


def _at_a_glance(
    detector: Detector, scores: Scores, rows: np.ndarray, columns: np.ndarray, mended: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    return detector.glance(mended).sum(axis=1), np.full(len(rows), np.nan)


def _in_full(
    detector: Detector, scores: Scores, rows: np.ndarray, columns: np.ndarray, mended: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    found = _scored_anew(detector, scores, rows, columns, mended)
    return found.surprise.sum(axis=1), found.score


def _lead_with_fitting_levels(
    detector: Detector,
    scores: Scores,
    rows: np.ndarray,
    columns: np.ndarray,
    output: np.ndarray,
    count: int,
    measure: Measure,
) -> np.ndarray:
    """Change `output` so that a category's `count` likeliest levels lead in the order of how little they surprise.

    Returns the score that is left with the first of them, float64, NaN where nothing was measured. What follows from a
    category exactly (a distance from a destination) tells levels apart that the logits, by which it is reconstructed
    from the others, do not.
    """
    left = np.full(len(rows), np.nan)
    tried = list(_likeliest_levels(detector, columns, output, count))
    if not tried:
        return left
    spec = detector.network.spec
    each = np.concatenate([np.repeat(here, levels.shape[1]) for _, here, levels in tried])
    mended = scores.matrix[rows[each]]
    slots = np.concatenate([np.full(levels.size, spec.starts[cell]) for cell, _, levels in tried])
    mended[np.arange(len(each)), slots] = np.concatenate([levels.ravel() for _, _, levels in tried])
    measured = measure(detector, scores, rows[each], columns[each], mended)
    ends = np.cumsum([levels.size for _, _, levels in tried])[:-1]
    for (cell, here, levels), told, score in zip(tried, *(np.split(part, ends) for part in measured), strict=True):
        logits = detector.network.cell(output, cell)
        possible = np.isfinite(logits[here[:, None], levels])
        order = np.argsort(np.where(possible, told.reshape(levels.shape), np.inf), axis=1, kind="stable")
        levels = np.take_along_axis(levels, order, axis=1)
        possible = np.take_along_axis(possible, order, axis=1)
        lead = logits[here].max(axis=1)[:, None] + np.arange(levels.shape[1], 0, -1)
        logits[here[:, None], levels] = np.where(possible, lead, -np.inf)
        first = np.take_along_axis(score.reshape(levels.shape), order[:, :1], axis=1)[:, 0]
        left[here] = np.where(possible[:, 0], first, np.nan)
    return left


def _likeliest_levels(
    detector: Detector, columns: np.ndarray, output: np.ndarray, count: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Of each cell that is a category: where it is to be repaired, int (k,), and its `count` likeliest levels there.

    The level of null is made impossible in `output` where the window had none.
    """
    spec, encoders = detector.network.spec, list(detector.encoder.columns.values())
    for cell in spec.category_cells:
        encoder = encoders[spec.columns[cell]]
        here = np.flatnonzero(columns == spec.columns[cell])
        if isinstance(encoder, CategoricalEncoder) and len(here):
            logits = detector.network.cell(output, cell)
            if not encoder.nulls:
                logits[:, 0] = -np.inf
            yield cell, here, np.argsort(-logits[here], axis=1, kind="stable")[:, :count]


def _shares(fall: np.ndarray, surprise: np.ndarray, impossible: np.ndarray) -> np.ndarray:
    """Shares in proportion to the falls; where no single repair helps, to the surprises.

    No repair of another column makes an impossible value possible, so none has a larger share.
    """
    weight = np.maximum(fall, 0.0)
    if weight.sum() <= 1e-9:
        weight = surprise + 1e-9
    weight = np.where(impossible, weight.max(), weight)
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
