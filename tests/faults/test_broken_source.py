"""A source that breaks off in the midst of a partition: nothing of it is scored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psycopg
import pyarrow.csv as csv
import pytest
from night_house import ROWS, NightHouse, nights

pytestmark = pytest.mark.fault

NIGHT = ("--partition", "2013-02-03")


@dataclass
class CutAt:
    """Cuts a file to its first `size` bytes when the `times`-th transaction of the store has ended."""

    path: Path
    size: int
    times: int

    def __call__(self, label: str, connection: object) -> None:
        self.times -= label == "close"
        if self.times == 0:
            self.times = -1
            with self.path.open("r+b") as stream:
                stream.truncate(self.size)


@pytest.mark.parametrize("empty", ["sqlite"], indirect=True)
@pytest.mark.parametrize("times", [2, 5])
@pytest.mark.parametrize("share", [0.6, 0.99])
def test_p12_a_parquet_file_cut_while_it_is_used_scores_nothing(
    house: NightHouse, tablewatch, times: int, share: float
) -> None:
    _a_cut_file_scores_nothing(house, tablewatch, house.data, times, share)


@pytest.mark.parametrize("empty", ["sqlite"], indirect=True)
@pytest.mark.parametrize("times", [2, 5])
@pytest.mark.parametrize("share", [0.6, 0.99])
def test_p12_a_csv_file_cut_while_it_is_used_scores_nothing(
    house: NightHouse, tablewatch, times: int, share: float
) -> None:
    path = house.data.with_suffix(".csv")
    csv.write_csv(nights(), path)
    house.write_monitor(f"{{files: {path}}}")
    _a_cut_file_scores_nothing(house, tablewatch, path, times, share)


def _a_cut_file_scores_nothing(house: NightHouse, tablewatch, path: Path, times: int, share: float) -> None:
    code, said = tablewatch(house, "score", "nights", *NIGHT)
    assert code == 0, said
    before = house.state()
    cut = CutAt(path, int(share * path.stat().st_size), times)
    code, said = tablewatch(house, "score", "nights", *NIGHT, fault=cut)
    assert (code, said.startswith("error: nights")) == (1, True), said
    assert house.state().seen == before.seen
    assert house.state().runs[-1][1] in ("failed", "refused")


BREAKS_OFF = "PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN true;"
HOLDS_BACK = "RETURN false;"
# A session counts the records that it is handed: a source may only read, so nothing else could keep the count.
HAND_OUT = """
CREATE FUNCTION hand_out() RETURNS bool VOLATILE LANGUAGE plpgsql AS $$
DECLARE handed int := coalesce(nullif(current_setting('faults.handed', true), ''), '0')::int + 1;
BEGIN
    PERFORM set_config('faults.handed', handed::text, false);
    IF handed > {half} AND
        (SELECT statement FROM pg_cursors LIMIT 1) LIKE (SELECT query FROM broken) THEN {deed} END IF;
    RETURN true;
END $$
"""


@pytest.mark.postgres
@pytest.mark.parametrize("empty", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("query", "deed"),
    [("%", BREAKS_OFF), ('%"id" ASC%', BREAKS_OFF), ('%"id" ASC%', HOLDS_BACK)],
    ids=["any", "drop", "hold"],
)
def test_p12_a_database_source_that_breaks_off_scores_nothing(
    house: NightHouse, tablewatch, query: str, deed: str
) -> None:
    """It ends the connection, or holds back the rest, in the midst of its records: of any query or of the records'."""
    url = house.store_url or ""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE records (id int8, night date, carrier text, distance int8, minutes float8)")
        connection.execute("CREATE TABLE broken AS SELECT 'none' AS query")
        connection.execute(HAND_OUT.format(half=ROWS // 2, deed=deed))
        connection.execute("CREATE VIEW nights AS SELECT * FROM records WHERE hand_out()")
        with connection.cursor().copy("COPY records FROM STDIN") as copy:
            for record in nights().to_pylist():
                copy.write_row(list(record.values()))
        house.write_monitor(f"{{connection: {url!r}, table: nights}}")
        code, said = tablewatch(house, "score", "nights", *NIGHT)
        assert code == 0, said
        before = house.state()
        connection.execute("UPDATE broken SET query = %s", [query])
        code, said = tablewatch(house, "score", "nights", *NIGHT)
        assert code == 1
        assert said.startswith("error: nights 2013-02-03: ")
        assert said.endswith("try again\n")
        assert house.state().seen == before.seen
        assert house.state().runs[-1] == ("score", "failed")
