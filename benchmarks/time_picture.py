"""The picture of benchmarks/throughput.py: the CPU microseconds a record of each stage, beside those of its floor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.stages import Stage
from dashboard.charts import BLUE, GREY

WIDTH, TOP, ROW = 8.0, 1.2, 0.45
"""Inches: of the picture, of its title and axis, of a stage."""
THICK = 0.38
DPI = 160


def draw(stages: Sequence[Stage], title: str, path: Path) -> None:
    """Write a PNG: a bar for each stage from top to bottom, one of its floor below it where there is one."""
    figure, axes = plt.subplots(figsize=(WIDTH, TOP + ROW * len(stages)), dpi=DPI, layout="constrained")
    places = range(len(stages))
    floors = {at: floor for at, each in enumerate(stages) if (floor := each.floor_microseconds)}
    above = [at - THICK / 2 if at in floors else at for at in places]
    bars(axes, above, [each.microseconds for each in stages], BLUE, "stage")
    bars(axes, [at + THICK / 2 for at in floors], list(floors.values()), GREY, "its floor")
    axes.set_yticks(places, [each.name for each in stages])
    axes.invert_yaxis()
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("CPU microseconds a record")
    axes.margins(x=0.1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower right", ncols=2, frameon=False)
    figure.savefig(path)
    plt.close(figure)


def bars(axes: Axes, places: Sequence[float], lengths: Sequence[float], colour: str, label: str) -> None:
    """Horizontal bars with their lengths written beside them."""
    drawn = axes.barh(places, lengths, THICK, color=colour, label=label)
    axes.bar_label(drawn, fmt="{:.2f}", padding=3, fontsize=8)
