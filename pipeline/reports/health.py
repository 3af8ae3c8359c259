"""How tablewatch itself fares: versions, store, monitors, champions, last runs."""

from __future__ import annotations

import datetime as dt
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import TablewatchError
from pipeline.monitor import scan
from pipeline.reports.alerting import undelivered_problems
from pipeline.reports.words import some
from pipeline.settings import Settings
from pipeline.steps import House, late_nights

if TYPE_CHECKING:
    from pipeline.store import Health

# Each by the first of its packages that is installed.
PACKAGES = {
    "tablewatch": ("tablewatch",),
    "keras": ("keras",),
    "tensorflow": ("tensorflow-cpu", "tensorflow"),
    "great-expectations": ("great-expectations",),
    "airflow": ("apache-airflow",),
    "ibis": ("ibis-framework",),
    "duckdb": ("duckdb",),
}
_MIGRATIONS = Path(__file__).parents[1] / "migrations"


@dataclass(frozen=True)
class MonitorHealth:
    """How one monitor fares; None where it never ran. `champion_days` counts from its promotion; times are UTC."""

    monitor: str
    champion: str | None = None
    champion_days: int | None = None
    last_kind: str | None = None
    last_status: str | None = None
    last_partition: str | None = None
    last_started_at: dt.datetime | None = None
    stale: int = 0
    refused_partitions: int = 0
    failed_partitions: int = 0


@dataclass(frozen=True)
class Diagnosis:
    """What a doctor sees. `problems` keep tablewatch from working; `notes` are for somebody to look at."""

    versions: dict[str, str | None]
    home: str
    monitors_folder: str
    store: str | None
    store_revision: str | None
    monitors: list[MonitorHealth]
    problems: list[str]
    notes: list[str]


def doctor(settings: Settings | None = None) -> Diagnosis:
    """Look at everything; what is wrong is told, never raised."""
    house = House(settings)
    problems: list[str] = []
    versions = {"python": platform.python_version()} | {name: _installed(name) for name in PACKAGES}
    problems += [f"{name} is not installed; install tablewatch again" for name, found in versions.items() if not found]
    monitors = _monitors(house, problems)
    store, revision, health = _store(house, problems)
    if revision is not None:
        problems += [problem for name in monitors for problem in _bundle_problems(house, name)]
        problems += undelivered_problems(house.store.alerts(undelivered=True))
        problems += late_nights(house)
    seen = [_health(name, health.get(name), dt.datetime.now(dt.UTC)) for name in monitors]
    return Diagnosis(
        versions=versions,
        home=str(house.settings.home),
        monitors_folder=str(house.settings.monitors),
        store=store,
        store_revision=revision,
        monitors=seen,
        problems=problems + [problem for name in monitors for problem in _failed(health.get(name))],
        notes=[note for each in seen for note in _notes(each)],
    )


def _installed(name: str) -> str | None:
    for package in PACKAGES[name]:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return None


def _monitors(house: House, problems: list[str]) -> list[str]:
    """The names of the monitors that can be read."""
    folder = house.settings.monitors
    if not folder.is_dir():
        problems.append(f"there is no folder {folder.as_posix()!r}; make it, or set TABLEWATCH_MONITORS")
    found, errors = scan(folder)
    problems += [line for error in errors for line in str(error).splitlines()]
    return [monitor.name for monitor in found]


def _store(house: House, problems: list[str]) -> tuple[str | None, str | None, dict[str, Health]]:
    """The store's URL without its secrets, its revision and what it knows; no revision when it does not answer."""
    from alembic.script import ScriptDirectory

    from pipeline.store import Store

    name = None
    try:
        name = Store(house.settings.store).name
        health = {each.monitor: each for each in house.store.health()}
    except TablewatchError as error:
        problems.append(str(error))
        return name, None, {}
    # House migrates the store before anything is read from it, so that its revision is the latest.
    return name, ScriptDirectory(str(_MIGRATIONS)).get_current_head(), health


def _bundle_problems(house: House, name: str) -> Iterator[str]:
    champion = house.store.champion(name)
    if champion is not None:
        try:
            house.registry.load(name, champion.version, champion.sha256)
        except TablewatchError as error:
            yield str(error)


def _health(name: str, health: Health | None, now: dt.datetime) -> MonitorHealth:
    if health is None:
        return MonitorHealth(name)
    promoted = health.champion_promoted_at
    return MonitorHealth(
        monitor=name,
        champion=health.champion,
        champion_days=None if promoted is None else (now - promoted).days,
        last_kind=health.last_kind,
        last_status=health.last_status,
        last_partition=health.last_partition,
        last_started_at=health.last_started_at,
        stale=health.stale,
        refused_partitions=health.refused_partitions,
        failed_partitions=health.failed_partitions,
    )


def _failed(health: Health | None) -> Iterator[str]:
    if health is not None and health.last_status == "failed":
        yield f"{health.monitor}: the last {health.last_kind} failed: {health.last_reason}"


def _notes(monitor: MonitorHealth) -> Iterator[str]:
    name = monitor.monitor
    if monitor.champion is None:
        yield f"{name}: no champion yet; run: tablewatch train {name}"
    if monitor.stale:
        yield f"{name}: {some(monitor.stale, 'run')} began and never ended, so killed; run those partitions again"
    if monitor.refused_partitions or monitor.failed_partitions:
        counts = f"{some(monitor.refused_partitions, 'partition')} refused, {monitor.failed_partitions} failed"
        yield f"{name}: {counts}; see: tablewatch partitions {name}"
