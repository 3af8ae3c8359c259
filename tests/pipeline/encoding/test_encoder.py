"""A whole table to a matrix: columns in order, chunks, empty tables, the fitted state."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pyarrow as pa
import pytest

from pipeline.encoding import EVENTS, Encoder


def mixed(n: int = 120) -> pa.Table:
    """A column of each kind, with nulls in some, and the partition."""
    draw = np.random.default_rng(0)
    day = [dt.date(2013, 1, 1) + dt.timedelta(int(i)) for i in draw.integers(0, 20, n)]
    minute = draw.integers(0, 1440, n)
    return pa.table(
        {
            "amount": np.where(draw.random(n) < 0.1, np.nan, draw.normal(10, 2, n)),
            "day": day,
            "carrier": pa.array(draw.choice(["AA", "BB", None], n), pa.string()),
            "flag": draw.random(n) < 0.5,
            "departure": minute // 60 * 100 + minute % 60,
            "seen_at": [
                dt.datetime.combine(d, dt.time(int(m) // 60), dt.UTC) for d, m in zip(day, minute, strict=True)
            ],
            "note": [f"note {i} {'x' * int(m % 9)}" for i, m in enumerate(minute)],
            "nothing": pa.nulls(n, pa.float64()),
        }
    )


KINDS = {
    "amount": "numeric",
    "carrier": "categorical",
    "flag": "boolean",
    "departure": "clock",
    "seen_at": "datetime",
    "note": "text",
    "nothing": "categorical",
}


def test_every_column_but_the_anchor_is_encoded_in_order() -> None:
    table = mixed()
    encoder = Encoder.fit(table, anchor="day")

    found = encoder.encode(table)

    assert {name: each.kind for name, each in encoder.columns.items()} == KINDS
    assert list(encoder.columns) == [name for name in table.column_names if name != "day"]
    assert encoder.slots == sum(cell.width for cell in encoder.cells) == found.matrix.shape[1]
    assert encoder.column_of_cell == sorted(encoder.column_of_cell)
    assert found.matrix.dtype == np.float32
    assert found.events.shape == (table.num_rows, len(KINDS), len(EVENTS))
    assert not found.events.any()


def test_p21_the_fitted_state_is_strict_json_and_encodes_the_same() -> None:
    table = mixed()
    encoder = Encoder.fit(table, anchor="day")

    again = Encoder.from_state(json.loads(json.dumps(encoder.to_state(), allow_nan=False)))

    assert again.to_state() == encoder.to_state()
    np.testing.assert_array_equal(again.encode(table).matrix, encoder.encode(table).matrix)
    np.testing.assert_array_equal(again.rarities(), encoder.rarities())


def test_p15_chunks_neighbours_and_other_columns_do_not_matter() -> None:
    table = mixed()
    encoder = Encoder.fit(table, anchor="day")
    whole = encoder.encode(table)
    pieces = pa.concat_tables([table[:1], table[1:40], table[40:40], table[40:]]).add_column(0, "new", [[1] * 120])

    found = encoder.encode(pieces.select(sorted(pieces.column_names)))

    assert pieces["amount"].num_chunks > 2
    np.testing.assert_array_equal(found.matrix, whole.matrix)
    np.testing.assert_array_equal(found.events, whole.events)
    for row in (0, 7, 119):
        np.testing.assert_array_equal(encoder.encode(table[row : row + 1]).matrix[0], whole.matrix[row])


def test_p16_fitting_on_chunks_is_fitting_on_the_whole() -> None:
    table = mixed()
    pieces = pa.concat_tables([table[:50], table[50:50], table[50:]])
    assert Encoder.fit(pieces, anchor="day").to_state() == Encoder.fit(table, anchor="day").to_state()


@pytest.mark.parametrize("empty", [mixed()[:0], mixed().schema.empty_table()], ids=["slice", "no chunks"])
def test_p01_an_empty_table_is_encoded(empty: pa.Table) -> None:
    encoder = Encoder.fit(mixed(), anchor="day")
    found = encoder.encode(empty)
    assert found.matrix.shape == (0, encoder.slots)
    assert found.events.shape == (0, len(KINDS), len(EVENTS))


def test_dictionary_columns_are_encoded_as_their_values() -> None:
    table = mixed()
    names = [name for name in table.column_names if name not in ("day", "nothing")]
    coded = pa.table(
        {name: table[name].dictionary_encode() if name in names else table[name] for name in table.column_names}
    )

    encoder = Encoder.fit(coded, anchor="day")

    assert encoder.to_state() == Encoder.fit(table, anchor="day").to_state()
    np.testing.assert_array_equal(encoder.encode(coded).matrix, encoder.encode(table).matrix)


def test_a_declared_kind_goes_before_the_inferred_one() -> None:
    encoder = Encoder.fit(mixed(), {"departure": "numeric", "flag": "categorical"}, "day")
    assert encoder.columns["departure"].kind == "numeric"
    assert encoder.columns["flag"].kind == "categorical"


def test_a_kind_for_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(KeyError, match="departed"):
        Encoder.fit(mixed(), {"departed": "clock"}, "day")


def test_p06_a_missing_column_is_named() -> None:
    encoder = Encoder.fit(mixed(), anchor="day")
    with pytest.raises(KeyError, match="carrier"):
        encoder.encode(mixed().drop_columns("carrier"))


def test_p16_the_table_is_not_changed() -> None:
    table, kinds = mixed(), {"flag": "categorical"}
    before = table.to_pylist()
    Encoder.fit(table, kinds, "day").encode(table)  # type: ignore[arg-type]
    assert str(table.to_pylist()) == str(before)
    assert kinds == {"flag": "categorical"}


def test_rarities_are_chances() -> None:
    rarities = Encoder.fit(mixed(), anchor="day").rarities()
    assert rarities.shape == (len(KINDS), len(EVENTS))
    assert ((rarities > 0) & (rarities <= 1)).all()
