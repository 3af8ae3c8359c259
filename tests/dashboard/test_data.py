"""What is read from the store, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import datetime as dt
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from small_house import NIGHTS
from wrong_night import LAST, PATTERN, WrongNight

from dashboard import data


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A schema of its own on the tests' PostgreSQL."""
    given = os.environ.get("TABLEWATCH_TEST_POSTGRES_URL")
    if given is None:
        pytest.skip("needs PostgreSQL: make postgres")
    schema = f"dashboard_{secrets.token_hex(6)}"
    address = sa.make_url(given).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(address, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
    options = {"options": f"-c search_path={schema}"}
    yield address.update_query_dict(options).render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(sa.schema.DropSchema(schema, cascade=True))


PASSING = ("run_id", "suppression_id", "hours_to_label")


def everything() -> dict[str, Any]:
    """What each function reads of the last night, without what differs from run to run."""
    now = dt.datetime.now(dt.UTC)
    found: dict[str, Any] = {
        "health": data.health(),
        "nights": data.nights("nights"),
        "partitions": data.partitions("nights"),
        "incidents": data.incidents("nights", LAST),
        "history": data.history("nights", PATTERN),
        "flagged": data.flagged("nights", LAST),
        "flagged of incident": data.flagged("nights", LAST, PATTERN),
        "quarantined": data.quarantined("nights", LAST),
        "quarantined of incident": data.quarantined("nights", LAST, PATTERN),
        "record": data.record("nights", LAST, "35"),
        "why record": data.why_record("nights", LAST, "31"),
        "neighbours": data.neighbours("nights", LAST, "31"),
        "why incident": data.why_incident("nights", LAST, PATTERN),
        "scores": data.scores("nights", LAST),
        "labels": data.labels("nights", LAST),
        "rates": data.rates("nights"),
        "drift": data.drift("nights", "psi"),
        "would stay": [{**row, "stay": int(row["stay"])} for row in data.would_stay("nights", 0.0005)],
        "expectations": data.expectations("nights", LAST),
        "broken": data.broken_by_night("nights"),
        "quarantine": data.quarantine_reasons("nights"),
        "models": data.models("nights"),
        "undelivered": data.undelivered(),
        "muting": data.muting("nights"),
    }

    def steady(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: steady(each) for name, each in value.items() if name not in PASSING}
        if isinstance(value, list | tuple):
            return [steady(each) for each in value]
        if isinstance(value, dt.datetime):
            assert value.tzinfo is not None and abs((value - now).days) < 10
            return "a time"
        return bool(value) if isinstance(value, bool) else value

    return {name: steady(each) for name, each in found.items()}


def said(night: WrongNight) -> None:
    night.store.add_label("nights", LAST, "31", "confirmed", "wrong", "ada")
    later = night.store.clock() + dt.timedelta(days=3)
    night.store.open_suppression("nights", PATTERN, "s", ["air_time"], [], "n", "ada", later)
    data.forget()


def test_nothing_is_read_of_another_night_or_incident(night: WrongNight) -> None:
    said(night)
    found = everything()
    assert found["partitions"] == [*reversed(NIGHTS)]
    assert [row["record_key"] for row in found["flagged"]] == ["31", "32", "33", "34"]
    assert [row["record_key"] for row in found["flagged of incident"]] == ["31", "32", "33"]
    assert found["scores"] == [9.0, 8.0, 7.0, 3.0]
    assert [row["partition"] for row in found["history"]] == [LAST, NIGHTS[1]]
    assert [*found["why incident"]] == ["31", "32", "33"]
    assert [row["rank"] for row in found["why record"]] == [1, 2]
    assert [row["record"]["air_time"] for row in found["neighbours"]] == [150, 162]
    assert found["record"][0] is None and found["record"][1][0]["value"] == "-3"
    assert [*found["labels"]] == ["31"] and found["flagged"][0]["label"] == "confirmed"
    assert [(row["partition"], row["flagged"], row["stay"]) for row in found["would stay"]] == [
        *((night_of, flagged, flagged) for night_of, flagged in zip(NIGHTS, (0, 1, 4), strict=True))
    ]
    assert found["incidents"][0]["columns"] == ["air_time", "carrier"]
    assert found["expectations"][0]["kwargs"] == {"column": "air_time", "min_value": 1}
    assert len(found["muting"]) == 1


def test_what_was_written_elsewhere_is_read_again_when_asked_for(night: WrongNight) -> None:
    assert data.labels("nights", LAST) == {}
    night.store.add_label("nights", LAST, "31", "confirmed", "", "ada")
    assert data.labels("nights", LAST) == {}, "kept for a while"
    data.forget()
    assert [*data.labels("nights", LAST)] == ["31"]


@pytest.mark.postgres
def test_postgresql_tells_the_same(
    night: WrongNight, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said(night)
    told = everything()
    (tmp_path / "other").mkdir()
    other = WrongNight(tmp_path / "other", monkeypatch, postgres_url)
    said(other)
    assert everything() == told
