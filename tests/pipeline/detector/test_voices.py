"""What speaks for an anomaly: how errors become surprises, and the surprises of columns and members one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from models import Spec
from pipeline.calibration import TailSurprise, log_sum_exp
from pipeline.detector.memory import Memory
from pipeline.detector.voices import ColumnVoice, MemoryVoice

COLUMNS = 5
SHAPE = ((1,) * 6, (0, 0, 0, 0, 2, 0), (0, 1, 2, 3, 3, 4))
"""Five columns of a number each; the fourth has a cell more, whether the value is there."""
SHARP = Spec("ensemble", *SHAPE, scaled=True)
BLUNT = Spec("ensemble", *SHAPE, blunt=True)


@dataclass
class Squares:
    """In place of a network: the error of a cell is its square, to the second member three times as much."""

    spec: Spec

    def errors(self, matrix: np.ndarray) -> np.ndarray:
        return np.stack([matrix**2, 3.0 * matrix**2], axis=1)

    def held_out_errors(self, matrix: np.ndarray, folds: np.ndarray) -> np.ndarray:
        return np.asarray(self.errors(matrix)[np.arange(len(matrix)), folds])


def records(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 6)).astype("float32")


def fit(spec: Spec) -> tuple[ColumnVoice, np.ndarray]:
    network: Any = Squares(spec)
    return ColumnVoice.fit(network, records(400), np.arange(400) % 2)


def test_a_cell_is_judged_by_its_own_held_out_errors() -> None:
    voice, _ = fit(SHARP)
    errors = Squares(SHARP).held_out_errors(records(400), np.arange(400) % 2)
    assert len(voice.cells) == 6
    for cell, tail in enumerate(voice.cells):
        np.testing.assert_array_equal(tail.to_array(), TailSurprise.fit(errors[:, cell]).to_array())


@pytest.mark.parametrize("spec", [SHARP, BLUNT], ids=["sharp", "blunt"])
def test_each_member_has_its_own_surprise_of_each_column(spec: Spec) -> None:
    voice, _ = fit(spec)
    errors = Squares(spec).errors(records(50, 1))

    found = voice.surprises(records(50, 1))

    assert found.shape == (50, 2, COLUMNS)
    for member in range(2):
        for column, cell in enumerate((0, 1, 2, None, 5)):
            if cell is not None:
                error = errors[:, member, cell]
                held_out = voice.cells[cell](error)
                expected = np.minimum(held_out, error) if spec.scaled else held_out
                np.testing.assert_allclose(found[:, member, column], expected)
    assert (found[:, 1] >= found[:, 0]).all() and (found[:, 1] > found[:, 0]).any()


def test_a_columns_surprise_is_that_of_its_most_surprising_cell() -> None:
    voice, _ = fit(SHARP)
    far = np.zeros((3, 6), "float32")
    far[0, 3], far[1, 4], far[2, [3, 4]] = 2.0, 2.0, 2.0
    number, level, both = voice.surprises(far)[:, 0, 3]
    assert number == pytest.approx(float(voice.cells[3](np.array(4.0))))
    assert level == pytest.approx(float(voice.cells[4](np.array(4.0))))
    assert both == max(number, level) > 1


@pytest.mark.parametrize(("spec", "limited"), [(SHARP, True), (BLUNT, False)], ids=["sharp", "blunt"])
def test_an_error_in_nats_is_no_greater_a_surprise_than_the_network_says(spec: Spec, limited: bool) -> None:
    """That of a level is in nats in any network, and counts half as much again; that of a number where scales are."""
    voice, _ = fit(spec)
    steep = TailSurprise(np.array([0.0]), np.array([0.0]), start=0.0, tail=3.0, excess=0.01)
    voice.cells[3] = voice.cells[4] = steep
    far = np.zeros((3, 6), "float32")
    far[0, 4], far[1, 3] = 2.0, 2.0
    level, number, nothing = voice.surprises(far)[:, 0, 3]
    assert float(steep(np.array(4.0))) > 100
    assert level == pytest.approx(1.5 * 4.0) and nothing == 0.0
    assert number == pytest.approx(4.0 if limited else float(steep(np.array(4.0))))


def loud(spec: Spec, surprise: np.ndarray) -> np.ndarray:
    """How loud columns are together, read off a voice whose tail of all columns is the logarithm and nothing else."""
    plain = TailSurprise(np.array([-50.0]), np.array([0.0]), -50.0, -50.0, 1.0)
    network: Any = Squares(spec)
    return np.exp(ColumnVoice(network, [], plain)(surprise[:, None]))


@pytest.mark.parametrize("model", ["ensemble", "autoencoder", "vae"])
def test_among_categories_the_loudest_column_is_heard(model: str) -> None:
    spec = Spec(model, (1,) * COLUMNS, (0, 0, 4, 0, 0), tuple(range(COLUMNS)), scaled=model == "ensemble")
    surprise = np.abs(records(50)[:, :COLUMNS]) * 5
    np.testing.assert_allclose(loud(spec, surprise), log_sum_exp(surprise))


@pytest.mark.parametrize(("columns", "few"), [(1, 1), (2, 2), (3, 2), (6, 2), (7, 3), (30, 5), (100, 10)])
@pytest.mark.parametrize("blunt", [False, True], ids=["sharp", "blunt"])
def test_on_tables_of_numbers_the_loudest_few_are_summed(columns: int, few: int, blunt: bool) -> None:
    spec = Spec("ensemble", (1,) * columns, (0,) * columns, tuple(range(columns)), scaled=not blunt, blunt=blunt)
    surprise = np.random.default_rng(0).uniform(0.1, 9, (50, columns))
    expected = [sum(sorted(row)[-few:]) for row in surprise]
    np.testing.assert_allclose(loud(spec, surprise), expected)


@pytest.mark.parametrize("spec", [SHARP, BLUNT], ids=["sharp", "blunt"])
def test_a_records_surprise_is_the_mean_of_its_members(spec: Spec) -> None:
    voice, _ = fit(spec)
    surprises = voice.surprises(records(50, 1))
    alone = [voice(surprises[:, [member]]) for member in range(2)]
    np.testing.assert_allclose(voice(surprises), (alone[0] + alone[1]) / 2)
    assert (alone[1] > alone[0]).mean() > 0.9


@pytest.mark.parametrize("spec", [SHARP, BLUNT], ids=["sharp", "blunt"])
def test_p17_a_held_out_record_surprises_as_the_member_that_never_saw_it_says(spec: Spec) -> None:
    voice, held_out = fit(spec)
    surprises = voice.surprises(records(400))
    alone = np.stack([voice(surprises[:, [member]]) for member in range(2)], axis=1)
    np.testing.assert_allclose(held_out, alone[np.arange(400), np.arange(400) % 2])
    # One in twenty is as surprising as that, whatever the columns say.
    assert (held_out >= -np.log(0.05)).mean() == pytest.approx(0.05, abs=0.01)


def test_the_memory_speaks_by_the_distances_of_records_that_are_not_their_own_neighbours() -> None:
    rows, later = records(300), records(20, 1)
    rows[:, 4] = later[:, 4] = 1.0
    memory = Memory(rows, SHARP)
    own = np.where(np.arange(300) < 200, np.arange(300), -1)

    voice, held_out = MemoryVoice.fit(memory, rows, own)

    tail = TailSurprise.fit(memory.distances(rows, own))
    np.testing.assert_array_equal(voice.distance.to_array(), tail.to_array())
    np.testing.assert_array_equal(held_out, tail(memory.distances(rows, own)))
    np.testing.assert_array_equal(voice(later), tail(memory.distances(later)))
    assert held_out[:200].min() > held_out[200:].max(), "what is its own neighbour is at no distance"
