"""The file of scores: whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import FailedMachinery
from pipeline.scores_file import scores_writer


def batch(first: int, n: int = 3) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    ids = np.arange(first, first + n)
    return pa.table({"id": ids, "shop": np.full(n, "Bern"), "amount": ids * 1.5}), ids / 2.0, 1.0 / (1 + ids)


def test_the_batches_follow_each_other_with_their_keys(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    with scores_writer(path, ["shop", "id"]) as write:
        write(*batch(0))
        write(*batch(3, 0))
        write(*batch(3))

    found = pq.read_table(path)

    assert found.column_names == ["shop", "id", "score", "p_value"]
    assert found["id"].to_pylist() == list(range(6))
    assert found["score"].to_pylist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert found["p_value"].to_numpy() == pytest.approx(1 / (1 + np.arange(6)))
    assert found.schema.field("score").type == found.schema.field("p_value").type == pa.float64()


def test_p09_keys_keep_their_type(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    table = pa.table({"id": pa.array([2**63 - 1, 2**53 + 1], pa.int64())})
    with scores_writer(path, ["id"]) as write:
        write(table, np.zeros(2), np.ones(2))
    assert pq.read_table(path)["id"].to_pylist() == [2**63 - 1, 2**53 + 1]


def test_nothing_is_there_before_the_block_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    with scores_writer(path, ["id"]) as write:
        write(*batch(0))
        assert not path.exists()
    assert [each.name for each in tmp_path.iterdir()] == ["scores.parquet"]


def test_p28_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    with scores_writer(path, ["id"]) as write:
        write(*batch(0))
    old = path.read_bytes()

    with pytest.raises(ZeroDivisionError), scores_writer(path, ["id"]) as write:
        write(*batch(7))
        raise ZeroDivisionError

    assert path.read_bytes() == old
    assert [each.name for each in tmp_path.iterdir()] == ["scores.parquet"]


@pytest.mark.parametrize("folder", ["missing", "a-file"])
def test_p28_a_place_that_cannot_be_written_is_failed_machinery(tmp_path: Path, folder: str) -> None:
    (tmp_path / "a-file").write_text("")
    path = tmp_path / folder / "scores.parquet"
    message = f"{folder}/scores.parquet: could not be written: "
    with pytest.raises(FailedMachinery, match=message), scores_writer(path, ["id"]) as write:
        write(*batch(0))
    assert [each.name for each in tmp_path.iterdir()] == ["a-file"]


def test_p28_a_full_disk_is_failed_machinery_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: pq.ParquetWriter, table: pa.Table) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "scores.parquet"
    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    message = "could not be written: No space left on device"
    with pytest.raises(FailedMachinery, match=message), scores_writer(path, ["id"]) as write:
        write(*batch(0))
    assert list(tmp_path.iterdir()) == []


def test_p28_what_a_killed_run_left_is_not_taken_for_scores(tmp_path: Path) -> None:
    left = tmp_path / ".scores.parquet.0badcafe.partial"
    left.write_text("half of it")
    os.utime(left, (0, 0))
    with scores_writer(tmp_path / "scores.parquet", ["id"]):
        pass
    assert list(tmp_path.iterdir()) == []


def test_p26_two_writers_of_one_file_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    with scores_writer(path, ["id"]) as slow:
        slow(*batch(0))
        with scores_writer(path, ["id"]) as fast:
            fast(*batch(100))
        assert pq.read_table(path)["id"].to_pylist() == [100, 101, 102]
        slow(*batch(200))
    assert pq.read_table(path)["id"].to_pylist() == [0, 1, 2, 200, 201, 202]
    assert list(tmp_path.iterdir()) == [path]


def test_without_a_path_or_a_batch_nothing_is_written(tmp_path: Path) -> None:
    with scores_writer(None, ["id"]) as write:
        write(*batch(0))
    with scores_writer(tmp_path / "scores.parquet", ["id"]):
        pass
    assert list(tmp_path.iterdir()) == []
