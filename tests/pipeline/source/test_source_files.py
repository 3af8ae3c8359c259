"""Globs of files: which are read for which days, and what happens when they differ or are broken."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, RefusedData
from pipeline.source import Partition, open_source, read

DAYS = ["2013-02-03", "2013-02-04", "2013-02-05"]


def night(day: str, **columns: list[Any]) -> pa.Table:
    count = len(next(iter(columns.values())))
    return pa.table({"id": range(count), "day": [dt.date.fromisoformat(day)] * count} | columns)


@pytest.fixture(params=["parquet", "csv"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Writes a file a night; the glob that matches them."""

    def make(*tables: pa.Table) -> str:
        for number, table in enumerate(tables):
            if request.param == "parquet":
                parquet.write_table(table, tmp_path / f"night{number}.parquet")
            else:
                pa.csv.write_csv(table, tmp_path / f"night{number}.csv")
        return str(tmp_path / "night*")

    return make


def test_p06_a_column_that_one_night_lacks_is_missing_in_that_night_only(monitor: Any, write: Any) -> None:
    files = write(night(DAYS[0], x=[1], y=[1]), night(DAYS[1], x=[2]), night(DAYS[2], x=[3], y=[3]))
    source = open_source(monitor({"files": files}))
    assert source.schema().names == ["id", "day", "x", "y"]
    assert source.schema([DAYS[1]]).names == source.schema(DAYS).names == ["id", "day", "x"]
    assert source.schema([DAYS[0], DAYS[2]]).names == ["id", "day", "x", "y"]
    with pytest.raises(RefusedData, match="flights 2013-02-04: column 'y' is missing; known: day, id, x"):
        next(source.batches([DAYS[1]], ["x", "y"]))
    assert read(source, [DAYS[2]], ["y"])["y"].to_pylist() == [3]
    assert "y.mean" not in source.profiles([DAYS[1]])[0]


def test_p05_a_column_that_is_new_in_one_night_is_there_in_that_night(monitor: Any, write: Any) -> None:
    source = open_source(monitor({"files": write(night(DAYS[0], x=[1]), night(DAYS[1], new=["n"], x=[2]))}))
    assert source.schema([DAYS[0]]).names == ["id", "day", "x"]
    assert source.schema([DAYS[1]]).names == ["id", "day", "x", "new"]
    assert read(source, [DAYS[1]])["new"].to_pylist() == ["n"]


def test_p07_a_type_that_changes_in_one_night_does_not_change_the_others(monitor: Any, write: Any) -> None:
    source = open_source(monitor({"files": write(night(DAYS[0], x=[2**53 + 1]), night(DAYS[1], x=["odd"]))}))
    assert read(source, [DAYS[0]])["x"].to_pylist() == [2**53 + 1]
    assert read(source, [DAYS[1]])["x"].to_pylist() == ["odd"]


def test_a_night_in_two_files_and_two_nights_in_a_file_are_read_whole(monitor: Any, write: Any) -> None:
    both = pa.concat_tables([night(DAYS[0], x=[1, 2]), night(DAYS[1], x=[3])])
    source = open_source(monitor({"files": write(both, night(DAYS[1], x=[4, 5]))}))
    assert source.partitions() == [Partition(DAYS[0], 2), Partition(DAYS[1], 3)]
    assert sorted(read(source, [DAYS[1]])["x"].to_pylist()) == [3, 4, 5]
    assert source.profiles([DAYS[1]])[0]["x.mean"] == 4


def test_folders_of_days_are_a_column(monitor: Any, tmp_path: Path) -> None:
    for day in DAYS:
        (tmp_path / f"day={day}").mkdir()
        parquet.write_table(night(day, x=[1]).drop(["day"]), tmp_path / f"day={day}" / "part.parquet")
    source = open_source(monitor({"files": str(tmp_path / "**" / "*.parquet")}))
    assert [partition.key for partition in source.partitions()] == DAYS
    assert read(source, [DAYS[1]])["day"].to_pylist() == [dt.date(2013, 2, 4)]


def test_names_of_files_are_no_globs(monitor: Any, tmp_path: Path) -> None:
    folder = tmp_path / "it's [1]"
    folder.mkdir()
    parquet.write_table(night(DAYS[0], x=[1], filename=["f"]), folder / "a*b[2].parquet")
    parquet.write_table(night(DAYS[0], x=[9], filename=["f"]), folder / "acb2.parquet")
    pattern = str(tmp_path / "it's [[]1]" / "a[*]b*.parquet")
    assert read(open_source(monitor({"files": pattern})), [DAYS[0]])["x"].to_pylist() == [1]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_p12_a_cut_parquet_file_is_refused_wherever_it_is_cut(
    monitor: Any, tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(night(DAYS[0], x=list(range(500))), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(RefusedData, match=r"^flights /.*/a\.parquet: "):
        open_source(monitor({"files": str(path)}))


def test_p12_a_parquet_file_with_a_broken_page_is_refused_with_its_name(monitor: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(night(DAYS[0], x=[f"{n:x}" * 9 for n in range(5_000)]), path)
    content = bytearray(path.read_bytes())
    content[2_000:4_000] = bytes(2_000)
    path.write_bytes(content)
    with pytest.raises(RefusedData, match=r"^flights 2013-02-03: .*/a\.parquet"):
        read(open_source(monitor({"files": str(path)})), [DAYS[0]])


def test_p12_a_broken_file_beside_whole_ones_is_refused_with_its_name(monitor: Any, write: Any) -> None:
    pattern = write(night(DAYS[0], x=[1]), night(DAYS[1], x=[2]))
    broken = sorted(Path(pattern).parent.glob("night1*"))[0]
    broken.write_bytes(b"\xff\xfe not a table")
    with pytest.raises(RefusedData, match="night1"):
        open_source(monitor({"files": pattern}))


def test_p14_columns_of_parquet_that_an_engine_would_take_for_one_are_refused(monitor: Any, tmp_path: Path) -> None:
    parquet.write_table(night(DAYS[0], x=[1], X=[2]), tmp_path / "a.parquet")
    with pytest.raises(ConfigurationError, match="columns 'x' and 'X' are one name"):
        open_source(monitor({"files": str(tmp_path / "*.parquet")}))


def test_files_that_are_not_there_or_not_alike_are_the_monitors_fault(monitor: Any, write: Any) -> None:
    pattern = write(night(DAYS[0], x=[1]))
    with pytest.raises(ConfigurationError, match=r"no file matches .*\.orc; mend source.files"):
        open_source(monitor({"files": pattern + ".orc"}))
    (Path(pattern).parent / "night.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="files that end in .*'.json'.*; let the glob match only .parquet"):
        open_source(monitor({"files": pattern}))
