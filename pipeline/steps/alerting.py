"""The steps that tell people: of nights that are late, and what is due in the outbox leaves for its endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.monitor import scan
from pipeline.plain import safe
from pipeline.settings import Settings
from pipeline.steps.house import House

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    for monitor, due, stands in _late(house):
        house.store.post_alerts(of_late(monitor, due, stands))
        told.append(_in_words(monitor, due, stands))
    return told


def late_nights(house: House) -> list[str]:
    """The nights that are not scored by their deadline, in words; nothing is written. FailedMachinery as above."""
    return [_in_words(monitor, due, stands) for monitor, due, stands in _late(house)]


def _late(house: House) -> Iterator[tuple[Monitor, Due, str]]:
    """Each monitor whose latest night is late, and where that stands; one from before it first ran is never late."""
    from pipeline.lateness import latest_due

    for monitor in scan(house.settings.monitors)[0]:
        due = latest_due(monitor, house.store.clock())
        if due is None:
            continue
        since = house.store.watched_since(monitor.name)
        if since is None or due.scheduled < since:
            continue
        state = next(iter(house.store.partition_states(monitor.name, due.partition)), None)
        if state is None or state.scored_at is None:
            yield monitor, due, _what_stands(monitor, state)


def _in_words(monitor: Monitor, due: Due, stands: str) -> str:
    return f"{monitor.name} {due.partition}: late, not scored by {due.deadline:%Y-%m-%d %H:%M %Z}; {stands}"


def _what_stands(monitor: Monitor, state: PartitionState | None) -> str:
    """Where a partition that is late stands, in a sentence that says what to look at."""
    name = monitor.name
    if state is None:
        return f"nothing was started for it: is the scheduler up, and the DAG validate_{name} not paused?"
    if state.status == "running":
        return f"its {state.kind} began at {state.started_at:%Y-%m-%d %H:%M} UTC and has not ended"
    if state.status == "done":
        return f"it was validated and never scored: is the DAG score_{name} not paused?"
    return f"its last {state.kind} was {state.status}: {safe(state.reason or 'no reason is known', 600)}"
