"""Hostile frames on the whole path of a record: refused in words, or nothing lost and nothing invented."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import House, normal
from hostile_frames import DAY, KEY, WIDEST, columns, frames, keys
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import monitor as monitors
from pipeline import steps
from pipeline.detector import Detector
from pipeline.drafting import draft
from pipeline.errors import ConfigurationError, RefusedData

PARTITION = DAY.isoformat()
NORMAL = normal()
# Of what an error is about: never of the value of a record, and never a family that would be tried again.
PROPER = (RefusedData, ConfigurationError)
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]

quickly = settings(max_examples=8, suppress_health_check=SHARED)
slowly = settings(max_examples=40, suppress_health_check=SHARED)


@st.composite
def nights(draw: st.DrawFn) -> pa.Table:
    """Ordinary records of the trained table with some columns, and perhaps the key, in hostile hands."""
    rows = draw(st.sampled_from([1, 2, 7, 40]))
    night = NORMAL.slice(draw(st.integers(0, 100)), rows)
    if draw(st.booleans()):
        night = night.set_column(0, KEY, draw(keys(rows)))
    for name in draw(st.lists(st.sampled_from(night.column_names[2:]), min_size=1, max_size=3, unique=True)):
        night = night.set_column(night.column_names.index(name), name, draw(columns(rows)))
    return night


def checked(house: House, frame: pa.Table) -> None:
    """Validates a frame; whatever comes of it, the counts are right and the run says how it ended."""
    house.put(frame)
    try:
        counts = steps.validate("t", PARTITION, house.settings).counts
    except PROPER as refusal:
        told(house, refusal)
        return
    assert counts["read"] == frame.num_rows == counts["accepted"] + counts["quarantined"]
    assert len({one.row for one in house.store.quarantine("t", PARTITION)}) == counts["quarantined"]
    assert all(one.expectation for one in house.store.quarantine("t", PARTITION))


def scored(house: House, frame: pa.Table) -> None:
    """Scores a frame; every accepted record has one finite score, and what is flagged has its reasons."""
    house.put(frame)
    file = house.folder / "scores.parquet"
    file.unlink(missing_ok=True)
    try:
        counts = steps.score("t", PARTITION, house.settings, file).counts
    except PROPER as refusal:
        assert not file.exists()
        told(house, refusal)
        return
    assert counts["read"] == frame.num_rows == counts["accepted"] + counts["quarantined"]
    scores = pq.read_table(file) if file.exists() else pa.table({KEY: [], "score": [], "p_value": []})
    assert scores.num_rows == counts["accepted"] == len(scores[KEY].unique())
    assert all(np.isfinite(scores[name].to_numpy().astype(float)).all() for name in ("score", "p_value"))
    flagged = house.store.anomalies("t", PARTITION)
    assert len(flagged) == counts["flagged"] == sum(p <= 0.05 for p in scores["p_value"].to_pylist())
    assert all(one.contributions and np.isfinite(one.score) for one in flagged)
    assert len({one.row for one in house.store.quarantine("t", PARTITION)}) == counts["quarantined"]


def told(house: House, refusal: Exception) -> None:
    assert str(refusal).startswith("t") and "\n" not in str(refusal) and len(str(refusal)) < 2_000
    (run, *_) = house.store.runs("t", PARTITION)
    assert run.status in ("refused", "empty", "failed") and run.reason


@quickly
@given(frame=frames())
def test_p05_to_p14_a_hostile_frame_is_refused_or_wholly_parted(house: House, frame: pa.Table) -> None:
    checked(house, frame)


@pytest.mark.slow
@slowly
@given(frame=frames(wide=True))
def test_p05_to_p14_many_hostile_frames_are_refused_or_wholly_parted(house: House, frame: pa.Table) -> None:
    checked(house, frame)


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=SHARED)
@given(frame=nights())
def test_p03_to_p11_every_accepted_record_of_a_hostile_night_has_one_finite_score(
    trained: House, frame: pa.Table
) -> None:
    scored(trained, frame)


@pytest.mark.slow
@settings(max_examples=3, suppress_health_check=SHARED)
@given(frame=frames(least=40))
def test_p05_to_p14_a_hostile_window_trains_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, tiny: None, frame: pa.Table
) -> None:
    house = House(tmp_path_factory.mktemp("window"))
    house.put(frame)
    try:
        counts = steps.train("t", settings=house.settings).counts
    except PROPER as refusal:
        assert str(refusal).startswith("t") and house.store.champion("t") is None
        return
    assert counts["read"] == frame.num_rows == counts["accepted"] + counts["quarantined"]
    scored(house, frame)


@pytest.mark.parametrize("words", [["x", "y"], ["x", "y", "z"], ["x", "x"]])
def test_p03_a_table_without_a_single_number_is_learned(tiny: None, words: list[str]) -> None:
    records = pa.table({"day": [DAY] * 60, "word": words * (60 // len(words))})
    detector = Detector("autoencoder", anchor="day").fit(records)
    assert np.isfinite(detector.score(records).score).all()


@quickly
@given(frame=frames())
def test_p14_a_hostile_table_is_drafted_into_a_file_that_loads_or_refused(
    tmp_path_factory: pytest.TempPathFactory, frame: pa.Table
) -> None:
    folder = tmp_path_factory.mktemp("draft")
    pq.write_table(frame, folder / "t.parquet")
    try:
        drafted = draft(None, None, str(folder / "t.parquet"))
    except PROPER as refusal:
        assert str(refusal).startswith("t") and "\n" not in str(refusal)
        return
    Path(folder / "t.yaml").write_text(drafted.text, encoding="utf-8")
    monitor = monitors.load(folder / "t.yaml")
    assert {monitor.partition_by, *monitor.primary_key, *monitor.columns.exclude} <= set(frame.column_names)


@pytest.mark.slow
def test_p13_as_many_columns_as_may_be_are_checked_and_one_more_is_refused(house: House) -> None:
    def wide(count: int) -> pa.Table:
        given: dict[str, Any] = {"id": [1, 2], "day": [DAY, DAY]}
        return pa.table(given | {f"c{at}": [1.5, None] for at in range(count - 2)})

    house.put(wide(WIDEST))
    assert steps.validate("t", PARTITION, house.settings).counts == {"read": 2, "accepted": 2, "quarantined": 0}
    house.put(wide(WIDEST + 1))
    with pytest.raises(ConfigurationError, match=re.escape(f"{WIDEST + 1} columns, above {WIDEST}")):
        steps.validate("t", PARTITION, house.settings)
