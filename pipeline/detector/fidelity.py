"""How faithful made-up records are to those of a training window: column by column and pair by pair.

Measured on encoded records, where every kind of column is an order (numbers, days from the partition, the time of day,
the length of a text) or a set of levels (categories and booleans; the rare values are one level, null is another). All
measures of an order stay the same under a monotone transform, so units do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy import stats

from pipeline.encoding import Encoder
from pipeline.monitor import Kind

Distance = Literal["kolmogorov_smirnov", "total_variation"]
Association = Literal["spearman", "cramers_v", "correlation_ratio"]
PAIRED_RECORDS = 20_000
PAIRED_LEVELS = 20
"""With more levels a measure of association says how few records there are; the rarer levels count as one."""


@dataclass(frozen=True)
class ColumnFidelity:
    """The distance of a column from the window's in 0..1, and that of as many records drawn from the window itself."""

    column: str
    kind: Kind
    measure: Distance
    distance: float
    by_chance: float
    nulls: float
    window_nulls: float


@dataclass(frozen=True)
class PairFidelity:
    """The association of two columns among made-up records and among as many of the window, drawn twice."""

    first: str
    second: str
    measure: Association
    synthetic: float
    window: float
    window_again: float

    @property
    def difference(self) -> float:
        """How far the made-up association is from the window's, in 0..2 for orders and 0..1 for levels."""
        return abs(self.synthetic - self.window)


@dataclass(frozen=True)
class Fidelity:
    """Every column, and every pair of columns that both vary; the summary holds means over them."""

    columns: tuple[ColumnFidelity, ...]
    pairs: tuple[PairFidelity, ...]
    column_distance: float
    column_distance_by_chance: float
    association_difference: float
    association_difference_by_chance: float


@dataclass(frozen=True)
class _Series:
    """One column of some records, float64 (n,): an order, NaN where null, or (levels > 0) the place of a level."""

    values: np.ndarray
    levels: int


def compare(encoder: Encoder, window: np.ndarray, synthetic: np.ndarray, seed: int = 0) -> Fidelity:
    """Compare `synthetic` (n, slots) with `window` (m, slots), both float32, not empty, encoded by `encoder`."""
    draw = np.random.default_rng(seed)
    once, again = (window[draw.integers(len(window), size=len(synthetic))] for _ in range(2))
    everything, made, chance = (_series(encoder, matrix) for matrix in (window, synthetic, once))
    columns = tuple(
        ColumnFidelity(
            column=name,
            kind=encoder.columns[name].kind,
            measure="total_variation" if series.levels else "kolmogorov_smirnov",
            distance=_distance(series, made[name]),
            by_chance=_distance(series, chance[name]),
            nulls=_nulls(made[name]),
            window_nulls=_nulls(series),
        )
        for name, series in everything.items()
    )
    pairs = _pairs(encoder, [matrix[:PAIRED_RECORDS] for matrix in (synthetic, once, again)])
    return Fidelity(
        columns,
        pairs,
        _mean([each.distance for each in columns]),
        _mean([each.by_chance for each in columns]),
        _mean([each.difference for each in pairs]),
        _mean([abs(each.window_again - each.window) for each in pairs]),
    )


def _series(encoder: Encoder, matrix: np.ndarray) -> dict[str, _Series]:
    found: dict[str, _Series] = {}
    for index, (name, column) in enumerate(encoder.columns.items()):
        cell = encoder.column_of_cell.index(index)
        values = matrix[:, encoder.starts[cell]].astype(np.float64)
        if column.kind == "clock":
            sine, cosine = matrix[:, encoder.starts[cell] : encoder.starts[cell] + 2].T.astype(np.float64)
            values = np.arctan2(sine, cosine) % (2 * np.pi)
        found[name] = _Series(values, encoder.cells[cell].levels)
    return found


def _distance(left: _Series, right: _Series) -> float:
    """Kolmogorov-Smirnov's largest difference of two distribution functions, or the total variation of two shares.

    Nulls are a level; of an order only the values that are there count, and 1 if there are none on one side only.
    """
    if left.levels:
        return float(np.abs(_shares(left) - _shares(right)).sum() / 2)
    one, other = (each.values[~np.isnan(each.values)] for each in (left, right))
    if len(one) == 0 or len(other) == 0:
        return float(len(one) != len(other))
    return float(stats.ks_2samp(one, other, method="asymp").statistic)


def _shares(series: _Series) -> np.ndarray:
    """The share of each level; the first is that of values that have none."""
    counts = np.bincount(series.values.astype(int) + 1, minlength=series.levels + 1)
    return np.asarray(counts / len(series.values))


def _nulls(series: _Series) -> float:
    return float((series.values <= 0).mean() if series.levels else np.isnan(series.values).mean())


def _pairs(encoder: Encoder, samples: list[np.ndarray]) -> tuple[PairFidelity, ...]:
    made, once, again = (_series(encoder, matrix) for matrix in samples)
    found = []
    for name, series in once.items():
        if series.levels:
            common = np.argsort(-_shares(series), kind="stable")[:PAIRED_LEVELS]
            made[name], once[name], again[name] = (_pooled(each[name], common) for each in (made, once, again))
    for first, second in combinations(once, 2):
        measure, *values = (_association(each[first], each[second]) for each in (once, made, once, again))
        if not np.isnan([value for _, value in values]).any():
            found.append(PairFidelity(first, second, measure[0], *(value for _, value in values)))
    return tuple(found)


def _pooled(series: _Series, common: np.ndarray) -> _Series:
    place = np.full(series.levels + 1, len(common))
    place[common] = np.arange(len(common))
    return _Series(place[series.values.astype(int) + 1].astype(np.float64), len(common) + 1)


def _association(one: _Series, other: _Series) -> tuple[Association, float]:
    """Spearman's rank correlation, Cramér's V or the correlation ratio of ranks; NaN where a column does not vary."""
    if one.levels and other.levels:
        return "cramers_v", _cramers_v(one, other)
    there = ~(np.isnan(one.values) | np.isnan(other.values))
    left, right = one.values[there], other.values[there]
    if min(len(np.unique(left)), len(np.unique(right))) < 2:
        return ("correlation_ratio" if one.levels or other.levels else "spearman"), np.nan
    if one.levels:
        return "correlation_ratio", _correlation_ratio(left, right)
    if other.levels:
        return "correlation_ratio", _correlation_ratio(right, left)
    return "spearman", float(stats.spearmanr(left, right).statistic)


def _cramers_v(one: _Series, other: _Series) -> float:
    counts = stats.contingency.crosstab(one.values, other.values).count
    return float(stats.contingency.association(counts, method="cramer")) if min(counts.shape) > 1 else np.nan


def _correlation_ratio(levels: np.ndarray, values: np.ndarray) -> float:
    """Square root of the share of the ranks' variance that lies between levels (Pearson 1905, eta), 0..1."""
    ranks = stats.rankdata(values)
    count = np.bincount(levels.astype(int))
    total = np.bincount(levels.astype(int), ranks)
    between = (total[count > 0] ** 2 / count[count > 0]).sum() / len(ranks) - ranks.mean() ** 2
    return float(np.sqrt(max(between, 0.0) / ranks.var()))


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0
