"""What people say of records: labels, muted patterns, and the commands that write and show them."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import call, value
from small_house import MONITOR, SmallHouse, anomaly, broken

from pipeline import reports, steps
from pipeline.errors import ConfigurationError
from pipeline.incidents.continuing import suppressing
from pipeline.incidents.findings import of_anomaly
from pipeline.records import hidden_text
from pipeline.results import Anomaly, Condition, Contribution, Incident

NIGHT, NEXT = "2013-02-01", "2013-02-02"
PATTERN = Incident(
    incident_id="a1b2",
    kind="pattern",
    severity="warning",
    summary="2 records of UA: air_time 9060, expected 151",
    columns=("air_time",),
    segment=(Condition("carrier", "UA"),),
    flagged=2,
    quarantined=0,
    segment_records=20,
    lift=9.0,
    p_value=1e-6,
    observed="9060",
    expected="151",
    first_partition=NIGHT,
)
ITS_VALUE = (Condition("air_time", "9060"),)
SINGLE = replace(
    PATTERN, incident_id="c3", kind="single", segment=ITS_VALUE, flagged=1, segment_records=None, lift=None
)
WIDE = replace(PATTERN, incident_id="e5", segment=())
OWN_VALUES = (Condition("air_time", "9060"), Condition("carrier", "ZZ"))


def of(incident: Incident, key: str) -> Anomaly:
    return replace(anomaly(key), severity=incident.severity, incident_id=incident.incident_id)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallHouse:
    """A house with a pattern of the records 1 and 2, a pattern without a segment, and three singles."""
    house = SmallHouse(tmp_path, monkeypatch)
    monkeypatch.setenv("TABLEWATCH_AUTHOR", "ann")
    null = replace(of(SINGLE, "5"), contributions=(Contribution("air_time", None, "151", 1.0, 1, "unexpected_null"),))
    house.score(
        NIGHT,
        [of(PATTERN, "1"), of(PATTERN, "2"), of(SINGLE, "3"), of(WIDE, "4"), replace(null, incident_id="f6")],
        [replace(broken("6"), incident_id="g7")],
        incidents=[PATTERN, SINGLE, WIDE, *(replace(SINGLE, incident_id=name) for name in ("f6", "g7"))],
    )
    return house


def test_a_label_is_written_and_said(house: SmallHouse) -> None:
    done = steps.label("nights", "1", "confirmed", note="  twice the distance ")
    assert (done.partition, done.note, done.author, done.suppressions) == (NIGHT, "twice the distance", "ann", ())
    assert done.message == (
        "nights 2013-02-01: record 1 is confirmed: no later training learns from it; "
        "takes effect with the next training: tablewatch train nights"
    )
    (label,) = house.store.labels("nights")
    assert (label.record_key, label.label, label.note, label.author) == ("1", "confirmed", "twice the distance", "ann")
    assert house.store.suppressions() == []


def test_p24_a_label_survives_the_next_run_of_its_partition(house: SmallHouse) -> None:
    steps.label("nights", "1", "confirmed")
    steps.label("nights", "2", "expected")
    before = house.store.labels("nights")
    house.score(NIGHT, [anomaly("1", score=9.0)])
    assert house.store.labels("nights") == before
    assert reports.explain("nights", "1").labels == before[:1]
    assert reports.explain("nights", "2").labels == before[1:], "no longer flagged, and still explained"


def test_expected_mutes_the_segment_of_its_pattern_for_a_while(house: SmallHouse) -> None:
    now = dt.datetime.now(dt.UTC)
    done = steps.label("nights", "1", "expected", days=3, note="a charter")
    (muted,) = done.suppressions
    assert (muted.incident_id, muted.columns, muted.segment) == ("a1b2", PATTERN.columns, PATTERN.segment)
    assert (muted.note, muted.author, muted.summary) == ("a charter", "ann", PATTERN.summary)
    assert abs(muted.expires_at - now - dt.timedelta(days=3)) < dt.timedelta(minutes=5)
    assert f"tablewatch unmute nights {muted.suppression_id}" in done.message
    (again,) = steps.label("nights", "2", "expected", days=1).suppressions
    assert again == replace(muted, note="a charter"), "the same pattern is muted once, and no shorter"


def test_a_record_alone_mutes_only_its_own_values(house: SmallHouse) -> None:
    (muted,) = steps.label("nights", "3", "expected").suppressions
    assert (muted.columns, muted.segment) == (("air_time", "carrier"), OWN_VALUES)


def test_one_record_of_a_pattern_without_a_segment_does_not_mute_a_whole_column(house: SmallHouse) -> None:
    (muted,) = steps.label("nights", "4", "expected").suppressions
    assert (muted.columns, muted.segment) == (("air_time", "carrier"), OWN_VALUES)
    with pytest.raises(
        ConfigurationError, match="nothing narrower than whole columns tells the records of incident e5"
    ):
        steps.mute("nights", "e5")


def test_a_null_tells_a_record_from_no_other_so_its_label_mutes_nothing(house: SmallHouse) -> None:
    done = steps.label("nights", "5", "expected")
    assert done.suppressions == () and "nothing is muted" in done.message
    assert steps.mute("nights", "f6").segment == (Condition("air_time", "null"),), "who names the incident means them"


def test_what_is_muted_is_what_incidents_of_later_nights_are_held_against(house: SmallHouse) -> None:
    steps.label("nights", "3", "expected")
    standing = house.store.suppressions("nights", house.store.clock())
    same, other = of_anomaly(anomaly("99")), of_anomaly(replace(anomaly("98"), record={"air_time": 1, "carrier": "ZZ"}))
    assert suppressing("single", [same], standing) == standing[0].suppression_id
    assert suppressing("single", [other], standing) is None and suppressing("partition", [other], standing) is None


def test_a_table_that_changed_is_muted_as_a_whole(house: SmallHouse) -> None:
    house.score(NEXT, incidents=[replace(WIDE, kind="partition", incident_id="h8")])
    assert steps.mute("nights", "h8").segment == ()
    standing = house.store.suppressions("nights", house.store.clock())
    assert suppressing("partition", [], standing) and not suppressing("single", [of_anomaly(anomaly("1"))], standing)


def test_a_quarantined_record_is_labelled_too(house: SmallHouse) -> None:
    (muted,) = steps.label("nights", "6", "expected").suppressions
    assert (muted.columns, muted.segment) == (("air_time",), (Condition("air_time", "-3"),))


def test_a_record_without_an_incident_is_labelled_and_mutes_nothing(house: SmallHouse) -> None:
    house.score(NEXT, [anomaly("41")])
    done = steps.label("nights", "41", "expected")
    assert done.suppressions == () and done.message.endswith("nothing is muted: it belongs to no incident")


def test_withdrawing_says_what_is_still_muted(house: SmallHouse) -> None:
    (muted,) = steps.label("nights", "1", "expected").suppressions
    steps.label("nights", "3", "expected")
    done = steps.label("nights", "1", "withdrawn")
    assert done.suppressions == (muted,) and "is still muted until" in done.message
    assert [each.record_key for each in house.store.labels("nights")] == ["3"]
    with pytest.raises(ConfigurationError, match="record '1' bears no label; `tablewatch labels nights`"):
        steps.label("nights", "1", "withdrawn")


def test_a_label_of_a_record_that_is_no_longer_flagged_can_be_changed(house: SmallHouse) -> None:
    steps.label("nights", "1", "expected")
    house.score(NIGHT, [])
    assert len(steps.label("nights", "1", "confirmed").suppressions) == 1
    assert [each.label for each in house.store.labels("nights")] == ["confirmed"]
    steps.label("nights", "1", "withdrawn")
    with pytest.raises(ConfigurationError, match="neither flagged nor quarantined"):
        steps.label("nights", "1", "confirmed")


def test_a_record_in_two_partitions_needs_its_partition(house: SmallHouse) -> None:
    house.score(NEXT, [anomaly("1")])
    with pytest.raises(ConfigurationError, match=f"in 2 partitions: {NIGHT}, {NEXT}; say which: --partition"):
        steps.label("nights", "1", "confirmed")
    assert steps.label("nights", "1", "confirmed", NEXT).partition == NEXT
    assert steps.label("nights", "1", "withdrawn").partition == NEXT, "only one of them bears a label"


def test_an_unknown_record_is_refused_with_the_nearest(house: SmallHouse) -> None:
    house.score(NEXT, [anomaly("UA-1545")])
    with pytest.raises(ConfigurationError, match="did you mean 'UA-1545'"):
        steps.label("nights", "UA-1554", "confirmed")
    assert house.store.labels("nights") == []


def test_a_sensitive_key_may_be_given_plain_or_as_its_digest(house: SmallHouse) -> None:
    house.write("nights", MONITOR.format(data=house.data) + "columns: {sensitive: [id]}\n")
    digest = str(hidden_text("41"))
    house.score(NEXT, [anomaly(digest)])
    assert steps.label("nights", "41", "confirmed").record_key == digest
    assert steps.label("nights", digest, "withdrawn").record_key == digest


@pytest.mark.parametrize(
    ("given", "told"),
    [({"note": "x" * 1_001}, "at most 1,000"), ({"days": 0}, "1 to 366"), ({"days": 400}, "1 to 366")],
)
def test_what_is_said_has_bounds(house: SmallHouse, given: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        steps.label("nights", "1", "expected", **given)  # type: ignore[arg-type]
    assert house.store.labels("nights") == []


def test_who_says_so(house: SmallHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    assert steps.label("nights", "1", "confirmed", author="bob").author == "bob"
    monkeypatch.delenv("TABLEWATCH_AUTHOR")
    monkeypatch.setenv("LOGNAME", "cat")
    assert steps.label("nights", "1", "confirmed").author == "cat"

    def nobody() -> str:
        raise OSError("no login name")

    monkeypatch.setattr("getpass.getuser", nobody)
    with pytest.raises(ConfigurationError, match="--author or TABLEWATCH_AUTHOR"):
        steps.label("nights", "1", "confirmed")


def test_mute_and_unmute(house: SmallHouse) -> None:
    muted = steps.mute("nights", "a1b2", days=2)
    assert (muted.columns, muted.segment) == (PATTERN.columns, PATTERN.segment)
    assert steps.mute("nights", "c3").segment == OWN_VALUES
    states = {each.suppression.incident_id: each.state for each in reports.suppressions("nights")}
    assert states == {"a1b2": "active", "c3": "active"}
    by_incident = {each.incident.incident_id: each.muted_by for each in reports.incidents("nights")}
    assert by_incident["a1b2"] == muted and by_incident["e5"] is None
    assert steps.unmute("nights", muted.suppression_id, "bob").revoked_by == "bob"
    assert {each.state for each in reports.suppressions() if each.suppression.incident_id == "a1b2"} == {"revoked"}
    with pytest.raises(ConfigurationError, match="no incident 'a1b3'; did you mean 'a1b2'"):
        steps.mute("nights", "a1b3")


def test_the_commands(house: SmallHouse) -> None:
    said = call("label", "nights", "1", "expected", "--note", "a charter", "--author", "bob")
    assert said.exit_code == 0 and said.stdout.splitlines()[0].endswith("tablewatch train nights")
    (muted,) = house.store.suppressions("nights")
    assert f"tablewatch unmute nights {muted.suppression_id}" in said.stdout
    shown = call("labels", "nights").stdout
    assert "expected" in shown and "a charter" in shown and "bob" in shown
    listed = call("suppressions", "nights").stdout
    assert "active" in listed and "air_time where carrier is UA" in listed and "a charter" in listed
    table = call("incidents", "nights").stdout.splitlines()
    (row,) = [line for line in table if "a1b2" in line]
    assert f"{muted.expires_at:%Y-%m-%d}" in row and PATTERN.summary in row
    assert "expected" in next(line for line in call("anomalies", "nights").stdout.splitlines() if " 1 " in line)
    assert "is expected, says bob" in call("explain", "nights", "1").stdout
    assert muted.suppression_id in call("unmute", "nights", muted.suppression_id).stdout
    assert "revoked" in call("suppressions").stdout
    assert "muted until" in call("mute", "nights", "c3").stdout
    assert call("label", "nights", "1", "fine").exit_code == 2


def test_the_commands_as_json(house: SmallHouse) -> None:
    said = value(call("label", "nights", "1", "expected", "--json"))
    assert said["label"] == "expected" and said["suppressions"][0]["segment"] == [
        {"column": "carrier", "value": "UA", "low": None, "high": None}
    ]
    assert [each["record_key"] for each in value(call("labels", "nights", "--json"))] == ["1"]
    incidents = {each["incident_id"]: each for each in value(call("incidents", "nights", "--json"))}
    assert incidents["a1b2"]["muted_by"]["author"] == "ann" and incidents["e5"]["muted_by"] is None
    labels = {each["record_key"]: each["label"] for each in value(call("anomalies", "nights", "--json"))}
    assert labels["1"]["label"] == "expected" and labels["2"] is None
    assert value(call("explain", "nights", "1", "--json"))["labels"][0]["author"] == "ann"
    assert value(call("suppressions", "--json"))[0]["state"] == "active"
    muted = value(call("mute", "nights", "c3", "--json"))
    assert value(call("unmute", "nights", muted["suppression_id"], "--json"))["revoked_by"] == "ann"


def test_an_empty_house_says_so(house: SmallHouse) -> None:
    assert call("labels", "nights").stdout == "nights: no record bears a label\n"
    assert call("suppressions").stdout == "nothing is muted\n"
    assert call("incidents", "nights", "--partition", NEXT).stdout == f"nights {NEXT}: no incident\n"


def test_a_note_cannot_move_the_cursor(house: SmallHouse) -> None:
    steps.label("nights", "1", "confirmed", note="\x1b[2J\u202egone", author="\x1b]0;x\x07")
    for shown in (call("labels", "nights").stdout, call("explain", "nights", "1").stdout):
        assert "\x1b" not in shown and "\u202e" not in shown and "\x07" not in shown


def test_records_are_labelled_together_or_not_at_all(house: SmallHouse) -> None:
    with pytest.raises(ConfigurationError, match="record 'nobody'"):
        steps.label_all("nights", ["1", "2", "nobody"], "expected", NIGHT)
    assert house.store.labels("nights") == [] and house.store.suppressions() == []
    first, second = steps.label_all("nights", ["1", "2"], "expected", NIGHT, "a charter")
    assert [each.record_key for each in house.store.labels("nights")] == ["1", "2"]
    assert len({each.labelled_at for each in house.store.labels("nights")}) == 1, "written in one transaction"
    assert len(house.store.suppressions()) == 1 and "record 1 is expected" in first.message
    assert "record 2 is expected" in second.message
