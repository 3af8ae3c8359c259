"""The command line as tests call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from typer.testing import CliRunner, Result

from pipeline import cli

NEEDED = {
    "validate": ["--partition", "2013-02-01"],
    "score": ["--partition", "2013-02-01"],
    "run": ["--partition", "2013-02-01"],
    "backfill": ["--from", "2013-02-01", "--to", "2013-02-03"],
    "backtest": ["--from", "2013-02-01", "--to", "2013-02-03"],
    "explain": ["1"],
    "label": ["1", "confirmed"],
    "mute": ["a1b2"],
    "unmute": ["c3d4"],
    "promote": ["2013-02-02-0badcafe"],
    "encode": ["--partition", "2013-02-01"],
    "synth": ["--rows", "5", "--out", "made.parquet"],
}


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


def value(result: Result) -> Any:
    """The one JSON value on stdout."""
    assert result.stdout.count("\n") == 1
    return json.loads(result.stdout)


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own, with the modules of the house."""
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=False
    )
