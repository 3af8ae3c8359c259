"""The records of a partition among which a segment is looked for: a sample of the accepted ones, and the findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from pipeline.incidents.findings import Finding
from pipeline.incidents.levels import Levels, levels_of
from pipeline.incidents.order import place
from pipeline.results import Condition

FEWEST_PLACES = 12
BINS = 24
FEW_LEVELS = 48
"""A column of no more places than these has a bin for each."""
NULL = "null"


@dataclass(frozen=True)
class Column:
    """One column's values: of the findings and of the sampled records, as codes of the same `levels`, and as places.

    `places` are float64, NaN where a text has none; `bins` int64, the bin of each level, -1 where it has no place. Both
    are empty where the column has no order worth a range.
    """

    name: str
    levels: Levels
    found: np.ndarray
    sampled: np.ndarray
    places: np.ndarray
    bins: np.ndarray

    @property
    def ordered(self) -> bool:
        return bool(len(self.places))


@dataclass(frozen=True)
class Candidates:
    """Conditions on one column: its values where `last` is empty, else ranges from bin `first` through bin `last`.

    `members` and `records` count, for each condition, the members and all records of the partition that meet it, int64.
    """

    column: Column
    first: np.ndarray
    last: np.ndarray
    members: np.ndarray
    records: np.ndarray

    def at(self, place: int, members: np.ndarray) -> tuple[Condition, np.ndarray, np.ndarray]:
        """One condition, and which findings and sampled records meet it (bool); a range is narrowed to its members."""
        column = self.column
        if not len(self.last):
            level = column.levels.text(int(self.first[place]))
            condition = Condition(column.name, NULL if level is None else level)
            return condition, column.found == self.first[place], column.sampled == self.first[place]
        bins = column.bins[column.found]
        codes = column.found[members & (bins >= self.first[place]) & (bins <= self.last[place])]
        low, high = (int(codes[at]) for at in (column.places[codes].argmin(), column.places[codes].argmax()))
        bounds = column.places[low], column.places[high]
        of_level = (column.places >= bounds[0]) & (column.places <= bounds[1])
        if low == high:
            condition = Condition(column.name, column.levels.text(low))
        else:
            condition = Condition(column.name, low=column.levels.text(low), high=column.levels.text(high))
        return condition, of_level[column.found], of_level[column.sampled]


class Population:
    """The findings (f of them) and a uniform sample of the accepted records (s of them), column by column.

    A sampled record stands for `weight` accepted ones. Flagged records are among the accepted, quarantined are not.
    """

    def __init__(self, findings: Sequence[Finding], normal: pa.Table, accepted: int) -> None:
        self.findings = findings
        self.quarantined = np.array([finding.quarantined for finding in findings], dtype=bool)
        self.weight = accepted / normal.num_rows if normal.num_rows else 0.0
        self.size = accepted + int(self.quarantined.sum())
        self.everything = np.ones(len(findings), dtype=bool), np.ones(normal.num_rows, dtype=bool)
        self.columns = [_column(name, normal, findings) for name in normal.column_names]
        names = sorted({name for finding in findings for name in finding.involved})
        self.involved = {name: np.array([name in f.involved for f in findings], dtype=bool) for name in names}
        leading = {name: np.array([name in f.columns for f in findings], dtype=bool) for name in names}
        self.leading = {name: leads for name, leads in leading.items() if leads.any()}

    @property
    def exact(self) -> bool:
        """Whether every accepted record is in the sample."""
        return self.weight == 1.0

    def records(self, found: np.ndarray, sampled: np.ndarray) -> int:
        """How many records of the partition meet a condition that these findings and sampled records meet."""
        return round(self.weight * int(sampled.sum())) + int((found & self.quarantined).sum())

    def values(self, column: Column, members: np.ndarray, found: np.ndarray, sampled: np.ndarray) -> Candidates:
        """`column` equals a value, for each of its values, counted among the `found` findings and `sampled` records."""
        of_members, records = self._counted(column.found, column.sampled, len(column.levels), members, found, sampled)
        handy = np.where(column.levels.unhandy, 0, of_members)
        return Candidates(column, np.arange(len(column.levels)), np.empty(0, int), handy, records)

    def ranges(self, column: Column, members: np.ndarray, found: np.ndarray, sampled: np.ndarray) -> Candidates:
        """`column` lies in a range of bins, for each range but the whole, counted as `values` are."""
        bins = int(column.bins.max(initial=-1)) + 1
        # The last bin is for what has no place.
        of_found, of_sampled = (
            np.where(b < 0, bins, b) for b in (column.bins[column.found], column.bins[column.sampled])
        )
        of_members, records = self._counted(of_found, of_sampled, bins + 1, members, found, sampled)
        first, last = _spans(bins)
        sums = [np.concatenate([[0], np.cumsum(counts[:bins])]) for counts in (of_members, records)]
        of_range = [total[last + 1] - total[first] for total in sums]
        return Candidates(column, first, last, *of_range)

    def _counted(
        self,
        of_found: np.ndarray,
        of_sampled: np.ndarray,
        groups: int,
        members: np.ndarray,
        found: np.ndarray,
        sampled: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of each group the members, and all records of the partition, int64 (groups,) each."""
        of_members, aside, accepted = (
            np.bincount(which, minlength=groups)
            for which in (of_found[members], of_found[found & self.quarantined], of_sampled[sampled])
        )
        return of_members, np.round(self.weight * accepted).astype(np.int64) + aside


@cache
def _spans(bins: int) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last bin of each range but the whole, int64."""
    first, last = np.triu_indices(bins)
    narrow = last - first < bins - 1
    return first[narrow], last[narrow]


def meets(condition: Condition, text: str | None) -> bool:
    """Whether a value meets a condition."""
    if condition.value is not None:
        return (NULL if text is None else text) == condition.value
    return place(condition.low) <= place(text) <= place(condition.high)


def _column(name: str, normal: pa.Table, findings: Sequence[Finding]) -> Column:
    levels, found, sampled = levels_of([f.values.get(name) for f in findings], normal.column(name))
    places = levels.places
    if len(levels) < FEWEST_PLACES or np.isfinite(places).mean() <= 0.5 or not len(sampled):
        return Column(name, levels, found, sampled, np.empty(0), np.empty(0, np.int64))
    each = np.unique(places[np.isfinite(places)])
    many = np.unique(np.nanquantile(places[sampled], np.linspace(0, 1, BINS + 1)))[1:-1]
    edges = each[:-1] if len(each) <= FEW_LEVELS else many
    bins = np.where(np.isnan(places), -1, np.searchsorted(edges, places, side="left"))
    return Column(name, levels, found, sampled, places, bins)
