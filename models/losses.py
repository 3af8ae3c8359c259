"""Reconstruction errors and the Kullback-Leibler term, as functions of tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from keras import ops

from models.spec import SMALLEST_LOG_SCALE, Spec

Tensor = Any
Measure = Callable[[Tensor, Tensor], Tensor]


def sparse_cross_entropy(level: Tensor, logits: Tensor) -> Tensor:
    """-log softmax(logits)[level] in nats; a level of -1 (never seen) costs as much as the least likely one."""
    log_p = ops.log_softmax(logits, axis=-1)
    known = ops.one_hot(ops.cast(level, "int32"), ops.shape(logits)[-1], dtype=log_p.dtype)
    seen = ops.sum(log_p * known, axis=-1)
    return -ops.where(level < 0, ops.min(log_p, axis=-1), seen)


def binary_cross_entropy(level: Tensor, logits: Tensor) -> Tensor:
    """Cross-entropy of a cell of two levels from the difference d of its logits: softplus(-s d), s = +-1.

    A level of -1 (never seen) costs as much as the less likely one.
    """
    difference = logits[..., 1] - logits[..., 0]
    seen = ops.where(level > 0.5, difference, -difference)
    return ops.softplus(-ops.where(level < 0, -ops.abs(difference), seen))


def cross_entropy(level: Tensor, logits: Tensor) -> Tensor:
    """Binary for two levels, sparse categorical for any other number of them."""
    return (binary_cross_entropy if logits.shape[-1] == 2 else sparse_cross_entropy)(level, logits)


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)), summed over the last axis (Kingma & Welling 2014, appendix B)."""
    return 0.5 * ops.sum(ops.exp(log_variance) + ops.square(mean) - 1.0 - log_variance, axis=-1)


def logistic_loss(target: Tensor, location: Tensor, log_scale: Tensor) -> Tensor:
    """-log density of a logistic distribution: z + 2 softplus(-z) + log s with z = |x - m| / s."""
    z = ops.abs(target - location) * ops.exp(-log_scale)
    return z + 2.0 * ops.softplus(-z) + log_scale


def logistic_shortfall(target: Tensor, location: Tensor, log_scale: Tensor) -> Tensor:
    """By how many nats a value is less likely than the most likely one, its location: 2 log cosh(z / 2)."""
    z = ops.abs(target - location) * ops.exp(-log_scale)
    # Near the location the difference of two densities is all rounding, which would depend on the batch.
    near = 2.0 * ops.log1p(2.0 * ops.square(ops.sinh(0.25 * ops.minimum(z, 1.0))))
    return ops.where(z < 1.0, near, z + 2.0 * ops.softplus(-z) - 2.0 * math.log(2.0))


def level_shortfall(level: Tensor, logits: Tensor) -> Tensor:
    """By how many nats a level is less likely than the most likely one; -1 (never seen) counts as the least likely."""
    known = ops.one_hot(ops.cast(level, "int32"), ops.shape(logits)[-1], dtype=logits.dtype)
    seen = ops.sum(logits * known, axis=-1)
    return ops.max(logits, axis=-1) - ops.where(level < 0, ops.min(logits, axis=-1), seen)


def cell_losses(spec: Spec, record: Tensor, output: Tensor) -> Tensor:
    """What training minimises, (..., cells): squared errors or -log densities, and cross-entropies of categories."""
    target, missing, location, log_scale = _numbers(spec, record, output)
    likely = spec.scaled or spec.blunt
    loss = logistic_loss(target, location, log_scale) if likely else ops.square(target - location)
    numbers = _mean_by_cell(spec, ops.where(missing, 0.0, loss))
    return _in_order(spec, numbers, _of_levels(spec, record, output, cross_entropy))


def cell_errors(spec: Spec, record: Tensor, output: Tensor) -> Tensor:
    """The reconstruction error of each cell: (..., slots) and (..., output width) give (..., cells).

    Scaled and blunt models: by how many nats the value is less likely than the most likely one, for numbers and
    categories alike.
    The others: the squared error in squared standard deviations, and the binary or sparse categorical cross-entropy in
    nats. A missing number (NaN) has no error.
    """
    if not (spec.scaled or spec.blunt):
        return cell_losses(spec, record, output)
    target, missing, location, log_scale = _numbers(spec, record, output)
    numbers = ops.where(missing, 0.0, logistic_shortfall(target, location, log_scale))
    return _in_order(spec, _mean_by_cell(spec, numbers), _of_levels(spec, record, output, level_shortfall))


def _numbers(spec: Spec, record: Tensor, output: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Every number, whether it is missing, its reconstructed location and log scale (0 for none), (..., numbers)."""
    count = len(spec.number_slots)
    # Of no number the slots would be an empty tuple, which is taken for floats.
    target = ops.take(record, ops.convert_to_tensor(spec.number_slots, dtype="int32"), axis=-1)
    missing = ops.isnan(target)
    # A NaN would still reach the gradient from the branch that is not taken, so both sides are replaced.
    target = ops.where(missing, 0.0, target)
    location = ops.where(missing, 0.0, output[..., :count])
    if not spec.scaled:
        return target, missing, location, ops.zeros_like(target)
    return target, missing, location, ops.maximum(output[..., count : 2 * count], SMALLEST_LOG_SCALE)


def _of_levels(spec: Spec, record: Tensor, output: Tensor, measure: Measure) -> list[Tensor]:
    """The `measure` of each category's level and logits."""
    places = [(spec.starts[i], slice(*spec.outputs[i])) for i in spec.category_cells]
    return [measure(record[..., start], output[..., logits]) for start, logits in places]


def _mean_by_cell(spec: Spec, error: Tensor) -> Tensor:
    if len(spec.number_slots) == len(spec.number_cells):
        return error
    cells = ops.one_hot(spec.cell_of_number, len(spec.number_cells), dtype=error.dtype)
    return ops.matmul(error, cells / ops.sum(cells, axis=0))


def _in_order(spec: Spec, numbers: Tensor, categories: list[Tensor]) -> Tensor:
    """The errors of cells of numbers and of categories, back in the order of the cells."""
    together = ops.concatenate([numbers, *(each[..., None] for each in categories)], axis=-1)
    order = spec.number_cells + spec.category_cells
    if order == tuple(range(len(order))):
        return together
    return ops.take(together, [order.index(i) for i in range(len(order))], axis=-1)
