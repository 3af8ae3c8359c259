"""Spark: a session on a cluster, what runs in it, and its errors told as tablewatch's own.

What a function sends back from the workers are Arrow batches; pandas takes no part.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline import errors
from pipeline.errors import ConfigurationError, FailedMachinery, RefusedData, TablewatchError
from pipeline.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

OnBatches = Callable[[Iterator["pa.RecordBatch"]], Iterator["pa.RecordBatch"]]

ROWS_A_BATCH = 65_536
ROWS_A_TASK = 65_536
TASKS_A_CORE = 4
"""So many tasks at most for each core of the cluster: one that is done early, or dies, leaves little to the others."""

# Of every session that tablewatch uses, whoever made it.
_OF_SQL = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(ROWS_A_BATCH),
    # What a folder's name tells is text, to be cast to the type that the files' own reader gives it.
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
}
_BROKEN_FILE = ("FAILED_READ_FILE", "CANNOT_READ_FILE_FOOTER")
_RAISED_BY_US = re.compile(r"^pipeline\.errors\.([A-Z]\w+): (.+)$", re.MULTILINE)
_WITHOUT_TABLEWATCH = re.compile(r"ModuleNotFoundError: No module named '(\w+)|Cannot run program \"([^\"]+)")


def session(monitor: str, settings: Settings) -> SparkSession:
    """The session of this process, or one on the master that TABLEWATCH_SPARK_MASTER names; it ends with the process.

    ConfigurationError where Spark is not installed or there is no master, FailedMachinery when it does not answer.
    """
    try:
        with _quiet():
            from pyspark.sql import SparkSession
    except ImportError:
        raise ConfigurationError(f"{monitor}: engine spark needs PySpark; install tablewatch[spark]") from None
    with told(monitor):
        found = SparkSession.getActiveSession() or _started(monitor, settings)
        if "PYSPARK_PYTHON" not in os.environ:
            found.sparkContext.pythonExec = sys.executable
        for name, value in _OF_SQL.items():
            found.conf.set(name, value)
    return found


def _started(monitor: str, settings: Settings) -> SparkSession:
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

    if settings.spark_master is None:
        raise ConfigurationError(
            f"{monitor}: engine spark needs a master; set TABLEWATCH_SPARK_MASTER, for example to spark://host:7077"
        )
    conf = SparkConf().setMaster(settings.spark_master).setIfMissing("spark.app.name", f"tablewatch {monitor}")
    # Spark's own page has no login.
    conf.setIfMissing("spark.ui.enabled", "false").setIfMissing("spark.ui.showConsoleProgress", "false")
    conf.setIfMissing("spark.log.level", "ERROR")
    return SparkSession.builder.config(conf=conf).getOrCreate()


def on_workers(frame: DataFrame, function: OnBatches, schema: str) -> DataFrame:
    """The batches of `schema`, as Spark's DDL writes it, that `function` makes on the workers of those of `frame`."""

    def of_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
        os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")
        return function(batches)

    with _quiet():
        return frame.mapInArrow(of_batches, schema)


def in_order(frame: DataFrame, columns: list[str], rows: int) -> DataFrame:
    """The records sorted by some columns, nulls last, in tasks of about ROWS_A_TASK; equal ones come to one task."""
    from pyspark.sql import functions

    order = [functions.col(_quoted(name)).asc_nulls_last() for name in columns]
    most = TASKS_A_CORE * frame.sparkSession.sparkContext.defaultParallelism
    tasks = max(1, min(-(-rows // ROWS_A_TASK), most))
    return frame.repartitionByRange(tasks, *order).sortWithinPartitions(*order)


def rows(frame: DataFrame, where: str) -> Iterator[dict[str, Any]]:
    """What a frame holds, in its order, in this process. Raises as `told` does."""
    with told(where), _quiet():
        table = frame.toArrow()
    for batch in table.to_batches():
        yield from batch.to_pylist()


@contextmanager
def told(where: str) -> Iterator[None]:
    """Raises what Spark raises within as one line about `where`: no value of a record, no trace of Java."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise _family(where, error) from None


def _family(where: str, error: Exception) -> TablewatchError:
    text = str(error)
    if ours := _RAISED_BY_US.search(text):
        raised: TablewatchError = getattr(errors, ours[1])(ours[2])
        return raised
    condition = _condition(error, text)
    if lacking := _WITHOUT_TABLEWATCH.search(text):
        what = f"have no {lacking[1] or lacking[2]}"
        mend = "install tablewatch on every worker, and name its Python in PYSPARK_PYTHON"
        return ConfigurationError(f"{where}: Spark's workers {what}; {mend}")
    if condition.startswith("JAVA_GATEWAY"):
        return ConfigurationError(
            f"{where}: Spark needs Java and finds none ({condition}); install it, or set JAVA_HOME"
        )
    if condition in _BROKEN_FILE or "FAILED_READ_FILE" in text:
        return RefusedData(f"{where}: Spark cannot read a file of the partition ({condition}); mend the files")
    if type(error).__name__ in ("AnalysisException", "ParseException") or condition == "CANNOT_MERGE_SCHEMAS":
        return ConfigurationError(
            f"{where}: Spark cannot read the table ({condition}); see docs/scale.md for what it reads, "
            "or write engine: local"
        )
    return FailedMachinery(f"{where}: Spark did not finish ({condition}); see that its master answers, then try again")


def _condition(error: Exception, text: str) -> str:
    """What Spark calls the error: its condition, else the class of Java's exception. Their texts may quote records."""
    named = getattr(error, "getCondition", lambda: None)()
    if named:
        return str(named)
    found = re.search(r"^\[([A-Z_.]+)\]|\b[\w.]+\.(\w+(?:Exception|Error))\b", text)
    return (found[1] or found[2]) if found else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning that PySpark does not know this pandas, of which nothing is used."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas", category=FutureWarning)
        yield


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
