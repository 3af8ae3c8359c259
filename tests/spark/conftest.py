"""One cluster, and one pair of houses, for all tests of Spark."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parent)]

from spark_cluster import HOST, Cluster
from two_houses import TwoHouses

from tests import spark_jvm

SUBMIT = "--conf spark.executor.memory=640m --conf spark.driver.memory=640m pyspark-shell"


@pytest.fixture(scope="session")
def java() -> None:
    """Java and PySpark, without which there is nothing to test."""
    lacking = [] if shutil.which("java") else ["Java: make java"]
    lacking += [] if importlib.util.find_spec("pyspark") else ["the extra `spark`: make setup"]
    if lacking and os.environ.get("CI"):
        pytest.fail(f"CI tests Spark: {', '.join(lacking)}")
    if lacking:
        pytest.skip(f"needs {', '.join(lacking)}")


@pytest.fixture(scope="module")
def cluster(java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master with two workers, which this process's sessions are on."""
    started = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        started.add_worker()
        started.add_worker()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SPARK_LOCAL_IP", HOST)
            patch.setenv("PYSPARK_SUBMIT_ARGS", SUBMIT)
            patch.setenv("TABLEWATCH_SPARK_MASTER", started.url)
            yield started
            spark_jvm.end()
    finally:
        started.stop()


@pytest.fixture(scope="module")
def houses(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> TwoHouses:
    """Scored by neither yet."""
    from pipeline.detector import network

    with pytest.MonkeyPatch.context() as patch:
        small = dict.fromkeys(network.SCHEDULES, network.Schedule(150, 128, 3e-3))
        patch.setattr(network, "SCHEDULES", small)
        return TwoHouses(tmp_path_factory.mktemp("houses"))
