"""A record that was flagged or quarantined, as incidents see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.records import as_text
from pipeline.results import Anomaly, Contribution, Quarantined

LEADS = 0.15
"""A column leads a record's contributions when it comes first or holds so much of them."""
SHARES = 0.05
"""A column has a part in what is wrong when it holds so much of the contributions."""


@dataclass(frozen=True)
class Part:
    """One column's part in what is wrong: values as texts; `rule` in words where an expectation was broken."""

    column: str
    observed: str | None
    expected: str | None = None
    reason: str | None = None
    rule: str | None = None


@dataclass(frozen=True)
class Finding:
    """A record that is wrong, the columns that lead, the worst first, and all its values as texts.

    `involved` are the columns with any part in it, those that lead among them. `key` is None where a quarantined record
    has none; `row` is its place in the partition where it is quarantined, None where it is flagged; `p_value` that of
    a flagged record.
    """

    key: str | None
    row: int | None
    values: Mapping[str, str | None]
    parts: tuple[Part, ...]
    involved: frozenset[str]
    p_value: float | None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that lead, each once."""
        return tuple(dict.fromkeys(part.column for part in self.parts))

    @property
    def quarantined(self) -> bool:
        return self.row is not None

    def part(self, column: str) -> Part | None:
        """What is wrong with the column, None where it does not lead."""
        return next((part for part in self.parts if part.column == column), None)


def of_anomaly(anomaly: Anomaly) -> Finding:
    """A flagged record as a finding."""
    parts = tuple(_part(each) for each in anomaly.contributions if each.rank == 1 or each.share >= LEADS)
    involved = frozenset(each.column_name for each in anomaly.contributions if each.rank == 1 or each.share >= SHARES)
    return Finding(anomaly.record_key, None, _texts(anomaly.record), parts, involved, anomaly.p_value)


def of_quarantined(quarantined: Iterable[Quarantined], rules: Mapping[tuple[str, str | None], str]) -> list[Finding]:
    """The quarantined records as findings, one a record however many expectations it breaks, in the order of rows.

    `rules` says in words what each expectation (its name and column) asks for. What breaks no expectation of a column
    leads nowhere, and is left out.
    """
    by_row: dict[int, list[Quarantined]] = {}
    for each in quarantined:
        by_row.setdefault(each.row, []).append(each)
    findings = []
    for row, broken in sorted(by_row.items()):
        parts = tuple(
            Part(each.column, each.value, rule=rules.get((each.expectation, each.column), each.expectation))
            for each in broken
            if each.column is not None
        )
        if parts:
            involved = frozenset(part.column for part in parts)
            findings.append(Finding(broken[0].record_key, row, _texts(broken[0].record), parts, involved, None))
    return findings


def _part(contribution: Contribution) -> Part:
    return Part(contribution.column_name, contribution.observed, contribution.expected, contribution.reason)


def _texts(record: Mapping[str, Any]) -> dict[str, str | None]:
    return {name: as_text(value) for name, value in record.items()}
