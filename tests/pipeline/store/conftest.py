"""A migrated store on SQLite and, where TABLEWATCH_TEST_POSTGRES_URL names a server, in a schema on PostgreSQL."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.results import Anomaly, Contribution, ExpectationResult, Neighbour, Quarantined
from pipeline.store import PartitionResults, Store
from pipeline.store.schema import metadata

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


class Clock:
    """A minute passes with every look at it."""

    def __init__(self) -> None:
        self.now = dt.datetime(2013, 2, 4, 2, 0, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        self.now += dt.timedelta(minutes=1)
        return self.now


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "postgres: needs a PostgreSQL server in TABLEWATCH_TEST_POSTGRES_URL")


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
        return
    server = os.environ.get("TABLEWATCH_TEST_POSTGRES_URL")
    if not server:
        pytest.skip("set TABLEWATCH_TEST_POSTGRES_URL to the URL of a PostgreSQL server to run this on PostgreSQL too")
    schema = f"test_{uuid.uuid4().hex}"
    address = sa.make_url(server).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(address, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
    address = address.update_query_dict({"options": f"-c search_path={schema}", "application_name": schema})
    yield address.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(sa.schema.DropSchema(schema, cascade=True))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(url: str, clock: Clock) -> Store:
    store = Store(url, clock)
    store.migrate()
    return store


@pytest.fixture
def engine(url: str) -> sa.Engine:
    """A way to the database beside the store."""
    return sa.create_engine(url, poolclass=sa.NullPool)


@pytest.fixture
def query(engine: sa.Engine) -> Callable[..., list[Any]]:
    """Rows of plain SQL, as a dashboard would ask for them."""

    def run(sql: str, **parameters: Any) -> list[Any]:
        with engine.connect() as connection:
            return list(connection.execute(sa.text(sql), parameters).all())

    return run


@pytest.fixture
def digest(engine: sa.Engine) -> Callable[[], str]:
    """The SHA-256 of every row that is not a run's, but for the ids and times that differ between equal runs."""

    def of_tables() -> str:
        text = []
        with engine.connect() as connection:
            for name, table in sorted(metadata.tables.items()):
                columns = [c for c in table.c if name != "runs" and c.name != "run_id" and not c.name.endswith("_at")]
                if columns:
                    text += [name, *sorted(map(repr, connection.execute(sa.select(*columns))))]
        return hashlib.sha256("\n".join(text).encode()).hexdigest()

    return of_tables


@pytest.fixture
def results() -> Callable[..., PartitionResults]:
    """Results of a partition of ten records, one broken, with these anomalies: record key -> score."""

    def make(scores: dict[str, float] | None = None) -> PartitionResults:
        anomalies = [
            Anomaly(
                key,
                score,
                0.0005,
                1.0,
                {"dep_delay": score, "carrier": "UA"},
                (
                    Contribution("dep_delay", "800", "4", 0.75, 1, "out_of_range"),
                    Contribution("carrier", "UA", "HA", 0.25, 2, "reconstruction"),
                ),
            )
            for key, score in ({"1": 2.5, "2": 7.25} if scores is None else scores).items()
        ]
        kwargs = {"column": "distance", "min_value": 1}
        between = "expect_column_values_to_be_between"
        return PartitionResults(
            validations=[
                ExpectationResult("record", between, "distance", kwargs, "error", "monitor", False, 10, 1, 0.1),
                ExpectationResult("partition", "expect_table_row_count", None, {}, "error", "built-in", True, 10, 0),
            ],
            quarantine=[Quarantined(3, None, "distance", between, "-5", {"distance": -5})],
            anomalies=anomalies,
            metrics={"rows": 10, "distance.mean": 1.5, "distance.median": None},
            counts={"read": 10, "accepted": 9, "quarantined": 1, "flagged": len(anomalies)},
            neighbours=[
                Neighbour(each.record_key, rank, f"n{rank}", 0.25 * rank, {"dep_delay": 4.5, "carrier": "UA"})
                for each in anomalies
                for rank in (2, 1)
            ],
        )

    return make


@pytest.fixture
def score(store: Store) -> Callable[..., str]:
    """One whole scoring run; its id."""

    def run(
        results: PartitionResults, partition: str = "2013-02-03", version: str = "v1", monitor: str = "flights"
    ) -> str:
        run_id = store.start_run(monitor, partition, "score", "c0ffee")
        store.replace_partition(run_id, monitor, partition, version, "c0ffee", results)
        return run_id

    return run
