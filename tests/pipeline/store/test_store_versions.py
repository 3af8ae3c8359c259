"""Suites, model versions, promotion and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.store import Store, TrainedModel


def trained(version: str, monitor: str = "flights", sha256: str = "ab" * 32) -> TrainedModel:
    return TrainedModel(
        monitor=monitor,
        version=version,
        sha256=sha256,
        model="ensemble",
        seed=7,
        window_first="2013-01-06",
        window_last="2013-02-02",
        window_records=25_000,
        suite_version="5eed",
        config_hash="c0ffee",
        metrics={"loss": 0.25, "canaries": {"swapped": 1.0}},
    )


def test_a_suite_comes_back_by_its_version(store: Store) -> None:
    store.add_suite("flights", "5eed", {"record": [{"type": "expect", "kwargs": {"max": 1.5}}], "schema": {}})
    store.add_suite("flights", "5eed", {"another": "body"})
    assert store.suite("flights", "5eed") == {"record": [{"type": "expect", "kwargs": {"max": 1.5}}], "schema": {}}
    with pytest.raises(ConfigurationError, match="trains: no suite version '5eed'; `tablewatch train trains`"):
        store.suite("trains", "5eed")


def test_a_trained_model_is_a_challenger_until_it_is_promoted(store: Store) -> None:
    store.add_model_version(trained("a"))
    assert store.champion("flights") is None
    (version,) = store.model_versions("flights")
    assert {name: getattr(version, name) for name in vars(trained("a"))} == vars(trained("a"))
    assert (version.status, version.promoted_at, version.promotion_reason) == ("challenger", None, None)


def test_promotion_retires_the_champion_before(store: Store) -> None:
    for version in "ab":
        store.add_model_version(trained(version))
        store.promote("flights", version, f"gate of {version}")
    assert [(v.version, v.status, v.promotion_reason) for v in store.model_versions("flights")] == [
        ("b", "champion", "gate of b"),
        ("a", "retired", "gate of a"),
    ]
    champion = store.champion("flights")
    assert champion is not None
    assert champion.version == "b"
    assert champion.promoted_at is not None
    assert champion.promoted_at > champion.created_at


def test_a_version_added_again_stays_what_it_became(store: Store) -> None:
    store.add_model_version(trained("a"))
    store.promote("flights", "a", "gate")
    before = store.model_versions("flights")
    store.add_model_version(trained("a"))
    store.promote("flights", "a", "once more")
    assert store.model_versions("flights") == before
    with pytest.raises(ConfigurationError, match="no earlier champion"):
        store.rollback("flights")


def test_an_unknown_version_is_refused_with_the_known_ones(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="flights: no model version 'x'; known versions are none; `tablewatch"):
        store.promote("flights", "x", "hope")
    for version in "ba":
        store.add_model_version(trained(version))
    store.add_model_version(trained("x", "trains"))
    with pytest.raises(ConfigurationError, match="flights: no model version 'x'; known versions are a, b"):
        store.promote("flights", "x", "hope")
    assert store.champion("flights") is None


def test_rollback_goes_back_one_champion_at_a_time(store: Store) -> None:
    for version in "abc":
        store.add_model_version(trained(version))
        store.promote("flights", version, "gate")
    assert [store.rollback("flights"), store.rollback("flights")] == ["b", "a"]
    with pytest.raises(
        ConfigurationError, match="flights: no earlier champion to go back to; `tablewatch train flights`"
    ):
        store.rollback("flights")
    assert {v.version: v.status for v in store.model_versions("flights")} == {
        "a": "champion",
        "b": "retired",
        "c": "retired",
    }


def test_after_a_rollback_the_way_back_leads_around_what_was_rolled_back(store: Store) -> None:
    for version in "abc":
        store.add_model_version(trained(version))
    store.promote("flights", "a", "gate")
    store.promote("flights", "b", "gate")
    assert store.rollback("flights") == "a"
    store.promote("flights", "c", "gate")
    assert store.rollback("flights") == "a"


def test_rollback_is_of_one_monitor(store: Store) -> None:
    for monitor in ("flights", "trains"):
        for version in "ab":
            store.add_model_version(trained(version, monitor))
            store.promote(monitor, version, "gate")
    store.rollback("flights")
    champion = store.champion("trains")
    assert champion is not None
    assert champion.version == "b"


def test_p31_the_database_itself_refuses_a_second_champion(store: Store, engine: sa.Engine) -> None:
    for version in "ab":
        store.add_model_version(trained(version))
    store.promote("flights", "a", "gate")
    with engine.connect() as connection, pytest.raises(sa.exc.IntegrityError):
        connection.execute(sa.text("UPDATE model_versions SET status = 'champion'"))


@settings(deadline=None, max_examples=20)
@given(st.lists(st.sampled_from(["a", "b", "c", "rollback"]), max_size=12))
def test_p31_after_any_history_there_is_at_most_one_champion_and_it_is_the_right_one(
    tmp_path_factory: pytest.TempPathFactory, history: list[str]
) -> None:
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('history') / Path('store.db')}")
    store.migrate()
    for version in "abc":
        store.add_model_version(trained(version))
    standing: list[str] = []
    for step in history:
        if step != "rollback":
            store.promote("flights", step, "gate")
            standing += [step] if standing[-1:] != [step] else []
        elif len(standing) > 1:
            standing.pop()
            assert store.rollback("flights") == standing[-1]
        else:
            with pytest.raises(ConfigurationError):
                store.rollback("flights")
        champions = [v.version for v in store.model_versions("flights") if v.status == "champion"]
        assert champions == standing[-1:]
