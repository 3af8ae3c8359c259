"""Monitors' files as tests write them, and the errors they raise."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ConfigurationError
from pipeline.monitor import load

ROOT = Path(__file__).parents[2]


FLIGHTS = (ROOT / "monitors/flights.yaml").read_text(encoding="utf-8")


WHOLE = """\
source:
  files: data/*.parquet
partition_by: night
primary_key: [id]
"""


def write(folder: Path, text: str | bytes, name: str = "flights") -> Path:
    path = folder / f"{name}.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return path


def problems(folder: Path, text: str | bytes) -> list[str]:
    """The lines of the error that a file raises, without the folder."""
    with pytest.raises(ConfigurationError) as caught:
        load(write(folder, text))
    return str(caught.value).replace(f"{folder.as_posix()}/", "").split("\n")
