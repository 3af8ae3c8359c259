"""A small house with everything a fault can break: one table of four nights, a home, a store on either database.

Its state is what people and dashboards can see of it, without ids and times: equal states are equal houses.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from psycopg import sql

from pipeline.store.schema import metadata

NIGHTS = ("2013-02-01", "2013-02-02", "2013-02-03", "2013-02-04")
ROWS = 120
RESULTS = (
    *("validations", "quarantine", "anomalies", "contributions", "neighbours", "incidents", "metrics"),
    "column_metrics",
)
MONITOR = """\
source: {source}
partition_by: night
primary_key: [id]
training: {{window: 2, min_rows: 50, model: autoencoder}}
threshold: {{false_alarm_rate: 0.02}}
"""


@dataclass(frozen=True)
class State:
    """What a house holds.

    `results` has a digest for each partition with results; `versions` are the model versions by status; `bundles` the
    digest of each bundle's file; `litter` what is neither a bundle nor the store; `runs` kind and status of each run,
    in their order; `scorers` the model versions that a partition's rows were scored with.
    """

    results: dict[str, str]
    champion: str | None
    versions: dict[str, str]
    bundles: dict[str, str]
    litter: tuple[str, ...]
    runs: tuple[tuple[str, str], ...]
    scorers: dict[str, tuple[str, ...]]

    @property
    def seen(self) -> tuple[dict[str, str], str | None]:
        """The part that has to be as before or as after, whatever happens."""
        return self.results, self.champion


class NightHouse:
    """`server` is the URL of a PostgreSQL server; without one the store is SQLite in the home."""

    def __init__(self, folder: Path, server: str | None = None) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.monitors = folder / "monitors"
        self.data = folder / "nights.parquet"
        self._server = server and sa.make_url(server).set(drivername="postgresql").render_as_string(False)
        self._database = f"faults_{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"

    @property
    def engine(self) -> sa.Engine:
        """A way to the store beside the product."""
        url = sa.make_url(self.store_url or f"sqlite:///{self.home / 'store.db'}")
        return sa.create_engine(
            url.set(drivername="postgresql+psycopg") if self._server else url, poolclass=sa.NullPool
        )

    @property
    def store_url(self) -> str | None:
        """What TABLEWATCH_STORE_URL has to say; None for the store in the home."""
        if self._server is None:
            return None
        return sa.make_url(self._server).set(database=self._database).render_as_string(hide_password=False)

    @property
    def environment(self) -> dict[str, str]:
        own = {"TABLEWATCH_HOME": str(self.home), "TABLEWATCH_MONITORS": str(self.monitors)}
        return own | ({"TABLEWATCH_STORE_URL": self.store_url} if self.store_url else {})

    def build(self) -> None:
        """An empty home, the table and its monitor."""
        self.monitors.mkdir(parents=True)
        self.home.mkdir()
        self.write_table(nights())
        self.write_monitor(f"{{files: {self.data}}}")
        if self._server:
            self._create("template0")

    def write_monitor(self, source: str) -> None:
        (self.monitors / "nights.yaml").write_text(MONITOR.format(source=source), encoding="utf-8")

    def write_table(self, table: pa.Table) -> None:
        pq.write_table(table, self.data, row_group_size=ROWS)

    def move_in(self, trained: NightHouse) -> None:
        """Take over the home of a house whose store is SQLite, and with PostgreSQL its store's rows."""
        shutil.copytree(trained.home, self.home, dirs_exist_ok=True)
        if self._server is None:
            return
        (self.home / "store.db").unlink()
        from pipeline.store import Store

        Store(self.store_url or "").migrate()
        with trained.engine.connect() as there, self.engine.begin() as here:
            for table in metadata.sorted_tables:
                columns = [column for column in table.c if column.name != "sequence"]
                if rows := [dict(row) for row in there.execute(sa.select(*columns)).mappings()]:
                    here.execute(table.insert(), rows)

    def close(self) -> None:
        if self._server:
            self._drop(self._database)

    def state(self) -> State:
        rows = self._rows()
        versions = {row["version"]: row["status"] for row in rows["model_versions"]}
        results: dict[str, list[str]] = {}
        scorers: dict[str, set[str]] = {}
        for name in RESULTS:
            for row in rows[name]:
                results.setdefault(row["partition"], []).append(f"{name} {_lasting(row)}")
                if "model_version" in row:
                    scorers.setdefault(row["partition"], set()).add(row["model_version"])
        bundles = self.home / "bundles" / "nights"
        files = [path for path in self.home.rglob("*") if path.is_file() and not path.name.startswith("store.db")]
        kept = [path for path in files if path.parent == bundles and not path.name.startswith(".")]
        return State(
            {partition: _digest("\n".join(sorted(texts)).encode()) for partition, texts in results.items()},
            next((version for version, status in versions.items() if status == "champion"), None),
            versions,
            {path.stem: _digest(path.read_bytes()) for path in kept},
            tuple(sorted(str(path.relative_to(self.home)) for path in set(files) - set(kept))),
            tuple((row["kind"], row["status"]) for row in sorted(rows["runs"], key=lambda row: row["sequence"])),
            {partition: tuple(sorted(versions)) for partition, versions in scorers.items()},
        )

    def tables(self) -> set[str]:
        """The names of the store's tables."""
        with self.engine.connect() as connection:
            return set(sa.inspect(connection).get_table_names())

    def _rows(self) -> dict[str, list[dict[str, Any]]]:
        if self._server is None and not (self.home / "store.db").exists():
            return {name: [] for name in metadata.tables}
        with self.engine.connect() as connection:
            there = self.tables()
            return {
                name: [dict(row) for row in connection.execute(sa.select(table)).mappings()] if name in there else []
                for name, table in metadata.tables.items()
            }

    def save(self) -> Path:
        """A copy of the home and the store as they are; `restore` brings them back until `forget`."""
        copy = self.folder / "saved"
        shutil.copytree(self.home, copy)
        if self._server:
            self._create(self._database, f"{self._database}_saved")
        return copy

    def forget(self, copy: Path) -> None:
        shutil.rmtree(copy)
        if self._server:
            self._drop(f"{self._database}_saved")

    def restore(self, copy: Path) -> None:
        shutil.rmtree(self.home)
        shutil.copytree(copy, self.home)
        if self._server:
            self._drop(self._database)
            self._create(f"{self._database}_saved")

    def _create(self, template: str, name: str | None = None) -> None:
        self._administer("CREATE DATABASE {} TEMPLATE {}", name or self._database, template)

    def _drop(self, name: str) -> None:
        self._administer("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _administer(self, statement: str, *names: str) -> None:
        with psycopg.connect(self._server or "", autocommit=True) as connection:
            for name in names:  # a process that was just killed may still be leaving
                connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def nights(days: tuple[str, ...] = NIGHTS, seed: int = 1) -> pa.Table:
    """Records of some nights; in each one has a distance that is far out and two share a key, so are quarantined."""
    count = ROWS * len(days)
    draw = np.random.default_rng(seed)
    key = np.arange(count)
    distance = draw.integers(100, 4000, count)
    minutes = distance / 12 + draw.normal(20, 2, count)
    minutes[7::ROWS] *= 20
    key[11::ROWS] = key[10::ROWS]
    return pa.table(
        {
            "id": key,
            "night": pa.array([dt.date.fromisoformat(day) for day in days for _ in range(ROWS)]),
            "carrier": draw.choice(["UA", "DL", "AA"], count),
            "distance": distance,
            "minutes": minutes,
        }
    )


def _lasting(row: dict[str, Any]) -> str:
    """A row without what differs between equal runs; the monitor's file names the folder of the house."""
    passing = ("run_id", "config_hash")
    lasting = {name: value for name, value in row.items() if name not in passing and not name.endswith("_at")}
    return json.dumps(lasting, sort_keys=True, default=str)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
