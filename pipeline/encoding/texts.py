"""Texts to their form: length, classes of characters, hashed pairs."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.encoding.cells import Cell, Events, Fitted, chance, nowhere
from pipeline.encoding.characters import Characters, lowered, slices
from pipeline.encoding.forms import Form, features_of
from pipeline.encoding.reading import as_texts, count_nulls, is_null
from pipeline.monitor import Kind

LONGEST = 256
"""The characters of a text whose pairs are looked at."""


@dataclass(frozen=True)
class TextEncoder(Fitted):
    """A text by its form: length, share of digits, capitals, spaces and signs, and hashed pairs of characters.

    A form out of the bounds of the window is an event; `strangers` is how many of one half of the window's texts are
    out of the bounds of the other half.
    """

    kind: ClassVar[Kind] = "text"
    mean: list[float]
    scale: list[float]
    form: Form
    strangers: int
    shares: ClassVar[int] = 6
    pairs: ClassVar[int] = 10

    @classmethod
    def fit(cls, values: pa.ChunkedArray, anchor: np.ndarray | None) -> TextEncoder:
        texts = as_texts(values)
        features = _text_features(texts, cls.pairs)
        seen = features[~is_null(values)]
        if len(seen) == 0:
            seen = np.zeros((1, features.shape[1]))
        spread = seen.std(axis=0)
        there = texts.drop_null()
        first, second = there[: len(there) // 2], there[len(there) // 2 :]
        return cls(
            len(values),
            count_nulls(values),
            seen.mean(axis=0).tolist(),
            np.where(spread > 1e-9, spread, 1.0).tolist(),
            Form.fit(there),
            int(Form.fit(first).strange(second).sum()),
        )

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        return cls(**{**state, "form": Form(**state["form"])})

    @property
    def cells(self) -> list[Cell]:
        return [Cell(self.shares, 0), Cell(self.pairs, 0), *self.presence]

    def encode(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> np.ndarray:
        return self.read(values, anchor)[0]

    def events(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> Events:
        return self.read(values, anchor)[1]

    def read(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> tuple[np.ndarray, Events]:
        absent = is_null(values)
        features, strange = [np.zeros((0, self.shares + self.pairs))], [nowhere(values[:0])]
        for texts in slices(as_texts(values)):
            found = Characters(texts)
            features.append(_features(texts, found, self.pairs))
            strange.append(self.form.out_of_bounds(found, features[-1][:, : self.shares]))
        z = (np.concatenate(features) - np.array(self.mean)) / np.array(self.scale)
        z[absent] = np.nan
        odd = ~absent if self.nulls == self.records else np.concatenate(strange) & ~absent
        of_values = Events(nowhere(values), odd, self.unexpected_null(values), nowhere(values))
        return self.with_presence(z.astype(np.float32), values), of_values

    def rarity(self, event: str) -> float:
        """A strange form is as rare as it was in one half of the window by the bounds of the other."""
        halved = self.records - self.records // 2
        return chance(self.strangers, halved) if event == "out_of_range" else chance(0, self.records)

    def decode(self, cells: list[np.ndarray], anchor: np.ndarray | None) -> list[Any]:
        lengths = np.expm1(np.clip(cells[0][:, 0] * self.scale[0] + self.mean[0], 0, 20))
        return self.absent_as_none([f"(a text of about {round(n)} characters)" for n in lengths.tolist()], cells[2:])


def _text_features(texts: pa.ChunkedArray, pairs: int) -> np.ndarray:
    """float64 (n, 6 + pairs): log length, shares of classes of characters, shares of hashed pairs."""
    each = [_features(some, Characters(some), pairs) for some in slices(texts)]
    return np.concatenate([*each, np.zeros((0, TextEncoder.shares + pairs))])


def _features(texts: pa.Array, found: Characters, pairs: int) -> np.ndarray:
    """The features of texts without null whose characters are `found`."""
    return np.concatenate([features_of(found), _hashed_pairs(texts, found, pairs)], axis=1)


def _hashed_pairs(texts: pa.Array, found: Characters, buckets: int) -> np.ndarray:
    """float64 (n, buckets): square roots of the shares of pairs of bytes by CRC-32 bucket, without regard to capitals.

    Of each text the first `LONGEST` characters count.
    """
    if np.diff(found.edges).max(initial=0) > LONGEST:
        texts = pc.utf8_slice_codeunits(texts, 0, LONGEST)
        found = Characters(texts)
    raw, edges = lowered(texts, found)
    text = np.repeat(np.arange(len(texts)), np.diff(edges))
    bucket = _pair_buckets(buckets)[raw[:-1].astype(np.uint16) << 8 | raw[1:]]
    within = text[:-1] == text[1:]
    cells = text[:-1][within] * buckets + bucket[within]
    table = np.bincount(cells, minlength=len(texts) * buckets).reshape(-1, buckets)
    return np.asarray(np.sqrt(table / np.maximum(table.sum(axis=1, keepdims=True), 1)))


@cache
def _pair_buckets(buckets: int) -> np.ndarray:
    """int64 (65,536,): the bucket of each pair of bytes."""
    return np.array([zlib.crc32(pair.to_bytes(2)) % buckets for pair in range(1 << 16)])
