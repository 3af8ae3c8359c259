"""How improbable the events are: a value never seen, out of range, null or of another type, whatever the others are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.calibration import Conformal
from pipeline.encoding import EVENTS, Encoder
from pipeline.encoding.cells import ColumnEncoder
from pipeline.encoding.numbers import NumericEncoder
from pipeline.encoding.times import DatetimeEncoder

OUT_OF_RANGE = EVENTS.index("out_of_range")
NEVER = 0.001


def event_surprises(encoder: Encoder, table: pa.Table, folds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The surprise of each event, float64 (columns, len(EVENTS)), and that of each record of `table` (n,), in nats.

    A record's event is as improbable as any that is at least as rare: of thirty columns some number leaves its range in
    many a normal record. How often, the window tells: each fold of it (`folds` is 0 or 1, (n,)) is held against the
    values of the other. Half a window has seen less than the whole, so its events come about twice as often.

    Numbers and instants out of range are 0, unless they never varied: how far out they are, which counts, the networks
    see better.
    """
    events = np.zeros((table.num_rows, len(encoder.columns), encoder.rarities().shape[1]), dtype=bool)
    kinds = {name: column.kind for name, column in encoder.columns.items()}
    for fold in (0, 1):
        other = Encoder.fit(table.filter(pa.array(folds != fold)), kinds, encoder.anchor)
        events[folds == fold] = other.encode(table.filter(pa.array(folds == fold))).events
    measured = [at for at, column in enumerate(encoder.columns.values()) if _varies(column)]
    events[:, measured, OUT_OF_RANGE] = False
    seen = (events.sum(axis=0) / 2 + 1) / (table.num_rows + 1)
    rarity = -np.log(np.maximum(encoder.rarities(), seen))
    rarest = np.sort(rarest_event(events, rarity))
    at_least = len(rarest) - np.searchsorted(rarest, rarity, side="left")
    chance = (at_least / 2 + 1) / (table.num_rows + 1)
    # A small window cannot tell how rare is what it never held; it costs a flag in a window's length to say so.
    surprises = -np.log(np.where(at_least > 0, chance, np.minimum(chance, NEVER)))
    surprises[measured, OUT_OF_RANGE] = 0.0
    return surprises, rarest_event(events, surprises)


def rarest_event(events: np.ndarray, surprises: np.ndarray) -> np.ndarray:
    """The largest surprise among each record's events, float64 (n,), 0 where there is none."""
    return np.asarray(np.where(events, surprises, 0.0).max(axis=(1, 2)))


def floors_of(calibration: Conformal, surprises: np.ndarray) -> np.ndarray:
    """The least score of a record with an event of so many nats, float64 of the same shape; none for 0 nats."""
    each, place = np.unique(surprises, return_inverse=True)
    floors = [calibration.threshold(float(np.exp(-nats))) if nats > 0 else -np.inf for nats in each]
    return np.array(floors)[place].reshape(surprises.shape)


def _varies(column: ColumnEncoder) -> bool:
    """Whether this is a column of numbers or instants of which the window held more than one."""
    return isinstance(column, NumericEncoder | DatetimeEncoder) and column.scale.low < column.scale.high
