"""How far a partition is from the training window: found where it was planted, not where nothing changed."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest, ks_2samp

from pipeline.drift import RECENT, Drift, Reference, stale
from pipeline.drift.measures import FEWEST_RECORDS, SCORE_BINS, ks, psi, score_counts, score_drift, score_edges
from pipeline.drift.signals import Signal
from pipeline.encoding import Encoder

FIRST = dt.date(2024, 2, 1)
NIGHTS, EACH = 28, 300
KINDS = np.array(["letter", "parcel", "pallet"])
COUNTS = arrays(np.int64, 8, elements=st.integers(0, 10**9))
Columns = dict[str, np.ndarray]


def night(at: int, draw: np.random.Generator, rows: int = EACH) -> Columns:
    """The deliveries of one night: numbers that stay, one that grows, one that is different at weekends."""
    day = np.datetime64(FIRST) + at
    minutes = draw.integers(300, 1300, rows)
    return {
        "night": np.full(rows, day),
        "amount": draw.lognormal(3.0, 0.5, rows).round(2),
        "weekend": draw.normal(3.0 if at % 7 >= 5 else 0.0, 1.0, rows),
        "order": at * 1_000.0 + np.arange(rows),
        "kind": draw.choice(KINDS, rows, p=[0.6, 0.3, 0.1]),
        "note": np.array(["n" * count for count in draw.integers(3, 12, rows)]),
        "departure": minutes // 60 * 100 + minutes % 60,
        "seen_at": day.astype("datetime64[us]") + draw.integers(8 * 60, 20 * 60, rows).astype("timedelta64[m]"),
    }


def window(draw: np.random.Generator) -> pa.Table:
    nights = [night(at, draw) for at in range(NIGHTS)]
    return pa.table({name: np.concatenate([each[name] for each in nights]) for name in nights[0]})


@pytest.fixture(scope="module")
def reference() -> Reference:
    table = window(np.random.default_rng(0))
    return Reference.fit(Encoder.fit(table, {}, "night"), table)


def counted(reference: Reference, columns: Columns | pa.Table) -> np.ndarray:
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    return reference.count(reference.encoder.encode(table).matrix)


def drift(reference: Reference, columns: Columns) -> Drift:
    return Drift.of(reference, counted(reference, columns), np.zeros(1), np.zeros(SCORE_BINS))


def index(reference: Reference, columns: Columns) -> dict[str, float]:
    measured = reference.measure(counted(reference, columns))
    return {column: value for (column, name), value in measured.items() if name == "psi"}


@given(COUNTS, COUNTS)
def test_the_stability_index_is_finite_and_nothing_for_the_same_counts(
    window: np.ndarray, partition: np.ndarray
) -> None:
    assert 0 <= psi(window, partition) < np.inf
    assert psi(window, window) == 0
    assert 0 <= ks(window, partition) <= 1
    assert ks(window, window) == 0


@given(arrays(np.int64, 60, elements=st.integers(0, 9)), arrays(np.int64, 40, elements=st.integers(0, 9)))
def test_the_distance_of_counts_is_scipys_of_the_records(first: np.ndarray, second: np.ndarray) -> None:
    told = ks(np.bincount(first, minlength=10), np.bincount(second, minlength=10))
    assert told == pytest.approx(ks_2samp(first, second).statistic)


def test_the_stability_index_of_two_large_samples_is_the_sum_over_their_shares() -> None:
    window, partition = np.array([500_000, 300_000, 200_000]), np.array([200_000, 300_000, 500_000])
    assert psi(window, partition) == pytest.approx((0.5 - 0.2) * np.log(0.5 / 0.2) * 2, rel=1e-4)


@pytest.mark.parametrize("rows", [FEWEST_RECORDS, 200, 1_000])
def test_a_sample_of_the_same_distribution_scatters_around_nothing_whatever_its_size(rows: int) -> None:
    draw = np.random.default_rng(rows)
    shares = np.full(10, 0.1)
    window = draw.multinomial(25_000, shares)
    found = [psi(window, draw.multinomial(rows, shares)) for _ in range(400)]
    assert np.median(found) < 1 / rows
    assert binomtest(sum(value > 0.25 for value in found), 400, 0.02, alternative="greater").pvalue > 1e-4


def test_nights_like_those_of_the_window_ask_for_nothing(reference: Reference) -> None:
    draw = np.random.default_rng(1)
    before: list[dict[str, float]] = []
    for at in range(NIGHTS, 2 * NIGHTS):
        tonight = night(at, draw)
        assert drift(reference, tonight).asks_for_training(before, [], 0.25) == []
        before.insert(0, index(reference, tonight))
    assert all(value < 0.25 for each in before for column, value in each.items() if column != "weekend")


def test_a_column_that_differs_by_weekday_has_a_bound_of_its_own(reference: Reference) -> None:
    bounds = reference.bounds(0.25)
    saturday = index(reference, night(NIGHTS + 5, np.random.default_rng(2)))
    assert 0.25 < saturday["weekend"] < bounds["weekend"]
    assert {column: bound for column, bound in bounds.items() if column != "weekend"} == dict.fromkeys(
        ("amount", "order", "kind", "note", "departure", "seen_at"), 0.25
    )


def hour_later(columns: Columns) -> Columns:
    return columns | {"seen_at": columns["seen_at"] + np.timedelta64(5, "h")}


def emptied(columns: Columns) -> Columns:
    return columns | {"amount": np.where(np.arange(EACH) % 3 == 0, np.nan, columns["amount"])}


PLANTED: dict[str, tuple[Callable[[Columns], Columns], str]] = {
    "amount": (lambda night: night | {"amount": night["amount"] * 2}, "median 19.88 -> 40."),
    "kind": (lambda night: night | {"kind": KINDS[(np.arange(EACH) % 10 > 3).astype(int)]}, "'parcel' 30% -> 60%"),
    "note": (lambda night: night | {"note": np.char.upper(night["note"])}, ""),
    "departure": (lambda night: night | {"departure": night["departure"] // 100 * 100 // 2}, ""),
    "seen_at": (hour_later, ""),
}


@pytest.mark.parametrize("column", PLANTED)
def test_planted_drift_is_found_in_its_column_alone_and_said_in_its_units(reference: Reference, column: str) -> None:
    plant, words = PLANTED[column]
    draw = np.random.default_rng(3)
    nights = [plant(night(at, draw)) for at in range(NIGHTS, NIGHTS + 3)]
    before = [index(reference, each) for each in nights[1::-1]]
    (told,) = drift(reference, nights[2]).asks_for_training(before, [], 0.25)
    assert told.startswith(f"{column} has drifted: PSI ") and "(bound 0.25)" in told and words in told


def test_missing_values_are_drift_and_said(reference: Reference) -> None:
    nights = [emptied(night(at, np.random.default_rng(at))) for at in range(NIGHTS, NIGHTS + 3)]
    before = [index(reference, each) for each in nights[:2]]
    (told,) = drift(reference, nights[2]).asks_for_training(before, [], 0.25)
    assert "nulls 0% -> 33%" in told


def test_a_value_that_was_never_there_is_drift(reference: Reference) -> None:
    renamed = night(NIGHTS, np.random.default_rng(4))
    renamed["kind"] = np.where(renamed["kind"] == "letter", "Letter", renamed["kind"])
    assert index(reference, renamed)["kind"] > 1
    assert reference.in_words("kind", counted(reference, renamed)).startswith(", 'letter' ")


@pytest.mark.parametrize(
    ("beyond_tonight", "before", "asks"),
    [
        (True, [True, True, False, False], True),
        (True, [False, False, True, True], True),
        (True, [True, False, False, False], False),
        (True, [], False),
        (False, [True, True, True, True], False),
        (True, [False, False, False, True, True, True], False),
    ],
)
def test_one_odd_night_is_no_drift_three_of_five_are(
    reference: Reference, beyond_tonight: bool, before: list[bool], asks: bool
) -> None:
    tonight = night(NIGHTS, np.random.default_rng(5))
    if beyond_tonight:
        tonight["amount"] = tonight["amount"] * 2
    columns = [{"amount": 0.9 if beyond else 0.0} for beyond in before]
    assert bool(drift(reference, tonight).asks_for_training(columns, [], 0.25)) is asks
    assert RECENT == 5


def test_the_score_asks_as_columns_do(reference: Reference) -> None:
    draw = np.random.default_rng(6)
    calibration, moved = draw.normal(0, 1, 5_000), draw.normal(1, 1, 300)
    counts = counted(reference, night(NIGHTS, draw))
    edges = score_edges(calibration)
    found = Drift.of(reference, counts, calibration, score_counts(edges, moved))
    assert found.score["score_ks"] == pytest.approx(ks_2samp(calibration, moved).statistic, abs=1e-3)
    assert found.asks_for_training([], [0.4, 0.4], 0.25) == [
        f"the score has drifted: PSI {found.score['score_psi']:.2f} (bound 0.25)"
    ]
    assert found.asks_for_training([], [0.1, 0.4], 0.25) == []
    same = score_drift(*(score_counts(edges, each) for each in (calibration, draw.normal(0, 1, 300))))
    assert same["score_psi"] < 0.1 and same["score_ks"] < 0.12


def test_too_few_records_tell_nothing(reference: Reference) -> None:
    draw = np.random.default_rng(7)
    assert reference.measure(counted(reference, night(NIGHTS, draw, FEWEST_RECORDS - 1))) == {}
    edges = score_edges(np.arange(1_000.0))
    few, enough = (score_counts(edges, np.arange(float(count))) for count in (FEWEST_RECORDS - 1, FEWEST_RECORDS))
    assert score_drift(enough, few) == score_drift(few, enough) == {} != score_drift(enough, enough)
    empty = pa.table(night(NIGHTS, draw)).slice(0, 0)
    assert reference.measure(counted(reference, empty)) == {}


@given(
    arrays(np.float64, st.integers(FEWEST_RECORDS, 3_000), elements=st.floats(-9, 9), unique=True, fill=st.nothing()),
    arrays(np.float64, 300, elements=st.floats(-9, 9)),
    st.integers(0, 300),
)
def test_scores_are_counted_between_those_of_calibration(calibration: np.ndarray, scores: np.ndarray, at: int) -> None:
    edges = score_edges(calibration)
    counts = score_counts(edges, scores)
    np.testing.assert_array_equal(counts, score_counts(edges, scores[:at]) + score_counts(edges, scores[at:]))
    found = score_drift(score_counts(edges, calibration), counts)["score_ks"]
    assert found == pytest.approx(ks_2samp(calibration, scores).statistic, abs=1e-3 + 1 / len(calibration))


def test_counts_add_up_over_batches(reference: Reference) -> None:
    table = pa.table(night(NIGHTS, np.random.default_rng(8)))
    parts = [counted(reference, table.slice(at, 70)) for at in range(0, EACH, 70)]
    assert (np.sum(parts, axis=0) == counted(reference, table)).all()


def test_the_state_is_json_and_measures_the_same(reference: Reference) -> None:
    restored = Reference.from_state(reference.encoder, json.loads(json.dumps(reference.to_state(), allow_nan=False)))
    moved = night(NIGHTS, np.random.default_rng(9)) | {"kind": np.full(EACH, "pallet")}
    assert restored.measure(counted(restored, moved)) == reference.measure(counted(reference, moved))
    assert restored.bounds(0.25) == reference.bounds(0.25)


def test_of_a_sensitive_column_no_value_is_kept_or_said() -> None:
    table = window(np.random.default_rng(10))
    encoder = Encoder.fit(table, {}, "night", ("amount", "kind"))
    reference = Reference.fit(encoder, table, ("amount", "kind"))
    edges = next(signal.edges for signal in reference.signals if signal.column == "amount")
    assert edges and all(round(edge, 1) == edge for edge in edges)
    moved = night(NIGHTS, np.random.default_rng(11))
    moved |= {"amount": moved["amount"] * 2, "kind": np.full(EACH, "pallet")}
    found = index(reference, moved)
    assert found["amount"] > 0.25 and found["kind"] > 0.25
    assert reference.in_words("amount", counted(reference, moved)) == ""
    told = reference.in_words("kind", counted(reference, moved))
    assert "%" in told and "sha256" not in told and not any(kind in told for kind in KINDS)


def test_constant_empty_and_endless_columns_are_measured_without_a_fault() -> None:
    draw = np.random.default_rng(12)
    columns = {
        "night": np.repeat(np.datetime64(FIRST) + np.arange(10), 60),
        "constant": np.full(600, 7.0),
        "same": np.full(600, "x"),
        "wild": draw.standard_cauchy(600) * 1e100,
        "flag": draw.random(600) < 0.5,
    }
    table = pa.table(columns).append_column("empty", pa.nulls(600, pa.float64()))
    reference = Reference.fit(Encoder.fit(table, {}, "night"), table)
    measured = reference.measure(counted(reference, table))
    assert {column for column, name in measured if name == "psi"} == {*table.column_names} - {"night"}
    assert all(value == 0 for value in measured.values())
    other = table.set_column(1, "constant", pa.array(np.full(600, 8.0)))
    assert reference.measure(counted(reference, other))["constant", "psi"] > 1
    assert np.isfinite(list(reference.measure(counted(reference, other)).values())).all()
    assert reference.in_words("constant", counted(reference, other)) == ", median 7 -> above 7"


def test_a_champion_is_stale_past_max_age_partitions_after_its_window() -> None:
    partitions = [f"2024-03-{day:02d}" for day in range(1, 11)]
    assert stale("2024-03-05", partitions, 5) is None
    assert stale("2024-03-05", partitions, 4) == (
        "the champion's window ended with 2024-03-05, 5 partitions ago (training.max_age 4)"
    )


@pytest.mark.parametrize("turns", [False, True], ids=["a number", "a time of day"])
def test_sorted_values_are_counted_as_each_by_itself(turns: bool) -> None:
    draw = np.random.default_rng(5)
    matrix = draw.normal(size=(3_000, 2)).astype("float32")
    matrix[::7] = np.nan
    edges = np.sort(draw.uniform(0, 1, 40) if turns else matrix[1:41, 0].astype(float)).tolist()
    signal = Signal("amount", 0, turns, edges, None, [0] * 42)
    one_by_one = np.bincount(signal.binned(matrix), minlength=42)
    assert one_by_one[-1] == np.isnan(matrix[:, 0]).sum() > 0, "the last bin is for null"
    np.testing.assert_array_equal(signal.counted(matrix), one_by_one)
    np.testing.assert_array_equal(signal.counted(matrix[:0]), np.zeros(42))
