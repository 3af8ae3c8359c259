"""The masked-cell autoencoder: every cell of a record reconstructed from the other cells.

A denoising autoencoder whose noise hides cells (Vincent et al. 2008, "Extracting and composing robust features"; for
numeric tables Yin et al. 2024, "MCM: Masked Cell Modeling"): input → dense → residual blocks → one linear head a cell.
"""

from __future__ import annotations

from typing import Any

import keras

from models.layers import HideColumns, MemberDense, MemberNorm, ReadRecord, ReconstructionLoss, inputs, outputs
from models.spec import BLOCKS, Spec

RATES = (0.05, 0.6)


def masked(spec: Spec) -> keras.Model:
    """`record` (n, members, slots) and `hidden` (n, members, columns) give (n, members, output width)."""
    (given, hidden_given), (record, hidden) = inputs(spec)
    away = HideColumns(spec.column_count, RATES)(hidden)
    stream = ReadRecord(spec, spec.hidden, name="reader")(record, away)
    for _ in range(BLOCKS):
        stream = stream + _block(stream, spec.hidden)
    output = MemberDense(spec.output_width, name="reconstruction")(MemberNorm()(stream))
    output = ReconstructionLoss(spec, visible=0.05 if spec.blunt else 0.0, category=1.0)(record, output, away)
    return keras.Model([given, hidden_given], outputs(output), name="masked")


def _block(stream: Any, width: int) -> Any:
    return MemberDense(width)(MemberDense(2 * width, activation="silu")(MemberNorm()(stream)))
