"""Whatever type a source delivers is fitted, encoded and decoded; what changed its type overnight is an event."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pytest

from pipeline.encoding import EVENTS, Encoder, MisreadColumn, infer_kind
from pipeline.encoding.reading import is_null, plain
from pipeline.errors import ConfigurationError
from tests.pipeline.encoding.conftest import as_reconstructed

OUT_OF_RANGE, UNEXPECTED_NULL, UNEXPECTED_TYPE = (
    EVENTS.index(name) for name in ("out_of_range", "unexpected_null", "unexpected_type")
)
N = 60
COUNTS = [None if i % 10 == 9 else i * 7 % 50 for i in range(N)]
DAYS = [dt.date(2020, 1, 1) + dt.timedelta(i // 4) for i in range(N)]


def cast(type_: pa.DataType) -> pa.Array:
    return pa.array(COUNTS, pa.int64()).cast(type_)


def of(make: Any, type_: pa.DataType) -> pa.Array:
    return pa.array([None if i is None else make(i) for i in COUNTS], type_)


INSTANT = dt.datetime(2020, 1, 1, 5, 30)
INTEGERS: dict[str, pa.Array] = {
    **{str(t): cast(t) for t in (pa.int8(), pa.int16(), pa.int32(), pa.int64())},
    **{str(t): cast(t) for t in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
}
NUMBERS: dict[str, pa.Array] = {
    **INTEGERS,
    "float32": cast(pa.float32()),
    "float64": cast(pa.float64()),
    "float16": of(float, pa.float16()),
    "beyond 2**53": of(lambda i: 2**64 - 1 - i * 2**40, pa.uint64()),
    **{
        str(t): of(lambda i: Decimal(i) / 4, t)
        for t in (pa.decimal32(7, 2), pa.decimal64(12, 2), pa.decimal128(12, 2), pa.decimal256(60, 2))
    },
}
TIMES: dict[str, pa.Array] = {
    "date32": of(lambda i: INSTANT.date() + dt.timedelta(i), pa.date32()),
    "date64": of(lambda i: INSTANT.date() + dt.timedelta(i), pa.date64()),
    **{
        f"timestamp {unit} {zone}": of(lambda i: INSTANT + dt.timedelta(hours=i), pa.timestamp(unit, zone))
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "UTC", "Europe/Berlin", "+05:30", "Not/AZone")
    },
}
CLOCKS: dict[str, pa.Array] = {
    str(t): of(lambda i: dt.time(i % 24, i), t)
    for t in (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"))
}
DURATIONS: dict[str, pa.Array] = {f"duration {u}": cast(pa.duration(u)) for u in ("s", "ms", "us", "ns")}
TEXTS: dict[str, pa.Array] = {
    "string": of(lambda i: f"v{i}", pa.string()),
    "large_string": of(lambda i: f"v{i}", pa.large_string()),
    "string_view": of(lambda i: f"v{i}", pa.string_view()),
    "texts of numbers": of(str, pa.string()),
    "dictionary": of(lambda i: f"v{i}", pa.string()).dictionary_encode(),
    "dictionary of numbers": cast(pa.int64()).dictionary_encode(),
    "dictionary of views": pa.DictionaryArray.from_arrays([0, None, 1] * 20, pa.array(["a", "b"], pa.string_view())),
    "empty texts": pa.array([""] * N),
}
OTHERS: dict[str, pa.Array] = {
    "bool": of(lambda i: i % 2 == 0, pa.bool_()),
    "bool8": pa.ExtensionArray.from_storage(pa.bool8(), of(lambda i: i % 2, pa.int8())),
    "uuid": pa.ExtensionArray.from_storage(pa.uuid(), of(lambda i: bytes([i]) * 16, pa.binary(16))),
    "run_end_encoded": pa.compute.run_end_encode(cast(pa.int64())),
    **{str(t): of(lambda i: b"%03d" % i, t) for t in (pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(3))},
    "list": of(lambda i: [i, None], pa.list_(pa.int64())),
    "large_list": of(lambda i: [i], pa.large_list(pa.int64())),
    "fixed list": of(lambda i: [i, i], pa.list_(pa.int64(), 2)),
    "struct": of(lambda i: {"a": i}, pa.struct([("a", pa.int64())])),
    "map": of(lambda i: [("a", i)], pa.map_(pa.string(), pa.int64())),
    "interval": of(lambda i: (1, i, 0), pa.month_day_nano_interval()),
    "null": pa.nulls(N),
}
COLUMNS = {**NUMBERS, **TIMES, **CLOCKS, **DURATIONS, **TEXTS, **OTHERS}
FITTED = [
    "int64",
    "float64",
    "string",
    "timestamp us Europe/Berlin",
    "date32",
    "time64[us]",
    "bool",
    "duration s",
    "null",
]


def table(values: pa.Array) -> pa.Table:
    return pa.table({"day": DAYS, "x": pa.chunked_array([values])})


def there(values: pa.Array) -> np.ndarray:
    return ~is_null(plain(pa.chunked_array([values])))


@pytest.mark.parametrize("name", COLUMNS)
def test_every_type_is_fitted_encoded_and_decoded(name: str) -> None:
    records = table(COLUMNS[name])
    fitted = Encoder.fit(records, anchor="day")
    encoder = Encoder.from_state(json.loads(json.dumps(fitted.to_state(), allow_nan=False)))

    found = encoder.encode(records)

    assert not found.events.any()
    assert not np.isinf(found.matrix).any()
    assert infer_kind(records["x"]).kind == encoder.columns["x"].kind
    starts = zip(encoder.starts, encoder.cells, strict=True)
    cells = [as_reconstructed(found.matrix[:, at : at + cell.width], cell) for at, cell in starts]
    decoded = encoder.decode("x", cells, records)
    assert [value is not None for value in decoded] == there(COLUMNS[name]).tolist()


READ_AS: dict[Any, set[str]] = {
    "numeric": {*NUMBERS, *DURATIONS, "texts of numbers", "dictionary of numbers", "run_end_encoded", "bool", "bool8"},
    "datetime": {*TIMES},
    "clock": {*INTEGERS, *CLOCKS, "float16", "float32", "float64", "dictionary of numbers", "run_end_encoded", "bool8"},
    "boolean": {"bool", "bool8", "dictionary of views", "empty texts"},
    "categorical": {*COLUMNS},
    "text": {*COLUMNS},
}


@pytest.mark.parametrize("kind", READ_AS)
def test_a_declared_kind_fits_or_is_refused_in_words(kind: Any) -> None:
    refused = set()
    for name, values in COLUMNS.items():
        try:
            found = Encoder.fit(table(values), {"x": kind}, "day").encode(table(values))
        except MisreadColumn as refusal:
            assert f"column 'x' is no {kind} column: " in str(refusal)
            refused.add(name)
        else:
            assert not np.isinf(found.matrix).any()
    assert {*COLUMNS} - refused == READ_AS[kind] | {"null"}


@pytest.mark.parametrize("first", FITTED)
def test_after_a_change_of_type_overnight_no_value_goes_missing_in_silence(first: str) -> None:
    encoder = Encoder.fit(table(COLUMNS[first]), anchor="day")
    for later, values in COLUMNS.items():
        found = encoder.encode(table(values))
        assert not np.isinf(found.matrix).any(), later
        missing = np.isnan(found.matrix).any(axis=1) | (found.matrix < 0).any(axis=1) & (first in ("string", "bool"))
        assert (found.events[:, 0].any(axis=1) | ~missing | ~there(values)).all(), later


READ_ALIKE = ["float64", "uint64", "texts of numbers", "dictionary of numbers", "run_end_encoded", "float16"]


@pytest.mark.parametrize("later", READ_ALIKE)
def test_the_same_numbers_in_another_type_are_read(later: str) -> None:
    encoder = Encoder.fit(table(COLUMNS["int64"]), anchor="day")
    whole, other = encoder.encode(table(COLUMNS["int64"])), encoder.encode(table(COLUMNS[later]))
    np.testing.assert_allclose(other.matrix, whole.matrix, atol=1e-6)
    np.testing.assert_array_equal(other.events, whole.events)


@pytest.mark.parametrize("later", ["string", "date32", "timestamp us None", "time32[s]", "list", "binary", "struct"])
def test_values_that_are_no_numbers_are_an_event_of_their_own(later: str) -> None:
    encoder = Encoder.fit(table(COLUMNS["int64"]), anchor="day")
    found = encoder.encode(table(COLUMNS[later]))
    assert (found.events[:, 0, UNEXPECTED_TYPE] == there(COLUMNS[later])).all()
    assert not found.events[:, 0, [OUT_OF_RANGE, UNEXPECTED_NULL]].any()
    assert (found.matrix[:, 1] == there(COLUMNS[later])).all()


def test_one_text_among_numbers_that_became_texts_is_the_only_event() -> None:
    encoder = Encoder.fit(pa.table({"x": [1.5, 2.5, 3.5] * 10}))
    found = encoder.encode(pa.table({"x": ["1.5", " 2.5 ", "N/A", "3.5e0", "", "1,5", None]}))
    assert found.events[:, 0, UNEXPECTED_TYPE].tolist() == [False, False, True, False, True, True, False]
    assert found.events[:, 0, UNEXPECTED_NULL].tolist() == [False] * 6 + [True]


def test_a_few_misfits_in_training_make_them_less_rare() -> None:
    encoder = Encoder.fit(pa.table({"x": [*map(str, range(96)), "N/A", "?", "-"]}), {"x": "numeric"})
    assert encoder.rarities()[0, UNEXPECTED_TYPE] == pytest.approx(4 / 100)
    assert encoder.rarities()[0, OUT_OF_RANGE] == pytest.approx(1 / 100)


@pytest.mark.parametrize(
    ("kind", "values", "example", "better"),
    [
        ("numeric", ["UA", "AA"] * 20, "'UA'", "categorical"),
        ("numeric", [INSTANT] * 20, "'2020-01-01", "datetime"),
        ("datetime", ["soon", "2020-02-30"] * 20, "'soon'", "categorical"),
        ("datetime", list(range(20)), "'0'", "numeric"),
        ("clock", [True, False] * 20, "'true'", "boolean"),
        ("clock", [1277, 2599] * 20, "'1277'", "categorical"),
        ("clock", ["UA", "AA"] * 20, "'UA'", "categorical"),
        ("boolean", list("abcdef") * 20, "'c'", "categorical"),
    ],
)
def test_a_kind_that_cannot_be_is_refused_with_an_example_and_the_mend(
    kind: Any, values: list[Any], example: str, better: str
) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Encoder.fit(pa.table({"fare": values}), {"fare": kind})

    text = str(refusal.value)
    assert text.startswith(f"column 'fare' is no {kind} column: ")
    assert f"such as {example}" in text
    assert text.endswith(f"set columns.kinds.fare to {better} or leave it out")
    assert "\n" not in text
    assert isinstance(refusal.value, MisreadColumn)
    assert "such as" not in refusal.value.unsaid and refusal.value.column == "fare"


def test_iso_texts_are_read_as_instants_when_declared_so() -> None:
    texts = [
        "2020-02-03",
        "2020-02-03T04:05",
        "2020-02-03 04:05:06.5",
        "2020-02-03T04:05:06Z",
        "2020-02-03T04:05:06+0130",
    ]
    wrong = ["2020-02-30", "3 Feb 2020", "2020-02-03T25:00"]
    encoder = Encoder.fit(pa.table({"x": texts * 10}), {"x": "datetime"})

    found = encoder.encode(pa.table({"x": [*texts, *wrong]}))

    assert found.events[:, 0, UNEXPECTED_TYPE].tolist() == [False] * 5 + [True] * 3
    plain = [dt.datetime.fromisoformat(text) for text in texts]
    seconds = [(v if v.tzinfo else v.replace(tzinfo=dt.UTC)).timestamp() for v in plain]
    z = found.matrix[:5, 0].astype(float)
    np.testing.assert_allclose(
        (z - z[0]) * encoder.columns["x"].scale.spread * 86_400, np.array(seconds) - seconds[0], atol=0.01
    )  # type: ignore[attr-defined]


def test_durations_come_back_as_durations(round_trip: Any) -> None:
    values = [dt.timedelta(minutes=i) for i in range(30)]
    assert round_trip(pa.table({"x": pa.array(values, pa.duration("ms"))}), "x") == values
