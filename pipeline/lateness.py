"""When a night ought to have arrived: the latest partition whose deadline is over. Pure.

The deadline belongs to the schedule, not to a run: a night for which nothing was ever started is late as well.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.monitor import Monitor


@dataclass(frozen=True)
class Due:
    """A partition and when it had to be scored; `scheduled` is when its run had to begin. Times have a zone."""

    partition: str
    scheduled: dt.datetime
    deadline: dt.datetime


def latest_due(monitor: Monitor, now: dt.datetime) -> Due | None:
    """The latest partition whose deadline is not after `now`; None where the monitor has no deadline."""
    from croniter import croniter  # type: ignore[import-untyped]

    after = monitor.alerts.patience
    if after is None:
        return None
    zone = zoneinfo.ZoneInfo(monitor.timezone)
    wall = (now - after).astimezone(zone).replace(tzinfo=None)
    # The tick before a moment is never that moment itself.
    scheduled = croniter(monitor.schedule, wall + dt.timedelta(seconds=1)).get_prev(dt.datetime).replace(tzinfo=zone)
    deadline = (scheduled.astimezone(dt.UTC) + after).astimezone(zone)
    return Due((scheduled.date() - dt.timedelta(days=1)).isoformat(), scheduled, deadline)
