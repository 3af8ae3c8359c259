"""A source that reads through ibis, whatever holds the records."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date
from zoneinfo import ZoneInfo

import pyarrow as pa

from pipeline.errors import RefusedData, TablewatchError
from pipeline.monitor import Monitor
from pipeline.monitor_file import did_you_mean
from pipeline.source.columns import check_names, check_roles
from pipeline.source.contract import Partition, Profile
from pipeline.source.days import Days
from pipeline.source.failures import Failures
from pipeline.source.profile import profiles
from pipeline.source.tables import Place, View


class IbisSource:
    """One monitor's records. Not to be shared between threads."""

    def __init__(
        self,
        monitor: Monitor,
        place: Place,
        failures: Failures,
        families: dict[str, type[TablewatchError]] | None = None,
    ) -> None:
        check_names(place.names, monitor.name)
        check_roles(place.names, monitor)
        failures.known |= set(place.names)
        self._monitor = monitor
        self._place = place
        self._days = days_in(monitor)
        self._failures = failures
        self._families = families
        self._views: dict[tuple[date, ...], View] = {}

    def schema(self, keys: Sequence[str] = ()) -> pa.Schema:
        """See Source."""
        return self._view(self._days.of(keys)).schema

    def partitions(self) -> list[Partition]:
        """See Source."""
        with self._failures.told(families=self._families):
            counts = self._days.tally(self._place.engine.rows(self._days.census(self._place.calendar())))
        return [Partition(key, rows) for key, rows in counts.items()]

    def batches(
        self, keys: Sequence[str], columns: Sequence[str] | None = None, rows: int = 65_536
    ) -> Iterator[pa.RecordBatch]:
        """See Source."""
        days = self._days.of(keys)
        if not days:
            return
        view = self._view(days)
        schema = self._selected(view, columns, days)
        primary_key = [name for name in self._monitor.primary_key if name in view.schema.names]
        needed = list(dict.fromkeys([*primary_key, *schema.names]))
        with self._failures.told(_span(days), families=self._families):
            table = view.table.filter(self._days.within(view.table, days)).select(needed)
            # The key first; the rest only so that records that share a key always come in the same order.
            engine = self._place.engine
            ordered = table.order_by([name for name in needed if engine.orders(table[name].type())])
            yield from engine.stream(ordered, schema, rows)

    def profiles(self, keys: Sequence[str], metrics: Collection[str] | None = None) -> list[Profile]:
        """See Source."""
        days = self._days.of(keys)
        if not days:
            return []
        view = self._view(days)
        with self._failures.told(_span(days), families=self._families):
            found = {row["partition"]: row for row in profiles(self._place.engine, view, self._days, days, metrics)}
        return [found[key] for key in dict.fromkeys(keys)]

    def _view(self, days: tuple[date, ...]) -> View:
        if days not in self._views:
            with self._failures.told(_span(days), families=self._families):
                self._views[days] = self._place.view(days)
        return self._views[days]

    def _selected(self, view: View, columns: Sequence[str] | None, days: Sequence[date]) -> pa.Schema:
        for name in columns or ():
            if name not in view.schema.names:
                where = f"{self._monitor.name} {_span(days)}"
                raise RefusedData(f"{where}: column {name!r} is missing; {did_you_mean(name, view.schema.names)}")
        return view.schema if columns is None else pa.schema([view.schema.field(name) for name in columns])


def days_in(monitor: Monitor) -> Days:
    """The days of a monitor's table."""
    return Days(monitor.partition_by, ZoneInfo(monitor.timezone), monitor.name)


def _span(days: Sequence[date]) -> str:
    if not days:
        return ""
    return f"{days[0]}" if len(days) == 1 else f"{days[0]}..{days[-1]}"
