"""What speaks for an anomaly: the reconstruction errors of a network's columns, the distance to what is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models import Spec
from pipeline.calibration import TailSurprise, log_sum_exp
from pipeline.detector.memory import Memory
from pipeline.detector.network import Network

MODESTY = 1.5


@dataclass
class ColumnVoice:
    """A network's errors as surprises: of each cell against its own held-out errors, of a record against theirs.

    `cells` holds a tail for each cell, `loudness` one for all columns together.
    """

    network: Network
    cells: list[TailSurprise]
    loudness: TailSurprise

    @classmethod
    def fit(
        cls, network: Network, matrix: np.ndarray, folds: np.ndarray, tails: type[TailSurprise] = TailSurprise
    ) -> tuple[ColumnVoice, np.ndarray]:
        """The voice of `network`, and the surprise of each record of `matrix` to the member that never saw it (n,)."""
        errors = network.held_out_errors(matrix, folds)
        cells = [tails.fit(cell) for cell in errors.T]
        loud = _loud(network.spec, _by_column(network.spec, cells, errors))
        loudness = TailSurprise.fit(loud)
        return cls(network, cells, loudness), loudness(loud)

    def surprises(self, matrix: np.ndarray) -> np.ndarray:
        """How much each column surprises each member, float64 (n, members, columns), in nats."""
        errors = self.network.errors(matrix).swapaxes(0, 1)
        each = [_by_column(self.network.spec, self.cells, member).T for member in errors]
        return np.moveaxis(np.stack(each), 2, 0)

    def __call__(self, surprises: np.ndarray) -> np.ndarray:
        """The surprise of each record (n,): its mean over members, each of which was calibrated alone."""
        each = [self.loudness(_loud(self.network.spec, member)) for member in surprises.swapaxes(0, 1)]
        return np.asarray(np.mean(each, axis=0))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` needs beside the network."""
        return {"cells": np.stack([tail.to_array() for tail in self.cells]), "loudness": self.loudness.to_array()}

    @classmethod
    def from_arrays(
        cls, network: Network, arrays: Mapping[str, np.ndarray], tails: type[TailSurprise] = TailSurprise
    ) -> ColumnVoice:
        """The voice of `network` that `to_arrays` wrote."""
        cells = [tails.from_array(cell) for cell in arrays["cells"]]
        return cls(network, cells, TailSurprise.from_array(arrays["loudness"]))


@dataclass
class MemoryVoice:
    """The distance to the nearest remembered record, as a surprise."""

    memory: Memory
    distance: TailSurprise

    @classmethod
    def fit(cls, memory: Memory, matrix: np.ndarray, own: np.ndarray) -> tuple[MemoryVoice, np.ndarray]:
        """The voice of `memory`, and the surprise of each row of `matrix`, whose place in the memory is `own` (n,)."""
        distances = memory.distances(matrix, own)
        tail = TailSurprise.fit(distances)
        return cls(memory, tail), tail(distances)

    def __call__(self, matrix: np.ndarray) -> np.ndarray:
        """The surprise of each record, float64 (n,)."""
        return self.distance(self.memory.distances(matrix))


def fused(columns: list[np.ndarray], remembers: np.ndarray | None) -> np.ndarray:
    """The anomaly score: the mean surprise of the networks and, where there is a memory, as much again of its own."""
    of_columns = np.mean(columns, axis=0)
    return np.asarray(of_columns if remembers is None else (of_columns + remembers) / 2)


def _by_column(spec: Spec, cells: list[TailSurprise], errors: np.ndarray) -> np.ndarray:
    """(n, columns) from one member's errors (n, cells): a column's surprise is that of its most surprising cell.

    An error in nats is a surprise by itself, on the network's word; held-out errors tell what the word is worth. The
    lesser of the two counts: what the network finds likely is no surprise for being rare, nor the other way round. Of
    levels the word counts `MODESTY` times, as a network that is trained to guess them is less sure than it could be.
    """
    found = np.zeros((spec.column_count, len(errors)))
    for tail, error, column, levels in zip(cells, errors.T, spec.columns, spec.levels, strict=True):
        surprise = tail(error)
        if levels or spec.scaled:
            surprise = np.minimum(surprise, error * (MODESTY if levels else 1.0))
        np.maximum(found[column], surprise, out=found[column])
    return found.T


def _loud(spec: Spec, surprise: np.ndarray) -> np.ndarray:
    """How loud a record's columns (n, columns) are together, (n,).

    On tables of numbers the loudest few are summed, as many as the square root of the number of columns and two at
    least; among categories one loud column is heard whatever the rest say.
    """
    if not spec.numbers_only:
        return log_sum_exp(surprise)
    few = max(2, round(spec.column_count**0.5))
    return np.asarray(np.sort(surprise, axis=1)[:, -few:].sum(axis=1))
