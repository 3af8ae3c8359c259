"""The forms that texts had: lengths, shares of the classes of characters, the characters themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.encoding.characters import Characters, slices

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
        came, always = _characters(texts)
        return cls(
            features.min(axis=0).tolist(),
            features.max(axis=0).tolist(),
            "".join(sorted(came)) if len(came) <= MOST_CHARACTERS else None,
            "".join(sorted(always)),
        )

    def strange(self, texts: pa.ChunkedArray) -> np.ndarray:
        """Which texts, bool (n,), are out of bounds by more than a tenth of what lies between; never a null."""
        each = [self.out_of_bounds(found, features_of(found)) for found in map(Characters, slices(texts))]
        return np.asarray(np.concatenate([*each, np.zeros(0, dtype=bool)]) & np.asarray(pc.is_valid(texts)))

    def out_of_bounds(self, texts: Characters, features: np.ndarray) -> np.ndarray:
        """Which texts, bool (n,), are strange, by their `features_of`; null counts as the empty text."""
        low, high = np.array(self.low), np.array(self.high)
        room = ROOM * (high - low) + 1e-9
        found = ((features < low - room) | (features > high + room)).any(axis=1)
        return np.asarray(found | self._odd(texts))

    def _odd(self, texts: Characters) -> np.ndarray:
        """Which texts have a character that never came, or lack one that every text had."""
        distinct = texts.distinct
        known = frozenset(distinct if self.characters is None else self.characters)
        kinds = [[each not in known for each in distinct]]
        kinds += [[each == character for each in distinct] for character in self.always]
        counts = texts.counts_of(np.array(kinds, dtype=bool))
        return np.asarray((counts[:, 0] > 0) | (counts[:, 1:] == 0).any(axis=1))


def _characters(texts: pa.ChunkedArray) -> tuple[frozenset[str], frozenset[str]]:
    """All characters of texts without null, and those that every text has."""
    came, always = set[str](), set(texts[0].as_py())
    for found in map(Characters, slices(texts)):
        distinct = found.distinct
        came.update(distinct)
        always = {one for one in always if found.counts([each == one for each in distinct]).all()}
    return frozenset(came), frozenset(always)


def form_features(texts: pa.ChunkedArray) -> np.ndarray:
    """float64 (n, 6): log length and the shares of classes of characters; zeros for null."""
    return np.concatenate([*map(features_of, map(Characters, slices(texts))), np.zeros((0, 1 + len(CLASSES)))])


def features_of(texts: Characters) -> np.ndarray:
    """The same of texts that are looked at already."""
    length = np.diff(texts.edges).astype(np.float64)
    distinct = pa.array(texts.distinct, pa.string())
    kinds = np.array([pc.match_substring_regex(distinct, each).to_pylist() for each in CLASSES], dtype=bool)
    shares = texts.counts_of(kinds) / np.maximum(length, 1)[:, None]
    return np.concatenate([np.log1p(length)[:, None], shares], axis=1)
