"""What the charts draw of values that come as texts."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard import charts


def drawn(*pairs: tuple[str | None, str | None]) -> dict[str, Any]:
    rows = [{"record": str(at), "observed": seen, "expected": hoped} for at, (seen, hoped) in enumerate(pairs)]
    spec: dict[str, Any] = charts.observed_expected(rows).to_dict()
    return spec


def values(chart: dict[str, Any], layer: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a layer, which Altair keeps beside the layers under a name."""
    found: list[dict[str, Any]] = chart["datasets"][layer["data"]["name"]]
    return found


@pytest.mark.parametrize("zone", ["", "+00:00"])
def test_times_lie_on_an_axis_of_time_in_utc(zone: str) -> None:
    chart = drawn((f"1970-01-02T00:00:00{zone}", f"1970-01-01T00:00:01{zone}"), ("1970-01-03", None))
    span, dot = chart["layer"]
    assert (dot["encoding"]["x"]["type"], dot["encoding"]["x"]["scale"]["type"]) == ("temporal", "utc")
    assert [each["value"] for each in values(chart, dot)] == [1_000, 86_400_000, 2 * 86_400_000]
    assert values(chart, span) == [{"record": "0", "observed": 86_400_000, "expected": 1_000}]


def test_numbers_lie_on_a_scale_and_other_texts_are_counted() -> None:
    dot = drawn(("20130201", "3"), ("5", "4"))["layer"][1]
    assert dot["encoding"]["x"]["type"] == "quantitative"
    assert drawn(("JFK", "LAX"), ("EWR", "LAX"))["mark"]["type"] == "bar"
