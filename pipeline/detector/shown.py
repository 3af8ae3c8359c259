"""The plain autoencoders, which are shown the whole record and run by Keras, as one graph for any number of records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from models import Spec

if TYPE_CHECKING:
    import keras

ROWS = 4_096
Compiled = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Shown:
    """A trained Keras model; what it is asked is what `Masked` is asked."""

    def __init__(self, spec: Spec, model: keras.Model) -> None:
        self.spec, self.model = spec, model

    def errors(self, record: np.ndarray, partitions: Sequence[Any]) -> np.ndarray:
        """The reconstruction error of each cell, float32 (n, members, cells), of `record` (n, 1 or members, slots)."""
        given = np.broadcast_to(record, (len(record), self.spec.members, self.spec.slots))
        return self._errors(given, np.zeros((*given.shape[:2], self.spec.column_count)))

    def errors_with(self, record: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """The members' mean error of each cell, float32 (n, cells), while any columns are `hidden` (n, columns)."""
        return self._mean(self._errors, record, hidden)

    def output(self, record: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """The members' mean output (n, output width) of records (n, slots) of which `hidden` (n, columns) is hidden."""
        return self._mean(self._output, record, hidden)

    @cached_property
    def _errors(self) -> Compiled:
        from models.losses import cell_errors

        def errors(record: Any, hidden: Any) -> Any:
            return cell_errors(self.spec, record, self.model([record, hidden], training=False))

        return self._compiled(errors)

    @cached_property
    def _output(self) -> Compiled:
        def whole(record: Any, hidden: Any) -> Any:
            return self.model([record, hidden], training=False)

        return self._compiled(whole)

    def _mean(self, compiled: Compiled, record: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        found = []
        for start in range(0, max(len(record), 1), ROWS):
            part = slice(start, start + ROWS)
            each = [np.repeat(given[part, None], self.spec.members, axis=1) for given in (record, hidden)]
            found.append(compiled(*each).mean(axis=1))
        return np.concatenate(found)

    def _compiled(self, function: Callable[..., Any]) -> Compiled:
        """`function` of records (n, members, slots) and what is hidden of them (n, members, columns)."""
        import tensorflow as tf

        spec = self.spec
        signature = [
            tf.TensorSpec((None, spec.members, width), tf.float32) for width in (spec.slots, spec.column_count)
        ]
        graph = tf.function(function, input_signature=signature, autograph=False)
        return lambda *arrays: np.asarray(graph(*(np.asarray(array, np.float32) for array in arrays)))
