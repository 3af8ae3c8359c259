"""Keras definitions only: `build(spec)` makes the autoencoder, the variational autoencoder or the masked-cell one."""

import keras
from keras import ops

from models.autoencoder import autoencoder
from models.layers import CellErrors
from models.masked import masked
from models.spec import Spec
from models.vae import vae

BUILDERS = {"autoencoder": autoencoder, "vae": vae, "ensemble": masked}


def build(spec: Spec) -> keras.Model:
    """The untrained model of `spec`. Raises KeyError on an unknown model name."""
    return BUILDERS[spec.model](spec)


def scorer(model: keras.Model, spec: Spec) -> keras.Model:
    """`model` with the error fused in: `record` (n, slots) and `hidden` (n, columns) give (n, members, cells)."""
    record, hidden = keras.Input((spec.slots,)), keras.Input((spec.column_count,))
    for_each = [ops.repeat(ops.expand_dims(each, 1), spec.members, axis=1) for each in (record, hidden)]
    return keras.Model([record, hidden], CellErrors(spec)(for_each[0], model(for_each)))


__all__ = ["BUILDERS", "Spec", "build", "scorer"]
