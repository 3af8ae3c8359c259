"""The store: schema, transactions and locks. The only SQL that writes; SQLite or PostgreSQL behind one URL."""

from __future__ import annotations

from pipeline.store.reads import Reads, StoredAnomaly, StoredIncident, StoredQuarantined
from pipeline.store.runs import Health, PartitionState, Run, RunKind, RunStatus
from pipeline.store.versions import ModelStatus, ModelVersion, TrainedModel, Versions
from pipeline.store.writes import PartitionResults, Writes

__all__ = [
    "Health",
    "ModelStatus",
    "ModelVersion",
    "PartitionResults",
    "PartitionState",
    "Run",
    "RunKind",
    "RunStatus",
    "Store",
    "StoredAnomaly",
    "StoredIncident",
    "StoredQuarantined",
    "TrainedModel",
]


class Store(Writes, Reads, Versions):
    """Runs, results, suites and model versions of every monitor, in one database."""
