"""Wrong records of one night become incidents: patterns with their segment, singles, a table that changed."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from night_of_orders import KINDS, PARTITION, Record, Wrong, anywhere, hundredfold, in_shop, keys_of

from pipeline.records import hidden_text
from pipeline.results import Anomaly, Condition, Contribution, Incident


@dataclass(frozen=True)
class Before:
    """An incident as the store gives it back."""

    incident_id: str
    kind: str
    columns: tuple[str, ...]
    segment: tuple[Condition, ...]
    first_partition: str
    partition: str

    @classmethod
    def of(cls, incident: Incident, partition: str) -> Before:
        fields = ("incident_id", "kind", "columns", "segment", "first_partition")
        return cls(**{name: getattr(incident, name) for name in fields}, partition=partition)


@dataclass(frozen=True)
class Muted:
    suppression_id: str
    columns: tuple[str, ...]
    segment: tuple[Condition, ...]


def three_patterns() -> tuple[Wrong, list[set[str]]]:
    wrong = Wrong()
    first = wrong.flag(in_shop("shop03"), hundredfold)
    second = wrong.quarantine(in_shop("shop07"), "quantity", 0)
    third = wrong.flag(lambda r: r["country"] == "IT" and r["hour"] < 12, lambda r: ("paid", None), 25)
    return wrong, [{*first}, {*second}, {*third}]


def test_records_that_are_wrong_in_the_same_way_and_place_are_one_incident() -> None:
    wrong, planted = three_patterns()
    singles = wrong.flag(anywhere, lambda r: ("hour", r["hour"] + 40), 4)
    found = wrong.find()
    patterns = [each for each in found.incidents if each.kind == "pattern"]
    assert sorted(map(len, planted)) == sorted(each.flagged + each.quarantined for each in patterns)
    assert [each.kind for each in found.incidents].count("single") == len(singles)
    for keys, column, named in zip(planted, ("total", "quantity", "paid"), ("shop", "shop", "country"), strict=True):
        (incident,) = (each for each in patterns if each.columns == (column,))
        assert keys_of(found, incident.incident_id) == keys
        assert named in {condition.column for condition in incident.segment}


def test_the_sentence_says_how_many_which_what_and_what_was_expected() -> None:
    wrong, _ = three_patterns()
    told = {each.columns[0]: each for each in wrong.find().incidents}
    held = sum(record["shop"] == "shop03" for record in wrong.records)
    assert told["total"].summary.startswith(
        f"30 of {held} records with shop shop03 on 2024-03-05: total is about 100 times what the rest of the record "
        "implies (expected "
    )
    assert told["total"].segment == (Condition("shop", "shop03"),)
    assert told["total"].segment_records == held
    assert told["quantity"].summary.endswith("quantity is 0; all are quarantined")
    assert (told["quantity"].flagged, told["quantity"].quarantined) == (0, 30)
    assert "paid is null" in told["paid"].summary
    assert told["total"].severity == told["quantity"].severity == told["paid"].severity == "critical"


def test_flagged_and_quarantined_records_of_one_pattern_are_one_incident() -> None:
    wrong = Wrong()
    wrong.flag(in_shop("shop03"), lambda r: ("quantity", -r["quantity"]), 12)
    wrong.quarantine(in_shop("shop03"), "quantity", -99, 10)
    (incident,) = wrong.find().incidents
    assert (incident.flagged, incident.quarantined) == (12, 10)
    assert incident.summary.endswith("; 10 of them are quarantined")


def test_records_of_no_segment_that_are_wrong_in_one_way_are_one_incident() -> None:
    wrong = Wrong()
    spread = iter(range(0, 1_000, 83))
    places = {next(spread) for _ in range(12)}
    keys = wrong.flag(lambda r: int(r["id"][1:]) in places, hundredfold)
    (incident,) = wrong.find().incidents
    assert (incident.kind, incident.flagged, incident.segment_records) == ("pattern", len(keys), None)
    assert incident.summary.startswith("12 records on 2024-03-05, which share nothing else: total is about 100 times")
    assert incident.segment[0].column == "total" and incident.segment[0].low is not None


def test_a_single_record_says_what_it_is_and_ought_to_be() -> None:
    wrong = Wrong()
    (key,) = wrong.flag(in_shop("shop03"), lambda r: ("country", "QQ"), 1, "unseen_category", p_value=1e-9)
    (incident,) = wrong.find().incidents
    assert incident.summary.startswith(f"record {key} on 2024-03-05: country is QQ, never seen before (expected ")
    assert (incident.kind, incident.severity, incident.segment) == ("single", "warning", (Condition("country", "QQ"),))


def test_a_single_record_that_chance_would_bring_is_no_more_than_information() -> None:
    wrong = Wrong()
    wrong.flag(in_shop("shop03"), hundredfold, 1, p_value=0.0008)
    assert [each.severity for each in wrong.find().incidents] == ["info"]


def test_far_more_flags_than_chance_brings_are_a_table_that_changed() -> None:
    wrong = Wrong(anomalies=random_flags(Wrong().records, 40))
    found = wrong.find()
    (changed,) = (each for each in found.incidents if each.kind == "partition")
    assert changed.flagged >= 30
    assert changed.summary.startswith(f"{changed.flagged} of 1,000 accepted records on 2024-03-05 are flagged for no ")
    assert changed.severity == "critical"
    assert changed.segment == ()


def random_flags(records: list[Record], count: int, seed: int = 1) -> list[Anomaly]:
    """Records flagged at random, for a column at random, each wrong in its own way."""
    draw = np.random.default_rng(seed)
    flagged = []
    for place in draw.choice(len(records), count, replace=False):
        record = dict(records[place])
        column = str(draw.choice(["total", "hour", "quantity", "placed"]))
        observed, expected = str(draw.integers(1, 10**6)), str(draw.integers(1, 10**6))
        told = (Contribution(column, observed, expected, 1.0, 1, "reconstruction"),)
        flagged.append(Anomaly(record["id"], 6.0, 1e-4, 5.0, record, told))
    return flagged


def test_flags_at_random_make_no_pattern() -> None:
    patterns = 0
    for seed in range(40):
        wrong = Wrong(anomalies=random_flags(Wrong().records, 9, seed))
        patterns += sum(each.kind == "pattern" for each in wrong.find().incidents)
    assert patterns <= 1


def test_each_flagged_record_is_in_one_incident_and_counts_add_up() -> None:
    wrong, _ = three_patterns()
    wrong.flag(anywhere, lambda r: ("hour", r["hour"] + 40), 4)
    found = wrong.find()
    ids = [each.incident_id for each in found.incidents]
    assert len({*ids}) == len(ids)
    for incident in found.incidents:
        flagged = [each for each in found.anomalies if each.incident_id == incident.incident_id]
        rows = {each.row for each in found.quarantined if each.incident_id == incident.incident_id}
        assert (len(flagged), len(rows)) == (incident.flagged, incident.quarantined)
        assert {each.severity for each in flagged} <= {incident.severity}
    assert sum(each.flagged for each in found.incidents) == len(wrong.anomalies)
    assert [replace(each, severity=None, incident_id=None) for each in found.anomalies] == wrong.anomalies


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_p24_the_order_of_records_changes_nothing(seed: int) -> None:
    wrong, _ = three_patterns()
    wrong.anomalies += random_flags([r for r in wrong.records if r["shop"] == "shop01"], 5)
    expected = wrong.find().incidents
    random.Random(seed).shuffle(wrong.anomalies)
    random.Random(seed).shuffle(wrong.quarantined)
    assert wrong.find().incidents == expected


def test_a_pattern_that_goes_on_keeps_its_id_and_its_beginning() -> None:
    first = three_patterns()[0].find().incidents
    earlier = [Before.of(each, PARTITION) for each in first]
    next_night = Wrong(records=[{**r, "total": r["total"] + 1} for r in Wrong().records])
    next_night.flag(in_shop("shop03"), hundredfold, 20)
    next_night.flag(in_shop("shop05"), hundredfold, 20)
    tonight = {each.segment[0].value: each for each in next_night.find("2024-03-06", earlier).incidents}
    (of_before,) = (each for each in first if each.columns == ("total",))
    assert tonight["shop03"].incident_id == of_before.incident_id
    assert tonight["shop03"].first_partition == PARTITION
    assert tonight["shop05"].incident_id not in {each.incident_id for each in first}
    assert tonight["shop05"].first_partition == "2024-03-06"


def test_p24_the_same_partition_again_has_the_same_ids() -> None:
    wrong, _ = three_patterns()
    first = wrong.find().incidents
    assert wrong.find(earlier=[Before.of(each, PARTITION) for each in first]).incidents == first


def test_one_earlier_incident_is_not_continued_twice() -> None:
    wrong = Wrong()
    wrong.flag(in_shop("shop03"), hundredfold, 20)
    wrong.flag(in_shop("shop05"), hundredfold, 20)
    everything = Before("old", "pattern", ("total",), (Condition("total", low="0", high="1000000"),), "a", "2024-03-04")
    ids = [each.incident_id for each in wrong.find(earlier=[everything]).incidents]
    assert ids.count("old") == 1 and len({*ids}) == 2


def test_a_suppression_mutes_its_pattern_and_no_other() -> None:
    wrong, _ = three_patterns()
    muted = Muted("s1", ("total",), (Condition("shop", "shop03"),))
    told = {each.columns[0]: each.suppression_id for each in wrong.find(suppressions=[muted]).incidents}
    assert told == {"total": "s1", "quantity": None, "paid": None}


@pytest.mark.parametrize(
    "muted",
    [
        Muted("s1", ("total",), (Condition("shop", "shop04"),)),
        Muted("s1", ("hour",), (Condition("shop", "shop03"),)),
        Muted("s1", ("total",), ()),
        Muted("s1", ("total",), (Condition("total", low="1", high="600"),)),
    ],
    ids=["another segment", "another column", "no segment", "another range"],
)
def test_what_a_suppression_does_not_hold_for_is_told(muted: Muted) -> None:
    wrong = Wrong()
    wrong.flag(in_shop("shop03"), hundredfold, 20)
    assert [each.suppression_id for each in wrong.find(suppressions=[muted]).incidents] == [None]


def test_a_suppression_without_a_segment_mutes_a_table_that_changed_and_nothing_else() -> None:
    wrong = Wrong(anomalies=random_flags(Wrong().records, 40))
    wrong.flag(lambda r: r["shop"] == "shop03" and r["id"] not in {a.record_key for a in wrong.anomalies}, hundredfold)
    found = wrong.find(suppressions=[Muted("s1", ("total",), ())]).incidents
    assert {each.kind: each.suppression_id for each in found} == {"pattern": None, "partition": "s1"}


def test_p33_no_sensitive_value_is_in_an_incident() -> None:
    wrong = Wrong()
    wrong.flag(in_shop("shop03"), lambda r: ("country", hidden_text("Atlantis")), 20, "unseen_category")
    wrong.anomalies = [
        replace(each, contributions=(replace(each.contributions[0], expected=None), *each.contributions[1:]))
        for each in wrong.anomalies
    ]
    (incident,) = wrong.find(columns=[name for name in KINDS if name != "country"]).incidents
    assert "Atlantis" not in repr(incident) and "sha256" not in incident.summary
    assert (incident.observed, incident.expected) == (None, None)
    assert {condition.column for condition in incident.segment} == {"shop"}


def test_a_sample_of_the_accepted_records_tells_about_how_many() -> None:
    wrong = Wrong(records=Wrong().records)
    wrong.flag(in_shop("shop03"), hundredfold, 30)
    night = wrong.night()
    thinned = replace(night, normal=night.normal.take(list(range(0, night.accepted, 4))))
    from pipeline.incidents import find

    (incident,) = find(thinned, wrong.anomalies, []).incidents
    held = sum(record["shop"] == "shop03" for record in wrong.records)
    assert incident.segment_records == pytest.approx(held, rel=0.5)
    assert f" of about {incident.segment_records} records with shop shop03" in incident.summary


def test_twins_have_ids_of_their_own() -> None:
    from pipeline.incidents.continuing import new_id

    told = "orders", PARTITION, "pattern", ("total",), (), ""
    assert new_id(*told, 0) == new_id(*told, 0) != new_id(*told, 1)


def test_nothing_wrong_is_no_incident() -> None:
    assert Wrong().find().incidents == []


def test_p37_a_megabyte_of_a_value_stays_out_of_sentence_and_segment() -> None:
    wrong = Wrong()
    wrong.flag(in_shop("shop03"), lambda r: ("country", "x" * 1_000_000), 1)
    (incident,) = wrong.find().incidents
    assert len(incident.summary) < 500 and incident.segment == ()
