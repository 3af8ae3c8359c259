"""Texts to their form: length, classes of characters, hashed pairs."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.encoding.cells import (
    Cell,
    Events,
    Fitted,
    as_numbers,
    as_texts,
    chance,
    count_nulls,
    is_null,
    nowhere,
)
from pipeline.monitor import Kind

CLASSES = (r"[0-9]", r"\pL", r"\p{Lu}", r"\s", r"[^0-9\pL\s]")


@dataclass(frozen=True)
class TextEncoder(Fitted):
    """A text by its form: length, share of digits, capitals, spaces and signs, and hashed pairs of characters."""

    kind: ClassVar[Kind] = "text"
    mean: list[float]
    scale: list[float]
    form: ClassVar[int] = 6
    pairs: ClassVar[int] = 10

    @classmethod
    def fit(cls, values: pa.ChunkedArray, anchor: np.ndarray | None) -> TextEncoder:
        features = _text_features(values, cls.pairs)
        seen = features[~is_null(values)]
        if len(seen) == 0:
            seen = np.zeros((1, features.shape[1]))
        spread = seen.std(axis=0)
        return cls(
            len(values), count_nulls(values), seen.mean(axis=0).tolist(), np.where(spread > 1e-9, spread, 1.0).tolist()
        )

    @property
    def cells(self) -> list[Cell]:
        return [Cell(self.form, 0), Cell(self.pairs, 0), *self.presence]

    def encode(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> np.ndarray:
        z = (_text_features(values, self.pairs) - np.array(self.mean)) / np.array(self.scale)
        z[is_null(values)] = np.nan
        return self.with_presence(z.astype(np.float32), values)

    def events(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> Events:
        return Events(nowhere(values), nowhere(values), self.unexpected_null(values))

    def rarity(self, event: str) -> float:
        return chance(0, self.records)

    def decode(self, cells: list[np.ndarray], anchor: np.ndarray | None) -> list[Any]:
        lengths = np.expm1(np.clip(cells[0][:, 0] * self.scale[0] + self.mean[0], 0, 20))
        return self.absent_as_none([f"(a text of about {round(n)} characters)" for n in lengths.tolist()], cells[2:])


def _text_features(values: pa.ChunkedArray, pairs: int) -> np.ndarray:
    """float64 (n, 6 + pairs): log length, shares of classes of characters, shares of hashed pairs."""
    texts = pc.fill_null(as_texts(values), "")
    length = as_numbers(pc.utf8_length(texts))
    counts = [as_numbers(pc.count_substring_regex(texts, pattern)) for pattern in CLASSES]
    shares = np.stack(counts, axis=1) / np.maximum(length, 1)[:, None]
    return np.concatenate([np.log1p(length)[:, None], shares, _hashed_pairs(texts, pairs)], axis=1)


def _hashed_pairs(texts: pa.ChunkedArray, buckets: int) -> np.ndarray:
    """float64 (n, buckets): square roots of the shares of character pairs by CRC-32 bucket, each distinct text once."""
    coded = texts.combine_chunks().dictionary_encode()
    table = np.zeros((len(coded.dictionary), buckets))
    for row, text in enumerate(coded.dictionary.to_pylist()):
        raw = text[:256].lower().encode()
        for i in range(len(raw) - 1):
            table[row, zlib.crc32(raw[i : i + 2]) % buckets] += 1
    table = np.sqrt(table / np.maximum(table.sum(axis=1, keepdims=True), 1))
    return table[coded.indices.to_numpy()] if len(table) else np.zeros((len(texts), buckets))
