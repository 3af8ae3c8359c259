"""What the commands that read need, and the two that change the champion, as plain values. Nothing trains or scores."""

from __future__ import annotations

from pipeline.reports.alerting import AlertLine, alerts
from pipeline.reports.checking import Checked, check
from pipeline.reports.findings import Anomalies, Broken, Explanation, PartitionLine, anomalies, explain, partitions
from pipeline.reports.granting import grants
from pipeline.reports.health import Diagnosis, MonitorHealth, doctor
from pipeline.reports.labelling import MutedIncident, SuppressionState, incidents, labels, suppressions
from pipeline.reports.measuring import Quality, measures, quality
from pipeline.reports.versions import beside_champion, canary_figures, models, promote, rollback
from pipeline.reports.words import REASONS, in_words, leading_reasons, some

__all__ = [
    "REASONS",
    "AlertLine",
    "Anomalies",
    "Broken",
    "Checked",
    "Diagnosis",
    "Explanation",
    "MonitorHealth",
    "MutedIncident",
    "PartitionLine",
    "Quality",
    "SuppressionState",
    "alerts",
    "anomalies",
    "beside_champion",
    "canary_figures",
    "check",
    "doctor",
    "explain",
    "grants",
    "in_words",
    "incidents",
    "labels",
    "leading_reasons",
    "measures",
    "models",
    "partitions",
    "promote",
    "quality",
    "rollback",
    "some",
    "suppressions",
]
