"""The masked-cell network that Keras has trained, run by NumPy: the same numbers but for the last bits.

A night runs it some million times over rows that fit into a processor's cache, where a product by BLAS and a few
operations in place are all there is to do. Nothing is traced or compiled first, and TensorFlow is not loaded.
`models.masked` is the definition; tests hold this to it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from models.spec import BLOCKS, Spec
from pipeline.detector.points import drawn_in
from pipeline.detector.shortfalls import cell_errors

NUMBERS = 2**17
"""So many numbers are in a residual stream at once, whatever its width: what is made of it stays in a cache."""
NORM_EPSILON = 1e-5

Groups = Sequence[int]


class Masked:
    """`weights` are those of the Keras model in its own order; ValueError where they are not those of `spec`."""

    def __init__(self, spec: Spec, weights: Sequence[np.ndarray]) -> None:
        if [weight.shape for weight in weights] != _shapes(spec):
            raise ValueError(f"the weights are not those of a network of {len(spec.widths)} cells")
        self.spec = spec
        by_member = zip(*(np.split(weight, spec.members) for weight in weights), strict=True)
        self.members = [Member(spec, own) for own in by_member]

    def errors(self, record: np.ndarray, partitions: Sequence[Groups]) -> np.ndarray:
        """The reconstruction error of each cell while its column is hidden, float32 (n, members, cells).

        `record` is (n, 1 or members, slots). Each of `partitions` parts the columns into groups, as the number of each
        column's group (columns,); a pass hides a group, and what is told is the mean over partitions.
        """
        found = np.zeros((len(self.members), len(self.spec.widths), len(record)), dtype=np.float32)
        for at, member in enumerate(self.members):
            own = record[:, at % record.shape[1]]
            for groups in partitions:
                found[at] += cell_errors(self.spec, own.T, member.hidden_in_turn(own, groups))
        return np.moveaxis(found, 2, 0) / np.float32(len(partitions))

    def hidden_in_turn(self, record: np.ndarray, groups: Groups) -> np.ndarray:
        """The output (n, members, output width), each cell of it from the pass that hides the cell's column."""
        own = (record[:, at % record.shape[1]] for at in range(len(self.members)))
        each = [member.hidden_in_turn(of, groups).T for member, of in zip(self.members, own, strict=True)]
        return np.stack(each, axis=1)

    def errors_with(self, record: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """The members' mean error of each cell, float32 (n, cells), while any columns are `hidden` (n, columns)."""
        each = [cell_errors(self.spec, record.T, member.output(record, hidden).T).T for member in self.members]
        return np.asarray(np.mean(each, axis=0))

    def output(self, record: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """The members' mean output (n, output width) of records (n, slots) of which `hidden` (n, columns) is hidden."""
        return np.asarray(np.mean([member.output(record, hidden) for member in self.members], axis=0))


class Member:
    """One member's layers: what it reads of a record, its residual blocks, its heads."""

    def __init__(self, spec: Spec, weights: Sequence[np.ndarray]) -> None:
        self.spec = spec
        each = iter(weights)
        self._kernel, self._bias = _centred(next(each)[0]), _centred(next(each)[0])
        self._rows = {cell: _centred(next(each)) for cell in spec.category_cells}
        # Halved, as the activation is told by half of what comes in.
        self._blocks = [
            (_after_norm(each) / 2, _centred(next(each)[0]), _centred(next(each)[0])) for _ in range(BLOCKS)
        ]
        self._head = _after_norm(each)

    def hidden_in_turn(self, record: np.ndarray, groups: Groups) -> np.ndarray:
        """The output (output width, n), each cell of it from the pass that hides the cell's column."""
        spec, count = self.spec, max(groups) + 1
        cells = [[i for i, column in enumerate(spec.columns) if groups[column] == group] for group in range(count)]
        places = [[place for cell in own for place in spec.places[cell]] for own in cells]
        heads = [self._head[:, own].T.copy() for own in places]
        found = np.empty((spec.output_width, len(record)), dtype=np.float32)
        for part in _parts(len(record), NUMBERS // spec.hidden):
            streams = self._without_each(record[part], cells)
            for stream, own, head in zip(streams, places, heads, strict=True):
                found[own, part] = head @ _normed(self._through(stream)).T
        return found

    def output(self, record: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """The output (n, output width) of records (n, slots) of which `hidden` (n, columns) is hidden."""
        spec = self.spec
        found = np.empty((len(record), spec.output_width), dtype=np.float32)
        for part in _parts(len(record), NUMBERS // spec.hidden):
            stream = self._through(self._read(record[part], hidden[part] > 0))
            found[part] = _normed(stream) @ self._head
        return found

    def _through(self, stream: np.ndarray) -> np.ndarray:
        """The residual blocks, in place."""
        for wide, back, back_bias in self._blocks:
            stream += _silu(_normed(stream) @ wide) @ back
            stream += back_bias
        return stream

    def _read(self, record: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """The sum of the first layer (n, units), of records of which `hidden`, bool (n, columns), is hidden."""
        spec = self.spec
        stream = self._numbers(record, hidden) @ self._kernel + self._bias
        for cell, rows in self._rows.items():
            code = np.where(hidden[:, spec.columns[cell]], 0, _level(record, spec.starts[cell]))
            stream += rows.take(code, axis=0)
        return np.asarray(stream)

    def _numbers(self, record: np.ndarray, hidden: np.ndarray | None) -> np.ndarray:
        """What the layer reads of numbers: their values, 0 where hidden or missing, then a sign of that a cell."""
        spec = self.spec
        values = record[:, list(spec.number_slots)]
        gone = np.isnan(values)
        if hidden is not None:
            gone |= hidden[:, [spec.columns[spec.number_cells[at]] for at in spec.cell_of_number]]
        values[gone] = 0.0
        first = [spec.cell_of_number.index(at) for at in range(len(spec.number_cells))]
        return np.concatenate([drawn_in(values), gone[:, first].astype(np.float32)], axis=1)

    def _without_each(self, record: np.ndarray, groups: Sequence[Sequence[int]]) -> Iterator[np.ndarray]:
        """What the first layer gives with each group of cells hidden in turn, a (n, units) for each of them."""
        numbers = self._numbers(record, None)
        shown = [self._part(cells, record, numbers) for cells in groups]
        # Sums up to and from each group, as taking a far-out value off the sum of all would leave its rounding behind.
        after = list(itertools.accumulate(reversed(shown[1:])))[::-1]
        before = np.empty_like(shown[0])
        before[:] = self._bias
        for cells, own, rest in zip(groups, shown, [*after, None], strict=True):
            stream = before.copy() if rest is None else before + rest
            stream += self._absent(cells)
            yield stream
            before += own

    def _part(self, cells: Sequence[int], record: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """What some cells that are shown add to the layer's sum, (n, units)."""
        spec = self.spec
        places = self._places(cells)
        found = numbers[:, places] @ self._kernel[places]
        for cell in cells:
            if cell in self._rows:
                found += self._rows[cell].take(_level(record, spec.starts[cell]), axis=0)
        return np.asarray(found)

    def _absent(self, cells: Sequence[int]) -> np.ndarray:
        """What some cells that are hidden add to the layer's sum, whatever is in them: (units,)."""
        spec = self.spec
        signs = [len(spec.number_slots) + spec.number_cells.index(cell) for cell in cells if cell not in self._rows]
        hidden = [self._rows[cell][0] for cell in cells if cell in self._rows]
        return np.asarray(self._kernel[signs].sum(axis=0) + sum(hidden))

    def _places(self, cells: Sequence[int]) -> list[int]:
        """Where some cells stand among what the layer reads of numbers."""
        spec = self.spec
        own = {spec.number_cells.index(cell) for cell in cells if cell not in self._rows}
        values = [at for at, cell in enumerate(spec.cell_of_number) if cell in own]
        return values + [len(spec.number_slots) + at for at in sorted(own)]


def _shapes(spec: Spec) -> list[tuple[int, ...]]:
    """The shapes of the Keras model's weights, in its own order."""
    members, units = spec.members, spec.hidden
    numbers = len(spec.number_slots) + len(spec.number_cells)

    def dense(inputs: int, outputs: int) -> list[tuple[int, ...]]:
        return [(members, inputs, outputs), (members, 1, outputs)]

    norm = [(members, 1, units)] * 2
    reader = dense(numbers, units) + [(members * (spec.levels[cell] + 1), units) for cell in spec.category_cells]
    block = norm + dense(units, 2 * units) + dense(2 * units, units)
    return reader + block * BLOCKS + norm + dense(units, spec.output_width)


def _after_norm(weights: Iterator[np.ndarray]) -> np.ndarray:
    """The kernel of a dense layer (units, outputs) for rows that `_normed` gives; all before it is multiplied in.

    That is the scale and offset of the normalisation, and the bias: as the mean of a row is 1, a kernel whose columns
    have the mean that the bias is of all units adds the bias.
    """
    scale, offset, kernel, bias = (next(weights)[0] for _ in range(4))
    scaled = scale[0][:, None] * kernel
    return np.asarray(scaled - scaled.mean(axis=0) + (offset @ kernel + bias) / np.float32(len(kernel)))


def _centred(weight: np.ndarray) -> np.ndarray:
    """A weight (..., units) of what adds to the stream, less its mean over units, which each normalisation drops."""
    return np.asarray(weight - weight.mean(axis=-1, keepdims=True))


def _normed(stream: np.ndarray) -> np.ndarray:
    """Each row (units,), whose mean is nothing, in its standard deviations, and 1 more."""
    variance = np.vecdot(stream, stream) / np.float32(stream.shape[1])
    normed = stream / np.sqrt(variance + np.float32(NORM_EPSILON))[:, None]
    normed += 1.0
    return np.asarray(normed)


def _silu(half: np.ndarray) -> np.ndarray:
    """x / (1 + e^-x) of x / 2, which is x / 2 (1 + tanh(x / 2))."""
    gate = np.tanh(half)
    gate += 1.0
    gate *= half
    return np.asarray(gate)


def _level(record: np.ndarray, slot: int) -> np.ndarray:
    """Which row of a category's weights each record (n, slots) reads, int (n,): the first is of what is hidden."""
    return np.asarray(record[:, slot].astype(np.intp) + 1)


def _parts(count: int, step: int) -> Iterator[slice]:
    return (slice(start, start + step) for start in range(0, count, step))
