"""What the stages hand to each other and to the store: plain frozen values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning"]
IncidentSeverity = Literal["info", "warning", "critical"]
IncidentKind = Literal["pattern", "single", "partition"]
Label = Literal["confirmed", "expected"]
Reason = Literal["reconstruction", "unseen_category", "out_of_range", "unexpected_null", "unexpected_type"]


@dataclass(frozen=True)
class ExpectationResult:
    """How one expectation fared on one partition.

    `scope` is "record" or "partition"; `origin` says who wrote the expectation ("built-in", "learned", "monitor");
    `unexpected` counts the records that broke it (0 or 1 in the partition suite); `observed` is a short JSON value.
    """

    scope: Literal["record", "partition"]
    expectation: str
    column: str | None
    kwargs: dict[str, Any]
    severity: Severity
    origin: str
    success: bool
    checked: int
    unexpected: int
    observed: Any = None


@dataclass(frozen=True)
class Quarantined:
    """A record set aside, once for each `error` expectation that it breaks.

    `row` is the record's position in the partition as it was read (0-based), which tells records without a usable key
    apart; `record_key` is None when the key is null. `value` is the text of the offending value (None when null).
    """

    row: int
    record_key: str | None
    column: str | None
    expectation: str
    value: str | None
    record: dict[str, Any]
    incident_id: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Contribution:
    """One column's part in an anomaly: `share` in 0..1, `rank` from 1, values as text in the table's own units."""

    column_name: str
    observed: str | None
    expected: str | None
    share: float
    rank: int
    reason: Reason


@dataclass(frozen=True)
class Anomaly:
    """A flagged record: `score` (higher is worse), its conformal `p_value`, the `threshold` on the score, and why.

    `severity` is that of its incident; both are None until incidents are made.
    """

    record_key: str
    score: float
    p_value: float
    threshold: float
    record: dict[str, Any]
    contributions: tuple[Contribution, ...]
    severity: IncidentSeverity | None = field(default=None, kw_only=True)
    incident_id: str | None = field(default=None, kw_only=True)


LEAST_SHARE = 0.1
MOST_LEADING = 3


def leading(contributions: Sequence[Contribution]) -> list[Contribution]:
    """The contributions that made the most of a score: the columns to blame, at least the first, three at most."""
    return [each for each in contributions if each.rank == 1 or each.share >= LEAST_SHARE][:MOST_LEADING]


@dataclass(frozen=True)
class Neighbour:
    """A normal record that is like a flagged one of its partition in the columns that are not to blame.

    `record_key` is that of the flagged record, `rank` counts from the nearest, 1. `distance` says how
    far it is in those columns. `record` holds no sensitive column, and no column that is not modelled.
    """

    record_key: str
    rank: int
    neighbour_key: str
    distance: float
    record: dict[str, Any]


@dataclass(frozen=True)
class Condition:
    """A part of a segment: the records whose `column` has the text `value`, or lies from `low` to `high` (included).

    Bounds are texts in the table's own units, as `as_text` writes them.
    """

    column: str
    value: str | None = None
    low: str | None = None
    high: str | None = None


@dataclass(frozen=True)
class Incident:
    """Records of one partition that are wrong in the same way: what one person looks at, and is told of, once.

    A `pattern` shares its leading `columns` (most frequent first) and mostly a `segment`, whose conditions all hold; a
    `single` is one flagged record that shares nothing; a `partition` says that the table changed. `flagged` and
    `quarantined` count its records, `segment_records` all records of the segment in the partition (None where there is
    no segment), `lift` is how many times as frequent the incident's records are inside the segment as outside of it.
    `p_value` says how improbable it is among normal records. `observed` and `expected` are values or ranges as text.
    `first_partition` is the partition in which the pattern was seen first; `incident_id` is the same while it lasts.
    """

    incident_id: str
    kind: IncidentKind
    severity: IncidentSeverity
    summary: str
    columns: tuple[str, ...]
    segment: tuple[Condition, ...]
    flagged: int
    quarantined: int
    segment_records: int | None
    lift: float | None
    p_value: float
    observed: str | None
    expected: str | None
    first_partition: str
    suppression_id: str | None = None


@dataclass(frozen=True)
class Alert:
    """A message for one endpoint: plain text and HTML, bounded, without a sensitive value.

    The store keeps one alert for each `dedup_key` and endpoint, whatever how often it is posted. It is delivered
    `delay` seconds after it was posted or later, and not at all if it is withdrawn before.
    """

    monitor: str
    partition: str | None
    kind: Literal["incidents", "refused", "failed", "model", "late"]
    severity: IncidentSeverity
    endpoint: str
    dedup_key: str
    subject: str
    body_text: str
    body_html: str
    delay: float = 0.0
