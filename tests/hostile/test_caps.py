"""What is too long, too wide or too far is refused or set aside with its reason, before it is held in memory."""

from __future__ import annotations

import datetime as dt
import gzip
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from pipeline.errors import ConfigurationError, RefusedData
from pipeline.monitor import Monitor
from pipeline.source import FakeSource, files, open_source, parquet, read
from pipeline.validation import RecordCheck, duplicate_keys, first_suite, in_words

DAY = dt.date(2024, 10, 27)
KEY = DAY.isoformat()


def monitor(files: str = "x.csv", **fields: Any) -> Monitor:
    given = {"name": "t", "source": {"files": files}, "partition_by": "day", "primary_key": ("id",)}
    return Monitor(**given | fields)


def table(**columns: pa.Array) -> pa.Table:
    rows = len(next(iter(columns.values())))
    return pa.table({"id": pa.array(range(rows)), "day": pa.array([DAY] * rows)} | columns)


def in_parquet(folder: Path, records: pa.Table) -> Monitor:
    pq.write_table(records, folder / "x.parquet", compression="zstd")
    return monitor(str(folder / "*.parquet"))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())])
def test_p13_a_huge_parquet_cell_refuses_its_partition_by_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: pa.DataType
) -> None:
    monkeypatch.setattr(parquet, "MAX_CELL", 100)
    text = ["x" * 101, "x", None] if not pa.types.is_binary(kind) else [b"x" * 101, b"x", None]
    source = open_source(in_parquet(tmp_path, table(note=pa.array(text, kind))))
    for call in (lambda: read(source, [KEY]), lambda: source.profiles([KEY])):
        with pytest.raises(RefusedData, match=f"^t {KEY}: column 'note' has a cell of more than 100 characters"):
            call()
    assert read(source, ["2024-10-28"]).num_rows == 0


def test_p13_a_cell_as_long_as_may_be_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MAX_CELL", 100)
    assert read(open_source(in_parquet(tmp_path, table(note=pa.array(["é" * 100])))), [KEY]).num_rows == 1


def test_p13_one_long_cell_named_very_often_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FREE_INFLATION", 1 << 20)
    monkeypatch.setattr(parquet, "LONG_CELL", 1_000)
    bomb = table(note=pa.array(["x" * 20_000] * 3_000).dictionary_encode())
    source = open_source(in_parquet(tmp_path, bomb))
    with pytest.raises(RefusedData, match="column 'note' inflates to 60,000,000 characters"):
        read(source, [KEY])
    ordinary = table(note=pa.array(["x" * 900] * 60_000).dictionary_encode())
    assert read(open_source(in_parquet(tmp_path, ordinary)), [KEY]).num_rows == 60_000


def test_p13_a_parquet_file_that_inflates_is_refused_by_its_footer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "FREE_INFLATION", 1_000)
    monkeypatch.setattr(files, "MAX_INFLATION", 5)
    zeros = table(note=pa.array([0.0] * 100_000))
    pq.write_table(zeros, tmp_path / "x.parquet", compression="zstd", use_dictionary=False)
    with pytest.raises(RefusedData, match=r"t /.*/x\.parquet: it inflates to \d+ bytes, more than \d+"):
        open_source(monitor(str(tmp_path / "*.parquet")))


@pytest.mark.parametrize("name", ["tablewatch:key", "tablewatch:rows", "tablewatch:file", "TableWatch:x"])
def test_p14_a_name_that_a_read_adds_is_refused(tmp_path: Path, name: str) -> None:
    records = table(**{name: pa.array([1])})
    pa.csv.write_csv(records, tmp_path / "x.csv")
    for path, opened in {"*.csv": tmp_path, "*.parquet": in_parquet(tmp_path, records) and tmp_path}.items():
        with pytest.raises(ConfigurationError, match=f"column '{name}' has a name that tablewatch keeps"):
            open_source(monitor(str(opened / path)))
    with pytest.raises(ConfigurationError, match="keeps for itself"):
        FakeSource(monitor(), records)


def test_p14_long_names_that_differ_after_63_bytes_stay_apart(tmp_path: Path) -> None:
    names = ["é" * 40 + "1", "é" * 40 + "2", "x" * 63, "x" * 64]
    source = open_source(in_parquet(tmp_path, table(**{name: pa.array([at]) for at, name in enumerate(names)})))
    assert [read(source, [KEY])[name].to_pylist() for name in names] == [[0], [1], [2], [3]]
    assert [source.profiles([KEY])[0][f"{name}.max"] for name in names] == [0, 1, 2, 3]


BEYOND = {
    "a date after 9999": pa.array([2_932_897], pa.int32()).view(pa.date32()),
    "a date before 1": pa.array([-719_163], pa.int32()).view(pa.date32()),
    "a time after 9999": pa.array([253_402_300_800_000_000]).view(pa.timestamp("us")),
    "an instant before 1": pa.array([-62_135_596_800_000_001]).view(pa.timestamp("us", "UTC")),
}


@pytest.mark.parametrize("what", BEYOND)
def test_p12_a_time_that_no_calendar_has_refuses_the_partition_by_column(tmp_path: Path, what: str) -> None:
    source = open_source(in_parquet(tmp_path, table(due=BEYOND[what])))
    with pytest.raises(RefusedData, match=f"^t {KEY}: column 'due' holds a time outside the years 1 to 9999"):
        read(source, [KEY])
    assert read(source, [KEY], ["id"]).num_rows == 1


def test_p12_the_first_and_the_last_day_are_read(tmp_path: Path) -> None:
    due = pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31)])
    assert read(open_source(in_parquet(tmp_path, table(due=due))), [KEY])["due"].to_pylist() == due.to_pylist()


@pytest.mark.parametrize("year", ["0000-01-01", "0000-02-29"])
def test_p07_the_year_0_of_a_csv_file_stays_text(tmp_path: Path, year: str) -> None:
    (tmp_path / "x.csv").write_text(f"id,day,due\n1,{KEY},{year}\n2,{KEY},2024-02-29\n")
    found = read(open_source(monitor(str(tmp_path / "*.csv"))), [KEY])["due"].to_pylist()
    assert found == [year, "2024-02-29"]


@pytest.mark.parametrize(
    ("keys", "kept"), [(["k" * 512, "k" * 513, "short"], [True, False, True]), (["\0" * 200], [False])]
)
def test_p11_a_key_too_long_to_be_stored_is_quarantined_with_the_reason(keys: list[str], kept: list[bool]) -> None:
    watched = monitor()
    source = FakeSource(watched, table(x=pa.array([1.0] * len(keys))).set_column(0, "id", pa.array(keys)))
    records = read(source, [KEY])
    suite = first_suite(watched, records.schema)
    check = RecordCheck(watched, KEY, suite, duplicate_keys(watched, suite, lambda names: source.batches([KEY], names)))
    checked = check.check(records, 0)
    assert set(checked.accepted["id"].to_pylist()) == {key for key, keep in zip(keys, kept, strict=True) if keep}
    (broken,) = checked.quarantined
    assert (broken.column, broken.expectation) == ("id", "expect_column_value_lengths_to_be_between")
    told = [in_words(result) for result in check.results() if not result.success]
    assert len(told) == 1 and told[0].startswith(
        f"1 of {len(keys)} records break: the number of characters of id is at most 512"
    )


def test_p11_a_key_of_several_columns_is_measured_as_it_is_stored() -> None:
    watched = monitor(primary_key=("id", "x"))
    records = table(x=pa.array(["x" * 300, "y" * 600]))
    suite = first_suite(watched, records.schema)
    check = RecordCheck(watched, KEY, suite, duplicate_keys(watched, suite, lambda names: records.to_batches()))
    checked = check.check(records, 0)
    assert checked.accepted["id"].to_pylist() == [0]
    assert [(broken.row, broken.column) for broken in checked.quarantined] == [(1, None)]


def _cuts(size: int, count: int) -> list[int]:
    return sorted({size * at // count for at in range(count)})


@pytest.mark.parametrize("ending", ["csv.gz", "parquet"])
def test_p12_a_cut_file_is_refused_as_a_whole_wherever_it_is_cut(tmp_path: Path, ending: str) -> None:
    records = table(x=pa.array([at * 7919 % 1000 for at in range(500)]), word=pa.array([f"w{at}" for at in range(500)]))
    path = tmp_path / f"x.{ending}"
    if ending == "parquet":
        pq.write_table(records, path, row_group_size=100)
    else:
        sink = pa.BufferOutputStream()
        pa.csv.write_csv(records, sink)
        path.write_bytes(gzip.compress(sink.getvalue().to_pybytes(), mtime=0))
    whole = path.read_bytes()
    assert read(open_source(monitor(str(path))), [KEY]).num_rows == 500
    for cut in _cuts(len(whole), 60):
        path.write_bytes(whole[:cut])
        with pytest.raises(RefusedData, match=f"{path.name}"):
            open_source(monitor(str(path)))


def test_p12_a_cut_csv_file_is_refused_or_cut_where_a_record_could_end(tmp_path: Path) -> None:
    """Plain CSV does not tell its length: what is cut between two records, or within a last cell, is CSV."""
    lines = ["id,day,x,word", *(f'{at},{KEY},{at * 7919 % 1000},"wö {at}"' for at in range(12))]
    whole, path = ("\n".join(lines) + "\n").encode(), tmp_path / "x.csv"
    refused = 0
    for cut in range(0, len(whole), 3):
        path.write_bytes(whole[:cut])
        try:
            records = read(open_source(monitor(str(path))), [KEY])
        except (RefusedData, ConfigurationError):
            refused += 1
            continue
        *complete, last = whole[:cut].removesuffix(b"\n").decode().split("\n")
        assert records.num_rows == len(complete)
        assert complete == lines[: len(complete)] and lines[len(complete)].startswith(last)
        assert not complete or last.count(",") == 3
    assert refused > 0.25 * len(whole)


WRONG = {
    "utf-16": f"id,day,x\n1,{KEY},ä\n".encode("utf-16"),
    "utf-16 without a mark": f"id,day,x\n1,{KEY},ä\n".encode("utf-16-le"),
    "latin-1 in a cell": f"id,day,x\n1,{KEY},ä\n".encode("latin-1"),
    "latin-1 in the header": f"id,day,ä\n1,{KEY},a\n".encode("latin-1"),
    "a surrogate": f"id,day,x\n1,{KEY},".encode() + b"\xed\xa0\x80\n",
    "an overlong NUL": f"id,day,x\n1,{KEY},".encode() + b"\xc0\x80\n",
    "gzip under another name": gzip.compress(b"id,day,x\n"),
    "zlib": zlib.compress(b"id,day,x\n"),
    "nothing": b"",
    "zeros": b"\0" * 100,
}


@pytest.mark.parametrize("what", WRONG)
def test_p12_what_is_not_utf_8_is_refused_as_a_whole(tmp_path: Path, what: str) -> None:
    (tmp_path / "x.csv").write_bytes(WRONG[what])
    with pytest.raises((RefusedData, ConfigurationError)) as refused:
        read(open_source(monitor(str(tmp_path / "*.csv"))), [KEY])
    assert str(refused.value).startswith(("t /", f"t {KEY}: ")) and "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64(), pa.decimal128(38, 0)])
def test_p09_bounds_and_sets_of_whole_numbers_beyond_2_53_are_exact(kind: pa.DataType) -> None:
    among = {"expect_column_values_to_be_in_set": {"column": "x", "value_set": [2**53]}, "severity": "error"}
    below = {"expect_column_values_to_be_between": {"column": "y", "max_value": 2**53}, "severity": "error"}
    watched = monitor(expectations=[among, below])
    values = pa.array([2**53, 2**53 + 1, None], kind)
    records = table(x=values, y=values)
    suite = first_suite(watched, records.schema)
    check = RecordCheck(watched, KEY, suite, duplicate_keys(watched, suite, lambda names: records.to_batches()))
    assert [(broken.row, broken.column) for broken in check.check(records, 0).quarantined] == [(1, "x"), (1, "y")]
