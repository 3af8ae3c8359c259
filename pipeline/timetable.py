"""The timetable of the DAGs that run by the clock, and the plugin by which Airflow knows it: an entry point of its own.

Airflow's `CronPartitionTimetable(run_offset=-1)` names the day of the tick before, which is yesterday only if the cron
text comes every day: a weekly retraining would name the day a week ago, a Tuesday-to-Saturday schedule never a Monday.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.plugins_manager import AirflowPlugin
from airflow.timetables.trigger import CronPartitionTimetable

from pipeline.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from airflow.timetables.base import DagRunInfo, TimeRestriction

    from pipeline.monitor import Monitor

KEY_FORMAT = "%Y-%m-%d"
ONE_TIME_OF_DAY = re.compile(r"\d+ +\d+ .*")


class DayBeforeTimetable(CronPartitionTimetable):
    """A run at each tick of the cron text, for the calendar day before it in the timetable's timezone.

    At 02:00 on the 4th the partition of the 4th holds two hours of records; the one of the 3rd is whole.
    """

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The run after the last one, or None if there is no more; its `partition_date` is a local midnight, in UTC."""
        info = super().next_dagrun_info_v2(last_dagrun_info=last_dagrun_info, restriction=restriction)
        return self._for_day_before(info) if info else None

    def iter_partition_dagrun_infos(self, *, earliest: datetime, latest: datetime) -> Iterator[DagRunInfo]:
        """The runs of a backfill: for the days whose local midnights are in [earliest, latest], each after its day."""
        first, last = self.localize_partition_datetime(earliest), self.localize_partition_datetime(latest)
        for info in super().iter_partition_dagrun_infos(earliest=earliest, latest=latest + timedelta(days=2)):
            run = self._for_day_before(info)
            if run.partition_date and first <= run.partition_date <= last:
                yield run

    def _for_day_before(self, info: DagRunInfo) -> DagRunInfo:
        # On the wall clock alone: in some zones the night that clocks change has no midnight.
        day = info.run_after.in_timezone(self._timezone).naive().start_of("day").subtract(days=1)
        return info._replace(
            partition_date=self.localize_partition_datetime(day), partition_key=day.strftime(self._key_format)
        )


def day_before(monitor: Monitor, cron: str) -> DayBeforeTimetable:
    """Runs at each tick of the cron text for the monitor's local day before it. ConfigurationError if a day has two.

    A DAG seen for the first time waits for its next tick (`run_immediately` of zero): deploying never starts work.
    """
    if not ONE_TIME_OF_DAY.fullmatch(cron):
        raise ConfigurationError(
            f"{monitor.name}: the schedule {cron!r} comes more than once a day, and every time for the same partition, "
            "the day before; write one minute and one hour, as in '0 2 * * *'"
        )
    return DayBeforeTimetable(cron, timezone=monitor.timezone, run_immediately=timedelta(0), key_format=KEY_FORMAT)


class DayBeforePlugin(AirflowPlugin):
    """Makes the timetable known: Airflow reads one back from a serialized DAG only if a plugin names it."""

    name = "tablewatch"
    timetables = [DayBeforeTimetable]  # noqa: RUF012 (the base class declares no ClassVar)
