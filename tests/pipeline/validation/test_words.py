from __future__ import annotations

from typing import Any

import pytest

from pipeline.results import ExpectationResult
from pipeline.validation import in_words
from pipeline.validation.words import number, phrase


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({"min_value": 0, "max_value": 1234.5}, "x is from 0 to 1,234.5"),
        ({"min_value": 1}, "x is at least 1"),
        ({"max_value": 7, "strict_max": True}, "x is less than 7"),
        ({"min_value": 0.05, "strict_min": True, "max_value": 1}, "x is more than 0.05 and at most 1"),
        ({"min_value": "2000-01-01"}, "x is at least 2000-01-01"),
    ],
)
def test_limits(kwargs: dict[str, Any], expected: str) -> None:
    assert phrase("expect_column_values_to_be_between", {"column": "x", **kwargs}) == expected


def test_long_vocabularies_are_cut() -> None:
    told = phrase("expect_column_values_to_be_in_set", {"column": "x", "value_set": list(range(20))})
    assert told.endswith("10, 11 and 8 more")


def test_what_words_would_falsify_is_told_as_it_is_written() -> None:
    told = phrase("expect_column_values_to_not_be_null", {"column": "x", "mostly": 0.9})
    assert told == "expect_column_values_to_not_be_null(column='x', mostly=0.9)"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1234567, "1,234,567"), (0.25, "0.25"), (12.0, "12"), (1e300, "1e+300"), (1e-9, "1e-09"), (0.0, "0"), ("a", "a"),
     (True, "True"), (100.0, "100")],
)  # fmt: skip
def test_numbers(value: Any, expected: str) -> None:
    assert number(value) == expected


def result(**changes: Any) -> ExpectationResult:
    values: dict[str, Any] = {
        "scope": "record", "expectation": "expect_column_values_to_not_be_null", "column": "x",
        "kwargs": {"column": "x"}, "severity": "error", "origin": "learned", "success": False, "checked": 1000,
        "unexpected": 2, "observed": ["a"],
    }  # fmt: skip
    return ExpectationResult(**{**values, **changes})


def test_results_in_words() -> None:
    assert in_words(result()) == "2 of 1,000 records break: x is never null, with 'a'"
    assert in_words(result(observed=[None, None])) == "2 of 1,000 records break: x is never null"
    assert in_words(result(success=True)) == "1,000 records keep to: x is never null"
    mean = {"expectation": "expect_column_mean_to_be_between", "kwargs": {"column": "x", "max_value": 3}}
    assert in_words(result(scope="partition", observed=4.5, **mean)) == (
        "expected that the mean of x is at most 3; observed 4.5"
    )
    assert in_words(result(scope="partition", observed=None, **mean)).endswith("observed nothing")
