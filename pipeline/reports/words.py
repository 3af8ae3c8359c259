"""Why a record was flagged, in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.plain import some as some
from pipeline.results import Contribution, Reason, leading

LONGEST_VALUE = 60

REASONS: dict[Reason, str] = {
    "reconstruction": "not what the rest of the record leads to expect",
    "unseen_category": "a value never seen in training",
    "out_of_range": "outside of the range seen in training",
    "unexpected_null": "null in a column that is filled",
    "unexpected_type": "not of the column's type",
}
_REMARKS: dict[Reason, str] = {
    "unseen_category": " never seen",
    "out_of_range": " out of range",
    "unexpected_type": " of another type",
}


def leading_reasons(contributions: Sequence[Contribution]) -> list[str]:
    """The contributions that made the most of the score, in words; at least the first of them."""
    return [in_words(each) for each in leading(contributions)]


def in_words(contribution: Contribution) -> str:
    """One contribution: `air_time 9060 (expected 151)`, `carrier ZZ never seen (expected UA)`, `tailnum is null`."""
    observed, expected = contribution.observed, contribution.expected
    if observed is None:
        found = f"{contribution.column_name} is null"
    else:
        found = f"{contribution.column_name} {_short(observed)}{_REMARKS.get(contribution.reason, '')}"
    if expected is None and (observed is None or observed.startswith("sha256:")):
        return found  # of a sensitive column nothing is told but that the value is there
    return f"{found} (expected {'null' if expected is None else _short(expected)})"


def _short(text: str) -> str:
    if not text.strip():
        return repr(text)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."
