"""Layers shared by the models. Tensors run (members, records, ...): every member has weights of its own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from models.losses import cell_losses
from models.spec import STRAIGHT, Spec

Tensor = Any
REACH = 10.0
"""Standard deviations beyond which a training target is not followed; errors are taken against the true value."""


def inputs(spec: Spec) -> tuple[list[Tensor], list[Tensor]]:
    """A model's inputs `record` and `hidden`, as given (records first) and as the layers take them (members first)."""
    record = keras.Input((spec.members, spec.slots), name="record")
    hidden = keras.Input((spec.members, spec.column_count), name="hidden")
    return [record, hidden], [ops.transpose(record, (1, 0, 2)), ops.transpose(hidden, (1, 0, 2))]


def outputs(output: Tensor) -> Tensor:
    """The layers' output with records first again."""
    return ops.transpose(output, (1, 0, 2))


def drawn_in(numbers: Tensor) -> Tensor:
    """Numbers as they are up to `STRAIGHT`, beyond by their logarithm: increasing without end, blown up by nothing."""
    size = ops.abs(numbers)
    beyond = STRAIGHT * (1.0 + ops.log(ops.maximum(size / STRAIGHT, 1.0)))
    return ops.where(size > STRAIGHT, ops.sign(numbers) * beyond, numbers)


class MemberDense(keras.layers.Layer):
    """A dense layer with one kernel a member: (members, records, inputs) to (members, records, units)."""

    def __init__(self, units: int, activation: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)

    def build(self, shape: tuple[int, ...]) -> None:
        """He-uniform kernels drawn for each member apart, as the fans of a (members, in, out) tensor would be wrong."""
        members, _, inputs = shape
        limit = (6.0 / inputs) ** 0.5 if self.activation is not keras.activations.linear else (3.0 / inputs) ** 0.5
        uniform = keras.initializers.RandomUniform(-limit, limit)
        self.kernel = self.add_weight(shape=(members, inputs, self.units), initializer=uniform, name="kernel")
        self.bias = self.add_weight(shape=(members, 1, self.units), initializer="zeros", name="bias")

    def call(self, inputs: Tensor) -> Tensor:
        return self.activation(ops.matmul(inputs, self.kernel) + self.bias)

    def some(self, inputs: Tensor, units: Sequence[int]) -> Tensor:
        """What `call` gives of those units only."""
        kernel, bias = (ops.take(weight, list(units), axis=-1) for weight in (self.kernel, self.bias))
        return self.activation(ops.matmul(inputs, kernel) + bias)


class MemberNorm(keras.layers.Layer):
    """Layer normalisation with a scale and offset of its own for each member."""

    def build(self, shape: tuple[int, ...]) -> None:
        self.scale = self.add_weight(shape=(shape[0], 1, shape[-1]), initializer="ones", name="scale")
        self.offset = self.add_weight(shape=(shape[0], 1, shape[-1]), initializer="zeros", name="offset")

    def call(self, inputs: Tensor) -> Tensor:
        centred = inputs - ops.mean(inputs, axis=-1, keepdims=True)
        deviation = ops.sqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + 1e-5)
        return centred / deviation * self.scale + self.offset


class HideColumns(keras.layers.Layer):
    """In training, draws which columns of each record are hidden: at a rate drawn uniformly from `rates` a record."""

    def __init__(self, columns: int, rates: tuple[float, float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.columns = columns
        self.rates = rates
        self.seed = keras.random.SeedGenerator()

    def call(self, hidden: Tensor, training: bool = False) -> Tensor:
        if not training:
            return hidden
        members, records = ops.shape(hidden)[0], ops.shape(hidden)[1]
        rate = keras.random.uniform((members, records, 1), *self.rates, seed=self.seed)
        draw = keras.random.uniform((members, records, self.columns), seed=self.seed)
        return ops.cast(draw < rate, hidden.dtype)


class ReadRecord(keras.layers.Layer):
    """The first dense layer, on the record as a network sees it: (members, n, slots) to (members, n, units).

    Its inputs are the numbers (`drawn_in`, 0 where hidden or missing), a sign for each cell of numbers that is
    hidden or missing, and one-hot categories, whose hidden and never-seen levels share a place of their own. The
    product with a one-hot code is a row of the kernel, so rows are looked up instead of multiplied.
    """

    def __init__(self, spec: Spec, units: int, activation: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.units = units
        self.activation = keras.activations.get(activation)

    def build(self, record_shape: tuple[int, ...], hidden_shape: tuple[int, ...]) -> None:
        spec, members = self.spec, record_shape[0]
        self.members = members
        numbers = len(spec.number_slots) + len(spec.number_cells)
        limit = (3.0 / (numbers + len(spec.category_cells))) ** 0.5
        uniform = keras.initializers.RandomUniform(-limit, limit)
        self.kernel = self.add_weight(shape=(members, numbers, self.units), initializer=uniform, name="kernel")
        self.bias = self.add_weight(shape=(members, 1, self.units), initializer="zeros", name="bias")
        self.rows = [
            self.add_weight(shape=(members * (spec.levels[i] + 1), self.units), initializer=uniform, name=f"rows_{i}")
            for i in spec.category_cells
        ]

    def call(self, record: Tensor, hidden: Tensor) -> Tensor:
        stream = self.bias
        if self.spec.number_cells:
            stream = stream + ops.matmul(self._numbers(record, hidden), self.kernel)
        for i, rows in zip(self.spec.category_cells, self.rows, strict=True):
            stream = stream + self._row(i, rows, record, hidden)
        return self.activation(stream)

    def _numbers(self, record: Tensor, hidden: Tensor) -> Tensor:
        spec = self.spec
        values = ops.take(record, spec.number_slots, axis=-1)
        column = [spec.columns[spec.number_cells[at]] for at in spec.cell_of_number]
        gone = ops.maximum(ops.take(hidden, column, axis=-1), ops.cast(ops.isnan(values), hidden.dtype))
        first = [spec.cell_of_number.index(at) for at in range(len(spec.number_cells))]
        seen = drawn_in(ops.where(gone > 0, 0.0, values))
        return ops.concatenate([seen, ops.take(gone, first, axis=-1)], axis=-1)

    def _row(self, cell: int, rows: Tensor, record: Tensor, hidden: Tensor) -> Tensor:
        away, code = hidden[..., self.spec.columns[cell]], record[..., self.spec.starts[cell]]
        index = ops.cast(ops.where(away > 0, 0.0, code + 1.0), "int32")
        member = ops.arange(self.members)[:, None] * (self.spec.levels[cell] + 1)
        return ops.take(rows, index + member, axis=0)

    def without_each(self, record: Tensor, groups: Sequence[Sequence[int]]) -> list[Tensor]:
        """What `call` gives with each group of cells hidden in turn, a (members, n, units) for each of them.

        `record` is (1 or members, n, slots); every cell is in one group.
        """
        nothing = ops.zeros((1, 1, self.spec.column_count))
        numbers = self._numbers(record, nothing) if self.spec.number_cells else None
        shown = [self._part(cells, record, numbers, nothing) for cells in groups]
        # Sums up to and from each group, as taking a far-out value off the sum of all would leave its rounding behind.
        before = list(itertools.accumulate(shown[:-1], initial=self.bias))
        after = list(itertools.accumulate(reversed(shown[1:]), initial=ops.zeros_like(shown[0])))[::-1]
        return [self.activation(before[at] + after[at] + self._absent(cells)) for at, cells in enumerate(groups)]

    def _part(self, cells: Sequence[int], record: Tensor, numbers: Tensor, nothing: Tensor) -> Tensor:
        """What some cells that are shown add to the layer's sum."""
        spec = self.spec
        own = {spec.number_cells.index(i) for i in cells if not spec.levels[i]}
        places = [at for at, cell in enumerate(spec.cell_of_number) if cell in own]
        places += [len(spec.cell_of_number) + at for at in sorted(own)]
        parts = [self._row(i, self._rows_of(i), record, nothing) for i in cells if spec.levels[i]]
        if own:
            parts.append(ops.matmul(ops.take(numbers, places, axis=-1), ops.take(self.kernel, places, axis=1)))
        return sum(parts)

    def _absent(self, cells: Sequence[int]) -> Tensor:
        """What some cells that are hidden add to the layer's sum, whatever is in them: (members, 1, units)."""
        spec = self.spec
        signs = [len(spec.cell_of_number) + spec.number_cells.index(i) for i in cells if not spec.levels[i]]
        parts = [self._rows_of(i)[:: spec.levels[i] + 1][:, None] for i in cells if spec.levels[i]]
        if signs:
            parts.append(ops.sum(ops.take(self.kernel, signs, axis=1), axis=1, keepdims=True))
        return sum(parts)

    def _rows_of(self, cell: int) -> Tensor:
        return self.rows[self.spec.category_cells.index(cell)]

    def compute_output_shape(self, record_shape: tuple[int, ...], hidden_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*record_shape[:-1], self.units)


def targets(spec: Spec, record: Tensor) -> Tensor:
    """What a record's reconstruction is trained towards: its numbers no farther out than `REACH`."""
    slots = [slot in spec.number_slots for slot in range(spec.slots)]
    return ops.where(ops.convert_to_tensor(slots), ops.clip(record, -REACH, REACH), record)


class ReconstructionLoss(keras.layers.Layer):
    """Adds the training loss, in which hidden cells count 1 and visible ones `visible`, and passes the output on.

    The loss is the mean of the cells' losses over cells and records, summed over members.
    """

    def __init__(self, spec: Spec, visible: float, category: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.visible = visible
        self.balance = [category if levels else 1.0 for levels in spec.levels]

    def call(self, record: Tensor, output: Tensor, hidden: Tensor, training: bool = False) -> Tensor:
        if not training:
            return output
        target = targets(self.spec, record)
        away = ops.take(hidden, self.spec.columns, axis=-1)
        weight = ops.convert_to_tensor(self.balance, dtype=away.dtype) * (self.visible + (1.0 - self.visible) * away)
        self.add_loss(ops.sum(ops.mean(cell_losses(self.spec, target, output) * weight, axis=(1, 2))))
        return output
