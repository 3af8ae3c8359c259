"""Record keys in Arrow and NumPy: as words of 64 bits, which tell fast what cannot be equal, and by their length.

The exact ways are `record_keys` and the digests of the census; what is found here only says for which few records they
are needed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipeline.records import LONGEST_KEY, record_keys, storable

Words = npt.NDArray[np.uint64]

# The finaliser of MurmurHash3: each step can be undone, so that one lane alone never collides.
_FACTOR, _SHIFT = np.uint64(0xFF51AFD7ED558CCD), np.uint64(33)
_WIDE = 64  # bytes of a text that are read as lanes; longer ones are rare
_LONGEST_FIXED = 84  # characters: a number of 76 digits with its sign, its point and what JSON adds
_SPECIAL = r'[\x00-\x1f"\\]'  # what JSON and the store write in up to six characters


@dataclass(frozen=True)
class Suspects:
    """The words that came more than once while the columns had these types; None where the types changed midway."""

    kinds: tuple[pa.DataType, ...]
    words: Words | None

    def rows(self, table: pa.Table, columns: Sequence[str]) -> npt.NDArray[np.intp]:
        """The positions of the records whose value may come more than once; of a null it never does."""
        if self.words is None or kinds_of(table, columns) != self.kinds:
            return np.arange(table.num_rows)
        if not len(self.words):
            return np.arange(0)
        words, there = words_of(table, columns)
        return np.flatnonzero(there & np.isin(words, self.words))


def kinds_of(table: pa.Table, columns: Sequence[str]) -> tuple[pa.DataType, ...]:
    """The Arrow types of some columns."""
    return tuple(table.column(name).type for name in columns)


def words_of(table: pa.Table, columns: Sequence[str]) -> tuple[Words, npt.NDArray[np.bool_]]:
    """A word for the value of some columns in each record, uint64 (n,), and whether none of them is null, bool (n,).

    While the columns keep their types, values whose texts are equal have equal words, and different ones nearly never.
    """
    found = np.zeros(table.num_rows, np.uint64)
    there = np.ones(table.num_rows, bool)
    for name in columns:
        values = table.column(name).combine_chunks()
        found = _mixed(found) ^ (_words(values) if len(values) else found)
        there &= np.asarray(values.is_valid())
    return found, there


def more_than_once(words: Words) -> Words:
    """Those words that come again, in their order."""
    ordered = np.sort(words)
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])


def too_long(table: pa.Table, columns: Sequence[str], sensitive: Collection[str]) -> list[int]:
    """The positions of the records whose key, as the store would hold it, is longer than `LONGEST_KEY` characters."""
    bound = sum(_length_bound(table.column(name), name in sensitive) for name in columns)
    suspects = np.flatnonzero(np.broadcast_to(bound > LONGEST_KEY, table.num_rows))
    keys = record_keys(table.take(suspects), columns, sensitive) if len(suspects) else []
    return [row for row, key in zip(suspects.tolist(), keys, strict=True) if key and len(storable(key)) > LONGEST_KEY]


def _words(values: pa.Array) -> Words:
    """The word of each value; of a null any."""
    kind = values.type
    if pt.is_boolean(kind):
        return _words(values.cast(pa.int8()))
    if pt.is_floating(kind):
        # Zero has one text, whatever its sign.
        return _folded((values.cast(pa.float64()).fill_null(0).to_numpy() + 0.0).view(np.uint64)[:, None])
    if pt.is_string(kind) or pt.is_large_string(kind):
        return _text_words(values.fill_null(""))
    if pt.is_integer(kind) or pt.is_decimal(kind) or pt.is_timestamp(kind) or pt.is_date32(kind):
        return _folded(_bits(values))
    return _hashed([text or "" for text in record_keys(pa.table({"value": values}), ["value"])])


def _bits(values: pa.Array) -> Words:
    """The bits of values of a fixed width, uint64 (n, lanes)."""
    width = values.type.bit_width // 8
    raw = np.frombuffer(values.buffers()[1], np.uint8, len(values) * width, values.offset * width)
    return raw.view(f"u{min(width, 8)}").astype(np.uint64, copy=False).reshape(len(values), -1)


def _text_words(texts: pa.Array) -> Words:
    lengths = np.asarray(pc.binary_length(texts))
    wide = lengths > _WIDE
    if wide.any():
        words = _text_words(pc.if_else(pa.array(wide), "", texts))
        words[wide] = _hashed(texts.filter(pa.array(wide)).to_numpy(zero_copy_only=False))
        return words
    width = -(-int(lengths.max(initial=1)) // 8) * 8
    padded = pc.ascii_rpad(texts.cast(pa.large_string()), width, "\0")
    lanes = np.frombuffer(padded.buffers()[2], np.uint64, len(texts) * width // 8).reshape(len(texts), -1)
    # Without its length a text would be the same as with a NUL at its end.
    return _mixed(_folded(lanes) ^ lengths.astype(np.uint64))


def _folded(lanes: Words) -> Words:
    """One word of several, from the last to the first: zeros at the end, as many as they are, change nothing."""
    word = np.zeros(len(lanes), np.uint64)
    for lane in lanes.T[::-1]:
        word = _mixed(word ^ lane)
    return word


def _mixed(words: Words) -> Words:
    words = (words ^ (words >> _SHIFT)) * _FACTOR
    return words ^ (words >> _SHIFT)


def _hashed(texts: Sequence[str] | npt.NDArray[np.object_]) -> Words:
    """SipHash, text by text in C."""
    import pandas as pd

    return pd.util.hash_array(np.array(texts, object), categorize=False)


def _length_bound(column: pa.ChunkedArray, hidden: bool) -> npt.NDArray[np.int64] | int:
    """At most so many characters, quotes and separator included, take the texts of a column's values in a key."""
    kind = column.type
    if hidden:
        return _LONGEST_FIXED
    if pt.is_string(kind) or pt.is_large_string(kind):
        return _text_bound(column)
    decimal = pt.is_decimal(kind) and 0 <= kind.scale <= kind.precision
    short = pt.is_integer(kind) or pt.is_floating(kind) or pt.is_boolean(kind) or pt.is_temporal(kind) or decimal
    return _LONGEST_FIXED if short else LONGEST_KEY + 1


def _text_bound(texts: pa.ChunkedArray) -> npt.NDArray[np.int64] | int:
    lengths = pc.utf8_length(texts).fill_null(0).to_numpy().astype(np.int64)
    longest = 6 * int(lengths.max(initial=0)) + 4
    if longest <= _LONGEST_FIXED:
        return longest
    return np.asarray(lengths + 5 * pc.count_substring_regex(texts, _SPECIAL).fill_null(0).to_numpy() + 4)
