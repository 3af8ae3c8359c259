"""Keras definitions only: `build(spec)` makes the autoencoder, the variational autoencoder or the masked-cell one."""

import keras

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
    """`model` with the error fused in: a record for each member and what is hidden from it give (n, members, cells)."""
    record, hidden = keras.Input((spec.members, spec.slots)), keras.Input((spec.members, spec.column_count))
    return keras.Model([record, hidden], CellErrors(spec)(record, model([record, hidden])))


__all__ = ["BUILDERS", "Spec", "build", "scorer"]
