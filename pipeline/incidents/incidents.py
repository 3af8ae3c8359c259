"""From the findings of one partition to its incidents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import pyarrow as pa
from scipy.stats import binom

from pipeline.incidents import severity, words
from pipeline.incidents.continuing import Earlier, Suppressing, continued, new_id, suppressing
from pipeline.incidents.findings import Finding, Part, of_anomaly, of_quarantined
from pipeline.incidents.grouping import Group, groups_of
from pipeline.incidents.levels import LONGEST_VALUE
from pipeline.incidents.manner import Manner, manner_of
from pipeline.incidents.order import place
from pipeline.incidents.population import NULL, Population
from pipeline.monitor import Kind
from pipeline.results import Anomaly, Condition, Incident, IncidentKind, IncidentSeverity, Quarantined

CHANGED = 1e-6
FAR_ABOVE = 5.0
FEWEST_CHANGED = 10
MOVED = 3


@dataclass(frozen=True)
class Night:
    """What incidents need to know of a partition.

    `normal` is a uniform sample of its `accepted` records (all of them where they are few): the columns that may be
    told of, so no sensitive ones. `kinds` are those of the modelled columns; `rate` is the share of normal records that
    may be flagged; `rules` says in words what an expectation, by name and column, asks for.
    """

    monitor: str
    partition: str
    normal: pa.Table
    accepted: int
    rate: float
    kinds: Mapping[str, Kind]
    rules: Mapping[tuple[str, str | None], str]

    @property
    def budget(self) -> float:
        """How many flags chance is to be expected to bring."""
        return self.rate * self.accepted


@dataclass(frozen=True)
class Found:
    """The incidents, the most severe first, and the records with the incident that each belongs to."""

    incidents: list[Incident]
    anomalies: list[Anomaly]
    quarantined: list[Quarantined]


@dataclass(frozen=True)
class _Draft:
    """An incident but for its id: what is said of it, and its findings."""

    kind: IncidentKind
    findings: tuple[Finding, ...]
    columns: tuple[str, ...]
    segment: tuple[Condition, ...]
    severity: IncidentSeverity
    summary: str
    p_value: float
    manner: Manner
    segment_records: int | None = None
    lift: float | None = None


def find(
    night: Night,
    anomalies: Sequence[Anomaly],
    quarantined: Sequence[Quarantined],
    earlier: Sequence[Earlier] = (),
    suppressions: Sequence[Suppressing] = (),
) -> Found:
    """Group what is wrong in a partition. Every anomaly belongs to one incident, a quarantined record to one or none.

    `earlier` are incidents of neighbouring partitions, and of this one if it was scored before: a pattern that goes on
    keeps its id. An incident that one of the `suppressions` holds for is marked with it.
    """
    findings = [*map(of_anomaly, anomalies), *of_quarantined(quarantined, night.rules)]
    findings.sort(key=lambda finding: (finding.key or "", -1 if finding.row is None else finding.row))
    drafts = _drafts(night, findings)
    taken: set[str] = set()
    of_key: dict[str, Incident] = {}
    of_row: dict[int, Incident] = {}
    found = []
    for draft in drafts:
        incident = _named(night, draft, earlier, suppressions, taken)
        found.append(incident)
        for finding in draft.findings:
            if finding.row is not None:
                of_row[finding.row] = incident
            elif finding.key is not None:
                of_key[finding.key] = incident
    order = {"critical": 0, "warning": 1, "info": 2}
    return Found(
        sorted(found, key=lambda each: (order[each.severity], each.p_value, each.incident_id)),
        [
            replace(each, severity=of_key[each.record_key].severity, incident_id=of_key[each.record_key].incident_id)
            for each in anomalies
        ],
        [
            replace(each, incident_id=of_row[each.row].incident_id) if each.row in of_row else each
            for each in quarantined
        ],
    )


def _drafts(night: Night, findings: Sequence[Finding]) -> list[_Draft]:
    """Patterns, the most improbable first, then what is left: the partition that changed, or singles."""
    if not findings:
        return []
    population = Population(findings, night.normal, night.accepted)
    groups = groups_of(population, night.kinds, night.budget)
    drafts = [_pattern(night, population, group) for group in groups]
    grouped = np.any([group.members for group in groups], axis=0) if groups else np.zeros(len(findings), dtype=bool)
    left = [f for f, is_grouped in zip(findings, grouped, strict=True) if not is_grouped and f.p_value is not None]
    log_p = float(binom.logsf(len(left) - 1, night.accepted, night.rate)) if left else 0.0
    if len(left) >= max(FEWEST_CHANGED, FAR_ABOVE * night.budget) and log_p < np.log(CHANGED):
        return [*drafts, _changed(night, left, log_p)]
    return [*drafts, *(_single(night, finding) for finding in left)]


def _pattern(night: Night, population: Population, group: Group) -> _Draft:
    members = tuple(f for f, is_in in zip(population.findings, group.members, strict=True) if is_in)
    column = group.columns[0]
    parts = [part for part in (f.part(column) for f in members) if part is not None]
    manner = manner_of(parts, night.kinds.get(column))
    quarantined = sum(f.quarantined for f in members)
    size, lift, of_segment = None, None, None
    segment = group.conditions or _values(column, parts)
    if group.found is not None and group.sampled is not None:
        size = max(population.records(group.found, group.sampled), len(members))
        of_segment = size, population.exact
        lift = _lift(population, group, size)
    return _Draft(
        kind="pattern",
        findings=members,
        columns=group.columns,
        segment=segment,
        severity=severity.of_pattern(len(members), night.budget, population.size),
        summary=words.of_pattern(
            night.partition, (len(members), quarantined), segment, of_segment, group.columns, manner
        ),
        p_value=float(np.exp(group.log_p)),
        manner=manner,
        segment_records=size,
        lift=lift,
    )


def _lift(population: Population, group: Group, size: int) -> float:
    """How many times as frequent the group's kind of finding is inside of the segment as outside, kept finite by half
    a record (Haldane 1956)."""
    leads = np.any([population.leading[name] for name in group.columns], axis=0)
    inside = int((leads & group.members).sum())
    outside = int(leads.sum()) - inside
    rest = max(population.size - size, 0)
    return float(((inside + 0.5) / (size + 1)) / ((outside + 0.5) / (rest + 1)))


def _values(column: str, parts: Sequence[Part]) -> tuple[Condition, ...]:
    """What tells a group without a segment from other records: its leading column's values, where they have order."""
    texts = [NULL if part.observed is None else part.observed for part in parts]
    if max(map(len, texts)) > LONGEST_VALUE:
        return ()
    if len({*texts}) == 1:
        return (Condition(column, texts[0]),)
    if np.isfinite([place(text) for text in texts]).all():
        return (Condition(column, low=min(texts, key=place), high=max(texts, key=place)),)
    return ()


def _single(night: Night, finding: Finding) -> _Draft:
    column, p_value = finding.columns[0], finding.p_value or 0.0
    manner = manner_of(finding.parts[:1], night.kinds.get(column))
    return _Draft(
        kind="single",
        findings=(finding,),
        columns=finding.columns,
        segment=_values(column, finding.parts[:1]),
        severity=severity.of_single(p_value, night.accepted),
        summary=words.of_single(night.partition, finding.key, finding.columns, manner),
        p_value=p_value,
        manner=manner,
    )


def _changed(night: Night, findings: Sequence[Finding], log_p: float) -> _Draft:
    firsts = Counter(finding.columns[0] for finding in findings)
    ranked = sorted(firsts.items(), key=lambda each: (-each[1], each[0]))
    columns = tuple(name for name, _ in ranked)
    return _Draft(
        kind="partition",
        findings=tuple(findings),
        columns=columns[:MOVED],
        segment=(),
        severity=severity.of_partition(len(findings), night.budget, night.accepted),
        summary=words.of_partition(night.partition, len(findings), night.accepted, night.budget, ranked),
        p_value=float(np.exp(log_p)),
        manner=Manner("", False, (), None, None),
    )


def _named(
    night: Night,
    draft: _Draft,
    earlier: Sequence[Earlier],
    suppressions: Sequence[Suppressing],
    taken: set[str],
) -> Incident:
    """The draft with its id: that of the incident it continues, or a new one."""
    first = night.partition
    before = continued(draft.kind, draft.findings, earlier, taken) if draft.kind != "single" else None
    if before is not None:
        incident_id, first = before.incident_id, min(before.first_partition, night.partition)
    else:
        key = draft.findings[0].key or "" if draft.kind == "single" else ""
        named = night.monitor, night.partition, draft.kind, draft.columns, draft.segment
        incident_id = next(each for at in count() if (each := new_id(*named, key, at)) not in taken)
    taken.add(incident_id)
    return Incident(
        incident_id=incident_id,
        kind=draft.kind,
        severity=draft.severity,
        summary=draft.summary,
        columns=draft.columns,
        segment=draft.segment,
        flagged=sum(not f.quarantined for f in draft.findings),
        quarantined=sum(f.quarantined for f in draft.findings),
        segment_records=draft.segment_records,
        lift=draft.lift,
        p_value=draft.p_value,
        observed=draft.manner.observed,
        expected=draft.manner.expected,
        first_partition=first,
        suppression_id=suppressing(draft.kind, draft.findings, suppressions),
    )
