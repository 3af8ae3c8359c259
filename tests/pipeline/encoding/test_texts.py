"""Texts by their form."""

from __future__ import annotations

import json
import uuid
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.encoding import EVENTS, Encoder
from pipeline.encoding.texts import _text_features

OUT_OF_RANGE = EVENTS.index("out_of_range")
NOTES = [f"note {i} of {'long ' * (i % 4)}Form" for i in range(60)]


def table(values: Any, type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, type_)})


def fit(values: Any = NOTES, type_: pa.DataType | None = None) -> Encoder:
    return Encoder.fit(table(values, type_), {"x": "text"})


def test_the_form_of_a_text() -> None:
    found = _text_features(pa.chunked_array([["Ab 12-é", ""]]), 10)[:, :6]
    shares = np.array([2, 3, 1, 1, 1]) / 7
    np.testing.assert_allclose(found, [[np.log1p(7), *shares], [0] * 6])


def test_the_pairs_of_a_text_without_regard_to_capitals() -> None:
    same, capitals, other, one = _text_features(pa.chunked_array([["abcabc", "ABCabc", "xyzxyz", "a"]]), 10)[:, 6:]
    np.testing.assert_array_equal(same, capitals)
    assert np.abs(same - other).max() > 0.3
    np.testing.assert_allclose([(same**2).sum(), (one**2).sum()], [1.0, 0.0])


def test_another_form_lies_far_out() -> None:
    encoder = fit()
    usual = np.abs(encoder.encode(table(NOTES)).matrix).max()
    odd = np.abs(encoder.encode(table(["<script>alert(1)</script>", "12345678901234567890", "   "])).matrix).max(axis=1)
    assert (odd > 1.5 * usual).all()


@settings(max_examples=30)
@given(st.lists(st.one_of(st.none(), st.text()), min_size=1, max_size=20))
def test_every_text_is_encoded_and_only_null_is_missing(values: list[str | None]) -> None:
    encoder = Encoder.from_state(json.loads(json.dumps(fit(values, pa.string()).to_state(), allow_nan=False)))
    found = encoder.encode(table([*values, "later", None], pa.string()))
    missing = np.array([value is None for value in [*values, "later", None]])
    assert (np.isnan(found.matrix[:, :16]).any(axis=1) == missing).all()
    assert (np.isnan(found.matrix[:, :16]).all(axis=1) == missing).all()


def test_a_null_where_none_was_seen_is_an_event() -> None:
    assert fit().encode(table([None, "x"])).events[:, 0, EVENTS.index("unexpected_null")].tolist() == [True, False]


@pytest.mark.parametrize("type_", [pa.int64(), pa.float64(), pa.date32(), pa.duration("s"), pa.large_string()], ids=str)
def test_anything_can_be_read_as_text(type_: pa.DataType) -> None:
    values = pa.array(range(30), pa.int32() if type_ == pa.date32() else pa.int64())
    found = Encoder.fit(pa.table({"x": values.cast(type_)}), {"x": "text"})
    assert np.isfinite(found.encode(pa.table({"x": values.cast(type_)})).matrix).all()


def test_what_is_expected_of_a_text_is_its_length(round_trip: Any) -> None:
    assert round_trip(table(["abcde", "abc", None] * 5), "x", kinds={"x": "text"})[:3] == [
        "(a text of about 5 characters)",
        "(a text of about 3 characters)",
        None,
    ]


IDENTIFIERS: dict[str, tuple[Any, list[Any]]] = {
    "uuid": (
        lambda draw: str(uuid.UUID(bytes=draw.bytes(16), version=4)),
        [lambda v: v[:-1], str.upper, lambda v: v.replace("-", ""), lambda v: "x" + v[1:], lambda v: f" {v}"],
    ),
    "hash": (
        lambda draw: draw.bytes(20).hex(),
        [lambda v: v[:32], lambda v: v[:-1] + "g", lambda v: "", lambda v: "null"],
    ),
    "address": (
        lambda draw: f"{''.join(draw.choice(list('abcdefghij'), 8))}.{draw.integers(100, 999)}@example.com",
        [lambda v: v.replace("@", ""), lambda v: v.replace("@", " at "), lambda v: v * 3],
    ),
    "whole number": (lambda draw: int(draw.integers(0, 2**63 - 1)), [lambda v: v // 10**9, lambda v: -v, lambda v: 0]),
}


@pytest.mark.parametrize("name", IDENTIFIERS)
def test_honest_new_identifiers_are_no_events_and_malformed_ones_are(name: str) -> None:
    make, spoil = IDENTIFIERS[name]
    draw = np.random.default_rng(0)
    seen, later = [make(draw) for _ in range(2_000)], [make(draw) for _ in range(500)]
    encoder = Encoder.fit(table(seen))

    honest = encoder.encode(table(later))

    assert encoder.columns["x"].kind == "text"
    assert honest.events.mean() <= 0.001
    for mistake in spoil:
        bad = encoder.encode(table([mistake(value) for value in later]))
        assert bad.events[:, 0, OUT_OF_RANGE].all()
    assert encoder.rarities()[0, OUT_OF_RANGE] <= 5 / 1_001


def test_how_often_a_free_text_has_a_new_form_is_estimated_from_halves_of_the_window() -> None:
    draw = np.random.default_rng(0)
    make = lambda: "".join(chr(97 + int(draw.zipf(1.5)) % 400) for _ in range(draw.integers(3, 30)))  # noqa: E731
    values = [make() for _ in range(1_000)]
    encoder = fit(values)

    happened = encoder.encode(table([make() for _ in range(4_000)])).events[:, 0, OUT_OF_RANGE].mean()

    assert not encoder.encode(table(values)).events.any()
    assert happened == pytest.approx(encoder.rarities()[0, OUT_OF_RANGE], rel=0.7, abs=0.003)


def test_any_text_in_a_column_of_nulls_is_out_of_range() -> None:
    found = fit([None] * 5, pa.string()).encode(table(["", "x", None]))
    assert found.events[:, 0, OUT_OF_RANGE].tolist() == [True, True, False]
