"""`tablewatch encode` and `tablewatch synth` on a small house, with models small enough for a test."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from small_house import SmallHouse
from typer.testing import CliRunner, Result

from pipeline import cli, steps
from pipeline.detector import network

pytestmark = pytest.mark.slow
DAYS = ("2013-02-01", "2013-02-02", "2013-02-03")
EACH = 150
SHOPS = ("Bern", "Chur", "Thun")
GUESTS = ("Ada Lovelace", "Emmy Noether", "Grace Hopper", "Mary Anning")
MONITOR = """\
source: {{files: {data}}}
partition_by: night
primary_key: [id]
columns: {{exclude: [year], sensitive: [guest, salary, mail]{kinds}}}
training: {{window: 2, min_rows: 50, model: {model}}}
expectations: [{{expect_column_values_to_be_between: {{column: price, min_value: 0}}, severity: error}}]
"""


def bookings() -> pa.Table:
    """`total` is price times nights; a discount only in Bern; the last night holds three records below any price."""
    draw = np.random.default_rng(5)
    n = EACH * len(DAYS)
    shop, price, nights = draw.choice(SHOPS, n), draw.integers(40, 400, n), draw.integers(1, 8, n)
    arrival = [dt.datetime.fromisoformat(day) for day in DAYS for _ in range(EACH)]
    hours = draw.integers(8, 20, n)
    salary = draw.integers(30_000, 90_000, n)
    salary[:2] = 987_654, 11
    broken = np.arange(n) >= n - 3
    return pa.table(
        {
            "id": pa.array([f"b{i:05d}" for i in range(n)]),
            "night": pa.array([each.date() for each in arrival]),
            "shop": pa.array(shop),
            "guest": pa.array(draw.choice(GUESTS, n)),
            "mail": pa.array([f"guest{i}@mail{draw.integers(99)}.org" for i in range(n)]),
            "salary": pa.array(salary),
            "price": pa.array(np.where(broken, -5, price), pa.int32()),
            "nights": pa.array(nights, pa.int16()),
            "total": pa.array([Decimal(int(each)) for each in price * nights], pa.decimal128(10, 2)),
            "discount": pa.array(
                [float(d) if s == "Bern" else None for s, d in zip(shop, draw.random(n), strict=True)]
            ),
            "paid": pa.array(draw.random(n) < 0.8),
            "arrival": pa.array([a + dt.timedelta(hours=int(h)) for a, h in zip(arrival, hours, strict=True)]),
            "year": pa.array([2013] * n),
        }
    )


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(each) for each in arguments])


def value(*arguments: object) -> Any:
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        small = dict.fromkeys(network.SCHEDULES, network.Schedule(200, 128, 3e-3, fewest=200))
        patch.setattr(network, "SCHEDULES", small)
        yield patch


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch) -> SmallHouse:
    """A house with a champion of the first two nights."""
    house = SmallHouse(tmp_path_factory.mktemp("house"), patch)
    pq.write_table(bookings(), house.folder / "bookings.parquet")
    place = {"data": house.folder / "bookings.parquet"}
    house.write("bookings", MONITOR.format(**place, model="ensemble", kinds=", kinds: {mail: text}"))
    house.write("untrained", MONITOR.format(**place, model="ensemble", kinds=""))
    steps.train("bookings", DAYS[1])
    return house


@pytest.fixture(scope="module")
def made(house: SmallHouse) -> tuple[pa.Table, dict[str, Any]]:
    """300 made-up bookings and the report on them."""
    out = house.folder / "made.parquet"
    report = value("synth", "bookings", "--rows", 300, "--out", out)
    return pq.read_table(out), report


def test_encode_gives_every_accepted_record_one_code_and_says_how_many_have_none(house: SmallHouse) -> None:
    out = house.folder / "codes.parquet"
    found = value("encode", "bookings", "--partition", DAYS[2], "--width", 2, "--out", out)
    assert (found["read"], found["accepted"], found["quarantined"]) == (EACH, EACH - 3, 3)
    table = pq.read_table(out)
    assert table.column_names == ["id", "code_0", "code_1"]
    assert table.schema.types == [pa.string(), pa.float32(), pa.float32()]
    assert sorted(table["id"].to_pylist()) == [f"b{i:05d}" for i in range(2 * EACH, 3 * EACH - 3)]
    assert np.isfinite(table["code_0"].to_numpy()).all() and np.std(table["code_0"].to_numpy()) > 0.05
    of = json.loads(table.schema.metadata[b"tablewatch"])
    assert of == {"monitor": "bookings", "partition": DAYS[2], "model_version": found["model_version"], "width": 2}
    told = call("encode", "bookings", "--partition", DAYS[2], "--width", 2, "--out", out).stdout
    assert f"codes of {EACH - 3} records, 2 numbers each" in told and f"3 quarantined records of {EACH} read" in told


def test_the_companion_is_trained_once_and_codes_stay_the_same(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = value("encode", "bookings", "--partition", DAYS[0])
    assert first["width"] == 8
    assert first["file"] == str(house.folder / "home" / "codes" / "bookings" / f"{DAYS[0]}.codes-8.parquet")
    before = pq.read_table(first["file"])

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(network.Network, "fit", refuse)
    value("encode", "bookings", "--partition", DAYS[0])
    assert pq.read_table(first["file"]).equals(before)
    # The newest night has nothing to do with the companion, which knows the champion's window.
    value("encode", "bookings", "--partition", DAYS[2])


@pytest.fixture(scope="module")
def coded(house: SmallHouse) -> None:
    """The same house with a second champion, a VAE whose codes are of two numbers, since it models three."""
    text = MONITOR.format(data=house.folder / "bookings.parquet", model="vae", kinds="")
    few = "exclude: [year, shop, guest, mail, salary, discount, paid, arrival], sensitive: []"
    house.write("coded", text.replace("exclude: [year], sensitive: [guest, salary, mail]", few))
    steps.train("coded", DAYS[1])


def test_a_vae_champion_with_codes_of_that_width_needs_no_companion(house: SmallHouse, coded: None) -> None:
    bundles = house.folder / "home" / "bundles" / "coded"
    before = sorted(bundles.iterdir())
    assert value("encode", "coded", "--partition", DAYS[2], "--width", 2)["accepted"] == EACH - 3
    assert sorted(bundles.iterdir()) == before
    value("encode", "coded", "--partition", DAYS[2], "--width", 8)
    assert len(list(bundles.iterdir())) == 2


def test_a_champion_that_hides_no_cells_makes_records_up_by_its_companion_alone(house: SmallHouse, coded: None) -> None:
    out = house.folder / "coded.parquet"
    found = value("synth", "coded", "--rows", 100, "--out", out)
    assert pq.read_table(out)["total"].null_count == 0
    assert found["fidelity"]["column_distance"] < 0.3
    assert found["columns"]["shop"] == "null: the model does not know it"


def test_synth_keeps_columns_and_types(made: tuple[pa.Table, dict[str, Any]]) -> None:
    table, report = made
    assert report["rows"] == table.num_rows == 300
    assert table.schema.remove_metadata().equals(bookings().schema)
    assert set(table["shop"].to_pylist()) == set(SHOPS)
    assert table["price"].null_count == 0 and 0 < table["discount"].null_count < 300
    assert set(table["night"].to_pylist()) == {dt.date(2013, 2, 1), dt.date(2013, 2, 2)}


def test_keys_are_new_and_what_the_model_does_not_know_is_null(made: tuple[pa.Table, dict[str, Any]]) -> None:
    table, report = made
    assert table["id"].to_pylist() == [f"synthetic-{i:03d}" for i in range(1, 301)]
    assert table["year"].null_count == 300
    assert report["columns"] == {
        "id": "new keys",
        "night": "drawn from the training window",
        "year": "null: the model does not know it",
    }


def test_no_made_up_record_is_one_of_the_window(made: tuple[pa.Table, dict[str, Any]]) -> None:
    table, report = made
    known = [n for n in table.column_names if n not in ("id", "night", "year", "guest", "mail", "salary")]
    there = {tuple(row.values()) for row in bookings().select(known).to_pylist()}
    assert not there & {tuple(row.values()) for row in table.select(known).to_pylist()}
    assert report["least_distance"] > 0
    assert report["closest"] >= report["least_distance"] * (1 - 1e-6)
    assert report["drawn"] >= 300 + report["improbable"] + report["too_close"]


def test_p16_sensitive_values_do_not_leave(made: tuple[pa.Table, dict[str, Any]]) -> None:
    table, _ = made
    guests = set(table["guest"].to_pylist())
    assert len(guests) > 1 and all(re.fullmatch(r"guest-\d+", guest) for guest in guests)
    mails = set(table["mail"].to_pylist())
    assert not mails & set(bookings()["mail"].to_pylist())
    assert all(re.fullmatch(r"[a-z]{5}\d+@[a-z]{4}\d+\.[a-z]{3}", mail) for mail in mails)
    window = bookings()["salary"].to_numpy()[: 2 * EACH]
    low, high = np.quantile(window, [0.01, 0.99])
    # Encoded numbers are float32, so the bound is too.
    assert table["salary"].to_numpy().min() >= low - 1 and table["salary"].to_numpy().max() <= high + 1


def test_fidelity_is_told_for_every_modelled_column(made: tuple[pa.Table, dict[str, Any]]) -> None:
    found = made[1]["fidelity"]
    modelled = ["shop", "guest", "mail", "salary", "price", "nights", "total", "discount", "paid", "arrival"]
    assert [column["column"] for column in found["columns"]] == modelled
    assert {column["measure"] for column in found["columns"]} == {"kolmogorov_smirnov", "total_variation"}
    assert found["column_distance"] == pytest.approx(np.mean([c["distance"] for c in found["columns"]]))
    # Without a model at all, every distance would be about a half.
    assert found["column_distance"] < 0.25
    # Every pair but one: there is no discount outside one shop.
    pairs = {(pair["first"], pair["second"]) for pair in found["pairs"]}
    assert set(combinations(modelled, 2)) - pairs == {("shop", "discount")}


def test_the_same_seed_gives_the_same_records_and_csv_what_parquet_gives(
    house: SmallHouse, made: tuple[pa.Table, dict[str, Any]]
) -> None:
    out = house.folder / "made.csv"
    told = call("synth", "bookings", "--rows", 300, "--out", out)
    assert told.exit_code == 0
    assert "300 made-up records" in told.stdout and "by chance" in told.stdout and "year: null" in told.stdout
    read = csv.read_csv(out, convert_options=csv.ConvertOptions(column_types={"total": pa.decimal128(10, 2)}))
    assert read.column_names == made[0].column_names
    for name in ("id", "shop", "guest", "price", "total", "paid"):
        assert read[name].to_pylist() == made[0][name].to_pylist()
    other = house.folder / "other.parquet"
    value("synth", "bookings", "--rows", 300, "--seed", 1, "--out", other)
    assert not pq.read_table(other).equals(made[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["encode", "bookings", "--partition", DAYS[0], "--width", "3"], "3 is neither 8 nor 2"),
        (["encode", "bookings", "--partition", DAYS[0], "--out", "nowhere/x.parquet"], "there is no folder 'nowhere'"),
        (["synth", "bookings", "--rows", "5", "--out", "made.json"], "ends neither in .parquet nor in .csv"),
        (["synth", "bookings", "--rows", "0", "--out", "made.csv"], "Invalid value for '--rows'"),
        (["synth", "bookings", "--rows", "5"], "--out"),
    ],
)
def test_wrong_usage(house: SmallHouse, arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_errors_name_the_mend(house: SmallHouse, tmp_path: Path) -> None:
    for command in (
        ["encode", "untrained", "--partition", DAYS[0]],
        ["synth", "untrained", "--rows", 5, "--out", tmp_path / "a.csv"],
    ):
        result = call(*command)
        assert result.exit_code == 1
        assert result.stderr.strip() == ("error: untrained: no champion to score with; run: tablewatch train untrained")
    empty = call("encode", "bookings", "--partition", "2013-02-09", "--out", tmp_path / "codes.parquet")
    assert empty.exit_code == 1 and "the partition has no records" in empty.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_window_that_is_gone_is_told(house: SmallHouse, tmp_path: Path) -> None:
    data = house.folder / "bookings.parquet"
    pq.write_table(bookings().slice(2 * EACH), data)
    try:
        result = call("synth", "bookings", "--rows", 5, "--out", tmp_path / "made.parquet")
    finally:
        pq.write_table(bookings(), data)
    assert result.exit_code == 1
    assert (
        "bookings 2013-02-01 to 2013-02-02: the table no longer holds the champion's training window" in result.stderr
    )
    assert list(tmp_path.iterdir()) == []
