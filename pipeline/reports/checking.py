"""Every monitor's file against its live table: what is wrong and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import ConfigurationError, TablewatchError
from pipeline.monitor import Monitor, scan
from pipeline.monitor_file import did_you_mean
from pipeline.reports.alerting import endpoint_notes
from pipeline.reports.words import some
from pipeline.settings import Settings
from pipeline.steps import House

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.source import Partition


@dataclass(frozen=True)
class Checked:
    """One monitor, checked. `problems` would stop it tonight; `notes` are worth a look.

    `modelled` counts the columns that are scored; the table's facts are None where it could not be read.
    """

    monitor: str
    problems: list[str]
    notes: list[str]
    partitions: int | None = None
    first: str | None = None
    last: str | None = None
    records: int | None = None
    modelled: int | None = None


def check(names: Sequence[str] = (), settings: Settings | None = None) -> list[Checked]:
    """The monitors of those names, or every one. ConfigurationError if there is none at all."""
    house = House(settings)
    folder = house.settings.monitors
    if not names:
        found, errors = scan(folder)
        if not found and not errors:
            mend = "write one: tablewatch init URL --table T > monitors/t.yaml"
            raise ConfigurationError(f"there is no monitor in {folder.as_posix()!r}; {mend}")
        broken = [Checked(_file_of(error), str(error).splitlines(), []) for error in errors]
        return sorted([_table(house, monitor) for monitor in found] + broken, key=lambda checked: checked.monitor)
    return [_named(house, name) for name in dict.fromkeys(names)]


def _file_of(error: ConfigurationError) -> str:
    return str(error).split(" line ")[0].split(": ")[0]


def _named(house: House, name: str) -> Checked:
    try:
        return _table(house, house.monitor(name))
    except ConfigurationError as error:
        return Checked(name, str(error).splitlines(), [])


def _table(house: House, monitor: Monitor) -> Checked:
    notes = [*_secret_notes(monitor), *endpoint_notes(monitor, house.settings)]
    told = [f"{monitor.name}: {note}" for note in notes]
    try:
        source = house.on_spark(monitor) if monitor.engine == "spark" else house.source(monitor)
        schema, partitions = source.schema(), source.partitions()
    except TablewatchError as error:
        return Checked(monitor.name, [str(error)], told)
    columns, dated = _Columns(monitor, schema), [partition for partition in partitions if partition.key]
    problems = [*columns.problems(), *_dateless(monitor, partitions), *_expectation_problems(monitor, schema)]
    return Checked(
        monitor=monitor.name,
        problems=[f"{monitor.name}: {problem}" for problem in problems],
        notes=[*told, *(f"{monitor.name}: {note}" for note in _history_notes(monitor, dated))],
        partitions=len(dated),
        first=dated[0].key if dated else None,
        last=dated[-1].key if dated else None,
        records=sum(partition.rows for partition in partitions),
        modelled=len(columns.modelled),
    )


class _Columns:
    """What a monitor says of columns, against those that the table has."""

    def __init__(self, monitor: Monitor, schema: pa.Schema) -> None:
        self._monitor = monitor
        self._names = schema.names
        self._identity = {*monitor.primary_key, monitor.partition_by}
        aside = self._identity | set(monitor.columns.exclude)
        self.modelled = [name for name in schema.names if name not in aside]

    def problems(self) -> Iterator[str]:
        columns = self._monitor.columns
        yield from self._unknown("columns.exclude", columns.exclude)
        yield from self._unknown("columns.kinds", columns.kinds)
        yield from self._unknown("columns.sensitive", columns.sensitive)
        for name in columns.kinds:
            if name in self._identity:
                yield f"columns.kinds names {name!r}, which is never scored; take it out"
        if not self.modelled:
            yield "no column is left to model; exclude fewer"

    def _unknown(self, where: str, names: Iterable[str]) -> Iterator[str]:
        for name in names:
            if name not in self._names:
                yield f"{where} names no column {name!r}; {did_you_mean(name, self._names)}"


def _dateless(monitor: Monitor, partitions: Sequence[Partition]) -> Iterator[str]:
    rows = {partition.key: partition.rows for partition in partitions}
    column = monitor.partition_by
    if not rows:
        yield "the table holds no record; load some"
    elif not rows.keys() - {""}:
        yield f"column {column!r} holds no date in any record; partition by a date, a time or ISO text"
    elif "" in rows:
        yield f"column {column!r} holds no date in {some(rows[''], 'record')}, which are never checked; mend them"


def _expectation_problems(monitor: Monitor, schema: pa.Schema) -> Iterator[str]:
    """One at a time, so that one that is wrong does not hide the next."""
    from pipeline.validation import first_suite

    for expectation in monitor.expectations:
        try:
            first_suite(monitor.model_copy(update={"expectations": (expectation,)}), schema)
        except ConfigurationError as error:
            yield str(error).removeprefix(f"{monitor.name}: ")


def _secret_notes(monitor: Monitor) -> Iterator[str]:
    from pipeline.source.connection import holds_secret

    if holds_secret(monitor.source.connection or ""):
        variable = f"TABLEWATCH_{monitor.name.upper()}_PASSWORD"
        yield (
            f"source.connection holds a secret, which whoever reads the file then knows; write ${{{variable}}} in its "
            "place and set that environment variable"
        )


def _history_notes(monitor: Monitor, dated: Sequence[Partition]) -> Iterator[str]:
    training = monitor.training
    window = dated[-training.window :]
    records = sum(partition.rows for partition in window)
    if dated and len(dated) < training.window:
        yield f"the table holds {some(len(dated), 'partition')}, fewer than training.window {training.window}"
    if dated and records < training.min_rows:
        yield f"the training window holds {some(records, 'record')}, fewer than training.min_rows {training.min_rows}"
