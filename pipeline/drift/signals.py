"""What of an encoded column is compared, and its bins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipeline.drift.measures import GROUPS
from pipeline.encoding import Encoder

BINS = 100
MOST_LEVELS = 50
LEAST_SHARE = 0.01
FEWEST_EXPECTED = 5
TURN_DECIMALS = 5
FORM_CELLS = 6
BEYOND = 1e-4


@dataclass(frozen=True)
class Signal:
    """A number or a level in the encoded records at `slot`, and how often each of its bins came in the window.

    Of a number the bins are those between ascending `edges`, then one for null; of a time of day (`turns`, two slots:
    sine and cosine) the same. Of a category a bin for each of the frequent `levels`, one for all others, and null is a
    level or one of the others. `usual` is the stability index that one of ten partitions of the window itself exceeds,
    each compared with all the others.
    """

    column: str
    slot: int
    turns: bool
    edges: list[float] | None
    levels: list[int] | None
    counts: list[int]
    usual: float = 0.0
    sensitive: bool = False

    @property
    def bins(self) -> int:
        return len(self.counts)

    def binned(self, matrix: np.ndarray) -> np.ndarray:
        """The bin of each encoded record (n, slots), int64 (n,)."""
        values = taken(matrix, self.slot, self.turns)
        if self.edges is not None:
            found = np.searchsorted(np.array(self.edges), values, side="left")
            return np.where(np.isnan(values), len(self.edges) + 1, found)
        # The first place is for what was never seen (-1), the last for every level beyond those of the window.
        levels = np.array(self.levels or (), dtype=np.int64)
        bin_of = np.full(levels.max(initial=-1) + 3, len(levels))
        bin_of[levels + 1] = np.arange(len(levels))
        return np.asarray(bin_of[np.minimum(values.astype(np.int64) + 1, len(bin_of) - 1)])

    def counted(self, matrix: np.ndarray) -> np.ndarray:
        """How many of the encoded records (n, slots) are in each bin, int64 (bins,)."""
        if self.edges is None:
            return np.bincount(self.binned(matrix), minlength=self.bins)
        # Values are sorted several times as fast as the edges are searched for each of them.
        values = np.sort(taken(matrix, self.slot, self.turns))
        there = len(values) - int(np.isnan(values).sum())
        below = np.searchsorted(values[:there], self.edges, side="right")
        return np.diff(np.concatenate([below, [there, len(values)]]), prepend=0)

    def groups(self) -> np.ndarray:
        """The group of each bin, int64 (bins,): ten equally frequent ones of numbers and null; each level its own."""
        if self.edges is None:
            return np.arange(self.bins)
        counts = np.array(self.counts[:-1], dtype=np.float64)
        middles = (np.cumsum(counts) - counts / 2) / max(counts.sum(), 1.0)
        groups = np.minimum((middles * GROUPS).astype(int), GROUPS - 1)
        return np.append(np.unique(groups, return_inverse=True)[1], GROUPS)

    def grouped(self, counts: np.ndarray) -> np.ndarray:
        """Counts (..., bins) of bins as counts of groups (..., groups)."""
        groups = self.groups()
        return np.asarray(counts @ (groups[:, None] == np.arange(groups.max() + 1)))

    def to_state(self) -> dict[str, Any]:
        """The signal as JSON values."""
        return asdict(self)


def taken(matrix: np.ndarray, slot: int, turns: bool) -> np.ndarray:
    """The values of a signal, float64 (n,): as encoded, or turns of the day from sine and cosine."""
    if not turns:
        return np.asarray(matrix[:, slot], dtype=np.float64)
    angle = np.arctan2(matrix[:, slot].astype(np.float64), matrix[:, slot + 1])
    return np.asarray((angle / (2 * np.pi)).round(TURN_DECIMALS) % 1.0)


def places(encoder: Encoder) -> Iterator[tuple[str, int, bool, bool]]:
    """Column, slot, whether it is a time of day and whether it is a level, of all that is compared.

    Of a text the parts of its form are compared, of an instant its distance from the partition and its time of day; the
    weekday is the partition's. A number that grows is encoded by its distance from the level foretold.
    """
    cell = 0
    for name, column in encoder.columns.items():
        start, cells = encoder.starts[cell], column.cells
        cell += len(cells)
        if cells[0].levels:
            yield name, start, False, True
        elif column.kind == "text":
            yield from ((name, start + at, False, False) for at in range(FORM_CELLS))
        else:
            yield name, start, column.kind == "clock", False
            if column.kind == "datetime" and column.hours:  # type: ignore[attr-defined]
                yield name, start + 1, True, False


def edges_of(values: np.ndarray, decimals: int | None) -> list[float]:
    """Ascending edges between up to BINS equally frequent values, one below all and one above; none is a value itself.

    With `decimals` they are rounded, outward at the ends.
    """
    seen = np.sort(values[~np.isnan(values)])
    if not len(seen):
        return []
    at = np.unique((np.arange(1, BINS) / BINS * len(seen)).astype(int))
    lower = np.unique(seen[at])
    after = np.searchsorted(seen, lower, side="right")
    lower, after = lower[after < len(seen)], after[after < len(seen)]
    ends = [seen[0] - BEYOND * max(1.0, abs(seen[0])), seen[-1] + BEYOND * max(1.0, abs(seen[-1]))]
    edges = np.concatenate([ends[:1], (lower + seen[after]) / 2, ends[1:]])
    if decimals is not None:
        step = 10.0**-decimals
        edges = np.concatenate([[ends[0] - step], edges[1:-1], [ends[1] + step]]).round(decimals)
    return [float(f"{edge:.9g}") for edge in np.unique(edges)]


def levels_of(values: np.ndarray, typical: float) -> list[int]:
    """The levels frequent enough to be compared by themselves in a partition of `typical` records."""
    each, counts = np.unique(values, return_counts=True)
    least = max(LEAST_SHARE, FEWEST_EXPECTED / max(typical, 1.0)) * len(values)
    frequent = np.argsort(-counts, kind="stable")[:MOST_LEVELS]
    return [int(each[at]) for at in frequent if counts[at] >= least]
