"""Values that stand for what must not be shown or cannot be drawn from a model: texts, pseudonyms, keys."""

from __future__ import annotations

import string
from collections.abc import Sequence, Set
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from pipeline.errors import ConfigurationError
from pipeline.records import as_text

TRIES = 10
MARK = "synthetic-"


def texts_like(shapes: Sequence[str], known: Set[str], draw: np.random.Generator) -> list[str | None]:
    """A made-up text in the shape of each of `shapes`: none of the `known` ones, None where no other comes of it.

    Letters become random Latin letters of the same case, digits random digits, all else stays.
    """
    made: list[str | None] = []
    for shape in shapes:
        tries = (_filled(shape, draw) for _ in range(TRIES))
        made.append(next((text for text in tries if text not in known), None))
    return made


def pseudonyms(name: str, values: pa.ChunkedArray, draw: np.random.Generator) -> pa.Array:
    """Another value in place of each different one, in an order that says nothing; null stays null.

    A text becomes the column's name with a number, a number another number, a value of another type null.
    """
    coded = values.combine_chunks().cast(pa.string()) if pt.is_dictionary(values.type) else values.combine_chunks()
    coded = coded.dictionary_encode()
    order = draw.permutation(len(coded.dictionary)) + 1
    texts = pt.is_string(coded.dictionary.type) or pt.is_large_string(coded.dictionary.type)
    stand_in = [f"{name}-{each}" if texts else str(each) for each in order.tolist()]
    return typed([None if at is None else stand_in[at] for at in coded.indices.to_pylist()], values.type)


def _filled(shape: str, draw: np.random.Generator) -> str:
    return "".join(_like(character, draw) for character in shape)


def _like(character: str, draw: np.random.Generator) -> str:
    if character.isdigit():
        return string.digits[draw.integers(10)]
    if not character.isalpha():
        return character
    letters = string.ascii_uppercase if character.isupper() else string.ascii_lowercase
    return letters[draw.integers(26)]


def fresh_keys(monitor: str, column: str, kind: pa.DataType, count: int) -> pa.Array | None:
    """`count` different keys of a column's type that nobody takes for real ones; None where the type has none.

    Texts say so, signed numbers run down from -1, unsigned ones from the largest, dates and times back from 1970.
    ConfigurationError when the type holds fewer.
    """
    if pt.is_string(kind) or pt.is_large_string(kind):
        return pa.array([f"{MARK}{each:0{len(str(count))}d}" for each in range(1, count + 1)], kind)
    countable = (pt.is_integer, pt.is_floating, pt.is_decimal, pt.is_date32, pt.is_timestamp)
    if not any(of_kind(kind) for of_kind in countable):
        return None
    first = 2**kind.bit_width if pt.is_unsigned_integer(kind) else 0
    keys = [first - each for each in range(1, count + 1)]
    try:
        if pt.is_integer(kind):
            return pa.array(keys, kind)
        if pt.is_decimal(kind):
            return pa.array(map(str, keys), pa.string()).cast(kind)
        return pa.array(keys, pa.int32() if pt.is_date32(kind) else pa.int64()).cast(kind)
    except (pa.ArrowInvalid, OverflowError) as error:
        raise ConfigurationError(
            f"{monitor}: key column {column!r} of type {kind} has no room for {count} new keys"
        ) from error


def typed(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Python values, or the texts of values, as an array of an Arrow type; null where a text is no such value."""
    if pt.is_dictionary(kind):
        return typed(values, kind.value_type).dictionary_encode().cast(kind)
    texts = pa.array([as_text(value) for value in values], pa.string())
    with suppress(pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return pa.array(values, kind)
    with suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return texts.cast(kind)
    return pa.concat_arrays([_one(texts[at : at + 1], kind) for at in range(len(texts))])


def _one(text: pa.Array, kind: pa.DataType) -> pa.Array:
    try:
        return text.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.nulls(1, kind)
