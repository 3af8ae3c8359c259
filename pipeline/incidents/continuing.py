"""The same incident from night to night, and the suppressions that keep one quiet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Protocol

from pipeline.incidents.findings import Finding
from pipeline.incidents.population import meets
from pipeline.results import Condition

CONTINUES = 0.5
COVERED = 0.95


class Pattern(Protocol):
    """What is asked of an earlier incident or a suppression: leading columns and a segment."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def segment(self) -> tuple[Condition, ...]: ...


class Earlier(Pattern, Protocol):
    """An incident of another partition, or of this one as it was found before."""

    @property
    def incident_id(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def first_partition(self) -> str: ...

    @property
    def partition(self) -> str: ...


class Suppressing(Pattern, Protocol):
    """A suppression that stands."""

    @property
    def suppression_id(self) -> str: ...


def share_of(findings: Sequence[Finding], pattern: Pattern) -> float:
    """The share of findings that a pattern holds for: one of its columns leads, its segment is met; 0 without one."""
    if not pattern.segment or not findings:
        return 0.0
    wrong = {*pattern.columns}
    return sum(bool(wrong & {*f.columns}) and in_segment(f, pattern.segment) for f in findings) / len(findings)


def in_segment(finding: Finding, segment: Iterable[Condition]) -> bool:
    """Whether all conditions hold for the record."""
    return all(meets(condition, finding.values.get(condition.column)) for condition in segment)


def continued(kind: str, findings: Sequence[Finding], earlier: Sequence[Earlier], taken: set[str]) -> Earlier | None:
    """The earlier incident that these findings continue, None where there is none; those in `taken` are continued."""
    same = [each for each in earlier if each.kind == kind and each.incident_id not in taken]
    if kind == "partition":
        return max(same, key=lambda each: each.partition, default=None)
    shares = [(share_of(findings, each), each) for each in same]
    fitting = [(share, each.partition, each.incident_id, each) for share, each in shares if share >= CONTINUES]
    return max(fitting, default=(0.0, "", "", None), key=lambda each: each[:3])[3]


def suppressing(kind: str, findings: Sequence[Finding], suppressions: Iterable[Suppressing]) -> str | None:
    """The suppression that holds for (nearly) all of the findings; the first in the order of ids.

    One without a segment was opened for a table that changed, and mutes nothing else.
    """
    for each in sorted(suppressions, key=lambda each: each.suppression_id):
        mutes_changes = kind == "partition" and not each.segment
        if mutes_changes or share_of(findings, each) >= COVERED:
            return each.suppression_id
    return None


def new_id(
    monitor: str, partition: str, kind: str, columns: Sequence[str], segment: Sequence[Condition], key: str, turn: int
) -> str:
    """An id that the same incident of the same partition gets whenever it is found; `turn` tells twins apart."""
    what = [monitor, partition, kind, list(columns[:1]), [asdict(each) for each in segment], key, turn]
    return hashlib.sha256(json.dumps(what).encode(errors="backslashreplace")).hexdigest()[:10]
