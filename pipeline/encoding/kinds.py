"""What kind of column this is: numeric, categorical, boolean, datetime, clock or text, with the reason in words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipeline.encoding.reading import is_number, is_text, plain, raw_numbers
from pipeline.monitor import Kind

FEW_LEVELS = 1_000
REPEATING = 0.2
CLOCK_TEXT = r"^(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)(?::[0-5]\d(?:\.\d+)?)?$"
# A window is never clean: a kind that holds for all but these few cells is still the column's kind.
DIRT = 0.005

FEWEST_IDENTIFIERS = 100
# Kolmogorov's statistic stays below this in all but one of 3,000 even samples.
UNEVEN = 2.0


class Inference(NamedTuple):
    """The kind of a column and why, in words that go into a monitor's file as a comment."""

    kind: Kind
    reason: str


def infer_kind(column: pa.ChunkedArray) -> Inference:
    """The kind of `column` from its Arrow type and values; a column of nulls only is categorical."""
    column = plain(column)
    kind = column.type
    if pt.is_boolean(kind):
        return Inference("boolean", "true or false")
    if pt.is_date(kind) or pt.is_timestamp(kind):
        return Inference("datetime", f"type {kind}")
    if pt.is_time(kind):
        return Inference("clock", f"type {kind}")
    values = column.drop_null()
    if len(values) == 0:
        return Inference("categorical", "no value seen")
    if is_number(kind):
        return _infer_number(values)
    if pt.is_duration(kind):
        return Inference("numeric", f"type {kind}")
    if is_text(kind):
        return _infer_text(values)
    return Inference("text", f"type {kind}, read as text")


def _infer_number(values: pa.ChunkedArray) -> Inference:
    if _looks_like_hhmm(pc.unique(values), values):
        return Inference("clock", "whole numbers that read as hhmm")
    if looks_like_hhmmss(raw_numbers(values)):
        return Inference("clock", "whole numbers that read as hhmmss")
    if pt.is_integer(values.type):
        levels = len(pc.unique(values))
        if levels <= 2:
            return Inference("categorical", "at most two whole numbers")
        if _looks_random(raw_numbers(values), levels):
            return Inference("text", "whole numbers, each another and spread evenly: identifiers")
    return Inference("numeric", f"type {values.type}")


def _looks_like_hhmm(levels: pa.Array, values: pa.ChunkedArray) -> bool:
    """Whether numbers are times of day written 0 to 2400: no minute above 59 by chance alone is out of the question."""
    seen = np.asarray(levels.cast(pa.float64(), safe=False))
    if len(seen) < 30:
        return False
    every = np.asarray(values.cast(pa.float64(), safe=False))
    valid = valid_hhmm(every)
    hours = np.unique(every[valid] // 100)
    return bool(valid.mean() >= 1 - DIRT and len(hours) >= 6 and valid_hhmm(seen).sum() >= 30)


def valid_hhmm(values: np.ndarray) -> np.ndarray:
    """Which float64 numbers are a time of day written as hhmm; 2400 is midnight at the end of a day."""
    with np.errstate(invalid="ignore"):
        return np.asarray((values >= 0) & (values <= 2400) & (values % 100 < 60) & (values % 1 == 0))


def valid_hhmmss(values: np.ndarray) -> np.ndarray:
    """Which float64 numbers are a time of day written as hhmmss; 240000 is midnight at the end of a day."""
    with np.errstate(invalid="ignore"):
        return np.asarray(valid_hhmm(values // 100) & (values <= 240_000) & (values % 100 < 60) & (values % 1 == 0))


def looks_like_hhmmss(values: np.ndarray) -> bool:
    """Whether numbers are times of day to the second: all valid, at many minutes and seconds of many hours."""
    values = values[~np.isnan(values)]
    valid = valid_hhmmss(values)
    if valid.sum() < max(30, (1 - DIRT) * len(values)):
        return False
    hours, minutes, seconds = (len(np.unique(values[valid] // unit % 100)) for unit in (10_000, 100, 1))
    return hours >= 6 and minutes >= 10 and seconds >= 10


def _looks_random(values: np.ndarray, levels: int) -> bool:
    """Whether whole numbers are drawn evenly from far more than a table counts, as hashes and random keys are."""
    if len(values) < FEWEST_IDENTIFIERS or levels < (1 - DIRT) * len(values) or np.ptp(values) < 2.0**53:
        return False
    ranks = (np.sort(values) - values.min()) / np.ptp(values)
    away = np.abs(ranks - np.linspace(0, 1, len(ranks))).max()
    return bool(away < UNEVEN / len(ranks) ** 0.5)


def _infer_text(values: pa.ChunkedArray) -> Inference:
    levels = pc.unique(values)
    if pc.mean(pc.match_substring_regex(values, CLOCK_TEXT)).as_py() >= 1 - DIRT and len(levels) > 2:
        return Inference("clock", "texts that read as hh:mm")
    if len(levels) <= FEW_LEVELS and len(levels) <= max(50, 0.5 * len(values)):
        return Inference("categorical", f"{len(levels)} different texts")
    if len(levels) <= REPEATING * len(values):
        return Inference("categorical", f"{len(levels)} different texts that repeat")
    return Inference("text", f"{len(levels)} different texts in {len(values)} records")
