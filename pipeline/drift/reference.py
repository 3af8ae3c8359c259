"""The training window as later partitions are compared with it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.drift.measures import FEWEST_RECORDS, ks, psi
from pipeline.drift.signals import Signal, edges_of, levels_of, places, taken
from pipeline.drift.words import moved
from pipeline.encoding import Encoder
from pipeline.encoding.reading import plain

FEWEST_PARTITIONS = 5
USUAL = 0.9
MARGIN = 1.5
"""A column has drifted from so many times its usual stability index on: weeks differ more than the nights of one."""
SENSITIVE_DECIMALS = 1


class Reference:
    """How often the bins of every column came in the training window; its state is JSON."""

    def __init__(self, encoder: Encoder, signals: Iterable[Signal]) -> None:
        self.encoder = encoder
        self.signals = tuple(signals)

    @classmethod
    def fit(cls, encoder: Encoder, table: pa.Table, sensitive: Collection[str] = ()) -> Reference:
        """Learn from the accepted records of a window, which hold the columns of `encoder` and its anchor.

        Of `sensitive` columns the edges between bins are rounded to a tenth of a standard deviation, as those of
        remembered records are.
        """
        matrix = encoder.encode(table).matrix
        partition = _partitions(encoder, table)
        typical = len(matrix) / max(int(partition.max(initial=-1)) + 1, 1)
        signals = []
        for column, slot, turns, is_level in places(encoder):
            values = taken(matrix, slot, turns)
            decimals = SENSITIVE_DECIMALS if column in sensitive else None
            edges = None if is_level else edges_of(values, decimals)
            levels = levels_of(values, typical) if is_level else None
            bins = len(levels) + 1 if levels is not None else len(edges or ()) + 2
            blank = Signal(column, slot, turns, edges, levels, [0] * bins, sensitive=column in sensitive)
            by_partition = _by_partition(blank, matrix, partition)
            signal = replace(blank, counts=by_partition.sum(axis=0).tolist())
            signals.append(replace(signal, usual=_usual(signal, by_partition)))
        return cls(encoder, signals)

    def to_state(self) -> list[dict[str, Any]]:
        """Everything but the encoder, as JSON values."""
        return [signal.to_state() for signal in self.signals]

    @classmethod
    def from_state(cls, encoder: Encoder, state: Iterable[Mapping[str, Any]]) -> Reference:
        """The reference that `to_state` wrote beside the state of `encoder`."""
        return cls(encoder, (Signal(**signal) for signal in state))

    def count(self, matrix: np.ndarray) -> np.ndarray:
        """How often each bin of each column comes among encoded records (n, slots): int64, to be added over batches."""
        found = [signal.counted(matrix) for signal in self.signals]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def measure(self, counts: np.ndarray) -> dict[tuple[str, str], float]:
        """`psi` of every column and `ks` of those with an order, from `count` of a partition; empty of too few records.

        Of a column that is compared in several ways the farthest counts.
        """
        found: dict[tuple[str, str], float] = {}
        for signal, here in self._of_signals(counts):
            if here.sum() < FEWEST_RECORDS:
                continue
            window = np.array(signal.counts)
            measured = {"psi": psi(signal.grouped(window), signal.grouped(here))}
            if signal.edges is not None:
                measured["ks"] = ks(window[:-1], here[:-1])
            for name, value in measured.items():
                found[signal.column, name] = max(value, found.get((signal.column, name), 0.0))
        return found

    def bounds(self, max_drift: float) -> dict[str, float]:
        """From which stability index on each column has drifted.

        That is `max_drift`, or more for a column that goes beyond it in the window already: by weekday, by the weather.
        """
        found: dict[str, float] = {}
        for signal in self.signals:
            bound = max(max_drift, MARGIN * signal.usual)
            found[signal.column] = max(bound, found.get(signal.column, 0.0))
        return found

    def in_words(self, column: str, counts: np.ndarray) -> str:
        """What has moved in a column, from `count` of a partition, as the end of a sentence; "" if hard to say."""
        farthest = max(
            (psi(signal.grouped(np.array(signal.counts)), signal.grouped(here)), at, signal, here)
            for at, (signal, here) in enumerate(self._of_signals(counts))
            if signal.column == column
        )
        return moved(farthest[2], self.encoder.columns[column], farthest[3])

    def _of_signals(self, counts: np.ndarray) -> Iterable[tuple[Signal, np.ndarray]]:
        ends = np.cumsum([signal.bins for signal in self.signals])[:-1]
        return zip(self.signals, np.split(counts, ends), strict=True)


def _partitions(encoder: Encoder, table: pa.Table) -> np.ndarray:
    """To which partition each record belongs, int64 (n,), from 0; all to one where there is no anchor."""
    if encoder.anchor is None:
        return np.zeros(table.num_rows, np.int64)
    found = pc.dictionary_encode(plain(table.column(encoder.anchor)), null_encoding="encode").combine_chunks()
    return np.asarray(found.indices.to_numpy(), np.int64)


def _by_partition(signal: Signal, matrix: np.ndarray, partition: np.ndarray) -> np.ndarray:
    """How often each bin came in each partition, int64 (partitions, bins)."""
    count = int(partition.max(initial=-1)) + 1
    flat = partition * signal.bins + signal.binned(matrix)
    return np.bincount(flat, minlength=count * signal.bins).reshape(count, signal.bins)


def _usual(signal: Signal, by_partition: np.ndarray) -> float:
    """The stability index that a tenth of the window's partitions exceeds, each compared with all the others."""
    if len(by_partition) < FEWEST_PARTITIONS:
        return 0.0
    grouped = signal.grouped(by_partition)
    rest = grouped.sum(axis=0) - grouped
    told = [psi(others, own) for others, own in zip(rest, grouped, strict=True) if own.sum() >= FEWEST_RECORDS]
    return float(np.quantile(told, USUAL)) if told else 0.0
