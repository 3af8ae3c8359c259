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
        low, high = np.array(self.low), np.array(self.high)
        features, room = form_features(texts), ROOM * (high - low) + 1e-9
        found = ((features < low - room) | (features > high + room)).any(axis=1)
        found |= np.concatenate([self._odd(Characters(each)) for each in slices(texts)] or [found])
        return np.asarray(found & np.asarray(pc.is_valid(texts)))

    def _odd(self, texts: Characters) -> np.ndarray:
        """Which texts have a character that never came, or lack one that every text had."""
        distinct = texts.distinct
        odd = np.zeros(len(texts.edges) - 1, dtype=bool)
        if self.characters is not None:
            known = frozenset(self.characters)
            odd |= texts.counts([each not in known for each in distinct]) > 0
        for character in self.always:
            odd |= texts.counts([each == character for each in distinct]) == 0
        return odd


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
    parts = [_features(Characters(each)) for each in slices(texts)]
    return np.concatenate(parts) if parts else np.zeros((0, 1 + len(CLASSES)))


def _features(texts: Characters) -> np.ndarray:
    length = np.diff(texts.edges).astype(np.float64)
    distinct = pa.array(texts.distinct, pa.string())
    counts = [texts.counts(np.asarray(pc.match_substring_regex(distinct, each))).astype(np.float64) for each in CLASSES]
    return np.concatenate(
        [np.log1p(length)[:, None], np.stack(counts, axis=1) / np.maximum(length, 1)[:, None]], axis=1
    )
