"""The forms that texts had: lengths, shares of the classes of characters, the characters themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

CLASSES = (r"[0-9]", r"\pL", r"\p{Lu}", r"\s", r"[^0-9\pL\s]")
MOST_CHARACTERS = 128
ROOM = 0.1


@dataclass(frozen=True)
class Form:
    """The bounds of a column's texts, which an identifier that was cut off or has strange characters leaves.

    `low` and `high` bound the logarithm of the length and the share of each class; `characters` are all that came, or
    None where they were too many; `always` are those that every text has, such as the @ of an address.
    """

    low: list[float]
    high: list[float]
    characters: str | None
    always: str

    @classmethod
    def fit(cls, texts: pa.ChunkedArray) -> Form:
        """From texts without null."""
        if len(texts) == 0:
            return cls([0.0] * (1 + len(CLASSES)), [0.0] * (1 + len(CLASSES)), None, "")
        features = form_features(texts)
        sets = [frozenset(text) for text in pc.unique(texts).to_pylist()]
        came = frozenset[str]().union(*sets)
        return cls(
            features.min(axis=0).tolist(),
            features.max(axis=0).tolist(),
            "".join(sorted(came)) if len(came) <= MOST_CHARACTERS else None,
            "".join(sorted(sets[0].intersection(*sets))),
        )

    def strange(self, texts: pa.ChunkedArray) -> np.ndarray:
        """Which texts, bool (n,), are out of bounds by more than a tenth of what lies between; never a null."""
        low, high = np.array(self.low), np.array(self.high)
        features, room = form_features(texts), ROOM * (high - low) + 1e-9
        found = ((features < low - room) | (features > high + room)).any(axis=1)
        coded = texts.combine_chunks().dictionary_encode()
        odd = np.array([text is not None and self._is_odd(text) for text in coded.dictionary.to_pylist()], dtype=bool)
        found |= odd[coded.indices.fill_null(0).to_numpy()] if len(odd) else False
        return np.asarray(found & np.asarray(pc.is_valid(texts)))

    def _is_odd(self, text: str) -> bool:
        own = set(text)
        return not own.issuperset(self.always) or not (self.characters is None or own.issubset(self.characters))


def form_features(texts: pa.ChunkedArray) -> np.ndarray:
    """float64 (n, 6): log length and the shares of classes of characters; zeros for null."""
    texts = pc.fill_null(texts, "")
    length = np.asarray(pc.utf8_length(texts)).astype(np.float64)
    counts = [np.asarray(pc.count_substring_regex(texts, each)).astype(np.float64) for each in CLASSES]
    return np.concatenate(
        [np.log1p(length)[:, None], np.stack(counts, axis=1) / np.maximum(length, 1)[:, None]], axis=1
    )
