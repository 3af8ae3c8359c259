"""The step that tells people: what is due in the outbox leaves for its endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.settings import Settings
from pipeline.steps.house import House

if TYPE_CHECKING:
    from pipeline.alerts import Delivered


def deliver(settings: Settings | None = None) -> Delivered:
    """Send all alerts that are due, of every monitor; what an endpoint does not take is due again later.

    Raises FailedMachinery when the store does not answer.
    """
    from pipeline import alerts

    house = House(settings)
    return alerts.deliver(house.store, house.settings)
