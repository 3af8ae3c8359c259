"""What the commands that read need, and the two that change the champion, as plain values. Nothing trains or scores."""

from __future__ import annotations

from pipeline.reports.check import Checked, check
from pipeline.reports.doctor import Diagnosis, MonitorHealth, doctor
from pipeline.reports.findings import Anomalies, Explanation, PartitionLine, anomalies, explain, partitions
from pipeline.reports.versions import models, promote, rollback
from pipeline.reports.words import REASONS, in_words, leading_reasons

__all__ = [
    "REASONS",
    "Anomalies",
    "Checked",
    "Diagnosis",
    "Explanation",
    "MonitorHealth",
    "PartitionLine",
    "anomalies",
    "check",
    "doctor",
    "explain",
    "in_words",
    "leading_reasons",
    "models",
    "partitions",
    "promote",
    "rollback",
]
