"""What is due in the outbox to its endpoints: at least once, each under its own key."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.alerts.endpoints import Message, send
from pipeline.alerts.messages import of_digest, of_test, worst_severity
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.store import Store, StoredAlert

MOST_FAILURES = 3
"""So often in a row an endpoint may fail before the rest of what is due for it is left for the next time."""


@dataclass(frozen=True)
class Delivered:
    """How many alerts arrived and how many did not, and for each endpoint that failed the last reason."""

    sent: int
    failed: int
    errors: dict[str, str]


def deliver(store: Store, settings: Settings | None = None) -> Delivered:
    """Send all that is due. What an endpoint does not take stays in the outbox and is due again later.

    Raises FailedMachinery when the store does not answer; nothing that an endpoint does raises.
    """
    told = {endpoint: _deliver(store, endpoint, settings or Settings()) for endpoint in store.endpoints_due()}
    return Delivered(
        sent=sum(each.sent for each in told.values()),
        failed=sum(each.failed for each in told.values()),
        errors={endpoint: error for each in told.values() for endpoint, error in each.errors.items()},
    )


def _deliver(store: Store, endpoint: str, settings: Settings) -> Delivered:
    """All that is due for one endpoint, until it has failed `MOST_FAILURES` times in a row."""
    sent, failed, in_a_row, last_error = 0, 0, 0, None
    while in_a_row < MOST_FAILURES and (parcel := store.claim_alerts(endpoint)):
        error = send(endpoint, _message(parcel), settings)
        if error is None:
            store.alerts_delivered(parcel)
            sent, in_a_row = sent + len(parcel), 0
        else:
            store.alerts_not_delivered(parcel, error)
            failed, in_a_row, last_error = failed + len(parcel), in_a_row + 1, error
    return Delivered(sent, failed, {} if last_error is None else {endpoint: last_error})


def send_test(endpoint: str, settings: Settings | None = None) -> str | None:
    """Send a test message to an endpoint, past the outbox; None when it took it, else what went wrong."""
    key = f"test/{uuid.uuid4().hex[:12]}"
    return send(endpoint, Message(key, "info", *of_test(endpoint, key)), settings or Settings())


def _message(parcel: Sequence[StoredAlert]) -> Message:
    first = parcel[0]
    if first.digest_key is None:
        return Message(first.dedup_key, first.severity, first.subject, first.body_text, first.body_html)
    return Message(first.digest_key, worst_severity(parcel), *of_digest(first.digest_key, parcel))
