"""In what way the members of an incident are wrong: how observed values lie to expected ones, in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.incidents.findings import Part
from pipeline.incidents.order import place
from pipeline.monitor import Kind
from pipeline.records import is_hidden

MOST = 0.8
"""What so many of the members show is said of all of them."""
STEADY = 0.1
"""Ratios and differences vary by no more than this, relative to themselves, where they are one and the same."""
SEVERAL = 3
COMPARED = 0.2
"""Of so many of the members it must be known what was expected; of those that break a rule it is not."""
DAY = 24 * 60
HOUR = 3_600.0
LEAST_RATIO = math.log(1.2)
LARGEST_RATIO = math.log(1e9)
IMPLIED = "the rest of the record implies"
REASONS = {
    "unseen_category": "has values never seen before",
    "out_of_range": "is outside of the range seen in training",
    "unexpected_type": "is not of the column's type",
}
LONGEST = 40


@dataclass(frozen=True)
class Manner:
    """`words` complete a sentence after the column's name; `same` says that (nearly) all are wrong in this one way.

    `fits` tells of each part whether it is. `observed` and `expected` are the values of those that are, or their range;
    None where nothing may be said of them.
    """

    words: str
    same: bool
    fits: tuple[bool, ...]
    observed: str | None
    expected: str | None


def manner_of(parts: Sequence[Part], kind: Kind | None) -> Manner:
    """In what way these parts, all of one column, are wrong."""
    words, fits = _of_one_value(parts) or _of_a_ratio(parts, kind) or _of_a_rule(parts) or ("", None)
    same = fits is not None
    every = np.ones(len(parts), dtype=bool) if fits is None else fits
    those = [part for part, is_so in zip(parts, every, strict=True) if is_so]
    if any(part.observed is not None and is_hidden(part.observed) for part in parts):
        return Manner(_of_reasons(parts), False, tuple(every.tolist()), None, None)
    wanted = [part.expected for part in those if part.rule is None]
    expected = span(wanted) if any(text is not None for text in wanted) else None
    return Manner(words or _of_reasons(parts), same, tuple(every.tolist()), span([p.observed for p in those]), expected)


def span(texts: Sequence[str | None]) -> str | None:
    """Values in short: the one there is, the range of numbers, the most frequent of others; None for no value."""
    there = [text for text in texts if text is not None]
    if not there:
        return "null" if texts else None
    distinct = Counter(there)
    if len(distinct) == 1:
        return _short(there[0])
    places = {text: place(text) for text in distinct}
    if all(math.isfinite(at) for at in places.values()):
        return f"{_number(min(distinct, key=places.__getitem__))} to {_number(max(distinct, key=places.__getitem__))}"
    shown = [_short(text) for text, _ in sorted(distinct.items(), key=lambda each: (-each[1], each[0]))[:SEVERAL]]
    return ", ".join(shown) + (", ..." if len(distinct) > SEVERAL else "")


Way = tuple[str, np.ndarray]
"""A way to be wrong in words, and which parts are wrong in it (bool)."""


def _of_one_value(parts: Sequence[Part]) -> Way | None:
    value, times = Counter(part.observed for part in parts).most_common(1)[0]
    if times < MOST * len(parts):
        return None
    fits = np.array([part.observed == value for part in parts])
    if value is None:
        return "is null", fits
    unseen = sum(part.reason == "unseen_category" for part in parts) >= MOST * len(parts)
    return f"is {_short(value)}" + (", never seen before" if unseen else ""), fits


def _of_a_ratio(parts: Sequence[Part], kind: Kind | None) -> Way | None:
    """How many times as much, or how much more, the observed value is than the expected one, where that is steady."""
    compared = np.array([part.rule is None for part in parts])
    observed, expected = (np.array([place(text) for text in texts]) for texts in _texts(parts, compared))
    told = compared & np.isfinite(observed) & np.isfinite(expected)
    if told.sum() < max(2, COMPARED * len(parts)):
        return None
    if kind == "clock":
        return _later(parts)
    offset = observed - expected
    if kind == "datetime":
        way = _steady(offset, told, HOUR)
        return way and (_by(way[0]), way[1] | ~told)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio, sides = np.log(np.abs(observed / expected)), np.sign(observed) * np.sign(expected)
    turned = told & (sides < 0)
    if turned.sum() >= MOST * told.sum() and (way := _steady(ratio, turned, 0.0, size=1.0)):
        return "has the wrong sign", way[1] | ~told
    way = _steady(ratio, told & (sides > 0), LEAST_RATIO)
    if way and abs(way[0]) < LARGEST_RATIO:
        return _times(math.exp(way[0])), way[1] | ~told
    if way := _steady(offset, told, 0.0):
        return f"is about {_round(abs(way[0]))} {'more' if way[0] > 0 else 'less'} than {IMPLIED}", way[1] | ~told
    return None


def _texts(parts: Sequence[Part], compared: np.ndarray) -> tuple[list[str | None], list[str | None]]:
    observed = [part.observed if told else None for part, told in zip(parts, compared, strict=True)]
    return observed, [part.expected if told else None for part, told in zip(parts, compared, strict=True)]


def _of_a_rule(parts: Sequence[Part]) -> Way | None:
    rules = Counter(part.rule for part in parts if part.rule is not None)
    if not rules:
        return None
    rule, times = rules.most_common(1)[0]
    return (f"breaks a rule ({rule})", np.ones(len(parts), dtype=bool)) if times >= MOST * len(parts) else None


def _of_reasons(parts: Sequence[Part]) -> str:
    reasons = Counter(part.reason for part in parts)
    for reason, words in REASONS.items():
        if reasons[reason] >= MOST * len(parts):
            return words
    return "does not fit the rest of the record"


def _later(parts: Sequence[Part]) -> Way | None:
    """By how many hours times of day are off, where that is steady; around midnight too."""
    minutes = np.array([_minutes(part.observed) - _minutes(part.expected) for part in parts])
    told = np.isfinite(minutes)
    if told.sum() < max(2, COMPARED * len(parts)):
        return None
    turns = np.exp(2j * np.pi * np.where(told, minutes, 0.0) / DAY)
    mean = turns[told].mean()
    hours = float(np.angle(mean)) * 12 / np.pi
    if abs(mean) < MOST or abs(hours) < 0.5:
        return None
    fits = (np.abs(np.angle(turns / mean)) < np.pi / 4) | ~told
    if abs(hours) > 11.5:
        return "is about 12 hours off", fits
    return f"is about {abs(hours):.1g} hours {'later' if hours > 0 else 'earlier'} than {IMPLIED}", fits


def _by(seconds: float) -> str:
    """Says how much earlier or later an instant is, in days from two on, else in hours."""
    hours = abs(seconds) / HOUR
    size = f"{hours / 24:,.0f} days" if hours >= 48 else f"{hours:.0f} hours"
    return f"is about {size} {'later' if seconds > 0 else 'earlier'} than {IMPLIED}"


def _minutes(text: str | None) -> float:
    """Minutes since midnight of a time written as hhmm, hh:mm or hh:mm:ss; NaN for what is no such text."""
    at = place(text)
    if text is None or not math.isfinite(at):
        return math.nan
    if ":" in text:
        return at % 86_400 / 60
    return at // 100 * 60 + at % 100


def _steady(
    values: np.ndarray, told: np.ndarray, least: float, size: float | None = None
) -> tuple[float, np.ndarray] | None:
    """The median of the values that are `told`, and which lie close to it; None unless nearly all do.

    It must measure `least` or more.
    Close is relative to the median, or to `size`.
    """
    if not told.any():
        return None
    median = float(np.median(values[told]))
    size = abs(median) if size is None else size
    away = np.abs(np.where(told, values, np.inf) - median)
    close = away <= 3 * STEADY * size
    steady = (away <= STEADY * size).sum() >= 0.6 * told.sum() and close.sum() >= MOST * told.sum()
    return (median, close) if steady and size > 0 and abs(median) >= least else None


def _times(ratio: float) -> str:
    if ratio > 1:
        return f"is about {_round(ratio)} times what {IMPLIED}"
    return f"is about one {_round(1 / ratio)}th of what {IMPLIED}"


def _round(number: float) -> str:
    """A number to two digits; whole from ten on."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _number(text: str) -> str:
    """A number with thousands apart where it has five digits or more; any other text as it is."""
    digits = text.lstrip("-")
    return f"{int(text):,}" if digits.isdigit() and len(digits) > 4 else _short(text)


def _short(text: str) -> str:
    if not text.strip():
        return repr(text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
