"""What the stages hand to each other and to the store: plain frozen values, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning"]
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
    """A flagged record: `score` (higher is worse), its conformal `p_value`, the `threshold` on the score, and why."""

    record_key: str
    score: float
    p_value: float
    threshold: float
    record: dict[str, Any]
    contributions: tuple[Contribution, ...]
