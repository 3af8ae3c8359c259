"""The passes that hide columns, and whose error a held-out record gets."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from models import Spec, build
from models.losses import cell_errors
from pipeline.detector import network
from pipeline.detector.network import BLUNT_STEPS, EXACT_COLUMNS, Network, Schedule, hiding


def spec_of(model: str, columns: int) -> Spec:
    return Spec(model, (1,) * columns, (0,) * columns, tuple(range(columns)), scaled=model == "ensemble")


def passes_of(spec: Spec) -> np.ndarray:
    """What each pass hides, (passes, columns); one that hides nothing for plain models."""
    rows = [np.equal(groups, at) for groups in hiding(spec) for at in range(max(groups) + 1)]
    return np.array(rows or [np.zeros(spec.column_count)], dtype="float32")


@pytest.mark.parametrize("columns", [1, 2, EXACT_COLUMNS])
def test_few_columns_are_hidden_one_at_a_time(columns: int) -> None:
    np.testing.assert_array_equal(passes_of(spec_of("ensemble", columns)), np.eye(columns))


@pytest.mark.parametrize("columns", [EXACT_COLUMNS + 1, 60, 333])
def test_many_columns_are_hidden_a_twelfth_at_a_time_each_twice(columns: int) -> None:
    passes = passes_of(spec_of("ensemble", columns))
    assert passes.shape == (24, columns)
    assert (passes.sum(axis=0) == 2).all()
    assert passes.sum(axis=1).max() - passes.sum(axis=1).min() <= 1
    np.testing.assert_array_equal(passes, passes_of(spec_of("ensemble", columns)))
    company = passes.T @ passes - np.diag(np.full(columns, 2.0))
    assert (company == 2).mean() < 0.05, "two columns are seldom hidden together both times"


@pytest.mark.parametrize("model", ["autoencoder", "vae"])
def test_plain_models_see_the_whole_record(model: str) -> None:
    assert hiding(spec_of(model, 30)) == []


@pytest.mark.parametrize(("records", "steps"), [(20, 500), (6_000, 500), (12_000, 1_000), (10**6, 2_000)])
def test_a_network_that_learns_scales_takes_fewer_steps_on_a_small_window(records: int, steps: int) -> None:
    assert Schedule(2_000, 256, 3e-3).steps_for(SPECS["wide"], records) == steps
    assert Schedule(60, 64, 3e-3).steps_for(SPECS["wide"], records) == 60


@pytest.mark.parametrize(("records", "steps"), [(20, 1_000), (9_000, 1_500), (12_000, 2_000), (10**6, 2_000)])
def test_relations_between_categories_take_twice_the_steps(records: int, steps: int) -> None:
    spec = replace(SPECS["ensemble"], levels=(0, 4, 0, 2, 0))
    assert Schedule(2_000, 256, 3e-3).steps_for(spec, records) == steps


@pytest.mark.parametrize("records", [20, 10**6])
def test_a_network_without_scales_takes_as_many_steps_on_any_window(records: int) -> None:
    schedule = Schedule(3_000, 128, 3e-3)
    assert schedule.steps_for(SPECS["blunt"], records) == BLUNT_STEPS
    assert schedule.steps_for(SPECS["vae"], records) == schedule.steps_for(SPECS["autoencoder"], records) == 3_000
    assert Schedule(60, 64, 3e-3).steps_for(SPECS["blunt"], records) == 60


CELLS = ((1, 1, 2, 1, 1), (0, 3, 0, 2, 0), (0, 1, 2, 2, 3))
"""A number, a category, a column of two numbers with a presence level, and another number."""
SPECS = {
    "autoencoder": Spec("autoencoder", *CELLS),
    "vae": Spec("vae", *CELLS),
    "ensemble": Spec("ensemble", *CELLS, scaled=True),
    "blunt": Spec("ensemble", *CELLS, blunt=True),
    "wide": Spec("ensemble", (1,) * 26, (0,) * 26, tuple(range(26)), scaled=True),
}


@pytest.fixture(scope="module", params=SPECS)
def untrained(request: pytest.FixtureRequest) -> Network:
    """A network of each kind whose members differ by chance; what it has learned does not matter here."""
    keras.utils.set_random_seed(0)
    spec = SPECS[request.param]
    return Network(spec, build(spec).get_weights())


def encoded(spec: Spec, n: int = 30) -> np.ndarray:
    """Encoded records, float32 (n, slots), with missing numbers and unseen levels."""
    draw = np.random.default_rng(0)
    found = draw.normal(0, 2, (n, spec.slots)).astype("float32")
    found[draw.random(found.shape) < 0.05] = np.nan
    for cell in spec.category_cells:
        found[:, spec.starts[cell]] = draw.integers(-1, spec.levels[cell], n)
    return found


CLOSE: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-4}
"""Matrix products of other shapes differ in their last bits."""


def test_errors_are_the_models_with_each_column_hidden_in_turn(untrained: Network) -> None:
    spec, matrix = untrained.spec, encoded(untrained.spec)
    passes = passes_of(spec)
    each = np.repeat(matrix[:, None], spec.members, axis=1)
    found = np.zeros((30, spec.members, len(spec.widths)))
    for cell, column in enumerate(spec.columns):
        own = [hide for hide in passes if hide[column] or not passes.any()]
        for hide in own:
            output = untrained.model([each, np.broadcast_to(hide, (30, spec.members, spec.column_count))])
            found[..., cell] += ops.convert_to_numpy(cell_errors(spec, each, output))[..., cell] / len(own)
    np.testing.assert_allclose(untrained.errors(matrix), found, **CLOSE)


@pytest.mark.parametrize("folds", [np.arange(30) % 2, np.arange(30) < 8, np.zeros(30)], ids=["even", "uneven", "one"])
def test_a_held_out_error_is_that_of_the_member_that_never_saw_the_record(
    untrained: Network, folds: np.ndarray
) -> None:
    matrix = encoded(untrained.spec)
    by_member = untrained.errors(matrix)
    expected = by_member[np.arange(30), folds.astype(int)]
    np.testing.assert_allclose(untrained.held_out_errors(matrix, folds.astype(int)), expected, **CLOSE)
    assert np.abs(by_member[:, 0] - by_member[:, 1]).max() > 0.01


def test_p15_some_records_at_a_time_have_the_errors_of_all_at_once(
    untrained: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix, folds = encoded(untrained.spec), np.arange(30) % 2
    together, held_out = untrained.errors(matrix), untrained.held_out_errors(matrix, folds)
    monkeypatch.setattr(network, "ROWS", 30)
    np.testing.assert_allclose(untrained.errors(matrix), together, **CLOSE)
    np.testing.assert_allclose(untrained.held_out_errors(matrix, folds), held_out, **CLOSE)


def test_a_member_alone_errs_as_it_does_in_company(untrained: Network) -> None:
    if untrained.spec.model != "ensemble":
        pytest.skip("hides nothing")
    spec, matrix = untrained.spec, encoded(untrained.spec)
    groups = [column % 2 for column in range(spec.column_count)]
    together = Network(spec, untrained.weights, [groups]).errors(matrix)
    for member in range(spec.members):
        alone = untrained.alone(member, groups).errors(matrix)
        np.testing.assert_allclose(alone[:, 0], together[:, member], rtol=1e-5, atol=1e-5)


def test_errors_with_any_columns_hidden_are_the_members_mean(untrained: Network) -> None:
    spec, matrix = untrained.spec, encoded(untrained.spec)
    hidden = (np.random.default_rng(1).random((30, spec.column_count)) < 0.4).astype("float32")
    each = [np.repeat(given[:, None], spec.members, axis=1) for given in (matrix, hidden)]
    expected = ops.convert_to_numpy(cell_errors(spec, each[0], untrained.model(each))).mean(axis=1)
    np.testing.assert_allclose(untrained.errors_with(matrix, hidden), expected, **CLOSE)


def test_what_is_put_in_place_is_the_mean_of_the_members(untrained: Network) -> None:
    if untrained.spec.model != "ensemble":
        pytest.skip("repairs again and again")
    spec, matrix = untrained.spec, encoded(untrained.spec)
    column = np.arange(30) % spec.column_count
    hidden = np.eye(spec.column_count, dtype="float32")[column]
    each = [np.repeat(given[:, None], spec.members, axis=1) for given in (matrix, hidden)]
    output = ops.convert_to_numpy(untrained.model(each))
    np.testing.assert_allclose(untrained.reconstruct(matrix, column), output.mean(axis=1), **CLOSE)


@pytest.mark.parametrize("kind", ["ensemble", "blunt"])
def test_the_error_of_a_masked_cell_is_against_its_own_value(kind: str) -> None:
    """The model does not see the cell it is judged on: its error depends on the value only through the comparison."""
    untrained, matrix = Network(SPECS[kind], build(SPECS[kind]).get_weights()), encoded(SPECS[kind])
    other, column = matrix.copy(), np.full(30, 3)
    other[:, 5] += 3.0
    np.testing.assert_array_equal(untrained.reconstruct(other, column), untrained.reconstruct(matrix, column))


def test_p17_no_member_is_trained_on_the_records_of_its_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    """The records carry their fold in every number; what each member is given is looked at on its way in."""
    given: list[np.ndarray] = []

    def spy(model: keras.Model, data: list[np.ndarray], **_: Any) -> Any:
        given.append(data[0])
        return SimpleNamespace(history={"loss": [1.0]})

    monkeypatch.setattr(keras.Model, "fit", spy)
    folds = np.arange(40) % 2
    matrix = np.repeat(folds[:, None], SPECS["wide"].slots, axis=1).astype("float32")
    monkeypatch.setattr(network, "SCHEDULES", {"ensemble": Schedule(60, 8, 3e-3)})
    Network.fit(SPECS["wide"], matrix, folds, seed=0)

    drawn = np.concatenate(given)
    assert drawn.shape == (60 * 8, 2, 26)
    assert (drawn[:, 0] == 1).all() and (drawn[:, 1] == 0).all()


@pytest.mark.parametrize("kind", ["ensemble", "vae"])
def test_the_loss_is_kept_as_it_falls_and_looking_at_it_changes_no_weight(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, folds = SPECS[kind], np.arange(80) % 2
    matrix = encoded(spec, 80)
    monkeypatch.setattr(network, "SCHEDULES", {spec.model: Schedule(200, 16, 3e-3, fewest=200)})
    seen = Network.fit(spec, matrix, folds, seed=0)
    assert seen.curve["steps"] == [20.0 * (part + 1) for part in range(network.PARTS)]
    for losses in (seen.curve["training"], seen.curve["validation"]):
        assert len(losses) == network.PARTS and np.isfinite(losses).all()
    assert seen.curve["training"][-1] < seen.curve["training"][0]
    assert seen.curve["validation"][-1] > seen.curve["training"][-1], "80 records are learned by heart"
    monkeypatch.setattr(Network, "_draw_curve", lambda *_: None)
    unseen = Network.fit(spec, matrix, folds, seed=0)
    for one, other in zip(seen.weights, unseen.weights, strict=True):
        np.testing.assert_array_equal(one, other)
