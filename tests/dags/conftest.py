"""An Airflow of the tests' own: its home is a temporary folder, chosen before anything imports airflow."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import types
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fake_steps import FakeSteps
from flights_monitor import MONITOR

import pipeline
from demo import airflow_home

HOME = Path(tempfile.mkdtemp(prefix="tablewatch-airflow-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
# Airflow reads its configuration when it is first imported, by whichever test that is. tablewatch's own variables are
# set test by test, so that no other test sees them.
AIRFLOW = {
    name: value
    for name, value in airflow_home.environment(HOME, airflow_home.REPO).items()
    if name.startswith("AIRFLOW")
} | {"AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING"}
os.environ.update(AIRFLOW)


@pytest.fixture(scope="session")
def dags_folder() -> Path:
    """The folder that Airflow reads DAGs from."""
    return Path(AIRFLOW["AIRFLOW__CORE__DAGS_FOLDER"])


@pytest.fixture
def monitors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes a folder of monitors, name=text, and makes it the one that the DAGs are made of."""

    def write(**texts: str) -> Path:
        folder = tmp_path / "monitors"
        folder.mkdir(exist_ok=True)
        for name, text in texts.items():
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        monkeypatch.setenv("TABLEWATCH_MONITORS", str(folder))
        return folder

    return write


@pytest.fixture
def parse(monitors: Callable[..., Path], dags_folder: Path) -> Callable[..., Any]:
    """Parses dags/ as Airflow does, with monitors name=text: an Airflow DagBag."""
    from airflow.configuration import conf
    from airflow.dag_processing.dagbag import DagBag

    assert conf.get("core", "dags_folder") == str(dags_folder), "airflow was imported before its environment was set"

    def parse_with(**texts: str) -> Any:
        monitors(**texts)
        return DagBag(dag_folder=dags_folder)

    return parse_with


@pytest.fixture(scope="module")
def module(dags_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """dags/tablewatch.py itself, for the functions in it."""
    spec = spec_from_file_location("dags_tablewatch", dags_folder / "tablewatch.py")
    assert spec and spec.loader
    module = module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TABLEWATCH_MONITORS", str(tmp_path_factory.mktemp("no-monitors")))
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def flights(parse: Callable[..., Any]) -> dict[str, Any]:
    """The DAGs of one monitor, by id."""
    bag = parse(flights=MONITOR + "timezone: Europe/Zurich\n")
    assert not bag.import_errors
    return bag.dags


@pytest.fixture(scope="session")
def database() -> None:
    """Airflow's own database, migrated: dag.test and asset events need it."""
    airflow_home.prepare(HOME, airflow_home.REPO)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> FakeSteps:
    """The steps that the DAGs call in this test, and the reports."""
    fake = FakeSteps()
    for package, names in (
        ("steps", ("validate", "score", "train", "deliver", "tell_late")),
        ("reports", ("promote", "beside_champion", "measures", "quality")),
    ):
        module = types.ModuleType(f"pipeline.{package}")
        for name in names:
            setattr(module, name, getattr(fake, name))
        monkeypatch.setitem(sys.modules, f"pipeline.{package}", module)
        monkeypatch.setattr(pipeline, package, module, raising=False)
    return fake
