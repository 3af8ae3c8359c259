"""A monitor's model versions, and which of them is champion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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


def canary_figures(metrics: Mapping[str, Any]) -> str:
    """How well a version and its baselines told canaries from normal records: `model 0.917, gaussian 0.766, nearest
    0.806` (AUC-ROC); why that was not measured; nothing for a version trained before there were canaries.
    """
    canaries = metrics.get("canaries")
    if canaries is None:
        return ""
    figures = {method: canaries[method]["auc_roc"] for method in ("model", "gaussian", "nearest")}
    if None in figures.values():
        return str(canaries["note"])
    return ", ".join(f"{method} {figure:.3f}" for method, figure in figures.items())
