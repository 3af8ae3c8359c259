"""The screen: a few passes of one member tell most records from those that have to be measured in full.

The member is the first of the detector's network or, where many records a night are worth a training of its own, a
network half as wide. A column that is hidden together with those it follows from surprises nobody. So columns are
parted into groups whose members tell little of each other, as the network itself says; of a relation that a wrong value
breaks, one column then has the others in sight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.calibration import Conformal, EvenSurprise
from pipeline.detector.network import Network
from pipeline.detector.side_by_side import even_parts, side_by_side
from pipeline.detector.voices import ColumnVoice, MemoryVoice, fused

GROUPS = 3
AT_A_TIME = 16_384
"""So many records are screened at a time: few enough that all cores have some."""
DRAWS, RECORDS = 384, 64
MOST_NATS = 10.0
STARTS = 50


@dataclass
class Screen:
    """What a record's group-wise errors say, and how improbable that is: `ranks` of held-out records' values.

    `own` says that it has a network of its own.
    """

    voice: ColumnVoice
    ranks: Conformal
    groups: np.ndarray
    own: bool

    @classmethod
    def fit(
        cls,
        network: Network,
        matrix: np.ndarray,
        folds: np.ndarray,
        remembers: np.ndarray | None,
        seed: int,
        own: bool = False,
    ) -> Screen:
        """The screen of the first member of `network`, by the records (n, slots) of its fold, which it never saw.

        `remembers` (n,) is what the memory says of each record, None where there is none. `own` says that the network
        is the screen's own.
        """
        unseen = np.flatnonzero(folds == 0)
        groups = apart(dependence(network, matrix[unseen], seed), GROUPS, seed)
        voice, surprise = ColumnVoice.fit(
            network.alone(0, groups.tolist()), matrix[unseen], np.zeros(len(unseen), int), EvenSurprise
        )
        ranks = Conformal.fit(fused([surprise], None if remembers is None else remembers[unseen]))
        return cls(voice, ranks, groups, own)

    def p_values(self, matrix: np.ndarray, memory: MemoryVoice | None) -> np.ndarray:
        """How improbable each record is as far as the screen can tell, float64 (n,)."""

        def told(part: slice) -> np.ndarray:
            columns = self.voice(self.voice.surprises(matrix[part]))
            return self.ranks.p_values(fused([columns], memory(matrix[part]) if memory else None))

        return np.concatenate([np.zeros(0), *side_by_side(told, even_parts(len(matrix), AT_A_TIME))])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` needs beside the network."""
        return {"groups": self.groups, **self.voice.to_arrays(), "ranks": self.ranks.scores}

    @classmethod
    def from_arrays(cls, network: Network, arrays: Mapping[str, np.ndarray], own: bool) -> Screen:
        """The screen that `to_arrays` wrote, of the same network."""
        groups = arrays["groups"]
        voice = ColumnVoice.from_arrays(network.alone(0, groups.tolist()), arrays, EvenSurprise)
        return cls(voice, Conformal(arrays["ranks"]), groups, own)


def dependence(network: Network, matrix: np.ndarray, seed: int) -> np.ndarray:
    """How many nats the error of a column grows by when another is hidden too, float64 (other, column).

    From random halves of the columns, hidden from a few of the records (n, slots): what several columns tell of another
    counts for each of them, as it does once all but one are hidden.
    """
    draw = np.random.default_rng(seed)
    columns = network.spec.column_count
    hidden = draw.random((DRAWS, columns)) < 0.5
    records = matrix[draw.integers(0, len(matrix), DRAWS * RECORDS)]
    errors = network.errors_with(records, np.repeat(hidden, RECORDS, axis=0).astype(np.float32))
    errors = np.minimum(errors, MOST_NATS).reshape(DRAWS, RECORDS, -1).mean(axis=1)
    of_column = errors @ (np.array(network.spec.columns)[:, None] == np.arange(columns))
    grown = np.zeros((columns, columns))
    for column in range(columns):
        away, error = hidden[hidden[:, column]], of_column[hidden[:, column], column][:, None]
        counts = np.maximum(away.sum(axis=0), 1), np.maximum((~away).sum(axis=0), 1)
        grown[:, column] = (error * away).sum(axis=0) / counts[0] - (error * ~away).sum(axis=0) / counts[1]
        grown[column, column] = 0.0
    return np.maximum(grown, 0.0)


def apart(dependence: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The group of each column, int (columns,), so that little of `dependence` (columns, columns) lies within groups.

    The best of `STARTS` random partitions, each improved column by column until no move helps. A column goes where it
    has least to do with others; where that is the same, where there are fewest.
    """
    draw = np.random.default_rng(seed)
    tie = dependence + dependence.T
    company = tie.mean() / len(tie) + 1e-9
    best, least = np.arange(len(tie)) % count, np.inf
    for _ in range(STARTS):
        groups = draw.permutation(len(tie)) % count
        for _ in range(len(tie)):
            before = groups.copy()
            for column in draw.permutation(len(tie)):
                costs = tie[column] + company * (np.arange(len(tie)) != column)
                groups[column] = np.bincount(groups, costs, minlength=count).argmin()
            if (groups == before).all():
                break
        within = float(tie[groups[:, None] == groups].sum())
        if within < least:
            best, least = groups, within
    return best
