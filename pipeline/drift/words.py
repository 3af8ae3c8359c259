"""What has moved in a column, in its own units."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.drift.signals import Signal

CLEARLY = 0.1
"""A share that has moved by so much is worth a word."""
LONGEST = 40


def moved(signal: Signal, encoder: Any, here: np.ndarray) -> str:
    """Nulls, a median or the share of a level, before and now, as the end of a sentence; "" where nothing can be said.

    `encoder` is the column's, `here` (bins,) what came in the partition. No value of a sensitive column is said.
    """
    window = np.array(signal.counts)
    if signal.edges is None:
        return _level(signal, encoder, window, here)
    nulls = [counts[-1] / max(counts.sum(), 1) for counts in (window, here)]
    if abs(nulls[1] - nulls[0]) >= CLEARLY:
        return f", nulls {nulls[0]:.0%} -> {nulls[1]:.0%}"
    if signal.sensitive or not signal.edges or encoder.kind != "numeric" or encoder.growth is not None:
        return ""
    return f", median {_median(signal.edges, encoder, window)} -> {_median(signal.edges, encoder, here)}"


def _level(signal: Signal, encoder: Any, window: np.ndarray, here: np.ndarray) -> str:
    before, now = (counts / max(counts.sum(), 1) for counts in (window, here))
    at = int(np.abs(now - before).argmax())
    names = [None, *encoder.levels]
    level = (signal.levels or [])[at] if at < len(signal.levels or ()) else -1
    if level == 0:
        name = "nulls"
    elif 0 < level < len(names) and not signal.sensitive:
        name = repr(names[level][:LONGEST])
    else:
        name = "one value" if 0 < level < len(names) else "other values"
    return f", {name} {before[at]:.0%} -> {now[at]:.0%}"


def _median(edges: list[float], encoder: Any, counts: np.ndarray) -> str:
    """The middle of the bin that holds the median of the values that are there, in the column's units."""
    there = np.cumsum(counts[:-1])
    if not there[-1]:
        return "none"
    at = int(np.searchsorted(there, there[-1] / 2))
    ends = np.array([edges[max(at - 1, 0)], edges[min(at, len(edges) - 1)]], dtype=np.float32)
    outside = "below " if at == 0 else "above " if at == len(edges) else ""
    return f"{outside}{encoder.decode([np.array([[ends.mean()]])], None)[0]}"
