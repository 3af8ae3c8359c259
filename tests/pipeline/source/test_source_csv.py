"""CSV: types that hold from night to night, and no broken file read as if it were whole."""

from __future__ import annotations

import datetime as dt
import gzip
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, RefusedData, TablewatchError
from pipeline.source import columns, files, open_source, read

DAY = "2013-02-03"
HEAD = "id,day,x\n"

Opened = Callable[..., Any]


@pytest.fixture
def opened(monitor: Any, tmp_path: Path) -> Opened:
    """Opens files written from name=content; text is written as UTF-8."""

    def make(types: dict[str, Any] | None = None, **files: str | bytes) -> Any:
        for name, content in files.items():
            path = tmp_path / name.replace("__", ".")
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return open_source(monitor({"files": str(tmp_path / "*.?sv*")}), types=types)

    return make


def cells(*values: str) -> str:
    return HEAD + "".join(f"{index},{DAY},{value}\n" for index, value in enumerate(values))


INFERRED = {
    "int64": ["1", "-5", "", "0"],
    "uint64": ["18446744073709551615", "1"],
    "decimal128(38, 0)": ["18446744073709551616", "-1"],
    "double": ["1.5", "1e-3", "nan", "-.5"],
    "bool": ["true", "FALSE", ""],
    "date32[day]": ["2013-02-03", "2012-02-29"],
    "timestamp[us]": ["2013-02-03 05:06", "2013-02-03T05:06:07.123", "2013-02-03"],
    "timestamp[us, tz=UTC]": ["2013-02-03T05:06:07Z", "2013-02-03 05:06:07+01:00"],
    "time64[ns]": ["05:06", "23:59:59.5"],
}
TEXT = [
    ["01234", "99999"],  # a code, not a number
    ["1", "abc"],
    ["+41791234567"],
    ["1_000", "0x1F"],
    ["2013-02-30"],
    ["02/03/2013"],
    ["24:00"],
    ["", ""],
    ["9" * 39],
    ["t", "f"],
]


@pytest.mark.parametrize("wanted", INFERRED)
def test_a_column_has_the_narrowest_type_that_every_cell_fits(opened: Opened, wanted: str) -> None:
    source = opened(a__csv=cells(*INFERRED[wanted]))
    assert str(source.schema().field("x").type) == wanted
    assert read(source, [DAY])["x"].null_count == INFERRED[wanted].count("")


@pytest.mark.parametrize("values", TEXT)
def test_cells_that_are_no_plain_values_stay_the_text_that_they_are(opened: Opened, values: list[str]) -> None:
    found = read(opened(a__csv=cells(*values)), [DAY])["x"]
    assert found.type == pa.string()
    assert found.to_pylist() == [value or None for value in values]


def test_the_last_cell_counts_as_much_as_the_first(opened: Opened) -> None:
    source = opened(a__csv=cells(*["1"] * 30_000, "x"))
    assert source.schema().field("x").type == pa.string()


def test_p09_integers_beyond_every_bound_keep_their_digits(opened: Opened) -> None:
    values = [2**53 + 1, 2**63, 2**64]
    found = read(opened(a__csv=cells(*map(str, values))), [DAY])["x"].to_pylist()
    assert found == [Decimal(value) for value in values]


def test_p07_a_column_keeps_the_type_of_training_while_every_cell_fits_it(opened: Opened) -> None:
    types = {"x": pa.float64(), "id": "int64", "day": "date32[day]"}
    source = opened(types, a__csv=cells("1", "2", ""))
    assert read(source, [DAY])["x"].to_pylist() == [1.0, 2.0, None]
    assert source.profiles([DAY])[0]["x.max"] == 2.0
    empty = opened(types, a__csv=cells("", ""))
    assert empty.schema([DAY]).field("x").type == pa.float64()


@pytest.mark.parametrize(
    ("trained", "values"),
    [
        ("int64", ["1", "1.5"]),
        ("int64", ["1", "007"]),
        ("int8", ["1", "300"]),
        ("double", ["1.5", "NA"]),
        ("bool", ["true", "1"]),
        ("date32[day]", ["2013-02-03", "2013-02-03 05:00"]),
        ("timestamp[us, tz=UTC]", ["2013-02-03 05:00:00Z", "2013-02-03 05:00:00"]),
        ("decimal128(4, 2)", ["1.25", "1.239"]),
        ("string", ["1", "2"]),
        ("list<item: int64>", ["x", "2"]),
    ],
)
def test_p07_a_column_with_a_cell_that_does_not_fit_comes_as_the_text_of_the_file(
    opened: Opened, trained: str, values: list[str]
) -> None:
    source = opened({"x": trained}, a__csv=cells(*values))
    assert read(source, [DAY])["x"].to_pylist() == values
    assert "x.mean" not in source.profiles([DAY])[0]


def test_p07_a_bad_cell_of_one_night_leaves_the_other_nights_alone(opened: Opened) -> None:
    types = {"x": pa.int64()}
    source = opened(types, a__csv=cells("1", "bad") + "7,2013-02-04,5\n", b__csv=HEAD + "8,2013-02-05,6\n")
    assert read(source, [DAY])["x"].to_pylist() == ["1", "bad"]
    assert read(source, ["2013-02-04", "2013-02-05"])["x"].to_pylist() == [5, 6]


BROKEN = {
    "too few cells": (b"1,2013-02-03,1\n2,2013-02-03\n", "line 3 has 2 cells where the header has 3"),
    "too many cells": (b"1,2013-02-03,1\n2,2013-02-03,1,1\n", "line 3 has 4 cells where the header has 3"),
    "cut line": (b"1,2013-02-03,1\n2,20", "line 3 has 2 cells"),
    "latin-1": ("1,2013-02-03,ä\n".encode("latin-1"), "line 2 is not UTF-8"),
    "open quote": (b'1,2013-02-03,"a\n2,2013-02-03,b\n', "has a quote that is not closed"),
    "text after quote": (b'1,2013-02-03,"a"b\n', "has a quote that is not closed"),
    "mixed line ends": (b"1,2013-02-03,1\r\n2,2013-02-03,1\n", "cannot be read as CSV|mixes kinds of line ends"),
    "huge cell": (b"1,2013-02-03," + b"x" * 3_000_000 + b"\n", "line 2 is longer than 2 MB"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_p12_a_broken_file_is_refused_with_its_name_and_line_and_without_its_content(opened: Opened, name: str) -> None:
    content, problem = BROKEN[name]
    source = opened(a__csv=HEAD.encode() + content)
    with pytest.raises(RefusedData, match=rf"^flights 2013-02-03: /.*/a\.csv .*{problem}") as refused:
        list(source.batches([DAY]))
    assert "\n" not in str(refused.value)
    assert "xxx" not in str(refused.value)


def test_p33_no_text_of_a_broken_line_is_told(opened: Opened) -> None:
    source = opened(a__csv=HEAD + '1,2013-02-03,"Ann Smith\n  file = Ann Smith"\n2,2013-02-03,"Ann\nfile = Smith"x\n')
    with pytest.raises(RefusedData) as refused:
        list(source.batches([DAY]))
    assert "Smith" not in str(refused.value) and "a.csv" in str(refused.value)


@pytest.mark.parametrize("line", [20, 70_000, 149_000])
def test_p12_nothing_of_a_long_file_with_one_broken_line_is_returned(opened: Opened, line: int) -> None:
    lines = [f"{index},{DAY},{index / 7}" for index in range(150_000)]
    lines[line] += ",more"
    source = opened({"x": "double", "id": "int64", "day": "date32[day]"}, a__csv=HEAD + "\n".join(lines))
    received = []
    with pytest.raises(RefusedData, match="a.csv line"):
        received.extend(source.batches([DAY], rows=100))
    assert not received


HEADERS = {
    "empty": (b"", "line 1 is not a header"),
    "unnamed": (b"id,day,\n1,2013-02-03,1\n", "line 1 is not a header"),
    "utf-16": ("id,day,x\n".encode("utf-16"), "can't decode"),
    "over two lines": (b'id,day,"x\ny"\n1,2013-02-03,1\n', "line 1 is not a header"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_p12_a_file_without_a_plain_header_is_refused(opened: Opened, name: str) -> None:
    content, problem = HEADERS[name]
    with pytest.raises(RefusedData, match=rf"^flights /.*/a\.csv: .*{problem}"):
        opened(a__csv=content)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_p12_a_cut_gzip_is_refused_wherever_it_is_cut(opened: Opened, data: st.DataObject) -> None:
    whole = gzip.compress(cells(*(str(n * 7919) for n in range(2_000))).encode(), mtime=0)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(RefusedData, match=r"flights /.*/a\.csv\.gz: "):
        opened(a__csv__gz=whole[:cut])


def test_p12_a_gzip_with_a_flipped_bit_is_refused(opened: Opened) -> None:
    whole = bytearray(gzip.compress(cells(*(str(n * 7919) for n in range(2_000))).encode()))
    assert read(opened(a__csv__gz=bytes(whole)), [DAY]).num_rows == 2_000
    whole[len(whole) // 2] ^= 4
    with pytest.raises(RefusedData, match=r"flights /.*/a\.csv\.gz: "):
        opened(a__csv__gz=bytes(whole))


def test_p13_a_gzip_that_inflates_beyond_the_cap_is_refused(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(HEAD.encode() + b"1,2013-02-03,1\n" * 400_000)
    monkeypatch.setattr(files, "FREE_INFLATION", 1 << 20)
    monkeypatch.setattr(files, "MAX_INFLATION", 10)
    with pytest.raises(RefusedData, match=r"a\.csv\.gz: it inflates to more than 1048576 bytes"):
        opened(a__csv__gz=bomb)


def test_p13_too_many_columns_are_refused(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MAX_COLUMNS", 10)
    names = ",".join(f"c{number}" for number in range(10))
    with pytest.raises(ConfigurationError, match="flights /.*a.csv: 12 columns, above 10"):
        opened(a__csv=f"id,day,{names}\n")


@pytest.mark.parametrize("names", ["id,day,Id", "id,day,x,X", "id,day,x,x", "id,day,\u00e9,e\u0301"])
def test_p14_columns_that_an_engine_would_take_for_one_are_refused(opened: Opened, names: str) -> None:
    with pytest.raises(ConfigurationError, match="are one name; rename one of them"):
        opened(a__csv=f"{names}\n")


NAMES = ["a b", "it's", 'q"q', "select", "x" * 100, "a,b", "{z}", "'; DROP TABLE x; --", "Ünïcödé", "a.b", "_", "1"]


def test_p35_names_of_any_kind_are_only_names(opened: Opened) -> None:
    header = ",".join('"' + name.replace('"', '""') + '"' for name in NAMES)
    source = opened(a__csv=f"id,day,{header}\n1,{DAY},{','.join(map(str, range(len(NAMES))))}\n")
    (record,) = read(source, [DAY]).to_pylist()
    assert list(record.items())[2:] == list(zip(NAMES, range(len(NAMES)), strict=True))
    assert source.profiles([DAY])[0]["'; DROP TABLE x; --.max"] == 7


def test_dialects_are_told_by_the_header(opened: Opened) -> None:
    source = opened(
        a__csv='id;day;x\r\n1;2013-02-03;"a;b"\r\n',
        b__tsv='id\tx\tday\n2\t"two\nlines, ""quoted"""\t2013-02-03\n',
        c__csv="\ufeffx,day,id\n#3,2013-02-03,3",
    )
    assert read(source, [DAY]).to_pylist() == [
        {"id": 1, "day": dt.date(2013, 2, 3), "x": "a;b"},
        {"id": 2, "day": dt.date(2013, 2, 3), "x": 'two\nlines, "quoted"'},
        {"id": 3, "day": dt.date(2013, 2, 3), "x": "#3"},
    ]


def test_p01_a_file_with_only_a_header_holds_no_partition(opened: Opened) -> None:
    source = opened(a__csv=HEAD)
    assert source.partitions() == []
    assert read(source, [DAY]).num_rows == 0
    assert source.profiles([DAY])[0]["rows"] == 0


words = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=8)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(words, min_size=1, max_size=8), st.sampled_from([None, "int64", "double", "bool", "date32[day]", "string"])
)
def test_p07_no_cell_ever_turns_into_null(opened: Opened, values: list[str], trained: str | None) -> None:
    quoted = ['"' + value.replace('"', '""') + '"' for value in values]
    try:
        found = read(opened({"x": trained} if trained else None, a__csv=cells(*quoted)), [DAY])["x"]
    except TablewatchError:
        pytest.fail("text that is CSV was refused")
    assert found.is_null().to_pylist() == [not value for value in values]
    if found.type == pa.string():
        assert found.to_pylist() == [value or None for value in values]
