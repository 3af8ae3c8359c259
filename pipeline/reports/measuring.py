"""What a night measured, for what watches over many programs: figures by name, and how its expectations fared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pipeline.settings import Settings
from pipeline.steps import House

if TYPE_CHECKING:
    from pipeline.monitor import Monitor
    from pipeline.results import ExpectationResult

PORTS = {"postgres": 5432, "mysql": 3306, "mssql": 1433, "clickhouse": 8123, "trino": 8080}


@dataclass(frozen=True)
class Quality:
    """How the expectations of a partition fared; `namespace` and `name` are the table's, as OpenLineage has them."""

    namespace: str
    name: str
    rows: int | None
    results: list[ExpectationResult]


def measures(name: str, partition: str, settings: Settings | None = None) -> dict[str, float]:
    """The figures of the monitor's partition as it stands, those that there are; FailedMachinery like any report."""
    store = House(settings).store
    found: dict[str, float | None] = {}
    for state in store.partition_states(name, partition):
        found |= {"read": state.records_read, "accepted": state.accepted, "quarantined": state.quarantined}
        if state.scored_at is not None:
            found |= {"flagged": state.flagged, "incidents": len(store.incidents(name, partition))}
    for health in store.health():
        if health.monitor == name and health.champion_promoted_at is not None:
            found["champion_age_days"] = (store.clock() - health.champion_promoted_at).total_seconds() / 86_400
    return {figure: float(value) for figure, value in found.items() if value is not None}


def quality(name: str, partition: str, settings: Settings | None = None) -> Quality:
    """How the partition's expectations fared, and of which table; without any of its values."""
    house = House(settings)
    state = next(iter(house.store.partition_states(name, partition)), None)
    namespace, table = dataset_of(house.monitor(name))
    rows = None if state is None else state.records_read
    return Quality(namespace, table, rows, house.store.validations(name, partition))


def dataset_of(monitor: Monitor) -> tuple[str, str]:
    """The namespace and the name of the watched table, by OpenLineage's rules; nobody's name, no password."""
    from pipeline.source.connection import Environment, url_of

    environment = Environment(monitor.name)
    if monitor.source.files is not None:
        return "file", environment.expand(monitor.source.files, "source.files")
    url = urlsplit(url_of(monitor.source.connection or "", environment))
    scheme, table = "postgres" if url.scheme == "postgresql" else url.scheme, monitor.source.table or ""
    if scheme in ("duckdb", "sqlite"):
        return "file", f"{url.netloc}{url.path}/{table}"
    port = url.port or PORTS.get(scheme)
    schema = "" if "." in table or scheme != "postgres" else "public."
    namespace = f"{scheme}://{url.hostname or 'localhost'}{f':{port}' if port else ''}"
    return namespace, ".".join(filter(None, (unquote(url.path.strip("/")), schema + table)))
