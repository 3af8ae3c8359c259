"""The steps that tell people: of nights that are late, and what is due in the outbox leaves for its endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.monitor import scan
from pipeline.plain import safe
from pipeline.settings import Settings
from pipeline.steps.house import House

if TYPE_CHECKING:
    from pipeline.alerts import Delivered
    from pipeline.lateness import Due
    from pipeline.monitor import Monitor
    from pipeline.store import PartitionState


def deliver(settings: Settings | None = None) -> Delivered:
    """Send all alerts that are due, of every monitor; what an endpoint does not take is due again later.

    Raises FailedMachinery when the store does not answer.
    """
    from pipeline import alerts

    house = House(settings)
    return alerts.deliver(house.store, house.settings)


def tell_late(settings: Settings | None = None) -> list[str]:
    """Put a message into the outbox for each monitor whose latest night is not scored by its deadline, once a night.

    Returns what is late, in words. A night is looked at from its deadline until that of the next one. Raises
    FailedMachinery when the store does not answer.
    """
    from pipeline.alerts import of_late

    house = House(settings)
    told = []
    for monitor in scan(house.settings.monitors)[0]:
        late = late_night(house, monitor)
        if late is not None:
            due, state = late
            stands = what_stands(monitor, state)
            house.store.post_alerts(of_late(monitor, due, stands))
            told.append(
                f"{monitor.name} {due.partition} is not scored, its deadline was {due.deadline:%F %R %Z}; {stands}"
            )
    return told


def late_night(house: House, monitor: Monitor) -> tuple[Due, PartitionState | None] | None:
    """The night that is late now and where it stands. Nights from before the monitor first ran are never late."""
    from pipeline.lateness import latest_due

    due = latest_due(monitor, house.store.clock())
    if due is None:
        return None
    since = house.store.watched_since(monitor.name)
    if since is None or due.scheduled < since:
        return None
    state = next(iter(house.store.partition_states(monitor.name, due.partition)), None)
    return None if state is not None and state.scored_at is not None else (due, state)


def what_stands(monitor: Monitor, state: PartitionState | None) -> str:
    """Where a partition that is late stands, in a sentence that says what to look at."""
    name = monitor.name
    if state is None:
        return f"nothing was started for it: is the scheduler up, and the DAG validate_{name} not paused?"
    if state.status == "running":
        return f"its {state.kind} began at {state.started_at:%Y-%m-%d %H:%M} UTC and has not ended"
    if state.status == "done":
        return f"it was validated and never scored: is the DAG score_{name} not paused?"
    return f"its last {state.kind} was {state.status}: {safe(state.reason or 'no reason is known', 600)}"
