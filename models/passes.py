"""The passes by which a record is measured: each column is hidden in turn and reconstructed from those that are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from models.losses import cell_errors
from models.spec import Spec

Tensor = Any
Measure = Callable[[Spec, Tensor, Tensor], Tensor]


class Passes:
    """What `measure` says of each cell of records while its column is hidden.

    Takes records (n, 1 or members, slots), gives (n, members, cells).

    Each of `partitions` parts the columns into groups, as the number of each column's group (columns,); a pass hides a
    group, and what is measured is the mean over partitions. With none, one pass hides nothing.

    The first layer adds up what it reads of each column, so that a pass takes the sums of the groups it shows instead
    of reading the record again; of the last layer it takes the heads of the cells it hides.
    """

    def __init__(
        self, model: keras.Model, spec: Spec, partitions: Sequence[Sequence[int]], measure: Measure = cell_errors
    ) -> None:
        self._model, self._spec, self._measure = model, spec, measure
        self._partitions = [tuple(groups) for groups in partitions]
        self._places = spec.places
        if self._partitions:
            self._reader, self._head = model.get_layer("reader"), model.get_layer("reconstruction")
            self._between = keras.Model(self._reader.output, self._head.input)

    def __call__(self, record: Tensor) -> Tensor:
        if not self._partitions:
            return self._measure(self._spec, record, self._all_shown(record))
        by_member = ops.transpose(record, (1, 0, 2))
        measured = [
            self._measure(self._spec, by_member, self._hidden_in_turn(by_member, groups)) for groups in self._partitions
        ]
        return ops.transpose(sum(measured) / len(measured), (1, 0, 2))

    def _all_shown(self, record: Tensor) -> Tensor:
        records, members = ops.shape(record)[0], self._spec.members
        given = ops.broadcast_to(record, (records, members, self._spec.slots))
        return self._model([given, ops.zeros((records, members, self._spec.column_count))], training=False)

    def _hidden_in_turn(self, record: Tensor, groups: tuple[int, ...]) -> Tensor:
        """The output (members, n, output width), each cell of it from the pass that hides the cell's column."""
        spec, count = self._spec, max(groups) + 1
        cells = [[i for i, column in enumerate(spec.columns) if groups[column] == group] for group in range(count)]
        streams = self._reader.without_each(record, cells)
        after = self._between(ops.concatenate(streams, axis=1), training=False)
        after = ops.reshape(after, (spec.members, count, -1, after.shape[-1]))
        places = [[place for cell in own for place in self._places[cell]] for own in cells]
        heads = [self._head.some(after[:, group], own) for group, own in enumerate(places)]
        order = [place for own in places for place in own]
        back = sorted(range(len(order)), key=order.__getitem__)
        return ops.take(ops.concatenate(heads, axis=-1), back, axis=-1)
