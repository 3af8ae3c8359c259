"""Texts looked at all together give the very numbers that each gives by itself."""

from __future__ import annotations

import re
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.validation import records
from pipeline.encoding import characters
from pipeline.encoding.categories import CategoricalEncoder
from pipeline.encoding.characters import Characters, lowered
from pipeline.encoding.forms import CLASSES, Form, form_features
from pipeline.encoding.texts import _text_features

TEXTS = st.lists(
    st.none()
    | st.text(max_size=12)
    | st.text("aBΣσİẞ é\x00\n𝔘\u0301", max_size=6)
    | st.text("aΣ", min_size=255, max_size=258),
    max_size=8,
)


def by_itself(text: str | None) -> np.ndarray:
    """The features of one text as they are defined."""
    text = text or ""
    one = pa.array([text])
    shares = [pc.count_substring_regex(one, each)[0].as_py() / max(len(text), 1) for each in CLASSES]
    raw = text[:256].lower().encode()
    pairs = np.zeros(10)
    for at in range(len(raw) - 1):
        pairs[zlib.crc32(raw[at : at + 2]) % 10] += 1
    return np.concatenate([[np.log1p(float(len(text)))], shares, np.sqrt(pairs / max(pairs.sum(), 1))])


@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_features_do_not_depend_on_the_other_texts(texts: list[str | None]) -> None:
    found = _text_features(pa.chunked_array([pa.array(texts, pa.string())]), 10)
    np.testing.assert_array_equal(found, np.array([by_itself(text) for text in texts]).reshape(-1, 16))


def test_features_of_the_benchmarks_notes_are_those_of_each_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(characters, "SLICE", 300)
    notes = records(1_000, 3).column("note")
    np.testing.assert_array_equal(_text_features(notes, 10), [by_itself(text) for text in notes.to_pylist()])


@given(TEXTS, TEXTS)
@settings(max_examples=100, deadline=None)
def test_strange_texts_are_those_that_are_strange_by_themselves(
    window: list[str | None], new: list[str | None]
) -> None:
    texts = pa.chunked_array([pa.array(new, pa.string())])
    seen = [text for text in window if text is not None]
    form = Form.fit(pa.chunked_array([pa.array(seen, pa.string())]))
    if seen:
        assert form.characters == "".join(sorted(set("".join(seen))))
        assert form.always == "".join(sorted(set(seen[0]).intersection(*seen)))
    features, low, high = form_features(texts), np.array(form.low), np.array(form.high)
    room = 0.1 * (high - low) + 1e-9
    strange = [
        text is not None
        and bool(
            ((row < low - room) | (row > high + room)).any()
            or not set(text) >= set(form.always)
            or not (form.characters is None or set(text) <= set(form.characters))
        )
        for text, row in zip(new, features, strict=True)
    ]
    assert form.strange(texts).tolist() == strange


def test_small_letters_are_pythons_for_every_character() -> None:
    every = [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    raw, edges = lowered(pa.array(every))
    assert raw.tobytes() == "".join(each.lower() for each in every).encode()
    assert edges.tolist() == np.cumsum([0] + [len(each.lower().encode()) for each in every]).tolist()


def test_characters_are_counted_in_a_slice_of_texts() -> None:
    found = Characters(pa.array(["xx", "", "aé", "é1é"])[1:])
    assert found.distinct == ["1", "a", "é"]
    assert found.counts([bool(re.match("é", each)) for each in found.distinct]).tolist() == [0, 1, 2]
    kinds = np.array([[False, False, True], [True, True, True], [False, False, False], [True, False, True]])
    assert found.counts_of(kinds).tolist() == [[0, 0, 0, 0], [1, 2, 0, 1], [2, 3, 0, 3]]
    assert Characters(pa.array(["", ""])).counts_of(np.zeros((2, 0), bool)).tolist() == [[0, 0], [0, 0]]


@given(st.lists(st.none() | st.sampled_from(["a", "b", "c", "rare", "later"]), max_size=40), st.booleans())
@settings(max_examples=60, deadline=None)
def test_categories_are_looked_up_all_together_as_one_by_one(values: list[str | None], hidden: bool) -> None:
    encoder = CategoricalEncoder(10, 1, ["b", "a"], ["rare"], 0)
    if hidden:
        encoder = encoder.discreet()
    codes = {None: 0.0, "b": 1.0, "a": 2.0, "rare": 3.0}
    column = pa.chunked_array([pa.array(values[:3], pa.string()), pa.array(values[3:], pa.string())])
    assert encoder.encode(column, None)[:, 0].tolist() == [codes.get(value, -1.0) for value in values]
