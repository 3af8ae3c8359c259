from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.alerts import messages, of_failed, of_incidents, of_model, of_refused
from pipeline.alerts.messages import MOST_INCIDENTS, of_digest
from pipeline.alerts.page import LONGEST_BODY
from pipeline.monitor import Monitor
from pipeline.results import Alert, Incident

NIGHT = "2013-02-14"
COUNTS = {"read": 964, "accepted": 940, "flagged": 12, "quarantined": 24}

Make = Callable[..., Incident]
MakeMonitor = Callable[..., Monitor]


def told(monitor: Monitor, *incidents: Incident, **options: object) -> list[Alert]:
    return of_incidents(monitor, NIGHT, incidents, COUNTS, "2013-02-02-0badcafe", **options)  # type: ignore[arg-type]


def words_of(html: str) -> str:
    """What a reader of the HTML sees, without spaces."""
    return re.sub(r"\s", "", unescape(re.sub("<[^>]*>", "", html)))


class Closed(HTMLParser):
    """Which tags are used, and whether each is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.used: set[str] = set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.used.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_all_that_a_message_of_incidents_names(monitor: MakeMonitor, incident: Make) -> None:
    continuing = incident(first_partition="2013-02-10", severity="critical")
    single = incident("aa11", kind="single", severity="critical", summary="record 7", observed="N?", expected="N1")
    (alert,) = told(monitor(), single, continuing, incident("bb22", summary="distance 1 to 3", expected="229"))
    assert alert.subject == f"flights {NIGHT}: 3 incidents, the worst: {continuing.summary}"
    assert alert.severity == "critical"
    assert (alert.monitor, alert.partition, alert.kind, alert.endpoint) == ("flights", NIGHT, "incidents", "ops")
    expected = f"""\
flights {NIGHT}: 3 incidents

critical: {continuing.summary}
since 2013-02-10
tablewatch mute flights 1f2e3d4c5b6a

warning: distance 1 to 3
observed 800 to 900, expected 229
tablewatch mute flights bb22

critical: record 7
observed N?, expected N1
tablewatch mute flights aa11

12 of 940 accepted records flagged (1.28%), 24 quarantined
model version 2013-02-02-0badcafe
tablewatch incidents flights --partition {NIGHT}
message {alert.dedup_key}"""
    assert alert.body_text == expected
    assert words_of(alert.body_html) == words_of(alert.body_text)


def test_the_link_names_monitor_partition_and_incident(monitor: MakeMonitor, incident: Make) -> None:
    (one,) = told(monitor(), incident("a b&c"), dashboard="https://watch.example.com/t/")
    link = f"https://watch.example.com/t/?monitor=flights&partition={NIGHT}"
    assert f"\n{link}&incident=a+b%26c\n" in one.body_text
    assert f'<a href="{link.replace("&", "&amp;")}&amp;incident=a+b%26c">' in one.body_html
    (two,) = told(monitor(), incident("a"), incident("b"), dashboard="https://watch.example.com/t")
    assert f"\n{link}\n" in two.body_text


def test_nobody_is_told_of_nothing(monitor: MakeMonitor, incident: Make) -> None:
    muted = incident("a", suppression_id="s")
    slight = incident("b", severity="info")
    assert told(monitor(), muted, slight, incident("c"), known={"c"}) == []
    assert told(monitor(alerts={}), incident()) == []
    assert told(monitor()) == []
    critical = monitor(alerts={"to": ["ops"], "min_severity": "critical"})
    assert told(critical, incident()) == []
    info = monitor(alerts={"to": ["ops"], "min_severity": "info"})
    assert len(told(info, slight)) == 1


def test_every_endpoint_is_told_the_same(monitor: MakeMonitor, incident: Make) -> None:
    ops, owners = told(monitor(alerts={"to": ["ops", "owners"]}), incident())
    assert owners == replace(ops, endpoint="owners")


def test_p32_the_same_incidents_have_the_same_key(monitor: MakeMonitor, incident: Make) -> None:
    found = [incident(str(at), severity=random.choice(["warning", "critical"])) for at in range(30)]
    shuffled = random.sample(found, len(found))
    assert told(monitor(), *found) == told(monitor(), *shuffled)
    (first,) = told(monitor(), *found)
    (others,) = told(monitor(), *found, known={"3"})
    assert first.dedup_key != others.dedup_key
    (reworded,) = told(monitor(), *(replace(each, summary="found again", flagged=3) for each in found))
    assert first.dedup_key == reworded.dedup_key
    assert re.fullmatch(f"flights/{NIGHT}/incidents/[0-9a-f]{{12}}", first.dedup_key)


def test_of_many_incidents_the_worst_are_told(monitor: MakeMonitor, incident: Make) -> None:
    many = [incident(f"w{at}", summary=f"warning {at}") for at in range(40)]
    worst = [incident(f"c{at}", summary=f"bad {at}", severity="critical", kind="single") for at in range(4)]
    (alert,) = told(monitor(), *many, *worst)
    assert alert.body_text.count("tablewatch mute") == MOST_INCIDENTS
    assert all(f"critical: bad {at}" in alert.body_text for at in range(4))
    assert f"\nand 34 more: tablewatch incidents flights --partition {NIGHT}\n" in alert.body_text


def test_p33_values_of_sensitive_columns_are_not_told(monitor: MakeMonitor, incident: Make) -> None:
    hidden = incident(summary="member", columns=("air_time", "member"), observed="sha256:0123", expected="sha256:4567")
    (alert,) = told(monitor(columns={"sensitive": ["member"]}), hidden)
    assert "sha256" not in alert.subject + alert.body_text + alert.body_html


def test_no_record_was_accepted(monitor: MakeMonitor, incident: Make) -> None:
    (alert,) = of_incidents(monitor(), NIGHT, [incident()], {"accepted": 0, "quarantined": 3}, "v")
    assert "0 of 0 accepted records flagged, 3 quarantined" in alert.body_text


def test_a_refused_partition(monitor: MakeMonitor) -> None:
    strict = monitor(alerts={"to": ["ops"], "min_severity": "critical"})
    (alert,) = of_refused(strict, NIGHT, "run", f"flights {NIGHT}: column air_time is gone; bring it back")
    assert alert.subject == f"flights {NIGHT}: refused: column air_time is gone; bring it back"
    assert (alert.kind, alert.severity, alert.delay) == ("refused", "critical", 0)
    assert f"\ntablewatch run flights --partition {NIGHT}\n" in alert.body_text
    (training,) = of_refused(strict, NIGHT, "train", "too few records")
    assert f"\ntablewatch train flights --through {NIGHT}\n" in training.body_text
    assert of_refused(strict, None, "train", "x")[0].subject == "flights: refused: x"
    keys = {each.dedup_key for reason in "xy" for each in of_refused(strict, NIGHT, "run", reason)}
    assert len(keys | {training.dedup_key, alert.dedup_key}) == 4
    assert of_refused(monitor(alerts={}), NIGHT, "run", "x") == []


def test_a_failure_is_told_after_a_while(monitor: MakeMonitor) -> None:
    (alert,) = of_failed(monitor(), NIGHT, "run", "the store did not answer; try again")
    assert (alert.kind, alert.severity, alert.delay) == ("failed", "critical", 900)
    assert "the store did not answer; try again" in alert.body_text


def test_a_model_to_look_at(monitor: MakeMonitor) -> None:
    (alert,) = of_model(monitor(), NIGHT, ["column distance: 0.4"], "two columns have drifted")
    assert (alert.kind, alert.severity) == ("model", "warning")
    assert alert.subject == f"flights {NIGHT}: two columns have drifted"
    assert "\ntablewatch models flights\n" in alert.body_text
    (again,) = of_model(monitor(), NIGHT, ["column distance: 0.41"], "two columns have drifted")
    assert again.dedup_key == alert.dedup_key
    assert of_model(monitor(alerts={"to": ["ops"], "min_severity": "critical"}), NIGHT, [], "x") == []


def test_p32_a_digest_is_the_same_for_the_same_alerts(monitor: MakeMonitor, incident: Make) -> None:
    storm = [told(monitor(name=f"m{at % 3}"), incident(str(at), summary=f"s {at}"))[0] for at in range(50)]
    storm += of_refused(monitor(), NIGHT, "run", "gone")
    assert of_digest("digest/k", storm) == of_digest("digest/k", random.sample(storm, len(storm)))
    subject, text, html = of_digest("digest/k", storm)
    assert subject == "tablewatch: 51 messages of flights, m0, m1, m2"
    assert text.split("\n\n")[1].startswith(f"critical: flights {NIGHT}: refused: gone\ntablewatch partitions flights")
    assert "\n\nand 21 more\n\n" in text
    assert text.endswith("\ntablewatch alerts\nmessage digest/k")
    assert words_of(html) == words_of(text)


HOSTILE = st.one_of(
    st.text(max_size=60),
    st.sampled_from(["<script>alert(1)</script>", "\x1b[2J\r\n", "a\nSubject: b", "&amp;<b>'\"", "\ud800\x00\u202e"]),
    st.sampled_from(["&", "'", "\U000e0001", "\x00", "x"]).map(lambda c: c * 9_000),
)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.tuples(HOSTILE, HOSTILE, HOSTILE), min_size=1, max_size=40))
def test_p32_a_message_is_bounded_printable_and_no_markup(
    texts: list[tuple[str, str, str]], monitor: MakeMonitor, incident: Make
) -> None:
    incidents = [
        incident(f"{at:012x}", summary=summary, observed=observed, expected=expected)
        for at, (summary, observed, expected) in enumerate(texts)
    ]
    alerts = [
        *told(monitor(), *incidents, dashboard="https://watch.example.com"),
        *of_refused(monitor(), NIGHT, "run", texts[0][0]),
        *of_failed(monitor(), NIGHT, "run", texts[0][0]),
        *of_model(monitor(), NIGHT, [each[0] for each in texts], texts[0][1]),
    ]
    digest = of_digest("digest/k", [replace(each, subject=texts[0][0]) for each in alerts * 20])
    for subject, text, html in [(each.subject, each.body_text, each.body_html) for each in alerts] + [digest]:
        assert len(subject) <= messages.LONGEST_SUBJECT
        assert subject.isprintable()
        assert max(len(text), len(html)) <= LONGEST_BODY
        assert text.replace("\n", "").isprintable()
        assert html.replace("\n", "").isprintable()
        assert words_of(html) == re.sub(r"\s", "", text)
        page = Closed(html)
        assert page.open == []
        assert page.used <= {"p", "br", "strong", "code", "a"}
        assert text.splitlines()[-1].startswith("message ")


@pytest.mark.parametrize("count", [1, 10, 11, 500])
def test_however_many_incidents_the_key_ends_the_message(count: int, monitor: MakeMonitor, incident: Make) -> None:
    (alert,) = told(monitor(), *(incident(str(at)) for at in range(count)))
    assert alert.body_text.endswith(f"message {alert.dedup_key}")
