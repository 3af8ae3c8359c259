"""Alerts: what people are told, and how it leaves the outbox. docs/alerts.md is the page for people."""

from __future__ import annotations

from pipeline.alerts.delivery import Delivered, deliver, send_test
from pipeline.alerts.endpoints import problem_of
from pipeline.alerts.messages import of_failed, of_incidents, of_late, of_model, of_refused, worth_telling

__all__ = [
    "Delivered",
    "deliver",
    "of_failed",
    "of_incidents",
    "of_late",
    "of_model",
    "of_refused",
    "problem_of",
    "send_test",
    "worth_telling",
]
