"""Which networks a model is made of and how large they are, by the encoded record."""

from __future__ import annotations

from dataclasses import replace

from models import Spec
from pipeline.encoding import Encoder

FOLDS = 2
UNITS = 128
SCREEN_UNITS = 64
FEWEST_SCREENED = 7
"""With fewer columns than these the full measure takes hardly more passes than a screen."""


def specs_of(model: str, encoder: Encoder) -> list[Spec]:
    """The networks of a model: on a table of numbers the ensemble has a blunt one, and a memory, beside the first.

    Sizes by the width of the record: the code is a quarter of the encoded width, 2 to 16.
    """
    widths, levels = zip(*encoder.cells, strict=True)
    shape = (tuple(widths), tuple(levels), tuple(encoder.column_of_cell))
    if model == "ensemble":
        scaled = Spec(model, *shape, members=FOLDS, hidden=UNITS, scaled=True)
        return [scaled, replace(scaled, scaled=False, blunt=True)] if scaled.numbers_only else [scaled]
    inputs = sum(level or width for width, level in encoder.cells)
    return [Spec(model, *shape, members=FOLDS, hidden=40, code=min(max(round(inputs / 4), 2), 16))]


def is_screened(spec: Spec) -> bool:
    """Whether a detector whose first network is that of `spec` has a screen."""
    return spec.model == "ensemble" and spec.column_count >= FEWEST_SCREENED


def of_screen(spec: Spec) -> Spec:
    """The network that a screen has of its own, beside the first of `spec`: one member, half as wide."""
    return replace(spec, members=1, hidden=SCREEN_UNITS)
