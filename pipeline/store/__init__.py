"""The store: schema, transactions and locks. The only SQL that writes; SQLite or PostgreSQL behind one URL."""

from __future__ import annotations

from pipeline.store.grants import Granting, Grants
from pipeline.store.labels import Labels, Said, StoredLabel, Suppression
from pipeline.store.outbox import Outbox, StoredAlert
from pipeline.store.pruning import Pruning
from pipeline.store.reads import Reads, StoredAnomaly, StoredIncident, StoredQuarantined
from pipeline.store.runs import Health, PartitionState, Run, RunKind, RunStatus
from pipeline.store.versions import ModelStatus, ModelVersion, TrainedModel, Versions
from pipeline.store.writes import PartitionResults, Writes

__all__ = [
    "Grants",
    "Health",
    "ModelStatus",
    "ModelVersion",
    "PartitionResults",
    "PartitionState",
    "Run",
    "RunKind",
    "RunStatus",
    "Said",
    "Store",
    "StoredAlert",
    "StoredAnomaly",
    "StoredIncident",
    "StoredLabel",
    "StoredQuarantined",
    "Suppression",
    "TrainedModel",
]


class Store(Writes, Reads, Versions, Labels, Outbox, Granting, Pruning):
    """Runs, results, suites, model versions and labels of every monitor, in one database."""
