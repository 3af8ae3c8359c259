"""The outbox as people and programs read it, and whether its endpoints can be reached."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from pipeline.monitor import Monitor
from pipeline.plain import some
from pipeline.settings import Settings
from pipeline.steps import House

if TYPE_CHECKING:
    from pipeline.store import StoredAlert


@dataclass(frozen=True)
class AlertLine:
    """One alert of the outbox without its bodies; times are UTC. `digest_key` is that of the digest it left in."""

    monitor: str
    partition: str | None
    kind: str
    severity: str
    endpoint: str
    dedup_key: str
    subject: str
    created_at: dt.datetime
    send_after: dt.datetime
    attempts: int
    last_error: str | None
    digest_key: str | None
    delivered_at: dt.datetime | None


def alerts(
    name: str | None = None, undelivered: bool = False, limit: int | None = None, settings: Settings | None = None
) -> list[AlertLine]:
    """The alerts of a monitor (of all), the latest first. ConfigurationError if there is no such monitor."""
    house = House(settings)
    if name is not None:
        house.monitor(name)
    names = [field.name for field in fields(AlertLine)]
    found = house.store.alerts(name, undelivered, limit)
    return [AlertLine(**{name: getattr(alert, name) for name in names}) for alert in found]


def endpoint_notes(monitor: Monitor, settings: Settings) -> Iterator[str]:
    """Which of a monitor's endpoints cannot be reached, and what mends it."""
    if monitor.alerts.to:
        from pipeline.alerts import problem_of

        for endpoint in monitor.alerts.to:
            if problem := problem_of(endpoint, settings):
                yield f"alerts.to names {endpoint}, which is told nothing: {problem}"


def undelivered_problems(alerts: Sequence[StoredAlert]) -> Iterator[str]:
    """One line an endpoint that did not take what it was sent, the latest reason last; the oldest alert dates it."""
    tried = [alert for alert in alerts if alert.last_error is not None]
    for endpoint in sorted({alert.endpoint for alert in tried}):
        of_it = [alert for alert in tried if alert.endpoint == endpoint]
        oldest = min(alert.created_at for alert in of_it)
        last = max(of_it, key=lambda alert: (alert.send_after, alert.sequence))
        yield (
            f"alerts: {some(len(of_it), 'alert')} for {endpoint} not delivered since {oldest:%Y-%m-%d %H:%M} UTC: "
            f"{last.last_error}; see: tablewatch alerts --undelivered"
        )
