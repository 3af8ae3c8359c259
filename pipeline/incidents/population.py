"""The records of a partition among which a segment is looked for: a sample of the accepted ones, and the findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.incidents.findings import Finding
from pipeline.incidents.order import place
from pipeline.records import as_text
from pipeline.results import Condition

FEWEST_PLACES = 12
BINS = 12
NULL = "null"
LONGEST_VALUE = 100
"""A longer text names no segment that a person could act on."""


@dataclass(frozen=True)
class Column:
    """One column's values: of the findings and of the sampled records, as codes of the same `levels`, and as places.

    `levels` are texts, None for null. `places` are float64, NaN where a text has none; empty where the column has no
    order worth a range.
    """

    name: str
    levels: list[str | None]
    found: np.ndarray
    sampled: np.ndarray
    places: np.ndarray

    @property
    def ordered(self) -> bool:
        return bool(len(self.places))


class Candidate(NamedTuple):
    """A condition, and which findings and sampled records meet it, bool arrays."""

    condition: Condition
    found: np.ndarray
    sampled: np.ndarray


class Population:
    """The findings (f of them) and a uniform sample of the accepted records (s of them), column by column.

    A sampled record stands for `weight` accepted ones. Flagged records are among the accepted, quarantined are not.
    """

    def __init__(self, findings: Sequence[Finding], normal: pa.Table, accepted: int) -> None:
        self.findings = findings
        self.quarantined = np.array([finding.quarantined for finding in findings], dtype=bool)
        self.weight = accepted / normal.num_rows if normal.num_rows else 0.0
        self.size = accepted + int(self.quarantined.sum())
        self.columns = [_column(name, normal, findings) for name in normal.column_names]
        names = sorted({name for finding in findings for name in finding.involved})
        self.involved = {name: np.array([name in f.involved for f in findings], dtype=bool) for name in names}
        self.leading = {
            name: leads
            for name in names
            if (leads := np.array([name in f.columns for f in findings], dtype=bool)).any()
        }

    @property
    def exact(self) -> bool:
        """Whether every accepted record is in the sample."""
        return self.weight == 1.0

    def records(self, found: np.ndarray, sampled: np.ndarray) -> int:
        """How many records of the partition meet a condition that these findings and sampled records meet."""
        return round(self.weight * int(sampled.sum())) + int((found & self.quarantined).sum())

    def values(self, column: Column, members: np.ndarray, fewest: int) -> list[Candidate]:
        """`column` equals a value, for each value that at least `fewest` of the `members` (findings, bool) have."""
        counts = np.bincount(column.found[members], minlength=len(column.levels))
        return [
            Candidate(
                Condition(column.name, NULL if (level := column.levels[code]) is None else level),
                column.found == code,
                column.sampled == code,
            )
            for code in np.flatnonzero(counts >= fewest)
            if len(column.levels[code] or "") <= LONGEST_VALUE
        ]

    def ranges(self, column: Column, members: np.ndarray, fewest: int) -> list[Candidate]:
        """`column` lies in a range between two of `BINS` equally frequent places, which the members then narrow."""
        if not column.ordered:
            return []
        of_found, of_sampled = column.places[column.found], column.places[column.sampled]
        edges = np.unique(np.nanquantile(of_sampled, np.linspace(0, 1, BINS + 1))) if len(of_sampled) else np.empty(0)
        found = []
        for first in range(len(edges) - 1):
            for last in range(first + 1, len(edges)):
                if (first, last) == (0, len(edges) - 1):
                    continue
                inside = members & (of_found >= edges[first]) & (of_found <= edges[last])
                if inside.sum() >= fewest:
                    found.append(_narrowed(column, inside, of_found, of_sampled))
        return [each for each in found if each.condition.low != each.condition.high]


def meets(condition: Condition, text: str | None) -> bool:
    """Whether a value meets a condition."""
    if condition.value is not None:
        return (NULL if text is None else text) == condition.value
    return place(condition.low) <= place(text) <= place(condition.high)


def _narrowed(column: Column, inside: np.ndarray, of_found: np.ndarray, of_sampled: np.ndarray) -> Candidate:
    """The range from the least to the largest of the findings that are `inside`."""
    codes = column.found[inside]
    low, high = codes[of_found[inside].argmin()], codes[of_found[inside].argmax()]
    bounds = column.places[low], column.places[high]
    return Candidate(
        Condition(column.name, low=column.levels[low], high=column.levels[high]),
        (of_found >= bounds[0]) & (of_found <= bounds[1]),
        (of_sampled >= bounds[0]) & (of_sampled <= bounds[1]),
    )


def _column(name: str, normal: pa.Table, findings: Sequence[Finding]) -> Column:
    texts = _texts(normal.column(name))
    levels: dict[str | None, int] = {}
    found = np.array([levels.setdefault(f.values.get(name), len(levels)) for f in findings], dtype=np.int64)
    sampled = np.array([levels.setdefault(text, len(levels)) for text in texts], dtype=np.int64)
    places = np.array([place(level) for level in levels])
    ordered = len(levels) >= FEWEST_PLACES and np.isfinite(places).mean() > 0.5
    return Column(name, list(levels), found, sampled, places if ordered else np.empty(0))


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    """The text of each value; each different value is put in words once."""
    encoded = column.combine_chunks()
    if not isinstance(encoded, pa.DictionaryArray):
        try:
            encoded = encoded.dictionary_encode()
        except pa.ArrowNotImplementedError:
            return [as_text(value) for value in column.to_pylist()]
    texts: list[str | None] = [as_text(value) for value in encoded.dictionary.to_pylist()]
    codes: Callable[[], list[int | None]] = encoded.indices.to_pylist
    return [None if code is None else texts[code] for code in codes()]
