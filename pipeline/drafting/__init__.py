"""A monitor's file from a live table: every choice is made from the table's own records and told with its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

from pydantic import ValidationError

from pipeline.drafting.choices import choose
from pipeline.drafting.looking import look
from pipeline.drafting.writing import write
from pipeline.errors import ConfigurationError
from pipeline.monitor import SourceConfig
from pipeline.source.connection import holds_secret

__all__ = ["Draft", "draft"]


@dataclass(frozen=True)
class Draft:
    """A monitor's file as text, the name it should have, and what its reader has to do about it.

    `variable` names the environment variable that has to hold the URL, because the URL holds a secret.
    """

    name: str
    text: str
    notes: tuple[str, ...]
    variable: str | None


def draft(url: str | None, table: str | None, files: str | None, name: str | None = None) -> Draft:
    """Draft the file of a monitor that watches a table behind an ibis URL, or files.

    Raises ConfigurationError for what cannot be watched: no such table, no records, no column that holds dates.
    """
    name = _name(name, table, files)
    try:
        source = SourceConfig(connection=url, table=table, files=files)
    except ValidationError as error:
        raise ConfigurationError(f"{name}: {error.errors()[0]['msg']}") from None
    seen = look(name, source)
    choices = choose(seen)
    notes, variable = choices.notes, None
    if url and holds_secret(url):
        variable = f"TABLEWATCH_{name.upper()}_URL"
        source = source.model_copy(update={"connection": f"${{{variable}}}"})
        notes += (f"the URL holds a secret, so the file names {variable} in its place: export {variable}='URL'",)
    return Draft(name, write(name, source, seen, choices, notes), notes, variable)


def _name(given: str | None, table: str | None, files: str | None) -> str:
    """The monitor's name: as given, or made of the table's name or of the fixed part of the glob."""
    if given is None:
        place = table.rpartition(".")[2] if table else PurePath(re.split(r"[*?\[]", files or "")[0]).name.split(".")[0]
        given = re.sub(r"^[^a-z]+", "", re.sub(r"[^a-z0-9]+", "_", place.lower())).strip("_")[:63] or "monitor"
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", given):
        raise ConfigurationError(
            f"{given!r} is not a monitor's name; use a lower-case letter, then those, digits and _"
        )
    return given
