"""The pages as Streamlit draws them, without a browser: what they tell, where they lead, what they write."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from wrong_night import LAST, PATTERN, PAYLOADS, WrongNight

from dashboard import address, data, export, writing
from pipeline.alerts import messages
from pipeline.errors import ConfigurationError
from pipeline.store import TrainedModel

APP = Path(__file__).parents[2] / "dashboard" / "app.py"


TABLE = ("div", "table", "thead", "tbody", "tr", "th", "td")


def opened(**where: str) -> AppTest:
    """The page at an address."""
    page = AppTest.from_file(str(APP), default_timeout=60)
    for name, value in where.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception, page.exception
    return page


def sources(page: AppTest) -> list[str]:
    """The HTML of what a page says, without its style."""
    bodies = [each.proto.body for each in page.get("html")]
    return [body for body in bodies if not body.startswith("<style>")]


def text(page: AppTest) -> str:
    """What a page says in sentences."""
    return html.unescape(re.sub(r"<[^>]*>", " ", "\n".join(sources(page))))


def links(page: AppTest) -> list[str]:
    return [each.proto.query_string for each in page.get("page_link")]


def press(page: AppTest, label: str) -> AppTest:
    (button,) = [each for each in page.button if each.label == label]
    button.click().run()
    assert not page.exception, page.exception
    return page


def test_tonight_tells_of_the_last_night_and_why(night: WrongNight) -> None:
    page = opened()
    told = text(page)
    assert f"nights · night of {LAST}" in told
    assert re.search(r"40\s+records · +39\s+accepted · +1\s+quarantined · +4\s+flagged", told)
    assert "critical 4 of 5 records with carrier ZZ" in told and night.version in told
    assert "record 34" not in told, "a single strange record of a night with a pattern waits behind the link"
    assert any(f"incident={PATTERN}" in link and f"partition={LAST}" in link for link in links(page))


def test_tonight_tells_of_a_refused_night_first(night: WrongNight) -> None:
    run = night.store.start_run("nights", "2013-02-04", "run", "0" * 12)
    night.store.finish_run(run, "refused", "nights 2013-02-04: no records; load the table")
    told = text(opened())
    assert "refused" in told and "no records; load the table" in told
    run = night.store.start_run("nights", "2013-02-05", "run", "0" * 12)
    night.store.finish_run(run, "done", counts={"read": 1, "accepted": 1, "quarantined": 0})
    data.forget()
    page = opened()
    assert page.expander[0].label == "1 of the last 5 partitions were not scored"


def test_a_monitor_that_never_ran_says_how_to_run_it(night: WrongNight) -> None:
    assert "never ran" not in text(opened())
    night.write("ferries", (night.monitors / "nights.yaml").read_text())
    night.write("broken", "sorce: 1\n")
    data.watched.clear()
    told = text(opened())
    assert re.search(r"ferries +never ran", told) and "tablewatch run ferries --partition P" in told
    assert re.search(r"cannot be read .*broken.yaml line 1", told) and "tablewatch check" in told


def test_an_empty_store_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLEWATCH_HOME", str(tmp_path / "nothing"))
    assert "tablewatch run MONITOR --partition P" in text(opened())
    assert not (tmp_path / "nothing").exists(), "a look makes no store"


def test_a_link_of_an_alert_opens_the_very_incident(night: WrongNight) -> None:
    from pipeline.monitor import find

    monitor = find("nights", night.monitors)
    line = messages._Night(monitor, LAST, "http://127.0.0.1:8501/").where(PATTERN)
    query = dict(part.split("=") for part in str(line.link).partition("?")[2].split("&"))
    page = opened(**query)
    told = text(page)
    assert told.lstrip().startswith("critical 4 of 5 records with carrier ZZ")
    assert "4 records, 1 of them quarantined" in told and "10 % of the night's 40" in told
    assert "since 2013-02-02, in 2 nights" in told and "where carrier ZZ (5 records)" in told
    assert "rule broken: air_time is at least 1" in told
    assert list(page.dataframe[0].value["record"]) == ["31", "32", "33", "35"]
    assert page.dataframe[0].value["why"][3] == "air_time -3 breaks: air_time is at least 1"
    assert page.dataframe[0].value["why"][0] == "air_time 9060 (expected 151); carrier ZZ never seen (expected UA)"


def test_a_link_of_an_alert_of_many_incidents_lists_them(night: WrongNight) -> None:
    page = opened(monitor="nights", partition=LAST)
    told = text(page)
    assert "4 of 5 records" in told and "record 34" in told
    page.selectbox(key="Severity-severity-all").select("info").run()
    assert page.query_params["severity"] == "info"
    assert "4 of 5 records" not in text(page) and "record 34" in text(page)


def test_an_address_that_leads_nowhere_is_told(night: WrongNight) -> None:
    told = text(opened(monitor="nights", partition=LAST, incident="gone"))
    assert f"No incident gone on {LAST}" in told and "4 of 5 records" in told
    page = opened(monitor="nobody", partition="1999-01-01")
    assert len(page.warning) == 2 and LAST in text(page)
    assert "neither flagged nor quarantined" in text(opened(monitor="nights", partition=LAST, record="0"))
    assert "it shows on 2013-02-03" in text(opened(monitor="nights", partition="2013-02-01", incident=PATTERN))


def test_a_record_tells_each_column_and_where_its_score_lies(night: WrongNight) -> None:
    page = opened(monitor="nights", partition=LAST, record="31")
    table = page.dataframe[0].value
    assert list(table["column"]) == ["air_time", "carrier", "id"]
    assert list(table["observed"]) == ["9060", "ZZ", "31"]
    assert list(table["expected"][:2]) == ["151", "UA"] and list(table["part of the score"][:2]) == [80, 20]
    assert "score 9.00, flagged from 2.50; rarer than one in 2,500 normal records" in text(page)
    assert f"incident={PATTERN}" in "".join(links(page))
    told = text(opened(monitor="nights", partition=LAST, record="35"))
    assert "air_time is -3, and the rule says: air_time is at least 1" in told and "quarantined" in told
    table = opened(monitor="nights", partition=LAST, record="35").dataframe[0].value
    assert table["remark"][list(table["column"]).index("air_time")] == "breaks: air_time is at least 1"


def test_a_record_is_shown_above_normal_ones_that_are_like_it(night: WrongNight) -> None:
    page = opened(monitor="nights", partition=LAST, record="31")
    (table,) = [each for each in sources(page) if "<table>" in each]
    assert re.findall(r'<th scope="\w+">(.*?)</th>', table) == [
        *("record", "air_time", "carrier", "stops"),
        *("31", "n1", "n2"),
    ]
    cells = re.findall(r'<td(?: class="tw-(\w+)")?>(.*?)</td>', table)
    assert cells[:3] == [("wrong", "9060"), ("wrong", "ZZ"), ("", "null")]
    assert cells[3:6] == [("usual", "150"), ("same", "ZZ"), ("", "0")]
    assert "nearest to it in everything but air_time, carrier, and not flagged" in text(page)
    for key in ("32", "34"):
        assert "None is kept beside it" in text(opened(monitor="nights", partition=LAST, record=key))
    assert "Normal records" not in text(opened(monitor="nights", partition=LAST, record="35")), "it was not scored"


def test_a_label_is_written_with_its_author(night: WrongNight) -> None:
    page = opened(monitor="nights", partition=LAST, record="31")
    press(page, "Label")
    assert "say who you are" in text(page) and not night.store.labels("nights")
    page.text_input(key="author-label").input("  ada ")
    page.text_input[0].input("a unit mistake")
    press(page, "Label")
    (written,) = night.store.labels("nights")
    assert (written.record_key, written.label, written.author) == ("31", "confirmed", "ada")
    assert written.note == "a unit mistake" and "is confirmed" in text(page)
    assert "ada on" in text(page)
    page.radio[0].set_value("Withdrawn: take back what was said")
    press(page, "Label")
    assert not night.store.labels("nights")


def test_the_records_of_an_incident_are_labelled_together(night: WrongNight) -> None:
    page = opened(monitor="nights", partition=LAST, incident=PATTERN)
    page.multiselect[0].select("31").select("35")
    page.text_input(key="author-label").input("ada")
    press(page, "Label")
    assert [each.record_key for each in night.store.labels("nights")] == ["31", "35"]
    page.multiselect[0].unselect("31").unselect("35")
    page.radio[0].set_value("Expected: it is fine, learn it and mute its pattern")
    press(page, "Label")
    labels = night.store.labels("nights", label="expected")
    assert [each.record_key for each in labels] == ["31", "32", "33", "35"]
    assert len(night.store.suppressions("nights")) == 1
    assert list(page.dataframe[0].value["label"]) == ["expected (ada)"] * 4


def test_an_incident_is_muted_and_told_of_again(night: WrongNight) -> None:
    page = opened(monitor="nights", partition=LAST, incident=PATTERN)
    page.text_input(key="author-mute").input("ada")
    page.number_input[0].set_value(7)
    press(page, "Mute")
    (muted,) = night.store.suppressions("nights", night.store.clock())
    days = (muted.expires_at - muted.created_at).total_seconds() / 86_400
    assert (muted.author, round(days, 2)) == ("ada", 7)
    assert "muted until" in text(page)
    assert "muted" in text(opened())
    press(page, "Unmute")
    assert not night.store.suppressions("nights", night.store.clock())


def test_a_dashboard_that_only_reads_shows_no_button_and_refuses(
    night: WrongNight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(writing.READ_ONLY, "1")
    for where in ({"incident": PATTERN}, {"record": "31"}, {"page": "models"}):
        page = opened(monitor="nights", partition=LAST, **where)
        assert not page.button and not page.text_input
    for write in (
        lambda: writing.label("nights", LAST, ["31"], "confirmed", "", "ada"),
        lambda: writing.mute("nights", PATTERN, 7, "", "ada"),
        lambda: writing.unmute("nights", "x", "ada"),
        lambda: writing.promote("nights", night.version, "ada"),
        lambda: writing.rollback("nights", "ada"),
    ):
        with pytest.raises(ConfigurationError, match="only reads"):
            write()
    assert not night.store.labels("nights") and not night.store.suppressions("nights")


def test_the_monitor_tells_what_a_smaller_rate_would_leave(night: WrongNight) -> None:
    page = opened(page="monitor", monitor="nights")
    told = text(page)
    assert "10 % on 2013-02-03, where 0.1 % (dashed) was asked for" in told
    assert "5 of the 5 flagged of 3 nights would still be flagged" in text(opened(page="monitor", rate="0.0005"))
    assert "At a rate of 0.02 %, 0 of the 5" in text(opened(page="monitor", rate="0.0002"))
    assert "farthest on 2013-02-03: air_time 0.40, carrier 0.10" in told
    assert list(page.dataframe[0].value["partition"]) == [LAST, "2013-02-02", "2013-02-01"]


def test_quality_tells_what_broke(night: WrongNight) -> None:
    page = opened(page="quality", monitor="nights", partition=LAST)
    assert "0 of 1 expectations hold" in text(page)
    assert "error 1 of 40 records break: air_time is at least 1" in text(page)
    assert list(page.dataframe[1].value["expectation"]) == ["air_time is at least 1"]
    assert kinds(page)[-1] == ["air_time is at least 1"]


def test_models_draw_how_the_error_fell(night: WrongNight) -> None:
    page = opened(page="models", monitor="nights", version=night.version)
    assert "While it was trained" in text(page) and kinds(page)[-1] == ["training", "validation"]
    plain = night.store.model_versions("nights")[0]
    fields = {name: getattr(plain, name) for name in TrainedModel.__dataclass_fields__}
    night.store.add_model_version(TrainedModel(**fields | {"version": "older", "metrics": {"loss": 0.1}}))
    data.forget()
    assert "No training curves" in text(opened(page="models", monitor="nights", version="older"))


def test_models_are_promoted_and_rolled_back(night: WrongNight) -> None:
    second = night.train(seed=1)
    page = opened(page="models", monitor="nights", version=night.version)
    assert list(page.dataframe[0].value["status"]) == ["champion", "retired"]
    page.text_input(key="author-crown").input("ada")
    press(page, "Promote this version")
    champion = night.store.champion("nights")
    assert champion is not None and champion.version == night.version
    assert champion.promotion_reason == "promoted by ada in the dashboard"
    press(page, "Roll back the champion")
    champion = night.store.champion("nights")
    assert champion is not None and champion.version == second
    told = "promoted by ada in the dashboard; rolled back by ada in the dashboard"
    assert list(page.dataframe[0].value["reason"]) == ["trained through 2013-02-02", told]


def test_p37_what_a_table_holds_is_never_markup(night: WrongNight) -> None:
    keys = night.harm()
    places: list[dict[str, str]] = [{}, {"incident": PATTERN}, *({"record": key} for key in keys)]
    places += [{"page": name} for name in address.TITLES]
    for where in places:
        page = opened(**({} if not where else {"monitor": "nights", "partition": LAST, **where}))
        for source in sources(page):
            tags = re.findall(r"<(/?\w+)", source)
            assert {tag.lstrip("/") for tag in tags} <= {*("h1", "h2", "p", "b", "span"), *TABLE}, source
            assert "\u202e" not in source
        # Labels and Markdown are words of ours; Streamlit would draw what stands in them.
        drawn = [
            str(getattr(each, "value", ""))
            for kind in ("markdown", "caption", "warning", "title")
            for each in page.get(kind)
        ]
        drawn += [each.proto.label for each in page.get("page_link")] + [each.label for each in page.button]
        drawn += [each.label for each in (*page.selectbox, *page.radio, *page.text_input, *page.expander)]
        assert not [each for each in drawn for payload in PAYLOADS if payload in each]


def test_p37_no_chart_takes_a_tables_text_for_a_field_or_an_expression(night: WrongNight) -> None:
    keys = night.harm()
    for where in (
        {"incident": PATTERN},
        {"page": "quality"},
        {"page": "monitor"},
        {"page": "record", "record": keys[0]},
    ):
        page = opened(monitor="nights", partition=LAST, **where)
        charts = page.get("arrow_vega_lite_chart") or page.get("vega_lite_chart")
        assert charts
        for chart in charts:
            spec = json.loads(chart.proto.spec)
            assert not [each for each in strings(without_values(spec)) for payload in PAYLOADS if payload in each]


def kinds(page: AppTest) -> list[list[str]]:
    """What the colours of each chart of a page stand for."""
    charts = page.get("arrow_vega_lite_chart") or page.get("vega_lite_chart")
    specs = [json.loads(each.proto.spec) for each in charts]
    return [each["encoding"]["color"]["scale"]["domain"] for each in specs if "encoding" in each]


def without_values(spec: Any) -> Any:
    """A chart's specification without its data and the order of its names."""
    if isinstance(spec, dict):
        hidden = ("values", "datasets", "sort", "domain")
        return {name: without_values(value) for name, value in spec.items() if name not in hidden}
    return [without_values(each) for each in spec] if isinstance(spec, list) else spec


def strings(spec: Any) -> list[str]:
    if isinstance(spec, str):
        return [spec]
    children = spec.values() if isinstance(spec, dict) else spec if isinstance(spec, list) else []
    return [each for child in children for each in strings(child)]


def test_p37_a_spreadsheet_runs_nothing_of_a_download() -> None:
    rows = [{"=name": payload, "score": -1.5} for payload in PAYLOADS]
    read = [*csv.reader(io.StringIO(export.as_csv(rows).decode()))]
    assert read[0] == ["'=name", "score"]
    assert [row[0] for row in read[1:]] == [f"'{each}" if each.startswith("=") else each for each in PAYLOADS]
    assert all(row[1] == "-1.5" for row in read[1:])
