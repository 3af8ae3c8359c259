"""Training and running a model over encoded records: folds, hiding schedules, reconstruction errors."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from models import Spec
from pipeline.detector.masked import Groups, Masked
from pipeline.detector.shown import Shown
from pipeline.detector.side_by_side import even_parts, side_by_side
from pipeline.errors import RefusedData

if TYPE_CHECKING:
    import keras

Progress = Callable[[float, str], None]
PARTS = 10
ROWS = 12_288
"""So many rows, one for each record and pass, are measured at a time."""
EXACT_COLUMNS = 24
BLUNT_STEPS = 1_500
CURVE_RECORDS = 128

Curve = dict[str, list[float]]


@dataclass(frozen=True)
class Schedule:
    """How a model is trained: `steps` of `batch` records a member, drawn with replacement.

    A network that learns scales takes fewer steps on a small window, one for every twelve records and no fewer than
    `fewest`: on a few hundred records the full number learns the scales of its own training errors by heart. Relations
    between categories take twice as many.
    """

    steps: int
    batch: int
    rate: float
    fewest: int = 500

    def steps_for(self, spec: Spec, records: int) -> int:
        """The steps of the network of `spec` for a window of so many records."""
        if spec.blunt:
            return min(self.steps, BLUNT_STEPS)
        if spec.model != "ensemble":
            return self.steps
        return min(self.steps, max(self.fewest, records // 12) * (1 if spec.numbers_only else 2))


SCHEDULES = {
    "ensemble": Schedule(2_000, 256, 3e-3),
    "autoencoder": Schedule(3_000, 128, 3e-3),
    "vae": Schedule(3_000, 128, 3e-3),
    "screen": Schedule(4_000, 256, 3e-3),
}


class Network:
    """A trained model and the passes by which it measures a record: those of `partitions`, or of `hiding(spec)`.

    `weights` are the Keras model's, in its own order. The masked-cell network hides columns in many passes, and is run
    by NumPy; the plain autoencoders see the whole record in one, and are run by Keras.
    """

    def __init__(self, spec: Spec, weights: Sequence[np.ndarray], partitions: Sequence[Groups] | None = None) -> None:
        self.spec = spec
        self.weights = list(weights)
        self.loss: float | None = None
        self.curve: Curve = {"steps": [], "training": [], "validation": []}
        self.partitions = hiding(spec) if partitions is None else partitions

    @classmethod
    def restored(cls, spec: Spec, weights: Sequence[np.ndarray]) -> Network:
        """The network of weights that were kept, ready to run. ValueError where they are not those of `spec`."""
        network = cls(spec, weights)
        _ = network._run
        return network

    @cached_property
    def model(self) -> keras.Model:
        """The Keras model with these weights."""
        from models import build

        model = build(self.spec)
        model.set_weights(self.weights)
        return model

    @cached_property
    def _run(self) -> Masked | Shown:
        return Masked(self.spec, self.weights) if self.spec.model == "ensemble" else Shown(self.spec, self.model)

    def alone(self, member: int, groups: Groups) -> Network:
        """The network of one member, measuring a record while each of `groups` is hidden in turn."""
        own = [np.split(weight, self.spec.members)[member] for weight in self.weights]
        return Network(replace(self.spec, members=1), own, [groups])

    @classmethod
    def fit(
        cls,
        spec: Spec,
        matrix: np.ndarray,
        folds: np.ndarray,
        seed: int,
        progress: Progress | None = None,
        weights: np.ndarray | None = None,
        purpose: str | None = None,
    ) -> Network:
        """Train each member on the records outside its fold, so that every record has an error it was not trained on.

        `matrix` is float32 (n, slots), `folds` int (n,): a record of a member's number is not trained on by that
        member, one of any other number, such as -1, is. `weights` float64 (n,) says how much more often than others a
        record is drawn. `purpose` names the schedule, where it is not that of the model. RefusedData when the loss is
        not finite.
        """
        import keras

        schedule = SCHEDULES[purpose or spec.model]
        steps = schedule.steps_for(spec, len(matrix))
        model = _seeded(spec, seed)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, steps - 50, alpha=0.01, warmup_target=schedule.rate, warmup_steps=50
        )
        part_steps = steps // PARTS
        model.compile(
            keras.optimizers.AdamW(rate, weight_decay=1e-4, global_clipnorm=10.0),
            steps_per_execution=min(20, part_steps),
        )
        draw = np.random.default_rng(seed)
        network = cls(spec, model.get_weights())
        rows = [np.flatnonzero(folds != member) for member in range(spec.members)]
        odds = [None if weights is None else weights[own] / weights[own].sum() for own in rows]
        for part in range(PARTS):
            _warm_up(model, part)
            drawn = [draw.choice(own, part_steps * schedule.batch, p=p) for own, p in zip(rows, odds, strict=True)]
            picked = np.stack(drawn, axis=1)
            hidden = np.zeros((*picked.shape, spec.column_count), dtype=np.float32)
            history = model.fit([matrix[picked], hidden], batch_size=schedule.batch, shuffle=False, verbose=0)
            loss = history.history["loss"][-1]
            if not np.isfinite(loss):
                raise RefusedData(f"training diverged (loss {loss}): look for far-out values in the window's numbers")
            network.loss = float(loss)
            network.weights = model.get_weights()
            network._draw_curve(model, (part + 1) * part_steps, matrix, folds)
            if progress:
                progress((part + 1) / PARTS, f"loss {loss:.3f}")
        return network

    def _draw_curve(self, model: keras.Model, steps: int, matrix: np.ndarray, folds: np.ndarray) -> None:
        """Add a point: the loss of records that each member trains on, and of records of its fold, which it never sees.

        The same records at every point, and what is hidden of them is not drawn, so that training draws as it would.
        """
        own = folds[:, None] == np.arange(self.spec.members)
        if not own.any(axis=0).all() or own.all(axis=0).any():
            return
        self.curve["steps"].append(steps)
        for name, which in (("training", ~own), ("validation", own)):
            rows = [np.flatnonzero(which[:, member]) for member in range(self.spec.members)]
            chosen = [each[np.linspace(0, len(each) - 1, CURVE_RECORDS).astype(int)] for each in rows]
            self.curve[name].append(self._loss(model, matrix[np.stack(chosen, axis=1)]))

    def _loss(self, model: keras.Model, record: np.ndarray) -> float:
        """The mean loss of the cells of (n, members, slots), each while it is hidden."""
        from models.layers import targets
        from models.losses import cell_losses

        if self.spec.model == "ensemble":
            masked = Masked(self.spec, self.weights)
            outputs = [masked.hidden_in_turn(record, groups) for groups in self.partitions]
        else:
            nothing = np.zeros((*record.shape[:2], self.spec.column_count), dtype=np.float32)
            outputs = [model([record, nothing], training=False)]
        target = targets(self.spec, record)
        return float(np.mean([np.asarray(cell_losses(self.spec, target, output)) for output in outputs]))

    def errors(self, matrix: np.ndarray) -> np.ndarray:
        """Each member's reconstruction error of each cell from the other columns, float32 (n, members, cells)."""
        return self._measured(len(matrix), lambda part: matrix[part, None])

    def held_out_errors(self, matrix: np.ndarray, folds: np.ndarray) -> np.ndarray:
        """The errors by the member that never saw the record, float32 (n, cells)."""
        own = [np.flatnonzero(folds == member) for member in range(self.spec.members)]
        longest = max(len(rows) for rows in own)
        # Each member is given the records of its own fold: one pass for all folds instead of one for each.
        given = np.stack([np.resize(rows, longest) for rows in own], axis=1)
        errors = self._measured(longest, lambda part: matrix[given[part]])
        found = np.empty((len(matrix), errors.shape[2]), dtype=np.float32)
        for member, rows in enumerate(own):
            found[rows] = errors[: len(rows), member]
        return found

    def errors_with(self, matrix: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """The members' mean error of each cell, float32 (n, cells), while any columns are `hidden` (n, columns)."""
        return self._run.errors_with(matrix, hidden)

    def _measured(self, count: int, given: Callable[[slice], np.ndarray]) -> np.ndarray:
        """(count, members, cells): the errors of each cell while its column is hidden, some records at a time.

        `given` makes the rows (k, 1 or members, slots) that the members are given of a slice of the records.
        """
        # A cell's errors are looked at together, so that they lie together.
        found = np.empty((self.spec.members, len(self.spec.widths), count), dtype=np.float32)
        passes = max((max(groups) + 1 for groups in self.partitions), default=1)
        parts = even_parts(count, max(1, ROWS // passes))

        def told(part: slice) -> np.ndarray:
            return self._run.errors(given(part), self.partitions)

        for part, errors in zip(parts, side_by_side(told, parts), strict=True):
            found[:, :, part] = np.moveaxis(errors, 0, 2)
        return np.moveaxis(found, 2, 0)

    def reconstruct(self, matrix: np.ndarray, column: np.ndarray) -> np.ndarray:
        """The output (n, outputs) with each record's `column` (n,) hidden: its expected value given the others.

        A model that never saw hidden cells in training repairs instead: its reconstruction is put in place of the
        hidden cells and reconstructed again.
        """
        hidden = np.eye(self.spec.column_count, dtype=np.float32)[column]
        output = self._run.output(matrix, hidden)
        if self.spec.model == "ensemble":
            return output
        for _ in range(3):
            matrix = self.repaired(matrix, column, output)
            output = self._run.output(matrix, np.zeros_like(hidden))
        return output

    def cell(self, output: np.ndarray, cell: int) -> np.ndarray:
        """The reconstruction of one cell: the logits of its levels or the most likely numbers, (n, levels or width)."""
        return output[:, slice(*self.spec.outputs[cell])]

    def repaired(self, matrix: np.ndarray, column: np.ndarray, output: np.ndarray) -> np.ndarray:
        """A copy of `matrix` with the cells of each record's `column` replaced by their reconstruction in `output`."""
        spec, mended = self.spec, matrix.copy()
        for cell, (start, width, levels) in enumerate(zip(spec.starts, spec.widths, spec.levels, strict=True)):
            rows = np.flatnonzero(column == spec.columns[cell])
            found = self.cell(output[rows], cell)
            mended[rows, start : start + width] = found.argmax(axis=1)[:, None] if levels else found
        return mended


def hiding(spec: Spec) -> list[Groups]:
    """Which columns are hidden together, as partitions of them: the number of each column's group.

    One column a pass; above `EXACT_COLUMNS` columns a twelfth of them a pass, over two random partitions. The plain
    autoencoders see the whole record, in one pass.
    """
    columns = spec.column_count
    if spec.model != "ensemble":
        return []
    if columns <= EXACT_COLUMNS:
        return [range(columns)]
    draw = np.random.default_rng(0)
    return [(draw.permutation(columns) % 12).tolist() for _ in range(2)]


def _warm_up(model: keras.Model, part: int) -> None:
    """Raise the weight of the divergence from 0 to 1 over the first third of the training."""
    if "divergence" in {layer.name for layer in model.layers}:
        model.get_layer("divergence").warm_up.assign(min(1.0, part / (PARTS / 3)))


def _seeded(spec: Spec, seed: int) -> keras.Model:
    """Keras draws the seeds of weights and noise from Python's own generator; its user's state is put back."""
    from models import build

    state = random.getstate()
    random.seed(seed)
    try:
        return build(spec)
    finally:
        random.setstate(state)
