"""The command line, `tablewatch`. Nothing heavy loads before a command has its arguments; docs/cli.md is its page."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli import store
from pipeline.cli.alerting import alerts
from pipeline.cli.backtesting import backtest
from pipeline.cli.codes import encode, synth
from pipeline.cli.dashboard import dashboard
from pipeline.cli.errors import told
from pipeline.cli.labelling import incidents, label, labels, mute, suppressions, unmute
from pipeline.cli.pruning import prune
from pipeline.cli.reading import anomalies, check, doctor, explain, models, partitions
from pipeline.cli.running import backfill, run, score, train, validate
from pipeline.cli.writing import init, promote, rollback

app = typer.Typer(
    name="tablewatch",
    help="Watches tables: validates every partition, scores every record, says which are wrong and why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    init,
    check,
    partitions,
    validate,
    train,
    score,
    run,
    backfill,
    backtest,
    anomalies,
    explain,
    label,
    labels,
    incidents,
    mute,
    unmute,
    suppressions,
    alerts,
    models,
    promote,
    rollback,
    prune,
    encode,
    synth,
    dashboard,
    doctor,
):
    app.command()(told(command))

of_store = typer.Typer(help="The store itself.", no_args_is_help=True, rich_markup_mode=None)
of_store.command()(told(store.grants))
app.add_typer(of_store, name="store")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tablewatch {version('tablewatch')}")
        raise typer.Exit


@app.callback()
def _tablewatch(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """The entry point: exits 0 when done, 1 when refused or failed, 2 on wrong usage."""
    app()
