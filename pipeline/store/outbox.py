"""The outbox: alerts that were decided on, each until it is delivered.

A deliverer claims a parcel (one alert, or many as a digest), sends it and says how that went. A claim is a lease: of a
deliverer that died, the parcel is due again when the lease runs out, so every alert arrives at least once. What was
tried once is never sent under another key: an alert keeps its own, a digest its set and its key.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.results import Alert
from pipeline.store.database import Database, lock
from pipeline.store.schema import columns_of, outbox

MOST_SINGLE = 5
"""More alerts than these, new at the same time for one endpoint, leave as one digest."""
LEASE = dt.timedelta(minutes=5)
"""Longer than any parcel takes to be sent."""
FIRST_PAUSE = dt.timedelta(minutes=1)
LONGEST_PAUSE = dt.timedelta(hours=1)
HOLD = dt.timedelta(minutes=15)
"""So long after an alert that the endpoint has not taken yet, newer ones wait."""
MOST_DIGESTED = 1_000


@dataclass(frozen=True, kw_only=True)
class StoredAlert(Alert):
    """An alert in the outbox; `delay` has become `send_after`, the time from which it is due. Times are UTC.

    `attempts` counts the times it was claimed, `last_error` says why the last one failed.
    """

    sequence: int
    created_at: dt.datetime
    send_after: dt.datetime
    attempts: int
    last_error: str | None
    digest_key: str | None
    delivered_at: dt.datetime | None


class Outbox(Database):
    """The part of the store that keeps alerts until they are delivered."""

    def post_alerts(self, alerts: Iterable[Alert]) -> None:
        """Put alerts into the outbox; one that is there already stays as it is."""
        with self._writing("alerts") as connection:
            post(connection, alerts, self.clock())

    def withdraw_alerts(self, monitor: str, partition: str | None, kinds: Collection[str]) -> None:
        """Take back the alerts of these kinds on a partition that no deliverer has claimed yet."""
        with self._writing("alerts") as connection:
            withdraw(connection, monitor, partition, kinds)

    def endpoints_due(self) -> list[str]:
        """The endpoints with an alert that is due, sorted."""
        due = sa.select(outbox.c.endpoint).where(_UNDELIVERED, outbox.c.send_after <= self.clock()).distinct()
        with self._reading() as connection:
            return sorted(connection.execute(due).scalars())

    def claim_alerts(self, endpoint: str) -> list[StoredAlert]:
        """The next parcel for an endpoint, leased to the caller: one alert, those of one digest, or none.

        While the endpoint has not taken what it was sent, new alerts wait for `HOLD`, and then leave as one digest: one
        that is down for long gets few messages when it is back. New alerts come before those that were tried: what an
        endpoint never takes does not keep the others.
        """
        with self._writing("alerts") as connection:
            lock(connection, "alerts", endpoint)
            now = self.clock()
            here = _UNDELIVERED & (outbox.c.endpoint == endpoint)
            parcel = _new(connection, here, now) or _tried(connection, here, now)
            claim = outbox.update().where(outbox.c.sequence.in_([each.sequence for each in parcel]))
            connection.execute(claim.values(attempts=outbox.c.attempts + 1, send_after=now + LEASE))
            return parcel

    def alerts_delivered(self, parcel: Sequence[StoredAlert]) -> None:
        """Say that the endpoint has taken a parcel."""
        self._end(parcel, delivered_at=self.clock(), last_error=None)

    def alerts_not_delivered(self, parcel: Sequence[StoredAlert], error: str) -> None:
        """Say that it has not, and why: the parcel is due again after a pause that doubles with every attempt."""
        pause = min(FIRST_PAUSE * 2 ** min(parcel[0].attempts, 10), LONGEST_PAUSE)
        self._end(parcel, send_after=self.clock() + pause, last_error=error)

    def alerts(
        self, monitor: str | None = None, undelivered: bool = False, limit: int | None = None
    ) -> list[StoredAlert]:
        """The alerts of a monitor (of all), the latest first; `undelivered` leaves out those that arrived."""
        wanted = _ALERTS.order_by(outbox.c.sequence.desc()).limit(limit)
        if monitor is not None:
            wanted = wanted.where(outbox.c.monitor == monitor)
        if undelivered:
            wanted = wanted.where(_UNDELIVERED)
        with self._reading() as connection:
            return _read(connection, wanted)

    def _end(self, parcel: Sequence[StoredAlert], **values: object) -> None:
        with self._writing("alerts") as connection:
            these = outbox.c.sequence.in_([each.sequence for each in parcel])
            connection.execute(outbox.update().where(these, _UNDELIVERED).values(values))


def post(connection: sa.Connection, alerts: Iterable[Alert], now: dt.datetime) -> None:
    """Put alerts into the outbox in the caller's transaction; one that is there already stays as it is."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    once = insert(outbox).on_conflict_do_nothing(index_elements=["dedup_key", "endpoint"])
    for alert in alerts:
        row = {name: value for name, value in vars(alert).items() if name != "delay"}
        due = now + dt.timedelta(seconds=alert.delay)
        connection.execute(once.values(row | {"created_at": now, "send_after": due, "attempts": 0}))


def withdraw(connection: sa.Connection, monitor: str, partition: str | None, kinds: Collection[str]) -> None:
    """Take back, in the caller's transaction, the alerts of these kinds that no deliverer has claimed yet."""
    about = (outbox.c.monitor == monitor) & (outbox.c.partition.is_not_distinct_from(partition))
    connection.execute(outbox.delete().where(about, outbox.c.kind.in_(list(kinds)), _UNDELIVERED, _UNTRIED))


_UNDELIVERED = outbox.c.delivered_at.is_(None)
_UNTRIED = outbox.c.attempts == 0
_ALERTS = sa.select(*columns_of(outbox, StoredAlert))


def _read(connection: sa.Connection, wanted: sa.Select[tuple[object, ...]]) -> list[StoredAlert]:
    return [StoredAlert(**row) for row in connection.execute(wanted).mappings()]


def _tried(connection: sa.Connection, here: sa.ColumnElement[bool], now: dt.datetime) -> list[StoredAlert]:
    """The parcel that was tried before and is due the longest."""
    due = _ALERTS.where(here, ~_UNTRIED, outbox.c.send_after <= now)
    first = _read(connection, due.order_by(outbox.c.send_after, outbox.c.sequence).limit(1))
    if not first or first[0].digest_key is None:
        return first
    digested = here & (outbox.c.digest_key == first[0].digest_key)
    return _read(connection, _ALERTS.where(digested).order_by(outbox.c.sequence))


def _new(connection: sa.Connection, here: sa.ColumnElement[bool], now: dt.datetime) -> list[StoredAlert]:
    """The next alert that was never tried, or all that are due as a new digest."""
    latest_tried = connection.execute(sa.select(sa.func.max(outbox.c.created_at)).where(here, ~_UNTRIED)).scalar()
    if latest_tried is not None and now < latest_tried + HOLD:
        return []
    wanted = _ALERTS.where(here, _UNTRIED, outbox.c.send_after <= now)
    due = _read(connection, wanted.order_by(outbox.c.sequence).limit(MOST_DIGESTED))
    if len(due) <= (MOST_SINGLE if latest_tried is None else 1):
        return due[:1]
    digest = hashlib.sha256("\x1f".join(sorted(each.dedup_key for each in due)).encode()).hexdigest()[:12]
    these = outbox.c.sequence.in_([each.sequence for each in due])
    key = f"digest/{digest}"
    connection.execute(outbox.update().where(these).values(digest_key=key))
    return [replace(each, digest_key=key) for each in due]
