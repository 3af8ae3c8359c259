"""What is held against a challenger: canaries surely missed, untouched records surely flagged."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.gate import objections


def canaries(**of_methods: dict[str, Any]) -> dict[str, Any]:
    """What a training measures, with 200 canaries made of 500 held-out records, at a rate of 1 %."""
    nothing = {"auc_roc": 0.9, "caught": 0.5, "lost": 0, "won": 0}
    methods = {"model": {"auc_roc": 0.9, "caught": 0.5, "flagged": 5}, "gaussian": nothing, "nearest": nothing}
    return {
        "count": 200,
        "controls": 490,
        "held_out": 500,
        "rate": 0.01,
        "asked": 0.01,
        "note": None,
        **methods,
        **of_methods,
    }


def champion(lost: int = 0, won: int = 0, flagged: int = 5, **kinds: tuple[int, int]) -> dict[str, Any]:
    by_kind = {kind: {"lost": a, "won": b} for kind, (a, b) in kinds.items()}
    return {"lost": lost, "won": won, "flagged": flagged, "corruptions": by_kind}


def test_nothing_is_held_against_one_who_does_as_well() -> None:
    assert objections(canaries()) == ()
    assert objections(canaries(champion=champion(lost=12, won=10))) == ()


@pytest.mark.parametrize(("lost", "won", "held"), [(8, 0, False), (9, 0, True), (30, 25, False), (40, 10, True)])
def test_p19_canaries_that_the_champion_catches_weigh_when_it_is_no_chance(lost: int, won: int, held: bool) -> None:
    found = objections(canaries(champion=champion(lost, won)))
    assert bool(found) == held
    if held:
        assert found == (
            f"it misses {lost} canaries that the champion catches, and catches {won} that the champion misses",
        )


def test_one_kind_of_corruption_is_enough_though_others_are_won() -> None:
    (found,) = objections(canaries(champion=champion(lost=14, won=14, swapped=(14, 0), emptied=(0, 14))))
    assert found.startswith("it misses 14 swapped canaries that the champion catches")


@pytest.mark.parametrize(("name", "words"), [("gaussian", "a Gaussian"), ("nearest", "the nearest neighbour")])
def test_a_model_that_loses_to_a_baseline_is_not_worth_its_training(name: str, words: str) -> None:
    (found,) = objections(canaries(**{name: {"lost": 30, "won": 5}}))
    assert words in found


@pytest.mark.parametrize(("flagged", "champions", "held"), [(10, None, False), (25, None, True), (25, 26, False)])
def test_too_many_untouched_records_flagged(flagged: int, champions: int | None, held: bool) -> None:
    """Surely more than twice the 5 asked for, and more than the champion, whose window may have drifted away too."""
    measured = canaries(model={"auc_roc": 0.9, "caught": 0.5, "flagged": flagged})
    if champions is not None:
        measured["champion"] = champion(flagged=champions)
    found = objections(measured)
    assert found == (("it flags 25 of 500 untouched records, asked for 1.00%",) if held else ())


def test_what_was_not_measured_is_not_held_against_anybody() -> None:
    few = {"auc_roc": None, "caught": None, "flagged": 0}
    assert objections({"held_out": 0, "asked": 0.01, "model": few, "gaussian": few, "nearest": few}) == ()
