"""Record keys of sensitive columns: digests wherever they leave, the values themselves where records are told apart."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_house import SmallHouse, anomaly

from pipeline import reports
from pipeline.encoding import Encoder
from pipeline.encoding.scales import Scale
from pipeline.errors import ConfigurationError, RefusedData
from pipeline.monitor import load
from pipeline.records import as_text, hidden_text, is_hidden, key_columns, record_keys
from pipeline.scores_file import scores_writer
from pipeline.scoring import score_batch
from pipeline.validation import learn, with_own


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallHouse:
    return SmallHouse(tmp_path, monkeypatch)


@given(value=st.one_of(st.text(max_size=20), st.integers(-(2**63), 2**63 - 1), st.dates()), line=st.integers(0, 9))
def test_p33_only_the_sensitive_parts_of_a_key_are_hashed(value: Any, line: int) -> None:
    table = pa.table({"who": [value, value, None], "line": [line] * 3})
    first, again, null = record_keys(table, ["who", "line"], {"who"})
    assert first == again == f'["{hidden_text(as_text(value))}", "{line}"]' and null is None
    assert record_keys(table, ["who"], {"who"}) == [hidden_text(as_text(value))] * 2 + [None]


def test_p33_keys_in_files_are_digests_and_others_keep_their_type(tmp_path: Path) -> None:
    table = pa.table({"who": [Decimal("12.50"), None], "line": pa.array([1, 2], pa.int16())})
    shown = key_columns(table, ["who", "line"], ["who"])
    assert shown.to_pydict() == {"who": [hidden_text("12.50"), None], "line": [1, 2]}
    assert shown.schema.field("line").type == pa.int16()
    with scores_writer(tmp_path / "s.parquet", ["who"], ["who"]) as write:
        write(table, np.zeros(2), np.ones(2))
    assert pq.read_table(tmp_path / "s.parquet")["who"].to_pylist() == [hidden_text("12.50"), None]


def test_p33_an_error_names_a_record_by_its_digest(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(
        "source: {files: t.csv}\npartition_by: day\nprimary_key: [who]\ncolumns: {sensitive: [who]}\n"
    )
    broken: Any = SimpleNamespace(score=lambda table, rate: SimpleNamespace(score=np.array([np.nan])))
    with pytest.raises(RefusedData) as told:
        score_batch(load(tmp_path / "t.yaml"), "2024-03-01", broken, pa.table({"who": ["zq-marker"]}), 0.1)
    assert str(hidden_text("zq-marker")) in str(told.value) and "zq-marker" not in str(told.value)


def test_p33_explain_takes_the_digest_and_the_value(house: SmallHouse) -> None:
    text = (house.monitors / "nights.yaml").read_text()
    house.write("nights", text + "columns: {sensitive: [id]}\n")
    digest = str(hidden_text("4711"))
    house.score("2013-02-03", anomalies=[anomaly(digest)])
    assert reports.explain("nights", digest) == reports.explain("nights", "4711")
    with pytest.raises(ConfigurationError) as told:
        reports.explain("nights", "4712")
    assert "4712" not in str(told.value) and str(hidden_text("4712")) in str(told.value)


def test_p33_explain_takes_a_composite_key_either_way(house: SmallHouse) -> None:
    text = (house.monitors / "nights.yaml").read_text().replace("[id]", "[id, carrier]")
    house.write("nights", text + "columns: {sensitive: [id]}\n")
    digest = hidden_text("4711")
    house.score("2013-02-03", anomalies=[anomaly(f'["{digest}", "UA"]')])
    assert reports.explain("nights", f'["{digest}","UA"]') == reports.explain("nights", '[4711, "UA"]')
    with pytest.raises(ConfigurationError) as told:
        reports.explain("nights", "[4711]")
    assert "4711" not in str(told.value)


def test_p33_a_sensitive_partition_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(
        "source: {files: t.csv}\npartition_by: born\nprimary_key: [id]\ncolumns: {sensitive: [born]}\n"
    )
    with pytest.raises(ConfigurationError, match=r"line 4: column 'born' names the partitions.*cannot be sensitive"):
        load(tmp_path / "t.yaml")


def test_p33_a_column_declared_sensitive_after_training_is_told_no_more(tmp_path: Path) -> None:
    text = "source: {files: t.csv}\npartition_by: day\nprimary_key: [id]\n"
    columns = {"id": np.arange(600), "pay": np.arange(600) * 7_919, "city": ["zqrome", "zqoslo"] * 300}
    (tmp_path / "t.yaml").write_text(text)
    suite = learn(load(tmp_path / "t.yaml"), pa.table(columns), [])
    assert "zqrome" in suite.to_json() and "min_value" in suite.to_json()
    (tmp_path / "t.yaml").write_text(f"{text}columns: {{sensitive: [pay, city]}}\n")
    now = with_own(load(tmp_path / "t.yaml"), suite)
    assert "zqrome" not in now.to_json()
    bounds = [spec["kwargs"] for spec in now.record if "min_value" in spec["kwargs"]]
    assert bounds == [] and {"column": "pay"} in [spec["kwargs"] for spec in now.record]


def test_p33_an_encoder_keeps_no_value_of_a_sensitive_column() -> None:
    draw = np.random.default_rng(0)
    days = [dt.date(2024, 3, 1) + dt.timedelta(int(day)) for day in np.repeat(np.arange(10), 40)]
    table = pa.table(
        {
            "day": days,
            "city": draw.choice(["zqparis", "zqrome", "zqoslo"], 400),
            "pay": 51_234_567 + draw.integers(0, 9_000_000, 400),
            "tail": np.concatenate([draw.normal(1e6, 1e3, 399), [987_654_321.0]]),
            "grows": 7_654_321.0 + 1_000.0 * np.repeat(np.arange(10), 40) + draw.normal(0, 10, 400),
            "flag": draw.choice([True, False], 400),
        }
    )
    names = [name for name in table.column_names if name != "day"]
    fitted = Encoder.fit(table, {}, "day", names)
    state = str(fitted.to_state())
    assert "zq" not in state and "True" not in state.replace("'hidden': True", "").replace("'duration': True", "")
    for name in ("pay", "tail", "grows"):
        seen = np.array(table[name].to_pylist(), float)
        medians = [np.sort(seen[at : at + 40])[19] for at in range(0, 400, 40)]
        assert not [v for v in (seen.min(), seen.max(), np.median(seen), *medians) if repr(float(v)) in state]
    clear, hidden = Encoder.fit(table, {}, "day").encode(table), Encoder.from_state(fitted.to_state()).encode(table)
    assert (hidden.events == clear.events).all()
    assert np.abs(hidden.matrix - clear.matrix).max() < 1.0
    revealed = fitted.revealed(table)
    assert "zqparis" in str(revealed.to_state()["columns"][0]["levels"])
    assert (revealed.encode(table).matrix == hidden.matrix).all()


@given(values=st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=40))
def test_p33_a_coarse_scale_holds_what_the_exact_one_did(values: list[float]) -> None:
    exact = Scale.fit(np.array(values))
    coarse = exact.coarse()
    rounding = 1e-9 * (exact.high - exact.low) + 1e-290
    assert coarse.low <= exact.low + rounding and coarse.high >= exact.high - rounding
    assert np.isfinite(coarse.standardised(np.array(values))).all()


@given(text=st.text(max_size=40))
def test_p33_a_digest_is_known_as_one(text: str) -> None:
    assert is_hidden(str(hidden_text(text)))
    assert is_hidden(text) == (text.startswith("sha256:") and len(text) == 23 and text[7:].isalnum())
