"""The different values of a column, of findings and of sampled records, as codes of the same texts.

Of a column of numbers nearly every value is different and hardly one is ever told. A number is its own place, so that
its text is made when it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from pipeline.incidents.order import place
from pipeline.records import as_text

LONGEST_VALUE = 100
"""A longer text names no segment that a person could act on."""


class Levels:
    """Some texts, None for null, then those of some numbers; `places` (n,) of all, float64, NaN where there is none."""

    def __init__(self, texts: Sequence[str | None], numbers: pa.Array, places: np.ndarray) -> None:
        self._texts, self._numbers, self.places = texts, numbers, places

    def __len__(self) -> int:
        return len(self.places)

    def text(self, level: int) -> str | None:
        """The text of one level."""
        known = len(self._texts)
        return self._texts[level] if level < known else as_text(self._numbers[level - known].as_py())

    @cached_property
    def unhandy(self) -> np.ndarray:
        """Which levels are too long to be told, bool (n,)."""
        found = np.zeros(len(self), dtype=bool)
        found[: len(self._texts)] = [len(text or "") > LONGEST_VALUE for text in self._texts]
        return found


def levels_of(told: Sequence[str | None], sample: pa.ChunkedArray) -> tuple[Levels, np.ndarray, np.ndarray]:
    """The levels of texts and of a sample, in the order in which they come, and the level of each, int64."""
    texts: dict[str | None, int] = {}
    found = np.array([texts.setdefault(text, len(texts)) for text in told], dtype=np.int64)
    values, codes = _distinct(sample)
    numbers = _places(values)
    if numbers is None:
        level = [texts.setdefault(as_text(value), len(texts)) for value in values.to_pylist()]
        levels = Levels(list(texts), values[:0], np.array([place(text) for text in texts]))
        return levels, found, np.array(level, dtype=np.int64)[codes]
    levels, of_value = _of_numbers(list(texts), values, numbers)
    return levels, found, of_value[codes]


def _distinct(sample: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """The different values in the order in which they come, and which of them each value is, int (n,)."""
    values = sample.combine_chunks()
    if isinstance(values, pa.DictionaryArray):
        values = values.dictionary_decode()
    try:
        encoded = values.dictionary_encode(null_encoding="encode")
    except pa.ArrowNotImplementedError:
        return values, np.arange(len(values))
    return encoded.dictionary, np.asarray(encoded.indices)


def _places(values: pa.Array) -> np.ndarray | None:
    """Numbers as their own places, float64, NaN for null; None where two may have one text, or a text has no place."""
    if not (pt.is_floating(values.type) or pt.is_integer(values.type)):
        return None
    places = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    there = places[np.asarray(values.is_valid())]
    # Zero has one text, whatever its sign; larger integers may share a place.
    own = np.isfinite(there) & ((np.abs(there) < 2**53) | pt.is_floating(values.type))
    return places if own.all() and not np.signbit(there[there == 0]).any() else None


def _of_numbers(texts: list[str | None], values: pa.Array, places: np.ndarray) -> tuple[Levels, np.ndarray]:
    """The levels of `texts` and of those values that are none of them; the level of each value, int64."""
    order = np.argsort(places)
    of_texts = np.array([place(text) for text in texts], dtype=np.float64)
    level = np.full(len(places), -1)
    if len(order):
        nearest = order[np.minimum(np.searchsorted(places, of_texts, sorter=order), len(order) - 1)]
        for code, (text, at) in enumerate(zip(texts, nearest.tolist(), strict=True)):
            if as_text(values[at].as_py()) == text:
                level[at] = code
    new = level < 0
    level[new] = len(texts) + np.arange(new.sum())
    return Levels(texts, values.filter(pa.array(new)), np.concatenate([of_texts, places[new]])), level
