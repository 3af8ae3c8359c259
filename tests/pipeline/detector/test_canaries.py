"""Records with one wrong field each: which one, what kind of wrong, and that nothing else is."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.detector import canaries
from pipeline.detector.canaries import Canaries, Column, corruptions, make_canaries
from pipeline.encoding import infer_kind
from pipeline.monitor import Kind

N = 120


def every_type() -> tuple[pa.Table, dict[str, Kind]]:
    """A table with a column of every kind in every Arrow type that it comes in, and their kinds; `day` is no column."""
    draw = np.random.default_rng(3)
    minutes = draw.integers(0, 1440, N)
    clocks = [dt.time(int(m) // 60, int(m) % 60) for m in minutes]
    hhmm = minutes // 60 * 100 + minutes % 60
    days = [dt.date(2013, 1, 1) + dt.timedelta(int(d)) for d in draw.integers(0, 300, N)]
    instants = [dt.datetime.combine(day, clock) for day, clock in zip(days, clocks, strict=True)]
    words = [f"note {i} of {'x' * (i % 7)}" for i in range(N)]
    amounts = draw.normal(100, 20, N).round(2)
    columns: dict[str, tuple[Kind, pa.Array]] = {
        "tiny": ("numeric", pa.array(draw.integers(-12, 12, N), pa.int8())),
        "unsigned": ("numeric", pa.array(draw.integers(0, 2**15, N), pa.uint16())),
        "long": ("numeric", pa.array(draw.integers(2**60, 2**61, N), pa.int64())),
        "single": ("numeric", pa.array(amounts, pa.float32())),
        "double": ("numeric", pa.array(amounts)),
        "price": ("numeric", pa.array([Decimal(str(a)) for a in amounts], pa.decimal128(6, 2))),
        "gap": ("numeric", pa.array([None if i % 3 else float(i) for i in range(N)], pa.float64())),
        "not_a_number": ("numeric", pa.array([np.nan if i % 3 else float(i) for i in range(N)], pa.float64())),
        "coded_number": ("numeric", pa.array(hhmm % 7).dictionary_encode()),
        "carrier": ("categorical", pa.array(draw.choice(["AA", "BB", "CC"], N))),
        "coded": ("categorical", pa.array(draw.choice(["AA", "BB", "CC"], N)).dictionary_encode()),
        "code": ("categorical", pa.array(draw.integers(0, 3, N))),
        "flag": ("boolean", pa.array(draw.random(N) < 0.5)),
        "yes": ("boolean", pa.array(draw.choice(["y", "n"], N))),
        "hhmm": ("clock", pa.array(hhmm, pa.int32())),
        "float_hhmm": ("clock", pa.array(hhmm.astype(float))),
        "text_clock": ("clock", pa.array([f"{c:%H:%M}" for c in clocks])),
        "time32": ("clock", pa.array(clocks, pa.time32("s"))),
        "time64": ("clock", pa.array(clocks, pa.time64("us"))),
        "date32": ("datetime", pa.array(days, pa.date32())),
        "date64": ("datetime", pa.array(days, pa.date64())),
        "instant": ("datetime", pa.array(instants, pa.timestamp("us"))),
        "zoned": ("datetime", pa.array(instants, pa.timestamp("ns", "Europe/Zurich"))),
        "written_date": ("datetime", pa.array([d.isoformat() for d in days])),
        "note": ("text", pa.array(words)),
        "large_note": ("text", pa.array(words, pa.large_string())),
        "list": ("text", pa.array([[i, i] for i in range(N)])),
        "constant": ("numeric", pa.array([0] * N)),
        "empty": ("categorical", pa.nulls(N)),
    }
    table = pa.table({"day": pa.array(days), **{name: values for name, (_, values) in columns.items()}})
    halves = [table.slice(0, N // 2), table.slice(N // 2)]  # as batches come in
    return pa.concat_tables(halves), {name: kind for name, (kind, _) in columns.items()}


TABLE, KINDS = every_type()


@pytest.fixture(scope="module")
def made() -> list[Canaries]:
    return [make_canaries(TABLE, KINDS, N, seed) for seed in range(30)]


def differing(one: Canaries) -> list[list[str]]:
    """The columns in which each canary is not as its original."""
    before = TABLE.take(pa.array(one.originals)).to_pylist()
    after = one.table.to_pylist()
    return [
        [name for name in TABLE.column_names if repr(was[name]) != repr(now[name])]
        for was, now in zip(before, after, strict=True)
    ]


def test_the_kinds_that_are_inferred_have_corruptions_of_their_own() -> None:
    inferred = {name: infer_kind(TABLE.column(name)).kind for name in ("price", "carrier", "flag", "zoned", "time32")}
    assert inferred == {name: KINDS[name] for name in inferred}


def test_exactly_one_field_of_each_canary_is_not_as_it_was(made: list[Canaries]) -> None:
    for one in made:
        assert len(one.columns) == len(one.corruptions) == one.table.num_rows == N
        assert differing(one) == [[name] for name in one.columns]


def test_the_schema_stays_and_the_values_fit_it(made: list[Canaries]) -> None:
    for one in made:
        assert one.table.schema.equals(TABLE.schema, check_metadata=True)
        one.table.validate(full=True)


def test_every_column_is_corrupted_in_every_way_that_fits_it(made: list[Canaries]) -> None:
    pairs = {pair for one in made for pair in zip(one.columns, one.corruptions, strict=True)}
    own = {
        name: {c.__name__ for c in corruptions(Column.of(TABLE, name, kind))} | {"emptied"}
        for name, kind in KINDS.items()
    }
    own |= {"empty": set(), "constant": {"emptied"}, "unsigned": own["unsigned"] - {"negated"}}
    found = {name: {corruption for column, corruption in pairs if column == name} for name in KINDS}
    assert found == own


@pytest.mark.parametrize(
    ("column", "kinds"),
    [
        ("tiny", {"scaled", "negated", "shifted", "swapped"}),
        ("price", {"scaled", "negated", "shifted", "swapped"}),
        ("coded_number", {"scaled", "negated", "shifted", "swapped"}),
        ("coded", {"swapped"}),
        ("flag", {"flipped"}),
        ("yes", {"swapped"}),
        ("time64", {"hours_off", "swapped"}),
        ("text_clock", {"hours_off", "swapped"}),
        ("zoned", {"month_off", "swapped"}),
        ("written_date", {"swapped"}),
        ("large_note", {"truncated", "swapped"}),
        ("list", {"swapped"}),
    ],
)
def test_what_fits_depends_on_the_kind_and_the_type(column: str, kinds: set[str]) -> None:
    assert {each.__name__ for each in corruptions(Column.of(TABLE, column, KINDS[column]))} == kinds


def values(made: list[Canaries], column: str, corruption: str) -> list[tuple[Any, Any]]:
    """The right and the wrong value of every canary of that kind."""
    found = [
        (TABLE.column(column)[int(one.originals[i])].as_py(), one.table.column(column)[i].as_py())
        for one in made
        for i in range(N)
        if (one.columns[i], one.corruptions[i]) == (column, corruption)
    ]
    assert found
    return found


def test_a_scaled_number_is_ten_times_as_large_or_as_small(made: list[Canaries]) -> None:
    assert {round(wrong / right, 6) for right, wrong in values(made, "double", "scaled")} == {10.0, 0.1}
    assert all(wrong in (right * 10, right // 10) for right, wrong in values(made, "tiny", "scaled"))


def test_a_negated_number_has_the_other_sign(made: list[Canaries]) -> None:
    assert all(wrong == -right for right, wrong in values(made, "price", "negated"))


def test_a_shifted_number_is_standard_deviations_away(made: list[Canaries]) -> None:
    for name in ("double", "long"):
        spread = float(np.std(TABLE.column(name).to_numpy()))
        away = [(wrong - right) / spread for right, wrong in values(made, name, "shifted")]
        assert min(np.abs(away)) >= 3.99 and max(np.abs(away)) <= 10.01
        assert len(set(np.sign(away))) == 2


def test_an_infinite_number_makes_no_other_one_nothing() -> None:
    table = pa.table({"x": [*range(1, 50), np.inf]})
    for seed in range(5):
        made = make_canaries(table, {"x": "numeric"}, 50, seed)
        wrong = [v for v, c in zip(made.table["x"].to_pylist(), made.corruptions, strict=True) if c != "emptied"]
        assert not np.isnan(wrong).any()


def test_a_swapped_value_is_one_of_the_column_and_may_fill_a_null(made: list[Canaries]) -> None:
    for name in ("carrier", "coded", "zoned", "note", "price"):
        there = TABLE.column(name).to_pylist()
        assert all(wrong in there for _, wrong in values(made, name, "swapped"))
    for name in ("gap", "not_a_number"):
        found = values(made, name, "swapped")
        assert any(right is None or right != right for right, _ in found)
        assert all(wrong is not None and wrong == wrong for _, wrong in found)


def test_clocks_are_hours_off_and_still_clocks(made: list[Canaries]) -> None:
    def minutes(value: Any) -> int:
        if isinstance(value, dt.time):
            return value.hour * 60 + value.minute
        hour, minute = value.split(":") if isinstance(value, str) else divmod(int(value), 100)
        return int(hour) * 60 + int(minute)

    for name in ("hhmm", "float_hhmm", "text_clock", "time32", "time64"):
        for right, wrong in values(made, name, "hours_off"):
            off = (minutes(wrong) - minutes(right)) % 1440
            assert 180 <= off <= 1440 - 180 and off % 60 == 0
            assert 0 <= minutes(wrong) < 1440


def test_a_text_that_is_no_clock_stays_for_another_corruption() -> None:
    table = pa.table({"at": ["soon", "later", "at:noon", "12h"] * 3})
    made = make_canaries(table, {"at": "clock"}, 12, 0)
    assert set(made.corruptions) == {"swapped", "emptied"}


def test_dates_move_by_a_month_both_ways(made: list[Canaries]) -> None:
    for name in ("date32", "date64", "instant", "zoned"):
        assert {abs((wrong - right).days) for right, wrong in values(made, name, "month_off")} == {30}
    assert len({wrong > right for right, wrong in values(made, "date32", "month_off")}) == 2


def test_texts_lose_their_end_and_booleans_their_truth(made: list[Canaries]) -> None:
    assert all(right.startswith(wrong) and wrong for right, wrong in values(made, "note", "truncated"))
    assert all(wrong is (not right) for right, wrong in values(made, "flag", "flipped"))


def test_a_text_of_one_letter_is_not_truncated_to_nothing() -> None:
    made = make_canaries(pa.table({"note": list("abcdefghij")}), {"note": "text"}, 10, 0)
    assert set(made.corruptions) == {"swapped", "emptied"}


def test_one_in_ten_is_emptied_unless_the_column_cannot_be_null() -> None:
    made = make_canaries(TABLE, KINDS, N, 0)
    assert made.corruptions.count("emptied") == pytest.approx(N / 10, abs=1)
    strict = pa.table({"carrier": ["AA", "BB"] * 40}, pa.schema([pa.field("carrier", pa.string(), nullable=False)]))
    assert set(make_canaries(strict, {"carrier": "categorical"}, 80, 0).corruptions) == {"swapped"}


def test_all_columns_are_corrupted_about_as_often(made: list[Canaries]) -> None:
    often = np.unique(np.concatenate([one.columns for one in made]), return_counts=True)
    count = dict(zip(*often, strict=True))
    rest = [count[name] for name in KINDS if name not in {"constant", "empty"}]
    assert max(rest) < 1.6 * min(rest)


def test_the_same_seed_makes_the_same_canaries() -> None:
    first, again, other = (make_canaries(TABLE, KINDS, 50, seed) for seed in (1, 1, 2))
    assert repr(first.table.to_pylist()) == repr(again.table.to_pylist())
    assert (first.columns, first.corruptions) == (again.columns, again.corruptions)
    assert first.originals.tolist() == again.originals.tolist() != other.originals.tolist()


def test_each_record_is_corrupted_once_at_most() -> None:
    made = make_canaries(TABLE, KINDS, 10 * N, 0)
    assert sorted(made.originals) == list(range(N))
    assert make_canaries(TABLE, KINDS, 7, 0).table.num_rows == 7


def test_what_the_type_cannot_hold_or_does_not_change_is_no_canary(monkeypatch: pytest.MonkeyPatch) -> None:
    full = pa.table({"tiny": pa.array([100, 101, 102] * 10, pa.int8())})
    monkeypatch.setattr(canaries, "corruptions", lambda column: (canaries.scaled,))
    monkeypatch.setattr(canaries, "EMPTIED_EVERY", 10**9)
    monkeypatch.setattr(canaries, "emptied", canaries.scaled)
    assert set(make_canaries(full, {"tiny": "numeric"}, 30, 0).table["tiny"].to_pylist()) == {10}


@pytest.mark.parametrize(
    "table",
    [
        TABLE.select(["empty"]),
        TABLE.select(["empty"]).slice(0, 0),
        pa.table({"empty": pa.array([5, 5], pa.int8())}, pa.schema([pa.field("empty", pa.int8(), nullable=False)])),
    ],
    ids=["only nulls", "no records", "nothing to swap"],
)
def test_a_table_in_which_nothing_can_be_corrupted_has_no_canaries(table: pa.Table) -> None:
    made = make_canaries(table, {"empty": "categorical"}, 10, 0)
    assert (made.table.num_rows, made.columns, made.corruptions) == (0, (), ())
    assert made.table.schema.equals(table.schema)


def test_columns_without_a_kind_are_left_alone(made: list[Canaries]) -> None:
    assert not [one for one in made if "day" in one.columns]
