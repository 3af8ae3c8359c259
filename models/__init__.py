"""Keras definitions only: `build(spec)` makes the autoencoder, the variational autoencoder or the masked-cell one."""

import keras

from models.autoencoder import autoencoder
from models.masked import masked
from models.passes import Passes
from models.spec import Spec
from models.vae import vae

BUILDERS = {"autoencoder": autoencoder, "vae": vae, "ensemble": masked}


def build(spec: Spec) -> keras.Model:
    """The untrained model of `spec`. Raises KeyError on an unknown model name."""
    return BUILDERS[spec.model](spec)


__all__ = ["BUILDERS", "Passes", "Spec", "build"]
