"""The autoencoder M → 40 → N → 40 → M with ReLU: squared error for numbers, cross-entropy for discrete columns."""

from __future__ import annotations

import keras

from models.layers import MemberDense, ReadRecord, ReconstructionLoss, inputs, outputs
from models.spec import Spec


def autoencoder(spec: Spec) -> keras.Model:
    """`record` (n, members, slots) and `hidden` (n, members, columns) give (n, members, output width)."""
    (given, hidden_given), (record, hidden) = inputs(spec)
    encoded = ReadRecord(spec, spec.hidden, activation="relu")(record, hidden)
    code = MemberDense(spec.code, name="code")(encoded)
    decoded = MemberDense(spec.hidden, activation="relu")(code)
    output = MemberDense(spec.output_width, name="reconstruction")(decoded)
    output = ReconstructionLoss(spec, visible=1.0, category=1.0)(record, output, hidden)
    return keras.Model([given, hidden_given], outputs(output), name="autoencoder")
