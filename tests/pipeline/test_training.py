"""From a window of records to a challenger, and from its bundle back to a detector."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_house import MONITOR, SmallHouse, nights
from typer.testing import CliRunner

from pipeline import cli, training
from pipeline.detector import Detector, network
from pipeline.detector.baselines import measure
from pipeline.errors import ConfigurationError, CorruptBundle, RefusedData
from pipeline.monitor import Monitor
from pipeline.training import LARGE_PARTITION, Challenger, flag_rate, modelled_columns, put_aside, restore, train

PARTITIONS = {"2013-02-01": 100, "2013-02-02": 140, "2013-02-03": 60}


def monitor(**changes: Any) -> Monitor:
    written = {
        "name": "orders",
        "source": {"files": "orders.parquet"},
        "partition_by": "day",
        "primary_key": ["id"],
        "training": {"model": "autoencoder"},
        "columns": {"exclude": ["comment"]},
        "threshold": {"false_alarm_rate": 0.01},
    }
    return Monitor.model_validate({**written, **changes})


def window(n: int = 300) -> pa.Table:
    draw = np.random.default_rng(0)
    amount = draw.normal(10, 2, n)
    return pa.table(
        {
            "id": np.arange(n),
            "day": sorted(draw.choice(list(PARTITIONS), n)),
            "amount": amount,
            "fee": amount / 10,
            "carrier": draw.choice(["AA", "BB"], n),
            "comment": ["never modelled"] * n,
        }
    )


@pytest.fixture(scope="module", autouse=True)
def tiny_schedule() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "PARTS", 3)
        patch.setattr(network, "SCHEDULES", {"autoencoder": network.Schedule(60, 32, 3e-3)})
        yield


@pytest.fixture(scope="module")
def challenger() -> Challenger:
    return train(monitor(), window(), PARTITIONS, seed=7)


def test_keys_partitions_and_excluded_columns_are_not_modelled() -> None:
    assert modelled_columns(monitor(), window().column_names) == ["amount", "fee", "carrier"]


class TestPutAside:
    @pytest.mark.parametrize(("total", "held"), [(0, 0), (199, 0), (200, 10), (3_000, 150), (50_000, 1_000)])
    def test_a_twentieth_is_held_out_unless_that_is_too_few_or_too_many(self, total: int, held: int) -> None:
        aside = put_aside(total, seed=0)
        assert (aside.sum(), len(aside)) == (held, total)

    def test_by_chance_and_by_the_seed(self) -> None:
        first, again, other = (np.flatnonzero(put_aside(10_000, seed)).tolist() for seed in (1, 1, 2))
        assert first == again != other
        assert np.histogram(first, bins=4, range=(0, 10_000))[0] == pytest.approx([125] * 4, rel=0.3)


def test_the_model_and_two_baselines_are_measured_on_records_that_none_was_fitted_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, pa.Table] = {}

    def fit(self: Detector, table: pa.Table, progress: object, weights: object) -> Detector:
        seen["detector"] = table
        return real_fit(self, table, None)

    def measured(detector: Detector, held_out: pa.Table, fitted_on: pa.Table, *rest: Any) -> dict[str, Any]:
        seen.update(held_out=held_out, baselines=fitted_on)
        return measure(detector, held_out, fitted_on, *rest)

    real_fit = Detector.fit
    monkeypatch.setattr(Detector, "fit", fit)
    monkeypatch.setattr(training, "measure", measured)
    canaries = train(monitor(), window(), PARTITIONS, seed=7).metrics["canaries"]

    learned, held_out = (set(seen[name]["amount"].to_pylist()) for name in ("detector", "held_out"))
    assert seen["detector"].equals(seen["baselines"])
    assert (len(learned), len(held_out), len(learned | held_out)) == (285, 15, 300)
    assert (canaries["count"], canaries["controls"]) == (15, 15)
    assert {name: canaries[name]["caught"] for name in ("model", "gaussian", "nearest")} == {
        "model": None, "gaussian": None, "nearest": None,
    }  # fmt: skip
    for name in ("model", "gaussian", "nearest"):
        assert 0.5 < canaries[name]["auc_roc"] <= 1


def test_a_window_too_small_to_hold_records_out_trains_on_all_of_it_and_says_what_was_not_measured() -> None:
    small = monitor(training={"model": "autoencoder", "min_rows": 20})
    found = train(small, window(60), PARTITIONS, seed=7).metrics
    assert found["records"] == found["calibration_records"] == 60
    assert found["canaries"]["model"]["auc_roc"] is None
    assert found["canaries"]["note"] == "nothing was measured: it takes 10 held-out records and there are 0"


def test_p21_a_bundle_is_strict_json_and_numbers_and_restores_the_detector(challenger: Challenger) -> None:
    manifest = json.loads(json.dumps(challenger.manifest, allow_nan=False))

    again = restore(monitor(), manifest, challenger.arrays)

    table = window()
    np.testing.assert_allclose(again.score(table).score, challenger.detector.score(table).score, rtol=2e-3, atol=5e-3)
    assert {array.dtype.kind for array in challenger.arrays.values()} <= set("fiu")


def test_a_manifest_says_what_the_model_was_made_of(challenger: Challenger) -> None:
    manifest = challenger.manifest
    assert manifest["window"] == {"first": "2013-02-01", "last": "2013-02-03", "partitions": 3, "records": 300}
    assert manifest["typical_partition"] == 100.0
    assert set(manifest["versions"]) == {"tablewatch", "keras", "numpy", "pyarrow"}
    assert manifest["detector"]["seed"] == 7
    assert challenger.metrics["records"] == 300
    assert challenger.metrics["calibration_records"] == 285
    assert challenger.metrics["columns"] == {"amount": "numeric", "fee": "numeric", "carrier": "categorical"}
    assert np.isfinite(challenger.metrics["loss"])
    for curve in challenger.metrics["curves"]:
        assert curve.keys() == {"steps", "training", "validation"}
        assert 0 < len(curve["steps"]) == len(curve["training"]) == len(curve["validation"]) <= 10
    assert challenger.warnings == ()


def test_p23_what_does_not_fit_its_graph_is_a_corrupt_bundle(challenger: Challenger) -> None:
    def spoil(change: Callable[[dict[str, Any], dict[str, np.ndarray]], Any]) -> None:
        manifest, arrays = json.loads(json.dumps(challenger.manifest)), dict(challenger.arrays)
        change(manifest, arrays)
        with pytest.raises(CorruptBundle, match="orders: .*train again: tablewatch train orders"):
            restore(monitor(), manifest, arrays)

    weight = next(name for name in challenger.arrays if name.startswith("weight_"))
    spoil(lambda manifest, arrays: manifest.pop("detector"))
    spoil(lambda manifest, arrays: manifest["detector"].pop("encoder"))
    spoil(lambda manifest, arrays: manifest["detector"]["specs"][0].update(model="forest"))
    spoil(lambda manifest, arrays: manifest["detector"]["specs"][0].update(color="red"))
    spoil(lambda manifest, arrays: arrays.pop(weight))
    spoil(lambda manifest, arrays: arrays.update({weight: arrays[weight][..., :1]}))
    spoil(lambda manifest, arrays: arrays.pop("calibration"))
    spoil(lambda manifest, arrays: arrays.update(cells_0=arrays["cells_0"][:, :10]))


def test_p02_fewer_than_min_rows_are_refused_with_the_mend() -> None:
    with pytest.raises(RefusedData) as refusal:
        train(monitor(), window(199), PARTITIONS, seed=0)
    assert str(refusal.value) == (
        "orders 2013-02-01 to 2013-02-03: 199 accepted records are fewer than training.min_rows 200; "
        "widen training.window or lower min_rows"
    )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"kinds": {"prize": "numeric"}},
            "column 'prize' of columns.kinds is not modelled; .* are amount, fee, carrier",
        ),
        ({"kinds": {"day": "datetime"}}, "column 'day' of columns.kinds is not modelled"),
        ({"exclude": ["amount", "fee", "carrier", "comment"]}, "no column is left to model; modelled columns are none"),
    ],
    ids=["unknown", "partition", "none left"],
)
def test_columns_that_cannot_be_modelled_are_a_mistake_of_the_file(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"orders 2013-02-01 to 2013-02-03: {message}"):
        train(monitor(columns={"exclude": ["comment"], **columns}), window(), PARTITIONS, seed=0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_p20_a_training_that_diverges_names_the_monitor_and_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "SCHEDULES", {"autoencoder": network.Schedule(60, 16, 1e30)})
    with pytest.raises(RefusedData, match="^orders 2013-02-01 to 2013-02-03: training diverged"):
        train(monitor(columns={"exclude": ["comment", "carrier", "fee"]}), window(), PARTITIONS, seed=0)


def test_p17_a_rate_beyond_the_calibration_set_is_said_so_with_one_that_is_not(
    challenger: Challenger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(self: Detector, table: pa.Table, progress: object, weights: object) -> None:
        vars(self).update(vars(challenger.detector))

    monkeypatch.setattr(Detector, "fit", fit)

    (warning,) = train(monitor(threshold={"false_alarm_rate": 0.001}), window(), PARTITIONS, seed=7).warnings

    assert re.search("rate of 0.001 takes 999 calibration records and there are 285", warning)
    least = float(re.search(r"ask for a rate of (\S+) or more", warning)[1])  # type: ignore[index]
    assert least == pytest.approx(1 / 286, rel=0.01)
    assert train(monitor(threshold={"false_alarm_rate": least}), window(), PARTITIONS, seed=7).warnings == ()


@pytest.mark.parametrize(
    ("threshold", "typical", "rate"),
    [
        ({"false_alarm_rate": 0.02}, 1_000, 0.02),
        ({}, 1_000, 0.001),
        ({"alert_budget": 20}, 1_000, 0.02),
        ({"alert_budget": 0.5}, 1_000, 0.0005),
        ({"alert_budget": 20}, 10, 0.2),
        ({"alert_budget": 20}, 0, 0.2),
    ],
    ids=str,
)
def test_the_rate_is_as_written_or_the_budget_of_a_typical_partition(
    threshold: dict[str, float], typical: float, rate: float
) -> None:
    assert flag_rate(monitor(threshold=threshold), typical) == pytest.approx(rate)


def test_what_was_measured_is_kept_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = SmallHouse(tmp_path, monkeypatch)
    house.write("nights", MONITOR.format(data=house.data).replace("min_rows: 50", "min_rows: 50, model: autoencoder"))
    pq.write_table(nights(rows=150), house.data)

    def call(*arguments: str) -> str:
        result = CliRunner().invoke(cli.app, list(arguments))
        assert result.exit_code == 0, result.output
        return result.stdout

    call("train", "nights")

    (version,) = json.loads(call("models", "nights", "--json"))
    canaries = version["metrics"]["canaries"]
    stored = house.store.champion("nights")
    assert stored is not None and stored.metrics["canaries"] == canaries
    assert (canaries["count"], canaries["controls"]) == (15, 15)
    figures = [f"{name} {canaries[name]['auc_roc']:.3f}" for name in ("model", "gaussian", "nearest")]
    assert ", ".join(figures) in call("models", "nights")


@pytest.mark.parametrize(("records", "own"), [(2 * LARGE_PARTITION - 1, False), (2 * LARGE_PARTITION, True)])
def test_where_a_typical_partition_is_large_the_screen_gets_a_network_of_its_own(
    records: int, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bool] = []

    class Fitted(Exception):
        pass

    def fit(self: Detector, *rest: Any) -> Detector:
        made.append(self.own_screen)
        raise Fitted

    monkeypatch.setattr(Detector, "fit", fit)
    first, second = list(PARTITIONS)[:2]
    with pytest.raises(Fitted):
        train(monitor(), window(), {first: 1, second: records - 1}, seed=7)
    assert made == [own]
