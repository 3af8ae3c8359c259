"""The commands that show what else an autoencoder knows: encode, synth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.arguments import Json, Name, Partition
from pipeline.cli.quiet import working
from pipeline.cli.screen import count, say, say_json, say_table, warn

if TYPE_CHECKING:
    from pipeline.steps.codes import MadeUp

WORST_PAIRS = 5
SHORT = {
    "kolmogorov_smirnov": "KS",
    "total_variation": "TV",
    "spearman": "Spearman",
    "cramers_v": "Cramér's V",
    "correlation_ratio": "correlation ratio",
}


def encode(
    monitor: Name,
    partition: Partition,
    width: Annotated[int, typer.Option(metavar="8|2", help="Numbers a code; 2 for a map.")] = 8,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Parquet; in the home if not said.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the codes of a partition's records.

    Key columns and code_0, code_1, ... of each accepted record, for other models and maps.
    """
    from pipeline.steps import codes

    if width not in codes.WIDTHS:
        raise typer.BadParameter(f"{width} is neither 8 nor 2", param_hint="--width")
    _check_folder(out)
    with working(f"encoding {monitor} {partition}") as progress:
        found = codes.encode(monitor, partition, width, out, progress=progress)
    if as_json:
        say_json(found)
        return
    for warning in found.warnings:
        warn(warning)
    say(
        f"{monitor} {partition}: codes of {count(found.accepted)} records, {width} numbers each, in {found.file}; "
        f"{count(found.quarantined)} quarantined records of {count(found.read)} read have none"
    )


def synth(
    monitor: Name,
    rows: Annotated[int, typer.Option(min=1, max=1_000_000, metavar="N", help="So many records.")],
    out: Annotated[Path, typer.Option(metavar="FILE", dir_okay=False, help="Parquet or CSV, by its name.")],
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed gives the same records.")] = 0,
    as_json: Json = False,
) -> None:
    """Write plausible made-up records.

    They have the table's columns and types, for fixtures and sharing; none is a record of the training window.
    """
    from pipeline.steps import codes

    if out.suffix not in codes.FORMATS:
        raise typer.BadParameter(f"{out.name!r} ends neither in .parquet nor in .csv", param_hint="--out")
    _check_folder(out)
    with working(f"making up {monitor}") as progress:
        made = codes.synth(monitor, rows, out, seed, progress=progress)
    if as_json:
        say_json(made)
    else:
        _show(made)


def _check_folder(out: Path | None) -> None:
    if out is not None and not out.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {str(out.parent)!r}", param_hint="--out")


def _show(made: MadeUp) -> None:
    say(f"{made.monitor}: {count(made.rows)} made-up records by the companion of {made.model_version} in {made.file}")
    left_out = f"{count(made.improbable)} that the champion would flag, {count(made.too_close)} too close to a record"
    say(f"drawn {count(made.drawn)}, left out {left_out} of the training window")
    closest = "every one equals five records or more" if made.closest is None else f"the closest is {made.closest:.3g}"
    say(
        f"a record that equals none of the window is {made.least_distance:.3g} or more from all of them; {closest} away"
    )
    for name, origin in made.columns.items():
        say(f"{name}: {origin}")
    fidelity = made.fidelity
    say("")
    columns = ("column", "measure", "distance", "by chance", "null", "null in window")
    rows = [
        (
            c.column,
            SHORT[c.measure],
            f"{c.distance:.3f}",
            f"{c.by_chance:.3f}",
            f"{c.nulls:.3f}",
            f"{c.window_nulls:.3f}",
        )
        for c in fidelity.columns
    ]
    mean = ("mean", "", f"{fidelity.column_distance:.3f}", f"{fidelity.column_distance_by_chance:.3f}", "", "")
    say_table(columns, [*rows, mean], columns[2:])
    _show_pairs(made)


def _show_pairs(made: MadeUp) -> None:
    fidelity = made.fidelity
    if not fidelity.pairs:
        return
    say("")
    say(
        f"associations of {count(len(fidelity.pairs))} pairs differ by {fidelity.association_difference:.3f} on average"
        f" (by chance {fidelity.association_difference_by_chance:.3f}); the most:"
    )
    worst = sorted(fidelity.pairs, key=lambda pair: -pair.difference)[:WORST_PAIRS]
    rows = [(f"{p.first}, {p.second}", SHORT[p.measure], f"{p.synthetic:.3f}", f"{p.window:.3f}") for p in worst]
    say_table(("columns", "measure", "made up", "window"), rows, ("made up", "window"))
