"""Spark's errors as tablewatch's own; and what is said where there is no Spark. Nothing here needs Java."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from small_house import MONITOR, SmallHouse

from pipeline import reports, spark
from pipeline.errors import ConfigurationError, FailedMachinery, RefusedData, TablewatchError
from pipeline.settings import Settings

RAISED = """An exception was thrown from the Python worker:
Traceback (most recent call last):
  File "/srv/pipeline/scoring.py", line 44, in score_batch
pipeline.errors.RefusedData: flights 2013-02-03: record 7 has no finite score; train the monitor again
"""


@pytest.fixture(autouse=True)
def installed() -> None:
    pytest.importorskip("pyspark", reason="needs the extra `spark`")


@pytest.mark.parametrize(
    ("kind", "text", "family", "told"),
    [
        ("PythonException", RAISED, RefusedData, "flights 2013-02-03: record 7 has no finite score; train the monitor"),
        ("PythonException", "ModuleNotFoundError: No module named 'pipeline'", ConfigurationError, "have no pipeline"),
        ("PySparkRuntimeError", "[JAVA_GATEWAY_EXITED] Java exited", ConfigurationError, "finds none .*JAVA_HOME"),
        ("SparkNoSuchElementException", "[FAILED_READ_FILE] secret", RefusedData, "cannot read a file"),
        ("AnalysisException", "[PARQUET_TYPE_ILLEGAL] secret", ConfigurationError, "cannot read the table"),
        ("PySparkException", "org.apache.spark.SparkException: secret", FailedMachinery, r"\(SparkException\)"),
        ("PySparkException", "secret", FailedMachinery, r"did not finish \(PySparkException\); .* try again"),
    ],
)
def test_an_error_of_spark_is_one_line_without_a_value(
    kind: str, text: str, family: type[TablewatchError], told: str
) -> None:
    from pyspark import errors

    with pytest.raises(family, match=told) as caught, spark.told("flights 2013-02-03"):
        raise getattr(errors, kind)(text)
    assert type(caught.value) is family and "secret" not in str(caught.value)
    assert str(caught.value).startswith("flights 2013-02-03: ") and "\n" not in str(caught.value)


def test_an_error_of_another_kind_passes() -> None:
    with pytest.raises(ZeroDivisionError), spark.told("flights"):
        raise ZeroDivisionError


def test_without_a_master_the_mend_is_said() -> None:
    mend = r"flights: engine spark needs a master; set TABLEWATCH_SPARK_MASTER, for example to spark://host:7077"
    with pytest.raises(ConfigurationError, match=mend):
        spark._started("flights", Settings())


def test_without_pyspark_the_mend_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(ConfigurationError, match=r"flights: engine spark needs PySpark; install tablewatch\[spark\]"):
        spark.session("flights", Settings())


def test_a_monitor_on_spark_is_checked_without_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = SmallHouse(tmp_path, monkeypatch)
    monkeypatch.setattr(spark, "session", lambda *_: pytest.fail("no session is needed"))
    house.write("nights", f"{MONITOR.format(data=house.data)}engine: spark\n")
    (checked,) = reports.check(["nights"])
    assert checked.problems == [] and checked.partitions == 3
    csv = tmp_path / "nights.csv"
    csv.write_text("id,night\n1,2013-02-01\n", encoding="utf-8")
    house.write("nights", f"{MONITOR.format(data=csv)}engine: spark\n")
    (checked,) = reports.check(["nights"])
    assert checked.problems == [
        "nights: engine spark reads Parquet files, not those that end in ['.csv']; save them as Parquet, "
        "or write engine: local"
    ]
