"""How far a partition has moved from the training window, and when that asks for another training. Pure."""

from pipeline.drift.asking import RECENT, Drift, stale
from pipeline.drift.measures import score_counts, score_edges
from pipeline.drift.reference import Reference

__all__ = ["RECENT", "Drift", "Reference", "score_counts", "score_edges", "stale"]
