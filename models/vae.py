"""The variational autoencoder: a normal distribution over codes, reparameterised (Kingma & Welling 2014)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from models.layers import MemberDense, ReadRecord, ReconstructionLoss, inputs, outputs
from models.losses import kl_divergence
from models.spec import Spec

Tensor = Any


class Reparameterise(keras.layers.Layer):
    """Draws mean + exp(log_variance / 2) * epsilon in training, so that gradients reach both; the mean when scoring."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = keras.random.SeedGenerator()

    def call(self, mean: Tensor, log_variance: Tensor, training: bool = False) -> Tensor:
        if not training:
            return mean
        epsilon = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self.seed)
        return mean + ops.exp(0.5 * log_variance) * epsilon


class DivergenceLoss(keras.layers.Layer):
    """Adds weight * warm-up * KL(q(code|record) || N(0, 1)) to the loss, averaged over records, summed over members.

    `warm_up` is a variable in 0..1 that the training raises, so that the code learns to carry the record before it is
    pulled to the prior (Bowman et al. 2016, section 3.1).
    """

    def __init__(self, weight: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight = weight

    def build(self, *shapes: Any) -> None:
        self.warm_up = self.add_weight(shape=(), initializer="ones", trainable=False, name="warm_up")

    def call(self, code: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        divergence = ops.sum(ops.mean(kl_divergence(mean, log_variance), axis=1))
        self.add_loss(self.weight * self.warm_up * divergence)
        return code


def vae(spec: Spec) -> keras.Model:
    """`record` (n, members, slots) and `hidden` (n, members, columns) give (n, members, output width)."""
    (given, hidden_given), (record, hidden) = inputs(spec)
    encoded = ReadRecord(spec, spec.hidden, activation="relu")(record, hidden)
    mean = MemberDense(spec.code, name="code_mean")(encoded)
    log_variance = ops.clip(MemberDense(spec.code, name="code_log_variance")(encoded), -10.0, 10.0)
    code = DivergenceLoss(spec.kl_weight, name="divergence")(Reparameterise()(mean, log_variance), mean, log_variance)
    decoded = MemberDense(spec.hidden, activation="relu")(code)
    output = MemberDense(spec.output_width, name="reconstruction")(decoded)
    output = ReconstructionLoss(spec, visible=1.0, category=1.0)(record, output, hidden)
    return keras.Model([given, hidden_given], outputs(output), name="vae")
