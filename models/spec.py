"""What a model is built from: the cells of a record and the sizes of its layers. Numbers and names only."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

STRAIGHT = 5.0
"""Standard deviations up to which a network reads a number as it is; beyond, by its logarithm."""
SMALLEST_LOG_SCALE = -5.0
"""The finest scale, e^-5 of a standard deviation: what follows exactly from the others is not worth more."""
BLOCKS = 2
"""So many residual blocks has the masked-cell network."""


@dataclass(frozen=True)
class Spec:
    """A model's definition.

    `widths[i]` numbers make up cell i; `levels[i]` is 0 for a cell of numbers and the count of levels for a category
    (whose width is 1); `columns[i]` is the column that cell i belongs to. `members` networks are trained side by side
    in batched weights. `hidden` is the width of the layers around a code of `code` numbers (autoencoder, vae) or of the
    residual stream (ensemble). `scaled` models reconstruct a number as a logistic distribution, by its location and the
    logarithm of its scale; `blunt` ones likewise, but always with a scale of one standard deviation; the others as one
    value.
    """

    model: str
    widths: tuple[int, ...]
    levels: tuple[int, ...]
    columns: tuple[int, ...]
    members: int = 2
    hidden: int = 40
    code: int = 8
    kl_weight: float = 0.01
    scaled: bool = False
    blunt: bool = False

    @cached_property
    def slots(self) -> int:
        """The width of a record's encoded row."""
        return sum(self.widths)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The first slot of each cell."""
        return tuple(sum(self.widths[:i]) for i in range(len(self.widths)))

    @cached_property
    def number_cells(self) -> tuple[int, ...]:
        """The cells that are vectors of numbers."""
        return tuple(i for i, levels in enumerate(self.levels) if not levels)

    @cached_property
    def category_cells(self) -> tuple[int, ...]:
        """The cells that are categories."""
        return tuple(i for i, levels in enumerate(self.levels) if levels)

    @cached_property
    def numbers_only(self) -> bool:
        """Whether no category has more than two values, beside null: numbers, whether they are there, and booleans."""
        return max(self.levels) <= 3

    @cached_property
    def number_slots(self) -> tuple[int, ...]:
        """The slots of all numbers, in the order in which they stand in a model's output."""
        return tuple(s for i in self.number_cells for s in range(self.starts[i], self.starts[i] + self.widths[i]))

    @cached_property
    def cell_of_number(self) -> tuple[int, ...]:
        """For each number slot the position of its cell within `number_cells`."""
        return tuple(at for at, i in enumerate(self.number_cells) for _ in range(self.widths[i]))

    @cached_property
    def outputs(self) -> tuple[tuple[int, int], ...]:
        """Where each cell is reconstructed in the output (first, end), for numbers the place of their locations.

        The output holds all numbers, then their log scales if the model is scaled, then a logit for each level.
        """
        places: dict[int, tuple[int, int]] = {}
        first_category = next(iter(self.category_cells), None)
        at = 0
        for i in self.number_cells + self.category_cells:
            width = self.levels[i] or self.widths[i]
            if i == first_category:
                at += len(self.number_slots) * self.scaled
            places[i] = (at, at + width)
            at += width
        return tuple(places[i] for i in range(len(self.widths)))

    @cached_property
    def places(self) -> tuple[tuple[int, ...], ...]:
        """All of the output that is about each cell: its logits, or its numbers and their scales if there are any."""
        apart = len(self.number_slots)
        return tuple(
            (*range(*ends), *(place + apart for place in range(*ends) if self.scaled and not levels))
            for ends, levels in zip(self.outputs, self.levels, strict=True)
        )

    @cached_property
    def output_width(self) -> int:
        """The width of a model's output."""
        return len(self.number_slots) * (1 + self.scaled) + sum(self.levels)

    @cached_property
    def column_count(self) -> int:
        """How many columns the cells belong to."""
        return max(self.columns) + 1

    def to_state(self) -> dict[str, Any]:
        """The spec as JSON values."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Spec:
        """The spec that `to_state` wrote."""
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in state.items()}
        return cls(**fields)
