"""Texts as one array of their characters: what is asked of every character is asked once of each different one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

SLICE = 8_192
"""So many texts are looked at together, so that memory does not grow with a batch."""


class Characters:
    """The characters of some texts: `points`, uint32, and `edges`, int64 (n + 1), between which each text lies."""

    def __init__(self, texts: pa.Array) -> None:
        """Of texts without null."""
        self.points = np.frombuffer(_bytes_of(texts).decode().encode("utf-32-le"), np.uint32)
        self.edges = _edges(np.asarray(pc.utf8_length(texts)))
        self._reach = int(self.points.max(initial=0)) + 1
        seen = np.zeros(self._reach, bool)
        seen[self.points] = True
        self._distinct = np.flatnonzero(seen)

    @property
    def distinct(self) -> list[str]:
        """Each different character once, in the order of their code points."""
        return list(map(chr, self._distinct.tolist()))

    def counts(self, chosen: Sequence[bool] | npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """int64 (n,): how many of each text's characters are chosen; `chosen` says it of each of `distinct`."""
        table = np.zeros(self._reach, bool)
        table[self._distinct[np.asarray(chosen, bool)]] = True
        sums = _edges(table[self.points])
        return sums[self.edges[1:]] - sums[self.edges[:-1]]

    def counts_of(self, kinds: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """int64 (n, kinds): how many of each text's characters are of each kind, by `kinds` (kinds, distinct)."""
        # A character is looked at once, for all that it is.
        sorts, sort = np.unique(kinds, axis=1, return_inverse=True)
        table = np.zeros(self._reach, np.int32)
        table[self._distinct] = sort
        texts, each = len(self.edges) - 1, sorts.shape[1]
        places = np.repeat(np.arange(texts, dtype=np.int32) * np.int32(each), np.diff(self.edges))
        places += table[self.points]
        return np.bincount(places, minlength=texts * each).reshape(texts, each) @ sorts.T.astype(np.int64)

    def lowered(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """The UTF-8 bytes in small letters, each character by itself, and the edges of the texts among them."""
        table = np.zeros(self._reach, np.uint32)
        table[self._distinct] = [ord(each.lower()) for each in self.distinct]
        points = table[self.points]
        raw = np.frombuffer(points.tobytes().decode("utf-32-le").encode(), np.uint8)
        widths = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000)
        return raw, _edges(widths)[self.edges]


def slices(texts: pa.ChunkedArray) -> Iterator[pa.Array]:
    """The texts, a few at a time, with null as the empty one."""
    for start in range(0, len(texts), SLICE):
        yield pc.fill_null(texts.slice(start, SLICE).combine_chunks(), "")


def lowered(texts: pa.Array, found: Characters | None = None) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The UTF-8 bytes of texts without null in small letters, as Python makes them, and the edges between the texts.

    `found` are their characters, where they are known already.
    """
    found = found or Characters(texts)
    # Capital sigma depends on its neighbours, and a few capitals have two characters as small letters.
    special = [each == "Σ" or len(each.lower()) > 1 for each in found.distinct]
    if any(special):
        rows = pa.array(found.counts(special) > 0)
        small = pa.array([text.lower() for text in texts.filter(rows).to_pylist()], texts.type)
        found = Characters(pc.replace_with_mask(texts, rows, small))
    return found.lowered()


def _bytes_of(texts: pa.Array) -> bytes:
    large = texts.cast(pa.large_string())
    offsets = np.frombuffer(large.buffers()[1], np.int64, len(large) + 1, large.offset * 8) if len(large) else [0]
    data = large.buffers()[2]
    return b"" if data is None else data[int(offsets[0]) : int(offsets[-1])].to_pybytes()


def _edges(lengths: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
