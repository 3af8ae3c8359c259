"""In what way records are wrong, in words that are true of nearly all of them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.incidents.findings import Part
from pipeline.incidents.manner import Manner, manner_of, span
from pipeline.incidents.order import place
from pipeline.monitor import Kind
from pipeline.records import hidden_text


def parts(*pairs: tuple[object, object], reason: str = "reconstruction") -> list[Part]:
    return [Part("c", *(None if value is None else str(value) for value in pair), reason=reason) for pair in pairs]


NUMBERS = [12.0, 40.0, 55.0, 71.0, 93.0, 120.0]
HHMM = [905, 1130, 1315, 1547, 1720, 1800]


@pytest.mark.parametrize(
    ("found", "kind", "words"),
    [
        (parts(*((60 * e, e) for e in NUMBERS)), "numeric", "is about 60 times what the rest of the record implies"),
        (parts(*((e / 4, e) for e in NUMBERS)), "numeric", "is about one 4th of what the rest of the record implies"),
        (
            parts(*((e + 1440, e) for e in NUMBERS)),
            "numeric",
            "is about 1,440 more than the rest of the record implies",
        ),
        (parts(*((e - 300, e) for e in NUMBERS)), "numeric", "is about 300 less than the rest of the record implies"),
        (parts(*((-e, e) for e in NUMBERS)), "numeric", "has the wrong sign"),
        (parts(*(((e // 100 + 12) % 24 * 100 + e % 100, e) for e in HHMM)), "clock", "is about 12 hours off"),
        (
            parts(*(((e // 100 + 5) % 24 * 100 + e % 100, e) for e in HHMM)),
            "clock",
            "is about 5 hours later than the rest of the record implies",
        ),
        (
            parts(("23:30", "01:30"), ("22:00", "00:00"), ("23:00", "01:00")),
            "clock",
            "is about 2 hours earlier than the rest of the record implies",
        ),
        (
            parts(*((f"2024-03-{d + 3:02d}", f"2024-03-{d:02d}") for d in range(1, 7))),
            "datetime",
            "is about 3 days later than the rest of the record implies",
        ),
        (parts(*((0, e) for e in NUMBERS)), "numeric", "is 0"),
        (parts(*((None, e) for e in NUMBERS)), "numeric", "is null"),
        (parts(("QF", "UA"), ("QF", "DL"), reason="unseen_category"), "categorical", "is QF, never seen before"),
        (
            parts(("QF", "UA"), ("LH", "DL"), ("AF", "DL"), reason="unseen_category"),
            "categorical",
            "has values never seen before",
        ),
        (parts((3, 90), (700, 20), (41, 7), (5, 55)), "numeric", "does not fit the rest of the record"),
        (parts(("ORD", "LAX"), ("BOS", "SFO")), "categorical", "does not fit the rest of the record"),
    ],
)
def test_the_way_in_words(found: list[Part], kind: Kind, words: str) -> None:
    assert manner_of(found, kind).words == words


def test_a_rule_that_nearly_all_break_is_told() -> None:
    broken = [Part("c", str(-value), rule="c is at least 1") for value in range(1, 7)]
    manner = manner_of(broken, "numeric")
    assert (manner.words, manner.same) == ("breaks a rule (c is at least 1)", True)
    assert (manner.observed, manner.expected) == ("-6 to -1", None)


def test_the_few_that_are_wrong_in_another_way_are_told_apart() -> None:
    manner = manner_of(parts(*((60 * e, e) for e in NUMBERS), (90.0, 33.0)), "numeric")
    assert manner.same and manner.fits == (True,) * 6 + (False,)
    assert (manner.observed, manner.expected) == ("720.0 to 7200.0", "12.0 to 120.0")


def test_p33_of_hidden_values_nothing_is_told() -> None:
    hidden = parts((hidden_text("Ann"), None), (hidden_text("Bob"), None))
    assert manner_of(hidden, "text") == Manner("does not fit the rest of the record", False, (True, True), None, None)


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["7", "7"], "7"),
        (["7", "12345", "80"], "7 to 12,345"),
        (["b", "a", "b", "c", "d"], "b, a, c, ..."),
        (["09:10", "23:00"], "09:10 to 23:00"),
        ([None, None], "null"),
        ([], None),
        ([" ", " "], "' '"),
    ],
)
def test_values_in_short(texts: list[str | None], told: str | None) -> None:
    assert span(texts) == told


@given(
    st.lists(st.tuples(st.none() | st.text(), st.none() | st.text()), min_size=1), st.sampled_from(["numeric", "clock"])
)
def test_whatever_the_values_there_are_words(pairs: list[tuple[str | None, str | None]], kind: Kind) -> None:
    manner = manner_of([Part("c", *pair) for pair in pairs], kind)
    assert manner.words and len(manner.words) < 150 and len(manner.fits) == len(pairs)


@given(st.lists(st.tuples(st.floats(), st.floats()), min_size=1))
def test_whatever_the_numbers_there_are_words(pairs: list[tuple[float, float]]) -> None:
    assert manner_of(parts(*pairs), "numeric").words


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("3", 3.0),
        ("-2.5", -2.5),
        ("1e3", 1000.0),
        ("01:30", 5400.0),
        ("1970-01-02", 86400.0),
        ("1970-01-01T00:00:05+00:00", 5.0),
    ],
)
def test_the_place_of_a_text(text: str, at: float) -> None:
    assert place(text) == at


@pytest.mark.parametrize("text", [None, "", "nan", "inf", "F9", "2024-13-01", "99:99x"])
def test_a_text_without_a_place(text: str | None) -> None:
    assert math.isnan(place(text))
