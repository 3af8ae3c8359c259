"""What wrong records have in common: a value or range of columns that are right, over-represented among them.

A segment is judged by the binomial test: how improbable it is that so many of the members, or more, lie in it where
members are spread evenly over the partition; times how many segments were looked at (Bonferroni). The search is a beam
search over conjunctions, as in subgroup discovery (Klösgen 1996, Explora), for one and two conditions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import betainc

from pipeline.incidents.population import Candidates, Population
from pipeline.results import Condition

FEWEST = 3
BEAM = 6
KEEPS = 0.9
BETTER = float(np.log(3))
NUMBERS = 0.7
"""What the evidence for a number or a range counts beside that for a name, which is easier to act on."""


@dataclass(frozen=True)
class Segment:
    """The conditions, which findings and sampled records meet them, and the log of how improbable the segment is.

    `rank` is that log as segments are compared by it; `looked` the log of how many were looked at to come to it;
    `worth` what the evidence counts.
    """

    conditions: tuple[Condition, ...]
    found: np.ndarray
    sampled: np.ndarray
    log_p: float
    rank: float
    looked: float
    worth: float


def best_segment(population: Population, members: np.ndarray, touched: Collection[str]) -> Segment | None:
    """The segment that sets the `members` (findings, bool) apart most; None where no three share anything.

    Columns in `touched` are what is wrong with the members, and say nothing of which records went wrong.
    """
    everything = Segment((), *population.everything, 0.0, 0.0, 0.0, 1.0)
    singles = _extensions(population, members, everything, touched, FEWEST, BEAM)
    best = next(iter(singles), None)
    for single in singles:
        least = max(FEWEST, KEEPS * (members & single.found).sum())
        for pair in _extensions(population, members, single, touched, least, 1):
            if best is not None and pair.rank < best.rank - BETTER:
                best = pair
    return best


def _extensions(
    population: Population, members: np.ndarray, of: Segment, touched: Collection[str], least: float, most: int
) -> list[Segment]:
    """`of` with one condition more: the `most` improbable ones that at least so many members meet."""
    inside = members & of.found
    looked = of.looked + np.log(len(population.columns) or 1)
    count, size = int(members.sum()), population.size
    found: list[Segment] = []
    for candidates in _candidates(population, inside, of, touched, least):
        places = np.flatnonzero(candidates.members >= least)
        worth = NUMBERS if candidates.column.ordered else of.worth
        cost = float(looked + np.log(max(len(candidates.members), 1)))
        tail = _tail(candidates.members[places], candidates.records[places], count, size)
        for place in places[np.argsort(tail, kind="stable")[:most]].tolist():
            condition, of_found, of_sampled = candidates.at(place, inside)
            met, sampled = of.found & of_found, of.sampled & of_sampled
            # A range that was narrowed to its members holds fewer records than its bins.
            here, records = np.array([(members & met).sum()]), np.array([population.records(met, sampled)])
            exact = float(_tail(here, records, count, size)[0])
            found.append(
                Segment((*of.conditions, condition), met, sampled, exact + cost, worth * exact + cost, cost, worth)
            )
    return sorted(found, key=lambda segment: segment.rank)[:most]


def _tail(here: np.ndarray, records: np.ndarray, members: int, size: int) -> np.ndarray:
    """The log of how probable so many of the members or more are `here`, among so many of the partition's records."""
    share = np.minimum(np.maximum(records, here) / size, 1.0)
    # The binomial distribution by the incomplete beta function (Abramowitz and Stegun 1964, 26.5.24).
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(betainc(here, members - here + 1, share)))


def _candidates(
    population: Population, inside: np.ndarray, of: Segment, touched: Collection[str], least: float
) -> Iterator[Candidates]:
    """The values and the ranges of every column that may tell, counted among the records of a segment.

    No values of a column where no `least` members share one: in a column of numbers they are as many as the records.
    """
    named = {condition.column for condition in of.conditions}
    for column in population.columns:
        if column.name not in touched and column.name not in named:
            if np.bincount(column.found[inside]).max(initial=0) >= least:
                yield population.values(column, inside, of.found, of.sampled)
            if column.ordered:
                yield population.ranges(column, inside, of.found, of.sampled)
