"""The command that shows what past nights would have brought at several thresholds: backtest."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.arguments import Json, Name, iso_date
from pipeline.cli.quiet import working
from pipeline.cli.screen import count, say, say_json, say_table

if TYPE_CHECKING:
    from pipeline.steps.backtesting import Backtest, Night, Totals
    from pipeline.steps.replaying import Asked

BAR = 40
LARGEST_RATE = 0.2


def _numbers(text: str, option: str, largest: float) -> tuple[float, ...]:
    """The numbers of a list such as 0.001,0.01, above 0 and at most `largest`."""
    try:
        found = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        found = (0.0,)
    if not all(0 < number <= largest for number in found):
        said = f"{text!r} is no list of numbers above 0 and at most {largest:g}, such as "
        raise typer.BadParameter(said + ("0.001,0.01" if largest < 1 else "5,20"), param_hint=option)
    return found


def backtest(
    monitor: Name,
    first: Annotated[str, typer.Option("--from", parser=iso_date, metavar="P", help="The first partition.")],
    last: Annotated[str, typer.Option("--to", parser=iso_date, metavar="P", help="The last partition.")],
    rates: Annotated[
        str, typer.Option(metavar="R,R", help="False-alarm rates to try beside the monitor's threshold.")
    ] = "0.0005,0.001,0.002,0.005,0.01,0.02",
    budgets: Annotated[str, typer.Option(metavar="N,N", help="Alert budgets to try, in records a partition.")] = "5,20",
    as_json: Json = False,
) -> None:
    """Show what past nights would have brought, by threshold.

    Uses the models of then; writes nothing.
    """
    if first > last:
        raise typer.BadParameter(f"{first} is after --to {last}", param_hint="--from")
    asked = _numbers(rates, "--rates", LARGEST_RATE), _numbers(budgets, "--budgets", 1e12)
    with working(f"replaying {monitor}") as progress:
        from pipeline.steps.backtesting import backtest as replay

        found = replay(monitor, first, last, *asked, progress=progress)
    if as_json:
        say_json(_as_json(found))
    else:
        _show(found)
    if all(night.refused is not None for night in found.nights):
        raise typer.Exit(1)


def _as_json(found: Backtest) -> dict[str, Any]:
    return {
        "monitor": found.monitor,
        "thresholds": [asdict(totals) for totals in found.totals()],
        "nights": [asdict(night) for night in found.nights],
    }


def _show(found: Backtest) -> None:
    present = next(at for at, asked in enumerate(found.asked) if asked.present)
    refused = sum(night.refused is not None for night in found.nights)
    scored = len(found.nights) - refused
    say(
        f"{found.monitor}: {len(found.nights)} partitions from {found.nights[0].partition} to "
        f"{found.nights[-1].partition}, {scored} scored, {refused} refused"
    )
    say("")
    columns = (
        "threshold",
        "records a night",
        "most",
        "of accepted",
        "incidents a night",
        "most",
        "nights with an alert",
    )
    say_table(columns, [_totals_row(totals, scored) for totals in found.totals()], columns[1:])
    say("")
    say(f"flagged a night at {_in_words(found.asked[present])}; | is what was asked for")
    say("")
    tops = [_scale(night, present, found.asked[present]) for night in found.nights]
    rows = [_night_row(night, present, found.asked[present], max(tops)) for night in found.nights]
    say_table(("partition", "accepted", "flagged", "", "model"), rows, ("accepted", "flagged"))


def _totals_row(totals: Totals, scored: int) -> tuple[str, ...]:
    name = _in_words(totals.asked)
    if totals.median is None:
        return (name, *[""] * 6)
    share = "" if totals.share is None else f"{totals.share:.2%}"
    alerts = f"{totals.alerts} of {scored}"
    incidents = (f"{totals.incidents:g}", count(totals.most_incidents))
    return (name, f"{totals.median:g}", count(totals.most), share, *incidents, alerts)


def _in_words(asked: Asked) -> str:
    what = f"rate {asked.rate:g}" if asked.rate is not None else f"budget {asked.budget:g}"
    return f"{what} (present)" if asked.present else what


def _expected(night: Night, asked: Asked) -> float:
    return asked.rate * night.accepted if asked.rate is not None else float(asked.budget or 0.0)


def _scale(night: Night, at: int, asked: Asked) -> float:
    return 1.0 if night.refused is not None else max(1.0, night.brought[at].flagged, _expected(night, asked))


def _night_row(night: Night, at: int, asked: Asked, top: float) -> tuple[str, ...]:
    model = f"{night.model or ''}{' (in memory)' if night.in_memory else ''}"
    if night.refused is not None:
        return (night.partition, "", "", f"refused: {night.refused}", model)
    flagged = night.brought[at].flagged
    bar = list(f"{'█' * round(BAR * flagged / top):{BAR + 1}}")
    bar[round(BAR * _expected(night, asked) / top)] = "|"
    return (night.partition, count(night.accepted), count(flagged), "".join(bar), model)
