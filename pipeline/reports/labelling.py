"""What people said of records, what is muted, and the incidents that may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.settings import Settings
from pipeline.steps import House

if TYPE_CHECKING:
    from pipeline.store import StoredIncident, StoredLabel, Suppression

State = Literal["active", "expired", "revoked"]


@dataclass(frozen=True)
class MutedIncident:
    """An incident, and the suppression that mutes it now, if any does."""

    incident: StoredIncident
    muted_by: Suppression | None


@dataclass(frozen=True)
class SuppressionState:
    """A suppression and whether it still mutes."""

    suppression: Suppression
    state: State


def labels(name: str, settings: Settings | None = None) -> list[StoredLabel]:
    """The labels that stand, by partition and record key."""
    house = House(settings)
    house.monitor(name)
    return house.store.labels(name)


def suppressions(name: str | None = None, settings: Settings | None = None) -> list[SuppressionState]:
    """The suppressions of a monitor (of all), the latest first."""
    house = House(settings)
    if name is not None:
        house.monitor(name)
    active = house.store.suppressions(name, house.store.clock())
    return [
        SuppressionState(each, "active" if each in active else "revoked" if each.revoked_at else "expired")
        for each in house.store.suppressions(name)
    ]


def incidents(
    name: str, partition: str | None = None, limit: int | None = None, settings: Settings | None = None
) -> list[MutedIncident]:
    """The incidents of one partition (of all), the latest partition and the worst first."""
    house = House(settings)
    house.monitor(name)
    active = {each.suppression_id: each for each in house.store.suppressions(name, house.store.clock())}
    by_incident = {each.incident_id: each for each in active.values()}
    return [
        MutedIncident(each, active.get(each.suppression_id or "") or by_incident.get(each.incident_id))
        for each in house.store.incidents(name, partition, limit)
    ]
