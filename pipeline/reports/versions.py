"""A monitor's model versions, and which of them is champion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigurationError, CorruptBundle
from pipeline.settings import Settings
from pipeline.steps import House

if TYPE_CHECKING:
    from pipeline.store import ModelVersion


def models(name: str, settings: Settings | None = None) -> list[ModelVersion]:
    """The model versions of a monitor, the latest first."""
    house = House(settings)
    house.monitor(name)
    return house.store.model_versions(name)


def promote(
    name: str, version: str, settings: Settings | None = None, reason: str = "promoted by hand"
) -> ModelVersion:
    """Make a version champion; its bundle is read first, so that no champion is one that cannot score.

    Raises ConfigurationError for an unknown version, CorruptBundle for one whose bundle is not as it was saved.
    """
    house = House(settings)
    monitor = house.monitor(name)
    for known in house.store.model_versions(name):
        if known.version == version:
            house.registry.load(name, version, known.sha256)
    house.store.promote(name, version, reason)
    return house.champion(monitor)


def rollback(name: str, settings: Settings | None = None, reason: str = "rolled back by hand") -> ModelVersion:
    """Make the champion before the present one champion again; its bundle is read first, as for a promotion.

    Raises ConfigurationError when there is none, CorruptBundle when its bundle is not as it was saved; the champion
    then stays.
    """
    house = House(settings)
    monitor = house.monitor(name)

    def check(version: ModelVersion) -> None:
        try:
            house.registry.load(name, version.version, version.sha256)
        except CorruptBundle as error:
            raise CorruptBundle(
                f"{name}: the champion before was {version.version}, whose bundle is not as it was saved;"
                f" promote another: tablewatch models {name}, tablewatch promote {name} VERSION"
            ) from error

    house.store.rollback(name, reason, check)
    return house.champion(monitor)


def beside_champion(name: str, version: str, settings: Settings | None = None) -> str:
    """A version beside the champion, as both measured on the same records: a Markdown table for who has to approve.

    Raises ConfigurationError for an unknown version, or where there is no champion.
    """
    house = House(settings)
    champion = house.champion(house.monitor(name))
    known = {each.version: each for each in house.store.model_versions(name)}
    if version not in known:
        raise ConfigurationError(f"{name}: no model version {version!r}; `tablewatch models {name}` lists them")
    canaries = known[version].metrics.get("canaries") or {}
    measured = [canaries.get(which) or {} for which in ("model", "champion")]
    rows = [
        ("trained on", [f"{each.window_first} to {each.window_last}" for each in (known[version], champion)]),
        ("records", [f"{each.window_records:,}" for each in (known[version], champion)]),
        ("told canaries from normal records (AUC-ROC)", [_figure(each.get("auc_roc"), ".3f") for each in measured]),
        ("canaries caught", [_figure(each.get("caught"), ".0%") for each in measured]),
        (
            f"flagged of {canaries.get('held_out', 0):,} untouched records",
            [_figure(each.get("flagged"), ",") for each in measured],
        ),
    ]
    head = f"| | {version} | {champion.version}, the champion |\n| --- | --- | --- |\n"
    return head + "\n".join(f"| {what} | {' | '.join(figures)} |" for what, figures in rows)


def _figure(value: float | None, form: str) -> str:
    return "not measured" if value is None else format(value, form)


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
