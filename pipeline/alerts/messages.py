"""What people are told: incidents, a partition refused or late, machinery that failed, a model to look at. Pure.

One message a run and endpoint. Values come from incidents, where those of sensitive columns are digests already; here
they are not even told as digests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode

from pipeline.alerts.page import Line, Page, as_html, as_text, fitting, one_line
from pipeline.monitor import Monitor
from pipeline.plain import some
from pipeline.results import Alert, Incident, IncidentSeverity

if TYPE_CHECKING:
    from pipeline.lateness import Due

MOST_INCIDENTS = 10
MOST_REASONS = 10
MOST_DIGESTED = 30
LONGEST_SUBJECT = 200
LONGEST_SUMMARY = 400
LONGEST_VALUE = 80
LONGEST_REASON = 600
PATIENCE = 900.0
"""Seconds before a failure is told: Airflow tries again within them, and a success withdraws the message."""

Kind = Literal["incidents", "refused", "failed", "model", "late"]

_RANKS: dict[IncidentSeverity, int] = {"critical": 0, "warning": 1, "info": 2}


def of_incidents(
    monitor: Monitor,
    partition: str,
    incidents: Sequence[Incident],
    counts: Mapping[str, int],
    model_version: str,
    known: Collection[str] = (),
    dashboard: str | None = None,
) -> list[Alert]:
    """One alert an endpoint for all incidents worth telling; none where there are none.

    Told are those of the monitor's least severity that are not muted, and whose id is not in `known`: the ids that an
    earlier run told of this partition. `counts` are the run's records by name, `dashboard` the URL to link to.
    """
    told = [each for each in incidents if worth_telling(monitor, each) and each.incident_id not in known]
    if not told:
        return []
    told.sort(key=_worst_first)
    key = f"{monitor.name}/{partition}/incidents/{_digest(*sorted(each.incident_id for each in told))}"
    night = _Night(monitor, partition, dashboard)
    last = [
        Line(_counts(counts)),
        Line(f"model version {model_version}"),
        night.where(told[0].incident_id if len(told) == 1 else None),
        _reference(key),
    ]
    page = fitting(min(len(told), MOST_INCIDENTS), lambda shown: [*night.paragraphs(told, shown), last])
    subject = f"{monitor.name} {partition}: {some(len(told), 'incident')}, {_worst(told)}"
    return _alerts(monitor, partition, "incidents", worst_severity(told), key, subject, page)


def of_refused(monitor: Monitor, partition: str | None, kind: str, reason: str) -> list[Alert]:
    """A partition, or a window of training, that cannot be trusted; `kind` is the run's.

    Critical, whatever the monitor's least severity: nothing of the partition is scored until somebody mends it.
    """
    what = "training was refused" if kind == "train" else "the partition was refused, so nothing of it was scored"
    mend = [Line("mend the table, then:"), _again(monitor, partition, kind)]
    return _bad_end(monitor, partition, ("refused", kind), what, reason, mend)


def of_failed(monitor: Monitor, partition: str | None, kind: str, reason: str) -> list[Alert]:
    """A run that failed for no fault of the data; `kind` is the run's. Critical, and told only after `PATIENCE`."""
    what = "training failed" if kind == "train" else "the run failed, so the partition's earlier results stay"
    mend = [Line("Airflow tries again by itself; by hand:"), _again(monitor, partition, kind)]
    return _bad_end(monitor, partition, ("failed", kind), what, reason, mend, PATIENCE)


def of_late(monitor: Monitor, due: Due, stands: str) -> list[Alert]:
    """A partition that is not scored by its deadline; `stands` says where it is. Critical, and told once."""
    about, partition = f"{monitor.name} {due.partition}", due.partition
    by = f"{due.deadline:%Y-%m-%d %H:%M %Z}, {monitor.alerts.deadline} after its schedule"
    key = f"{monitor.name}/{partition}/late"
    where = Line(f"tablewatch partitions {monitor.name}", "command")
    page = [
        [Line(f"{about}: late: it was not scored by {by}", "strong")],
        [Line(one_line(stands, LONGEST_REASON))],
        [Line("to look, and to do it by hand:"), where, _again(monitor, partition, "run")],
        [_reference(key)],
    ]
    return _alerts(monitor, partition, "late", "critical", key, f"{about}: late: not scored by {by}", page)


def of_model(
    monitor: Monitor,
    partition: str | None,
    reasons: Sequence[str],
    subject: str,
    severity: IncidentSeverity = "warning",
) -> list[Alert]:
    """A model that somebody should look at: it drifts, it is blind, a challenger was held back.

    `subject` says which in a few words, the same words for the same finding: it is told once a partition.
    """
    if _RANKS[severity] > _RANKS[monitor.alerts.min_severity]:
        return []
    key = _key(monitor, partition, "model", _digest(subject))
    about = _about(monitor, partition)
    title = one_line(f"{about}: {subject}", LONGEST_SUBJECT)
    last = [Line(f"tablewatch models {monitor.name}", "command"), _reference(key)]

    def write(shown: int) -> Page:
        told = [Line(one_line(reason, LONGEST_REASON)) for reason in reasons[:shown]]
        return [[Line(title, "strong")], *([told] if told else []), *_and_more(reasons, shown), last]

    page = fitting(min(len(reasons), MOST_REASONS), write)
    return _alerts(monitor, partition, "model", severity, key, title, page)


def of_digest(key: str, alerts: Sequence[Alert]) -> tuple[str, str, str]:
    """Many messages as one: its subject, text and HTML. The same alerts in any order make the same digest."""
    alerts = sorted(alerts, key=lambda each: (_RANKS[each.severity], each.monitor, each.partition or "", each.subject))
    monitors = sorted({each.monitor for each in alerts})
    subject = f"tablewatch: {some(len(alerts), 'message')} of {', '.join(monitors)}"
    last = [Line("tablewatch alerts", "command"), _reference(key)]

    def write(shown: int) -> Page:
        entries = [[Line(f"{each.severity}: {each.subject}"), _see(each)] for each in alerts[:shown]]
        return [[Line(one_line(subject, LONGEST_SUBJECT), "strong")], *entries, *_and_more(alerts, shown), last]

    page = fitting(min(len(alerts), MOST_DIGESTED), write)
    return one_line(subject, LONGEST_SUBJECT), as_text(page), as_html(page)


def of_test(endpoint: str, key: str) -> tuple[str, str, str]:
    """What a test of an endpoint sends: subject, text and HTML."""
    page = [[Line(f"tablewatch reaches {endpoint}: this is a test, and no table is wrong.")], [_reference(key)]]
    return f"tablewatch: a test of {endpoint}", as_text(page), as_html(page)


def worst_severity(found: Iterable[Incident | Alert]) -> IncidentSeverity:
    """The worst severity of some, at least one."""
    return min((each.severity for each in found), key=_RANKS.__getitem__)


class _Night:
    """One partition, as a message of its incidents tells it."""

    def __init__(self, monitor: Monitor, partition: str, dashboard: str | None) -> None:
        self._monitor = monitor
        self._partition = partition
        self._dashboard = dashboard
        self._command = f"tablewatch incidents {monitor.name} --partition {partition}"

    def paragraphs(self, told: Sequence[Incident], shown: int) -> Iterator[list[Line]]:
        """The first `shown` incidents: what has a pattern in paragraphs of their own, then the single records."""
        title = f"{self._monitor.name} {self._partition}: {some(len(told), 'incident')}"
        yield [Line(title, "strong")]
        singles = [each for each in told[:shown] if each.kind == "single"]
        for incident in told[:shown]:
            if incident.kind != "single":
                yield list(self._lines(incident))
        if singles:
            yield [line for incident in singles for line in self._lines(incident)]
        if len(told) > shown:
            yield [Line(f"and {len(told) - shown:,} more: {self._command}")]

    def where(self, incident_id: str | None) -> Line:
        """Where all of it is: a link, or the command where there is no dashboard."""
        link = self._link(incident_id)
        return Line(self._command, "command") if link is None else Line(link, link=link)

    def _lines(self, incident: Incident) -> Iterator[Line]:
        summary = one_line(incident.summary, LONGEST_SUMMARY)
        yield Line(f"{incident.severity}: {summary}", link=self._link(incident.incident_id))
        if lacking := self._lacking(incident, summary):
            yield Line(lacking)
        if incident.first_partition < self._partition:
            yield Line(f"since {incident.first_partition}")
        yield Line(f"tablewatch mute {self._monitor.name} {incident.incident_id}", "command")

    def _lacking(self, incident: Incident, summary: str) -> str:
        """What was observed and expected, where the summary does not say so and may."""
        if not set(incident.columns).isdisjoint(self._monitor.columns.sensitive):
            return ""
        values = {"observed": incident.observed, "expected": incident.expected}
        shown = {name: one_line(value, LONGEST_VALUE) for name, value in values.items() if value is not None}
        return ", ".join(f"{name} {value}" for name, value in shown.items() if value not in summary)

    def _link(self, incident_id: str | None) -> str | None:
        if self._dashboard is None:
            return None
        where = {"monitor": self._monitor.name, "partition": self._partition, "incident": incident_id}
        query = urlencode({name: value for name, value in where.items() if value is not None})
        return f"{self._dashboard.rstrip('/')}/?{query}"


def worth_telling(monitor: Monitor, incident: Incident) -> bool:
    """Whether people are told of an incident: it is severe enough for the monitor, and not muted."""
    severe = _RANKS[incident.severity] <= _RANKS[monitor.alerts.min_severity]
    return severe and incident.suppression_id is None


def _worst_first(incident: Incident) -> tuple[int, bool, float, str]:
    return _RANKS[incident.severity], incident.kind == "single", incident.p_value, incident.incident_id


def _worst(told: Sequence[Incident]) -> str:
    return told[0].summary if len(told) == 1 else f"the worst: {told[0].summary}"


def _counts(counts: Mapping[str, int]) -> str:
    accepted, flagged = counts.get("accepted", 0), counts.get("flagged", 0)
    share = f" ({flagged / accepted:.2%})" if accepted else ""
    quarantined = counts.get("quarantined", 0)
    return f"{flagged:,} of {some(accepted, 'accepted record')} flagged{share}, {quarantined:,} quarantined"


def _bad_end(
    monitor: Monitor,
    partition: str | None,
    kinds: tuple[Literal["refused", "failed"], str],
    what: str,
    reason: str,
    mend: list[Line],
    delay: float = 0.0,
) -> list[Alert]:
    kind, of_run = kinds
    about = _about(monitor, partition)
    reason = one_line(reason.removeprefix(f"{monitor.name} {partition}: "), LONGEST_REASON)
    key = _key(monitor, partition, kind, _digest(of_run, reason))
    page = [[Line(f"{about}: {what}", "strong")], [Line(reason)], mend, [_reference(key)]]
    return _alerts(monitor, partition, kind, "critical", key, f"{about}: {kind}: {reason}", page, delay)


def _again(monitor: Monitor, partition: str | None, kind: str) -> Line:
    if kind == "train":
        through = "" if partition is None else f" --through {partition}"
        return Line(f"tablewatch train {monitor.name}{through}", "command")
    return Line(f"tablewatch run {monitor.name} --partition {partition}", "command")


def _see(alert: Alert) -> Line:
    if alert.kind == "incidents":
        return Line(f"tablewatch incidents {alert.monitor} --partition {alert.partition}", "command")
    command = "models" if alert.kind == "model" else "partitions"
    return Line(f"tablewatch {command} {alert.monitor}", "command")


def _and_more(entries: Sequence[object], shown: int) -> Iterable[list[Line]]:
    return [[Line(f"and {len(entries) - shown:,} more")]] if len(entries) > shown else []


def _reference(key: str) -> Line:
    """Tells one message from another where the endpoint has no field for it."""
    return Line(f"message {key}")


def _about(monitor: Monitor, partition: str | None) -> str:
    return monitor.name if partition is None else f"{monitor.name} {partition}"


def _key(monitor: Monitor, partition: str | None, kind: str, digest: str) -> str:
    return "/".join((monitor.name, partition or "all", kind, digest))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode(errors="backslashreplace")).hexdigest()[:12]


def _alerts(
    monitor: Monitor,
    partition: str | None,
    kind: Kind,
    severity: IncidentSeverity,
    key: str,
    subject: str,
    page: Page,
    delay: float = 0.0,
) -> list[Alert]:
    subject, text, html = one_line(subject, LONGEST_SUBJECT), as_text(page), as_html(page)
    return [
        Alert(monitor.name, partition, kind, severity, endpoint, key, subject, text, html, delay)
        for endpoint in monitor.alerts.to
    ]
