from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from small_house import AIR_TIME, CARRIER, MONITOR, ROWS, SmallHouse, anomaly, broken, nights

from pipeline import reports
from pipeline.errors import ConfigurationError, CorruptBundle
from pipeline.reports import health
from pipeline.results import Contribution, Reason
from pipeline.store import TrainedModel


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallHouse:
    return SmallHouse(tmp_path, monkeypatch)


def contribution(observed: str | None, expected: str | None, reason: Reason = "reconstruction") -> Contribution:
    return Contribution("x", observed, expected, 1.0, 1, reason)


# Words


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (AIR_TIME, "air_time 9060 (expected 151)"),
        (CARRIER, "carrier ZZ never seen (expected UA)"),
        (contribution(None, "-3", "unexpected_null"), "x is null (expected -3)"),
        (contribution(None, "-3"), "x is null (expected -3)"),
        (contribution("9e9", "4", "out_of_range"), "x 9e9 out of range (expected 4)"),
        (contribution("n/a", "4", "unexpected_type"), "x n/a of another type (expected 4)"),
        (contribution("512", None), "x 512 (expected null)"),
        (contribution("", "UA", "unseen_category"), "x '' never seen (expected UA)"),
        (contribution("a" * 99, "b"), f"x {'a' * 60}... (expected b)"),
    ],
)
def test_a_contribution_in_words(told: Contribution, words: str) -> None:
    assert reports.in_words(told) == words


def test_p33_words_tell_nothing_of_a_sensitive_column_but_its_digest() -> None:
    assert reports.in_words(contribution("sha256:0123", None)) == "x sha256:0123"
    assert reports.in_words(contribution(None, None, "unexpected_null")) == "x is null"


def test_only_the_reasons_that_made_the_score_lead() -> None:
    small = Contribution("dest", "JFK", "EWR", 0.05, 3, "reconstruction")
    assert reports.leading_reasons([AIR_TIME, CARRIER, small]) == [
        "air_time 9060 (expected 151)",
        "carrier ZZ never seen (expected UA)",
    ]
    first = Contribution("dest", "JFK", "EWR", 0.05, 1, "reconstruction")
    assert reports.leading_reasons([first]) == ["dest JFK (expected EWR)"], "one reason is always told"


def test_every_reason_has_its_words() -> None:
    assert set(reports.REASONS) == set(Reason.__args__)


# Partitions


def test_each_partition_with_its_state(house: SmallHouse) -> None:
    house.score("2013-02-01", [anomaly("1")], [broken("2", 3)])
    run = house.store.start_run("nights", "2013-02-02", "run", "0" * 12)
    house.store.finish_run(run, "refused", "nights 2013-02-02: half of it is missing")
    house.score("2013-01-31")
    gone, scored, refused, new = reports.partitions("nights")
    assert (gone.partition, gone.rows, gone.state) == ("2013-01-31", None, "scored")
    assert (scored.rows, scored.state) == (ROWS, "scored")
    assert (scored.accepted, scored.quarantined, scored.flagged) == (ROWS - 1, 1, 1)
    assert (refused.state, refused.reason) == ("refused", "nights 2013-02-02: half of it is missing")
    assert (new.partition, new.rows, new.state, new.flagged) == ("2013-02-03", ROWS, "new", None)


def test_p29_a_partition_that_has_changed_since_is_told(house: SmallHouse) -> None:
    house.score("2013-02-01", read=ROWS - 1)
    house.score("2013-02-02")
    assert [line.changed for line in reports.partitions("nights")] == [True, False, False]


def test_a_scored_partition_that_fails_again_is_failed(house: SmallHouse) -> None:
    house.score("2013-02-01")
    run = house.store.start_run("nights", "2013-02-01", "run", "0" * 12)
    house.store.finish_run(run, "failed", "the disk is full")
    assert reports.partitions("nights")[0].state == "failed"


# Anomalies


def test_the_worst_anomalies_first_and_how_many_there_are(house: SmallHouse) -> None:
    house.score("2013-02-01", [anomaly("1", 3.0), anomaly("2", 9.0)])
    house.score("2013-02-02", [anomaly("41", 6.0)])
    found = reports.anomalies("nights", limit=2)
    assert [each.record_key for each in found.found] == ["2", "41"]
    assert found.total == 3
    only = reports.anomalies("nights", "2013-02-02")
    assert ([each.record_key for each in only.found], only.total) == (["41"], 1)


def test_nothing_flagged_is_told_apart_from_never_scored(house: SmallHouse) -> None:
    house.score("2013-02-01")
    assert reports.anomalies("nights", "2013-02-01").found == []
    with pytest.raises(ConfigurationError, match="2013-02-02: not scored yet; run: tablewatch run nights"):
        reports.anomalies("nights", "2013-02-02")
    run = house.store.start_run("nights", "2013-02-02", "run", "0" * 12)
    house.store.finish_run(run, "refused", "no")
    with pytest.raises(ConfigurationError, match="its last run is refused"):
        reports.anomalies("nights", "2013-02-02")


def test_a_monitor_that_nothing_was_scored_of(house: SmallHouse) -> None:
    with pytest.raises(ConfigurationError, match="no partition has been scored"):
        reports.anomalies("nights")
    with pytest.raises(ConfigurationError, match="did you mean 'nights'"):
        reports.anomalies("night")


# One record


def test_a_record_is_explained_in_every_partition_that_has_it(house: SmallHouse) -> None:
    house.score("2013-02-01", [anomaly("7", 3.0)])
    house.score("2013-02-02", [anomaly("7", 4.0)], [broken("8")])
    found = reports.explain("nights", "7")
    assert [each.partition for each in found.flagged] == ["2013-02-02", "2013-02-01"]
    assert found.quarantined == []
    assert [each.score for each in reports.explain("nights", "7", "2013-02-01").flagged] == [3.0]


def test_a_quarantined_record_is_explained(house: SmallHouse) -> None:
    house.score("2013-02-02", [anomaly("7")], [broken("8")])
    found = reports.explain("nights", "8")
    (why,) = found.quarantined
    assert found.flagged == []
    assert (why.column, why.value, why.expected) == ("air_time", "-3", "air_time is at least 1")


def test_a_record_that_is_neither(house: SmallHouse) -> None:
    house.score("2013-02-01", [anomaly("flight-1234")])
    with pytest.raises(ConfigurationError, match="'flight-1243' is neither .* did you mean 'flight-1234'"):
        reports.explain("nights", "flight-1243")
    with pytest.raises(ConfigurationError, match="`tablewatch anomalies nights` lists"):
        reports.explain("nights", "40")


def test_a_composite_key_may_be_written_with_any_spaces(house: SmallHouse) -> None:
    house.write("nights", MONITOR.format(data=house.data).replace("[id]", "[carrier, id]"))
    house.score("2013-02-01", [anomaly('["UA", "7"]')])
    for written in ('["UA", "7"]', '["UA","7"]', '["UA",7]'):
        assert reports.explain("nights", written).record_key == '["UA", "7"]'
    for wrong in ("7", "[7]", '"UA"', "{}"):
        with pytest.raises(ConfigurationError, match="write the values of carrier, id as a JSON array"):
            reports.explain("nights", wrong)


# Versions


def test_promote_and_rollback(house: SmallHouse) -> None:
    first, second = house.train(0), house.train(1)
    assert {version.version: version.status for version in reports.models("nights")} == {
        first: "retired",
        second: "champion",
    }
    assert reports.rollback("nights").version == first
    promoted = reports.promote("nights", second)
    assert (promoted.version, promoted.promotion_reason) == (second, "promoted by hand")
    with pytest.raises(ConfigurationError, match=f"known versions are .*{first}"):
        reports.promote("nights", "2013-02-02-00000000")


def test_a_challenger_is_shown_beside_the_champion(house: SmallHouse) -> None:
    champion = house.train(0)
    known = house.store.champion("nights")
    assert known is not None
    measured = {"model": {"auc_roc": 0.91688, "caught": 0.845, "flagged": 12}, "held_out": 1000}
    told = {name: getattr(known, name) for name in TrainedModel.__dataclass_fields__}
    told |= {"version": "2013-02-03-3f9d1c07", "window_last": "2013-02-03", "window_records": 1200}
    measured |= {"champion": {"flagged": 15}}  # which a small window does not measure on canaries
    house.store.add_model_version(TrainedModel(**told | {"metrics": {"canaries": measured}}))
    assert reports.beside_champion("nights", "2013-02-03-3f9d1c07").splitlines() == [
        f"| | 2013-02-03-3f9d1c07 | {champion}, the champion |",
        "| --- | --- | --- |",
        "| trained on | 2013-02-01 to 2013-02-03 | 2013-02-01 to 2013-02-02 |",
        "| records | 1,200 | 80 |",
        "| told canaries from normal records (AUC-ROC) | 0.917 | not measured |",
        "| canaries caught | 84% | not measured |",
        "| flagged of 1,000 untouched records | 12 | 15 |",
    ]
    with pytest.raises(ConfigurationError, match="no model version '2013-02-03-00000000'"):
        reports.beside_champion("nights", "2013-02-03-00000000")


def test_a_promotion_keeps_its_reason(house: SmallHouse) -> None:
    first, _ = house.train(0), house.train(1)
    assert reports.promote("nights", first, reason="approved by Anna").promotion_reason == "approved by Anna"


def test_the_figures_of_canaries_are_said_in_words() -> None:
    figures = {"model": {"auc_roc": 0.91688}, "gaussian": {"auc_roc": 0.7}, "nearest": {"auc_roc": 1.0}}
    found = {"loss": 0.5, "canaries": {"note": None, **figures}}
    assert reports.canary_figures(found) == "model 0.917, gaussian 0.700, nearest 1.000"
    nothing = {name: {"auc_roc": None} for name in figures} | {"note": "nothing was measured: too few"}
    assert reports.canary_figures({"canaries": nothing}) == "nothing was measured: too few"
    assert reports.canary_figures({"loss": 0.5}) == ""


def test_p22_a_version_whose_bundle_was_changed_is_not_promoted(house: SmallHouse) -> None:
    first, second = house.train(0), house.train(1)
    bundle = house.folder / "home" / "bundles" / "nights" / f"{first}.npz"
    bundle.write_bytes(bundle.read_bytes()[:-1])
    with pytest.raises(CorruptBundle):
        reports.promote("nights", first)
    champion = house.store.champion("nights")
    assert champion is not None and champion.version == second


# Doctor


def test_a_healthy_house(house: SmallHouse) -> None:
    version = house.train()
    house.score("2013-02-01")
    seen = reports.doctor()
    assert seen.problems == []
    assert seen.notes == []
    assert seen.versions["keras"] and seen.versions["tensorflow"] and seen.versions["tablewatch"]
    assert seen.store_revision == "0007"
    (nights_health,) = seen.monitors
    assert (nights_health.champion, nights_health.champion_days) == (version, 0)
    assert (nights_health.last_kind, nights_health.last_status) == ("run", "done")


def test_a_house_in_which_nothing_has_run(house: SmallHouse) -> None:
    seen = reports.doctor()
    assert seen.problems == []
    assert seen.notes == ["nights: no champion yet; run: tablewatch train nights"]


def test_what_is_broken_is_told_at_once(house: SmallHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    version = house.train()
    (house.folder / "home" / "bundles" / "nights" / f"{version}.npz").unlink()
    house.write("broken", "partition_by: [\n")
    run = house.store.start_run("nights", "2013-02-01", "run", "0" * 12)
    house.store.finish_run(run, "failed", "the disk is full")
    monkeypatch.setitem(health.PACKAGES, "ibis", ("no-such-package",))
    told = "\n".join(reports.doctor().problems)
    for problem in ("ibis is not installed", "broken.yaml line", f"bundle {version} is missing", "the disk is full"):
        assert problem in told


def test_runs_that_were_killed_and_partitions_that_were_refused_are_noted(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.train()
    monkeypatch.setattr(house.store, "clock", lambda: dt.datetime.now(dt.UTC) - dt.timedelta(days=2))
    house.store.start_run("nights", "2013-02-01", "run", "0" * 12)
    run = house.store.start_run("nights", "2013-02-02", "run", "0" * 12)
    house.store.finish_run(run, "refused", "no")
    seen = reports.doctor()
    assert seen.problems == []
    assert ["1 run began" in note or "1 partition refused" in note for note in seen.notes] == [True, True]


def test_no_folder_of_monitors(house: SmallHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLEWATCH_MONITORS", str(house.folder / "nowhere"))
    (problem,) = reports.doctor().problems
    assert "there is no folder" in problem and "TABLEWATCH_MONITORS" in problem


@pytest.mark.parametrize(
    "url", ["postgresql://tw:hunter2@127.0.0.1:9/tw", "mysql://tw:hunter2@db/tw", "://tw:hunter2@"]
)
def test_p34_a_store_that_does_not_answer_is_told_without_its_password(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("TABLEWATCH_STORE_URL", url)
    seen = reports.doctor()
    assert seen.store_revision is None
    assert len(seen.problems) == 1
    assert "hunter2" not in repr(seen)


# Check


def check(house: SmallHouse, text: str) -> list[str]:
    """The problems of the monitor with this more in its file."""
    house.write("nights", MONITOR.format(data=house.data) + text)
    (checked,) = reports.check(["nights"])
    return [problem.removeprefix("nights: ") for problem in checked.problems]


def test_a_monitor_without_problems(house: SmallHouse) -> None:
    (checked,) = reports.check()
    assert (checked.problems, checked.notes) == ([], [])
    assert (checked.partitions, checked.first, checked.last, checked.records) == (3, "2013-02-01", "2013-02-03", 120)
    assert checked.modelled == 3


def test_every_column_that_the_table_does_not_have_is_told_with_the_nearest(house: SmallHouse) -> None:
    text = "columns: {exclude: [yaer], kinds: {carier: text, id: text}, sensitive: [airtime]}\n"
    assert check(house, text) == [
        "columns.exclude names no column 'yaer'; did you mean 'year'?",
        "columns.kinds names no column 'carier'; did you mean 'carrier'?",
        "columns.sensitive names no column 'airtime'; did you mean 'air_time'?",
        "columns.kinds names 'id', which is never scored; take it out",
    ]


def test_p33_a_sensitive_primary_key_is_no_problem(house: SmallHouse) -> None:
    assert check(house, "columns: {sensitive: [id]}\n") == []


def test_p34_a_secret_in_a_monitors_file_is_told_and_not_repeated(house: SmallHouse) -> None:
    text = "source: {connection: 'postgres://watch:zq9secret@127.0.0.1:1/prod', table: t}\n"
    house.write("nights", text + "partition_by: night\nprimary_key: [id]\n")
    (checked,) = reports.check(["nights"])
    assert "write ${TABLEWATCH_NIGHTS_PASSWORD} in its place" in checked.notes[0]
    assert "zq9secret" not in str(checked)
    house.write("nights", text.replace("zq9secret", "${PW}") + "partition_by: night\nprimary_key: [id]\n")
    assert reports.check(["nights"])[0].notes == []


def test_no_column_left_to_model(house: SmallHouse) -> None:
    assert check(house, "columns: {exclude: [carrier, air_time, year]}\n") == [
        "no column is left to model; exclude fewer"
    ]


@pytest.mark.parametrize(
    ("wrong", "right", "problem"),
    [
        ("partition_by: night", "partition_by: nihgt", "did you mean 'night'"),
        ("primary_key: [id]", "primary_key: [ids]", "did you mean 'id'"),
        ("partition_by: night", "partition_by: air_time", "tells no day"),
        ("partition_by: night", "partition_by: carrier", "holds no date in any record"),
        ("nights.parquet", "nihgts.parquet", "no file matches"),
        ("training:", "trainin:", "did you mean 'training'"),
    ],
)
def test_what_cannot_be_read_is_told(house: SmallHouse, wrong: str, right: str, problem: str) -> None:
    house.write("nights", MONITOR.format(data=house.data).replace(wrong, right))
    (checked,) = reports.check()
    assert len(checked.problems) == 1
    assert problem in checked.problems[0]


def test_records_without_a_date_and_tables_without_records(house: SmallHouse) -> None:
    table = nights()
    undated = table.column("night").to_pylist()
    undated[0] = None
    pq.write_table(table.set_column(1, "night", [undated]).cast(table.schema), house.data)
    assert check(house, "") == ["column 'night' holds no date in 1 record, which are never checked; mend them"]
    pq.write_table(table.slice(0, 0), house.data)
    assert check(house, "") == ["the table holds no record; load some"]


def test_a_short_history_is_a_note_and_no_problem(house: SmallHouse) -> None:
    house.write("nights", MONITOR.format(data=house.data).replace("window: 2, min_rows: 50", "window: 28"))
    (checked,) = reports.check()
    assert checked.problems == []
    window, records = checked.notes
    assert "3 partitions, fewer than training.window 28" in window
    assert "120 records, fewer than training.min_rows 200" in records


def test_every_expectation_is_checked_even_after_a_wrong_one(house: SmallHouse) -> None:
    unknown, column, arguments = check(
        house,
        "expectations:\n"
        "  - {expect_column_values_to_not_be_nul: {column: carrier}}\n"
        "  - {expect_column_values_to_not_be_null: {column: carier}}\n"
        "  - {expect_column_values_to_be_between: {column: air_time, min_valu: 1}}\n"
        "  - {expect_column_values_to_be_between: {column: air_time, min_value: 1}}\n",
    )
    assert "unknown expectation" in unknown and "expect_column_values_to_not_be_null" in unknown
    assert "did you mean 'carrier'?" in column
    assert "wrong arguments" in arguments


def test_good_and_broken_monitors_are_all_told(house: SmallHouse) -> None:
    house.write("broken", "partition_by: [\n")
    broken_one, good = sorted(reports.check(), key=lambda checked: not checked.problems)
    assert "broken.yaml" in broken_one.monitor and "broken.yaml line" in broken_one.problems[0]
    assert (good.monitor, good.problems) == ("nights", [])
    (unknown,) = reports.check(["nihgts"])
    assert "did you mean 'nights'" in unknown.problems[0]


def test_no_monitor_at_all(house: SmallHouse) -> None:
    (house.monitors / "nights.yaml").unlink()
    with pytest.raises(ConfigurationError, match="tablewatch init URL"):
        reports.check()
