"""Categories and booleans to levels and back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.encoding.cells import Cell, Events, Fitted, chance, nowhere
from pipeline.encoding.reading import as_texts, count_nulls, is_null
from pipeline.monitor import Kind
from pipeline.records import hidden_text

MOST_LEVELS = 256
FEWEST_RECORDS = 10
"""A value seen in fewer records (in a small window: than one in a thousand, or 3) has no level of its own: what goes
with it could not be learned, and the level of the rare ones says so."""


@dataclass(frozen=True)
class CategoricalEncoder(Fitted):
    """A category: the frequent values have a level each, the rest of those seen share one; null has its own.

    Of a sensitive column (`hidden`) the digests of the values are kept.
    """

    kind: ClassVar[Kind] = "categorical"
    levels: list[str]
    rare: list[str]
    singletons: int
    hidden: bool = False

    @classmethod
    def fit(cls, values: pa.ChunkedArray, anchor: np.ndarray | None) -> CategoricalEncoder:
        counts = as_texts(values).drop_null().value_counts()
        pairs = sorted(
            zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True),
            key=lambda pair: (-pair[1], pair[0]),
        )
        names = [name for name, _ in pairs]
        once = sum(count == 1 for _, count in pairs)
        fewest = min(FEWEST_RECORDS, max(3, len(values) // 1000))
        own = min(MOST_LEVELS, sum(count >= fewest for _, count in pairs))
        return cls(len(values), count_nulls(values), names[:own], sorted(names[own:]), once)

    @property
    def cells(self) -> list[Cell]:
        """Level 0 is null, then the frequent values, last (where there are any) the rare ones together."""
        return [Cell(1, 1 + len(self.levels) + bool(self.rare))]

    def encode(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> np.ndarray:
        known = pa.array([*self.levels, *self.rare], pa.string())
        texts = as_texts(values)
        found = np.asarray(pc.index_in(self._shown(texts), known).fill_null(-1)).astype(np.float32)
        codes = np.where(found < 0, -1, np.minimum(found, len(self.levels)) + 1).astype(np.float32)
        codes[is_null(texts)] = 0.0 if self.nulls else -1.0
        return codes[:, None]

    def events(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> Events:
        return self.read(values, anchor)[1]

    def read(self, values: pa.ChunkedArray, anchor: np.ndarray | None) -> tuple[np.ndarray, Events]:
        codes = self.encode(values, anchor)
        unseen = ~is_null(values) & (codes[:, 0] < 0)
        return codes, Events(unseen, nowhere(values), self.unexpected_null(values), nowhere(values))

    def rarity(self, event: str) -> float:
        """Good-Turing: the share of values seen once is the chance that the next one is new (Good 1953, eq. 9)."""
        return chance(self.singletons if event == "unseen_category" else 0, self.records)

    def decode(self, cells: list[np.ndarray], anchor: np.ndarray | None) -> list[Any]:
        names: list[str | None] = [None, *self.levels, "(a rare value)"]
        logits = cells[0].copy()
        if not self.nulls:
            logits[:, 0] = -np.inf
        return [names[i] for i in logits.argmax(axis=1)]

    def discreet(self) -> Self:
        hidden, rare = ([str(hidden_text(name)) for name in names] for names in (self.levels, self.rare))
        return replace(self, levels=hidden, rare=sorted(rare), hidden=True)

    def revealed(self, values: pa.ChunkedArray) -> Self:
        """With values in place of their digests, where `values` holds them; levels stay in their order."""
        known = {hidden_text(name): name for name in as_texts(values).drop_null().unique().to_pylist()}
        if not self.hidden:
            return self
        levels, rare = ([known.get(name, name) for name in names] for names in (self.levels, self.rare))
        return replace(self, levels=levels, rare=rare, hidden=False)

    def _shown(self, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        """The texts as the levels hold them: of a sensitive column the digest of each different one."""
        if not self.hidden:
            return texts
        coded = texts.combine_chunks().dictionary_encode()
        digests = pa.array([hidden_text(name) for name in coded.dictionary.to_pylist()], pa.string())
        return pa.chunked_array([digests.take(coded.indices)])


class BooleanEncoder(CategoricalEncoder):
    """True, false and null: a category of two values."""

    kind: ClassVar[Kind] = "boolean"

    def misread(self, values: pa.ChunkedArray) -> np.ndarray:
        """All but the two most frequent values."""
        two = len(self.levels) if len(self.levels) + len(self.rare) > 2 else 2
        return ~is_null(values) & (self.encode(values, None)[:, 0] > min(2, two))
