"""Findings that are wrong in the same way and share a segment become one group; what fits nowhere stays alone.

Column by column the segment is looked for that sets the findings which the column leads apart most; the most improbable
of all is taken, its members are put aside, and so on until nothing improbable is left. Other columns that lead findings
of the same segment join it: a time that is twelve hours off shows in whatever column betrays it first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binom, poisson

from pipeline.incidents.findings import Part
from pipeline.incidents.manner import manner_of
from pipeline.incidents.population import Population
from pipeline.incidents.segments import FEWEST, Segment, best_segment
from pipeline.monitor import Kind
from pipeline.results import Condition

SURE = float(np.log(1e-3))
JOINS = float(np.log(1e-2))
FEWEST_ALIKE = 5
MEMBER = 0.2
"""A column leads a group when it leads so many of its members."""
WAY = 0.05
"""A way to be wrong is looked at by itself when so many of the findings that a column leads are wrong in it."""
TOGETHER = 0.25
"""Columns go wrong together when the one is involved in so many of the findings that the other leads."""
INVOLVED = 0.25
"""A column that is involved in so many members tells nothing of which records went wrong."""
INVOLVED_NUMBER = 0.1
"""The same of a number, which is moved along with others where a name stays: a time, a distance, an amount."""


@dataclass(frozen=True)
class Group:
    """Findings (bool, one for each) that belong together, the columns that lead, most frequent first, and the segment.

    `sampled` tells which of the sampled records are in the segment; None where the group has no segment but that its
    members are `alike`.
    """

    members: np.ndarray
    columns: tuple[str, ...]
    conditions: tuple[Condition, ...]
    log_p: float
    found: np.ndarray | None
    sampled: np.ndarray | None

    @property
    def size(self) -> int:
        return int(self.members.sum())


def groups_of(population: Population, kinds: Mapping[str, Kind], expected: float) -> list[Group]:
    """The groups among the findings, the most improbable first; `expected` is how many findings chance would bring."""
    left = np.ones(len(population.findings), dtype=bool)
    groups: list[Group] = []
    while (group := _next(population, kinds, left)) is not None:
        groups.append(group)
        left &= ~group.members
    groups = _merged(population, groups)
    while (group := _alike(population, kinds, left, expected)) is not None:
        groups.append(group)
        left &= ~group.members
    return sorted(groups, key=lambda each: (each.log_p, each.columns))


def _next(population: Population, kinds: Mapping[str, Kind], left: np.ndarray) -> Group | None:
    """The most improbable group among the findings that are left."""
    best: Segment | None = None
    members = np.zeros(0, dtype=bool)
    families = _families(population, left)
    for led in families:
        found = best_segment(population, led, _touched(population, led))
        if found is not None and (best is None or found.rank < best.rank):
            best, members = found, led & found.found
    tried = float(np.log(max(len(families), 1)))
    if best is None or best.log_p + tried > SURE:
        return None
    members = _alike_in(population, kinds, _joined(population, members, left, best))
    columns = _leading(population, members)
    return Group(members, columns, best.conditions, best.log_p + tried, best.found, best.sampled)


def _families(population: Population, left: np.ndarray) -> list[np.ndarray]:
    """The findings that a column leads, and those that it leads with the columns that go wrong together with it."""
    sets: dict[bytes, np.ndarray] = {}
    for name, leads in population.leading.items():
        led = leads & left
        if led.any():
            together = _any(population, _together(population, name, left)) & left
            for members in (led, together, *_in_one_way(population, name, led)):
                if members.sum() >= FEWEST:
                    sets.setdefault(members.tobytes(), members)
    return list(sets.values())


def _in_one_way(population: Population, name: str, led: np.ndarray) -> list[np.ndarray]:
    """Of the findings that a column leads those with the same value, and those that break the same rule, if not few."""
    ways: dict[object, list[int]] = {}
    for at in np.flatnonzero(led).tolist():
        part = population.findings[at].part(name)
        if part is not None:
            ways.setdefault(("value", part.observed), []).append(at)
            if part.rule is not None:
                ways.setdefault(("rule", part.rule), []).append(at)
    found = []
    for places in (each for each in ways.values() if len(each) >= WAY * led.sum()):
        members = np.zeros(len(led), dtype=bool)
        members[places] = True
        found.append(members)
    return found


def _together(population: Population, name: str, left: np.ndarray) -> set[str]:
    """The column, and those that go wrong together with it: each is involved in a good part of what the other leads."""
    return {name} | {
        other
        for other, leads in population.leading.items()
        if other != name
        and _part_of(population.involved[other], population.leading[name] & left) >= TOGETHER
        and _part_of(population.involved[name], leads & left) >= TOGETHER
    }


def _part_of(some: np.ndarray, members: np.ndarray) -> float:
    """The share of the members that are among `some`; 0 where there is no member."""
    return float((some & members).sum() / max(members.sum(), 1))


def _any(population: Population, names: set[str]) -> np.ndarray:
    return np.asarray(np.any([population.leading[name] for name in sorted(names)], axis=0))


def _touched(population: Population, members: np.ndarray) -> set[str]:
    """The columns that lead some of the members, or are involved in a good part of them."""
    leading = {name for name, leads in population.leading.items() if _part_of(leads, members) >= MEMBER}
    ordered = {column.name for column in population.columns if column.ordered}
    return leading | {
        name
        for name, each in population.involved.items()
        if _part_of(each, members) >= (INVOLVED_NUMBER if name in ordered else INVOLVED)
    }


def _joined(population: Population, members: np.ndarray, left: np.ndarray, segment: Segment) -> np.ndarray:
    """The members, and the findings of the segment led by columns that are involved in the members too, where those are
    improbably many as well."""
    inside = left & segment.found & ~members
    size = population.records(segment.found, segment.sampled)
    for name in sorted(_touched(population, members) & population.leading.keys()):
        leads = population.leading[name]
        count, led = int((leads & inside).sum()), int((leads & left & ~members).sum())
        if count:
            log_p = binom.logsf(count - 1, max(size, count), led / population.size)
            if log_p < JOINS:
                members = members | (leads & inside)
    return members


def _alike_in(population: Population, kinds: Mapping[str, Kind], members: np.ndarray) -> np.ndarray:
    """The members without those whose leading column is wrong in another way, where nearly all are wrong in one way."""
    column = _leading(population, members)[0]
    places = [at for at in np.flatnonzero(members).tolist() if column in population.findings[at].columns]
    manner = manner_of(_parts(population, places, column), kinds.get(column))
    kept = members.copy()
    if manner.same:
        kept[[at for at, fits in zip(places, manner.fits, strict=True) if not fits]] = False
    return kept if kept.sum() >= FEWEST else members


def _parts(population: Population, places: Iterable[int], column: str) -> list[Part]:
    """The column's part in the findings at these places, where it leads."""
    parts = (population.findings[at].part(column) for at in places)
    return [part for part in parts if part is not None]


def _leading(population: Population, members: np.ndarray) -> tuple[str, ...]:
    """The columns that lead the members, most frequent first; at least one."""
    firsts = Counter(finding.columns[0] for finding, is_in in zip(population.findings, members, strict=True) if is_in)
    counts = Counter({name: int((leads & members).sum()) for name, leads in population.leading.items()})
    ranked = sorted(counts, key=lambda name: (-firsts[name], -counts[name], name))
    count = members.sum()
    return tuple(name for at, name in enumerate(ranked) if at == 0 or firsts[name] >= MEMBER * count)


def _merged(population: Population, groups: list[Group]) -> list[Group]:
    """Groups of one segment whose columns go wrong together are one: each of their records shows it in its own way."""
    merged: list[Group] = []
    for group in groups:
        same = next((at for at, other in enumerate(merged) if _belong_together(population, group, other)), None)
        if same is None:
            merged.append(group)
        else:
            members = merged[same].members | group.members
            merged[same] = replace(merged[same], members=members, columns=_leading(population, members))
    return merged


def _belong_together(population: Population, one: Group, other: Group) -> bool:
    if {*one.conditions} != {*other.conditions}:
        return False
    return all(
        _part_of(np.any([population.involved[name] for name in that.columns], axis=0), this.members) >= TOGETHER
        for this, that in ((one, other), (other, one))
    )


def _alike(population: Population, kinds: Mapping[str, Kind], left: np.ndarray, expected: float) -> Group | None:
    """A group without a segment: findings of one column that are all wrong in the same way, too many for chance."""
    for name in sorted(population.leading):
        members = left & _first(population, name)
        count = int(members.sum())
        if count < FEWEST_ALIKE:
            continue
        log_p = float(poisson.logsf(count - 1, max(expected, 0.1))) + float(np.log(len(population.leading)))
        places = np.flatnonzero(members).tolist()
        manner = manner_of(_parts(population, places, name), kinds.get(name))
        if log_p < SURE and manner.same:
            members[[at for at, fits in zip(places, manner.fits, strict=True) if not fits]] = False
            return Group(members, (name,), (), log_p, None, None)
    return None


def _first(population: Population, name: str) -> np.ndarray:
    return np.array([finding.columns[0] == name for finding in population.findings], dtype=bool)
