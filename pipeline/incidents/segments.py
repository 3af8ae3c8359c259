"""What wrong records have in common: a value or range of columns that are right, over-represented among them.

A segment is judged by the binomial test: how improbable it is that so many of its records, or more, are members where
members are spread evenly over the partition; times how many segments were looked at (Bonferroni). The search is a beam
search over conjunctions, as in subgroup discovery (Klösgen 1996, Explora), for one and two conditions.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from pipeline.incidents.population import Candidate, Population
from pipeline.results import Condition

FEWEST = 3
BEAM = 6
KEEPS = 0.9
BETTER = float(np.log(20))
NUMBERS = 0.85
"""What the evidence for a number or a range is worth beside that for a name, which is easier to act on: where a name
tells nearly as much, it is told."""


@dataclass(frozen=True)
class Segment:
    """The conditions, which findings and sampled records meet them, and the log of how improbable the segment is."""

    conditions: tuple[Condition, ...]
    found: np.ndarray
    sampled: np.ndarray
    log_p: float


def best_segment(population: Population, members: np.ndarray, touched: Collection[str]) -> Segment | None:
    """The segment that sets the `members` (findings, bool) apart most; None where no three share anything.

    Columns in `touched` are what is wrong with the members, and say nothing of which records went wrong.
    """
    everything = Segment((), np.ones(len(members), dtype=bool), np.ones(_sampled(population), dtype=bool), 0.0)
    rate = members.sum() / population.size
    singles = _extensions(population, members, everything, touched, rate)
    if not singles:
        return None
    best = singles[0]
    for single in singles[:BEAM]:
        kept = (members & single.found).sum()
        for pair in _extensions(population, members, single, touched, rate):
            if pair.log_p < best.log_p - BETTER and (members & pair.found).sum() >= KEEPS * kept:
                best = pair
    return best


def _extensions(
    population: Population, members: np.ndarray, of: Segment, touched: Collection[str], rate: float
) -> list[Segment]:
    """`of` with one condition more, the most improbable first; those that are as improbable in the order of columns."""
    named = {condition.column for condition in of.conditions}
    inside = members & of.found
    candidates: list[tuple[Candidate, float]] = []
    for column in population.columns:
        if column.name in touched or column.name in named:
            continue
        values = population.values(column, inside, FEWEST)
        candidates += [(each, np.log(len(column.levels))) for each in values]
        ranges = population.ranges(column, inside, FEWEST)
        candidates += [(each, np.log(max(len(ranges), 1))) for each in ranges]
    if not candidates:
        return []
    columns = np.log(len(population.columns))
    found = [of.found & each.found for each, _ in candidates]
    sampled = [of.sampled & each.sampled for each, _ in candidates]
    count = np.array([int((members & each).sum()) for each in found])
    size = np.array([population.records(*each) for each in zip(found, sampled, strict=True)])
    tail = binom.logsf(count - 1, np.maximum(size, count), min(rate, 1.0))
    looked = np.array([cost for _, cost in candidates]) + columns + _looked(population, of)
    ordered = {column.name for column in population.columns if column.ordered}
    worth = np.array([NUMBERS if each.condition.column in ordered else 1.0 for each, _ in candidates])
    segments = [
        Segment((*of.conditions, candidate.condition), f, s, float(log_p))
        for (candidate, _), f, s, log_p in zip(candidates, found, sampled, worth * tail + looked, strict=True)
    ]
    return sorted(segments, key=lambda segment: segment.log_p)


def _looked(population: Population, of: Segment) -> float:
    """The log of how many segments were looked at to come to this one."""
    levels = {column.name: len(column.levels) for column in population.columns}
    return float(sum(np.log(levels[c.column] * len(population.columns)) for c in of.conditions))


def _sampled(population: Population) -> int:
    return len(population.columns[0].sampled) if population.columns else 0
