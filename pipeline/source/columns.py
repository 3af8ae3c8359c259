"""What the columns of a table must be before a monitor can read them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from pipeline.errors import ConfigurationError
from pipeline.monitor import Monitor
from pipeline.monitor_file import did_you_mean

MAX_COLUMNS = 2_000
OURS = "tablewatch:"


def check_names(names: Sequence[str], where: str) -> None:
    """ConfigurationError if there are too many columns, one named as ours, or two that an engine may take for one.

    Engines fold names, each in its own way: names that differ in case or in composed characters alone are one name.
    """
    if len(names) > MAX_COLUMNS:
        raise ConfigurationError(f"{where}: {len(names)} columns, above {MAX_COLUMNS}; watch a view with fewer")
    seen: dict[str, str] = {}
    for name in names:
        if name.casefold().startswith(OURS):
            raise ConfigurationError(f"{where}: column {name!r} has a name that tablewatch keeps for itself; rename it")
        if "\0" in name:
            raise ConfigurationError(
                f"{where}: the name of column {name!r} holds a NUL; rename it, or save it as UTF-8"
            )
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        if folded in seen:
            raise ConfigurationError(f"{where}: columns {seen[folded]!r} and {name!r} are one name; rename one of them")
        seen[folded] = name


def check_roles(names: Sequence[str], monitor: Monitor) -> None:
    """ConfigurationError if the columns that tell partitions and records are not there."""
    roles = [("partition_by", monitor.partition_by), *(("primary_key", name) for name in monitor.primary_key)]
    for role, name in roles:
        if name not in names:
            raise ConfigurationError(f"{monitor.name}: {role} names no column {name!r}; {did_you_mean(name, names)}")
