"""How fast the store is written, and read when it has grown: side by side, on a PostgreSQL of this script's own.

    python benchmarks/store.py writes [--anomalies 10000,100000]
    python benchmarks/store.py reads [--monitors 200] [--nights 365] [--anomalies 2] [--from 0005] [--sqlite]

`writes`: rows a second of anomalies with five contributions each, by a bare COPY of ready text, by the store's COPY
(its conversions of values and SQLAlchemy's part included), and by many INSERTs. `reads`: milliseconds of each
statement of the dashboard and each query of docs/dashboards.md on a store of so many nights, at an older revision and
at this one.
Each figure is the best of `ROUNDS`, in turn; PostgreSQL does not wait for the disk (`fsync=off`).
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.environment import environment
from benchmarks.postgres import Write, bare_copy, databases, engine_of, engine_url, in_transaction, inserted, rows_of
from benchmarks.years import Years
from dashboard import statements
from pipeline.results import Anomaly, Contribution
from pipeline.store import Store, copying
from tests import older_store

ROUNDS = 2
PAGE = Path(__file__).parents[1] / "docs" / "dashboards.md"

Statement = tuple[str, dict[str, Any]]


def statements_of(monitor: str, night: str, incident: str) -> dict[str, Statement]:
    """What the dashboard and the page of queries ask, of one monitor as it stands after this night."""
    said = {
        "monitor": monitor, "partition": night, "nights": 60, "most": 1_000, "incident_id": incident,
        "record_key": "k1", "name": "psi", "rate": 0.0002, "dag_run": f"score_{monitor}/{night}",
    }  # fmt: skip
    found: dict[str, Statement] = {}
    for name in filter(str.isupper, vars(statements)):
        sql = getattr(statements, name)
        found[name] = sql, {key: said[key] for key in re.findall(r"(?<!:):(\w+)", sql)}
    for title, sql in re.findall(r"^## (.+?)\n.*?^```sql\n(.+?)^```", PAGE.read_text(), re.M | re.S):
        found[title] = sql.replace("'flights'", f"'{monitor}'"), {}
    return found


def milliseconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - began)


def measure_writes(counts: list[int]) -> None:
    print(f"{'rows':>9} {'bare COPY':>12} {'our COPY':>12} {'INSERTs':>12}   rows a second")
    with databases() as make:
        store = Store(make("writes"))
        store.migrate()
        run_id = store.start_run("flights", "2013-02-03", "score", "c0ffee")
        for count in counts:
            tables = rows_of(made_up(count), run_id)
            ways = {"bare": bare_copy(tables), "ours": inserted(tables, copying._copy)}
            ways["inserts"] = inserted(tables, copying._execute_many)
            best = dict.fromkeys(ways, float("inf"))
            for _ in range(ROUNDS):
                for name, way in ways.items():
                    best[name] = min(best[name], in_transaction(store, timed(way)))
            rows = sum(len(rows) for _, rows in tables)
            print(f"{rows:>9,}", *(f"{1000 * rows / each:>12,.0f}" for each in best.values()))


def timed(way: Write) -> Callable[[sa.Connection], float]:
    return lambda connection: milliseconds(partial(way, connection))


def made_up(count: int) -> list[Anomaly]:
    """Anomalies with five contributions each."""
    why = tuple(Contribution(f"column_{n}", "800", "4", 0.2, n, "reconstruction") for n in range(1, 6))
    record = {f"column_{n}": n * 1.5 for n in range(10)} | {"carrier": "UA"}
    return [Anomaly(f"2013-{n}", 2.0 + n / 7, 0.0005, 1.0, record, why) for n in range(count)]


def measure_reads(years: Years, revision: str, sqlite: bool) -> None:
    with databases() as make, tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/store.db" if sqlite else make("reads")
        older_store.make(engine_url(url), revision, {})
        engine = engine_of(url)
        filled = milliseconds(lambda: years.fill(engine)) / 1000
        print(f"{years.monitors} x {years.nights} nights, {years.anomalies} anomalies each; filled in {filled:.0f} s")
        night = str(dt.date(2012, 12, 31) + dt.timedelta(days=years.nights))
        asked = statements_of("m001", night, f"i{years.nights // 7}")
        before = times(engine, asked)
        took = milliseconds(Store(url).migrate) / 1000
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")
        after = times(engine, asked)
        print(f"{'ms at ' + revision:>12} {'ms now':>10}   (the migration took {took:.1f} s)")
        for name in asked:
            print(f"{before[name]:>12.1f} {after[name]:>10.1f}   {name}")


def times(engine: sa.Engine, asked: dict[str, Statement]) -> dict[str, float]:
    best = dict.fromkeys(asked, float("inf"))
    with engine.connect() as connection:
        for _ in range(ROUNDS):
            for name, (sql, said) in asked.items():
                run = partial(connection.execute, sa.text(sql), said)
                best[name] = min(best[name], milliseconds(lambda run=run: run().all()))  # type: ignore[misc]
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    written = commands.add_parser("writes")
    written.add_argument("--anomalies", default="10000,100000")
    read = commands.add_parser("reads")
    for name, default in (("monitors", 200), ("nights", 365), ("anomalies", 2)):
        read.add_argument(f"--{name}", type=int, default=default)
    read.add_argument("--from", dest="revision", default="0005")
    read.add_argument("--sqlite", action="store_true")
    said = parser.parse_args()
    print(environment())
    if said.command == "writes":
        measure_writes([int(each) for each in said.anomalies.split(",")])
    else:
        measure_reads(Years(said.monitors, said.nights, said.anomalies), said.revision, said.sqlite)


if __name__ == "__main__":
    main()
