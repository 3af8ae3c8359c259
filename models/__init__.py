"""Keras definitions only: `build(spec)` makes the autoencoder, the variational autoencoder or the masked-cell one."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from models.spec import Spec

if TYPE_CHECKING:
    import keras

BUILDERS = {"autoencoder": "autoencoder", "vae": "vae", "ensemble": "masked"}
"""The function that makes each model, of the module of its name; Keras is loaded with it, not before."""


def build(spec: Spec) -> keras.Model:
    """The untrained model of `spec`. Raises KeyError on an unknown model name."""
    name = BUILDERS[spec.model]
    builder: Any = getattr(import_module(f"models.{name}"), name)
    return builder(spec)


__all__ = ["BUILDERS", "Spec", "build"]
