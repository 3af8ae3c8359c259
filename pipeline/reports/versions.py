"""A monitor's model versions, and which of them is champion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.settings import Settings
from pipeline.steps import House

if TYPE_CHECKING:
    from pipeline.store import ModelVersion


def models(name: str, settings: Settings | None = None) -> list[ModelVersion]:
    """The model versions of a monitor, the latest first."""
    house = House(settings)
    house.monitor(name)
    return house.store.model_versions(name)


def promote(name: str, version: str, settings: Settings | None = None) -> ModelVersion:
    """Make a version champion; its bundle is read first, so that no champion is one that cannot score.

    Raises ConfigurationError for an unknown version, CorruptBundle for one whose bundle is not as it was saved.
    """
    house = House(settings)
    monitor = house.monitor(name)
    for known in house.store.model_versions(name):
        if known.version == version:
            house.registry.load(name, version, known.sha256)
    house.store.promote(name, version, "promoted by hand")
    return house.champion(monitor)


def rollback(name: str, settings: Settings | None = None) -> ModelVersion:
    """Make the champion before the present one champion again. ConfigurationError when there is none."""
    house = House(settings)
    monitor = house.monitor(name)
    house.store.rollback(name)
    return house.champion(monitor)
