"""Numbers that grow with the partitions stay where they were; those of another time are events."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.encoding import EVENTS, Encoder

OUT_OF_RANGE = EVENTS.index("out_of_range")
FIRST = dt.date(2024, 1, 1)
TRAINED, LATER = 28, 14
Volume = Callable[[np.random.Generator, int], float]

VOLUMES: dict[str, Volume] = {
    "even": lambda draw, day: 400,
    "weekly": lambda draw, day: 120 if day % 7 >= 5 else 480,
    "gaps that widen": lambda draw, day: 300 * 1.02**day,
    "irregular": lambda draw, day: 400 * np.exp(draw.normal(0, 0.3)),
    "not at weekends": lambda draw, day: 0 if day % 7 >= 5 else 400,
}


def orders(volume: str, days: int = TRAINED + LATER, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Each record's day and its order number, of which only some come into the table."""
    draw, day, number, following = np.random.default_rng(seed), [], [], 5_000_000
    for at in range(days):
        amount = int(VOLUMES[volume](draw, at))
        own = following + np.sort(draw.choice(amount, min(amount, 100), replace=False))
        following += amount
        day += [at] * len(own)
        number += own.tolist()
    return np.array(day), np.array(number)


def table(day: np.ndarray, number: np.ndarray) -> pa.Table:
    return pa.table({"day": [FIRST + dt.timedelta(int(at)) for at in day], "x": number})


def fit(day: np.ndarray, number: np.ndarray) -> Encoder:
    window = day < TRAINED
    fitted = Encoder.fit(table(day[window], number[window]), anchor="day")
    return Encoder.from_state(json.loads(json.dumps(fitted.to_state(), allow_nan=False)))


def out(encoder: Encoder, day: np.ndarray, number: np.ndarray) -> np.ndarray:
    return encoder.encode(table(day, number)).events[:, 0, OUT_OF_RANGE]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("volume", VOLUMES)
def test_honest_numbers_of_later_partitions_are_normal_and_those_of_another_time_are_not(
    volume: str, seed: int
) -> None:
    day, number = orders(volume, seed=seed)
    encoder, later = fit(day, number), day >= TRAINED
    growth = encoder.columns["x"].growth  # type: ignore[attr-defined]

    z = encoder.encode(table(day, number)).matrix[:, 0]

    assert growth.pace > 0
    assert not out(encoder, day, number).any()
    assert np.abs(z[later]).max() < 1.2 * np.abs(z[~later]).max()
    month = int(30 * growth.pace)
    assert out(encoder, day[later], number[later] - month).all()
    assert out(encoder, day[later], number[later] + 12 * month).all()
    assert out(encoder, day[later], number[later] // 10).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_few_dirty_and_missing_numbers_do_not_hide_the_growth(seed: int) -> None:
    day, number = orders("weekly", seed=seed)
    draw, dirty = np.random.default_rng(seed), number.astype(float)
    dirty[draw.random(len(day)) < 0.03] = 7
    dirty[draw.random(len(day)) < 0.01] = 1e9
    dirty[draw.random(len(day)) < 0.05] = np.nan
    encoder, later = fit(day, dirty), day >= TRAINED
    assert encoder.columns["x"].growth is not None  # type: ignore[attr-defined]
    assert not out(encoder, day[later], number[later]).any()


@pytest.mark.parametrize(
    "make",
    [
        lambda day, draw: -1000 * day - draw.integers(0, 900, len(day)),
        lambda day, draw: 19_000 + day // 2,
        lambda day, draw: (day + 19_000) * 86_400 + draw.integers(0, 86_400, len(day)),
        lambda day, draw: (day * 900 + draw.integers(0, 3_000, len(day))) * 0.25,
    ],
    ids=["falls", "ties", "epoch seconds", "late records"],
)
def test_other_growth_is_found_too(make: Any) -> None:
    day = np.repeat(np.arange(TRAINED + LATER), 50)
    number = make(day, np.random.default_rng(0))
    encoder, later = fit(day, number), day >= TRAINED
    assert encoder.columns["x"].growth is not None  # type: ignore[attr-defined]
    assert not out(encoder, day, number).any()
    assert out(encoder, day[later], number[later] + np.ptp(number) * 2).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda day, draw: draw.normal(0, 1, len(day)),
        lambda day, draw: draw.normal(0, 1, 60)[day],
        lambda day, draw: day / 50 + np.tile(np.linspace(-1, 1, 50), len(day) // 50),
        lambda day, draw: np.where(day < 14, 19.0, 20.0),
        lambda day, draw: day + 2,
        lambda day, draw: np.full(len(day), np.nan),
        lambda day, draw: draw.integers(0, 5, len(day)),
    ],
    ids=["noise", "noise of days", "a slow drift", "one step", "days of a month", "nothing", "counts"],
)
def test_what_does_not_grow_is_encoded_as_without_partitions(make: Any) -> None:
    day = np.repeat(np.arange(TRAINED), 50)
    records = table(day, make(day, np.random.default_rng(0)))
    with_partitions, without = Encoder.fit(records, {"x": "numeric"}, "day"), Encoder.fit(records.drop_columns("day"))
    assert with_partitions.columns["x"].growth is None  # type: ignore[attr-defined]
    np.testing.assert_array_equal(with_partitions.encode(records).matrix, without.encode(records).matrix)


def test_too_few_partitions_are_no_growth_and_no_partition_changes_nothing() -> None:
    day, number = orders("even")
    short = table(day[day < 6], number[day < 6])
    assert Encoder.fit(short, anchor="day").columns["x"].growth is None  # type: ignore[attr-defined]
    assert Encoder.fit(short.drop_columns("day")).columns["x"].growth is None  # type: ignore[attr-defined]


def test_what_is_expected_is_in_the_columns_own_units(round_trip: Any) -> None:
    day, number = orders("weekly")
    records = table(day, number)
    assert round_trip(records, "x", anchor="day") == number.tolist()
    encoder = fit(day, number)
    assert encoder.decode("x", [np.zeros((1, 1))], table(np.array([40]), np.array([0])))[0] == pytest.approx(
        np.median(number[day == 40]), rel=0.002
    )


def test_the_room_widens_with_the_distance_beyond_the_window() -> None:
    day, number = orders("irregular")
    growth = fit(day, number).columns["x"].growth  # type: ignore[attr-defined]
    beyond = (np.array([27.0, 28.0, 29.0, 35.0, 60.0]) + (FIRST - dt.date(1970, 1, 1)).days) * 86_400
    room = growth.room(beyond) * (growth.absolute(np.ones(5), beyond) - growth.absolute(np.zeros(5), beyond))
    assert room[0] == pytest.approx(room[1]) and (np.diff(room[1:]) > 0).all()


def test_one_record_is_encoded_as_in_its_batch() -> None:
    day, number = orders("irregular")
    encoder = fit(day, number)
    whole = encoder.encode(table(day, number))
    for row in (0, 1_500, len(day) - 1):
        alone = encoder.encode(table(day[row : row + 1], number[row : row + 1]))
        np.testing.assert_array_equal(alone.matrix[0], whole.matrix[row])
