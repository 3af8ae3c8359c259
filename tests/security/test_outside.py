"""What leaves for a spreadsheet, a screen or a log: formulas, control sequences and secrets; and how errors end."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import call
from hypothesis import given
from hypothesis import strategies as st
from small_house import SmallHouse, anomaly, nights

from pipeline import errors
from pipeline.cli.screen import safe
from pipeline.errors import TablewatchError
from pipeline.monitor import find
from pipeline.spreadsheet import write_csv
from pipeline.steps.house import House, run_row

FORMULAS = ["=1+1", "+cmd", "-cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "\n=1"]
CONTROLS = ["\x1b[2J", "\x1b]0;title\x07", "\u202egnp.exe", "\u2066x", "\x9b31m", "\x08", "a\rb"]
SECRET = "zq9-secret-marker"
ENDINGS = {
    "ConfigurationError": "failed",
    "RefusedData": "refused",
    "EmptyPartition": "empty",
    "CorruptBundle": "failed",
    "FailedMachinery": "failed",
}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallHouse:
    return SmallHouse(tmp_path, monkeypatch)


def written(table: pa.Table, path: Path) -> list[list[str]]:
    write_csv(table, path)
    with path.open(newline="", encoding="utf-8") as file:
        return [*csv.reader(file)]


def test_p37_a_spreadsheet_runs_nothing_of_an_exported_file(tmp_path: Path) -> None:
    texts = pa.array([*FORMULAS, "plain", None])
    found = written(pa.table({"=name": texts, "b": texts.dictionary_encode()}), tmp_path / "x.csv")
    assert found[0] == ["'=name", "b"]
    assert found[1:] == [[f"'{text}"] * 2 for text in FORMULAS] + [["plain", "plain"], ["", ""]]


def test_p37_numbers_are_no_formulas(tmp_path: Path) -> None:
    table = pa.table({"a": [-1, 2], "b": [-1.5, 2.0], "c": [Decimal("-3.25"), Decimal("4.00")], "d": ["-7", "+41,5"]})
    assert written(table, tmp_path / "x.csv")[1:] == [["-1", "-1.5", "-3.25", "-7"], ["2", "2", "4.00", "+41,5"]]


@pytest.mark.parametrize("text", CONTROLS)
def test_p37_no_value_and_no_columns_name_moves_a_cursor_or_turns_text(
    house: SmallHouse, text: str, tmp_path: Path
) -> None:
    house.score("2013-02-03", anomalies=[anomaly(f"k{text}")])
    pq.write_table(nights().rename_columns(["id", "night", f"c{text}", "air_time", "year"]), tmp_path / "c.parquet")
    said = [
        call("anomalies", "nights"),
        call("explain", "nights", f"k{text}"),
        call("explain", "nights", f"other{text}"),
        call("anomalies", "nights", "--json"),
        call("init", "--files", str(tmp_path / "c.parquet"), "--name", "c"),
    ]
    for result in said:
        assert all(character.isprintable() for character in result.output.replace("\n", "")), result.output


@given(text=st.text(max_size=50))
def test_p37_whatever_is_shown_is_printable(text: str) -> None:
    assert safe(text).isprintable()


@pytest.mark.parametrize("debug", ["0", "1"])
@pytest.mark.parametrize("place", ["source", "environment", "store", "file"])
def test_p34_a_secret_is_in_no_output_and_no_file(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch, place: str, debug: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    monkeypatch.setenv("TABLEWATCH_DEBUG", debug)
    monkeypatch.setenv("PW", SECRET)
    url = f"postgres://watch:{SECRET if place == 'source' else '${PW}'}@127.0.0.1:1/prod?sslpassword={SECRET}"
    if place in ("source", "environment"):
        house.write("nights", f"source: {{connection: '{url}', table: t}}\npartition_by: night\nprimary_key: [id]\n")
    elif place == "file":
        house.write("nights", f"source: {{connection: '{url}', tabel: t}}\npartition_by: night\n")
    else:
        monkeypatch.setenv("TABLEWATCH_STORE_URL", f"postgresql://watch:{SECRET}@127.0.0.1:1/prod")
    commands = [["check"], ["doctor"], ["validate", "nights", "--partition", "2013-02-03"], ["partitions", "nights"]]
    commands += [["train", "nights"], ["anomalies", "nights"], ["check", "--json"], ["doctor", "--json"]]
    for command in commands:
        result = call(*command)
        assert SECRET not in result.output + repr(result.exception)
    assert SECRET not in caplog.text
    home = house.folder / "home"
    assert not [path for path in home.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize("name", ENDINGS)
def test_refused_data_and_failed_machinery_end_a_run_as_what_they_are(house: SmallHouse, name: str) -> None:
    error = getattr(errors, name)("nights 2013-02-03: a reason; a mend")
    monitor = find("nights", house.monitors)
    with pytest.raises(type(error)), run_row(House(), monitor, "2013-02-03", "score"):
        raise error
    (run, *_) = house.store.runs("nights", "2013-02-03")
    assert (run.status, run.reason) == (ENDINGS[name], str(error))


def test_every_error_has_its_family() -> None:
    own = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, TablewatchError)]
    assert {each.__name__ for each in own} == {"TablewatchError", *ENDINGS}
    assert not issubclass(errors.FailedMachinery, errors.RefusedData)


def test_refused_data_and_failed_machinery_on_the_command_line(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.data.write_bytes(house.data.read_bytes()[:200])
    assert call("validate", "nights", "--partition", "2013-02-03").exit_code == 1
    assert house.store.runs("nights", "2013-02-03")[0].status == "refused"
    assert call("validate", "nights", "--partition", "then").exit_code == 2
    monkeypatch.setenv("TABLEWATCH_STORE_URL", "postgresql://watch@127.0.0.1:1/prod")
    result = call("validate", "nights", "--partition", "2013-02-03")
    assert result.exit_code == 1 and "try again" in result.output
