"""The gate: whether a challenger may become champion, judged by what both did on the same records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scipy.stats import binomtest

SURE = 0.01
"""How improbable a difference must be among equals before it is held against a challenger, all comparisons together."""
ALLOWED = 2.0
"""A false-alarm rate is held against a challenger when it is surely above so many times the rate asked for."""
OPPONENTS = {"champion": "the champion", "gaussian": "a Gaussian", "nearest": "the nearest neighbour"}


def objections(canaries: Mapping[str, Any]) -> tuple[str, ...]:
    """Why a challenger may not become champion, in words; empty when nothing is held against it.

    `canaries` is what `pipeline.detector.baselines.measure` tells of the challenger, its opponents and the canaries.
    """
    return (*_blind(canaries), *_noisy(canaries))


def _blind(canaries: Mapping[str, Any]) -> Iterator[str]:
    """Canaries that an opponent catches and the challenger misses, where they surely outweigh the others.

    The exact test of McNemar (1947), one-sided: among canaries that only one of two equals catches, each is as likely
    the one's as the other's. The champion is compared by kind of corruption too.
    """
    compared = [(name, "", canaries.get(name) or {}) for name in OPPONENTS]
    by_kind = (canaries.get("champion") or {}).get("corruptions") or {}
    compared += [("champion", f" {kind}", counts) for kind, counts in by_kind.items()]
    told = [(name, kind, counts) for name, kind, counts in compared if counts.get("lost") is not None]
    for name, kind, counts in told:
        lost, won = counts["lost"], counts["won"]
        if lost and binomtest(lost, lost + won, alternative="greater").pvalue < SURE / len(told):
            yield (
                f"it misses {lost}{kind} canaries that {OPPONENTS[name]} catches, and catches {won} that "
                f"{OPPONENTS[name]} misses"
            )


def _noisy(canaries: Mapping[str, Any]) -> Iterator[str]:
    """Untouched records flagged, where they are surely too many and more than the champion flags."""
    flagged, held_out = canaries["model"]["flagged"], canaries["held_out"]
    champion = (canaries.get("champion") or {}).get("flagged")
    if not held_out or (champion is not None and flagged <= champion):
        return
    bound = min(1.0, ALLOWED * canaries["asked"])
    if binomtest(flagged, held_out, bound, alternative="greater").pvalue < SURE:
        yield f"it flags {flagged} of {held_out} untouched records, asked for {canaries['asked']:.2%}"
