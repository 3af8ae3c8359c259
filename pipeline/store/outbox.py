"""The outbox: alerts that were decided on, each until it is delivered."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import sqlalchemy as sa

from pipeline.results import Alert
from pipeline.store.schema import outbox


def post(connection: sa.Connection, alerts: Iterable[Alert], now: dt.datetime) -> None:
    """Put alerts into the outbox in the caller's transaction; one that is there already stays as it is."""
    for alert in alerts:
        there = sa.select(outbox.c.sequence).where(
            outbox.c.dedup_key == alert.dedup_key, outbox.c.endpoint == alert.endpoint
        )
        if connection.execute(there).first() is None:
            row = {name: value for name, value in vars(alert).items() if name != "delay"}
            due = now + dt.timedelta(seconds=alert.delay)
            connection.execute(outbox.insert().values(row | {"created_at": now, "send_after": due, "attempts": 0}))
