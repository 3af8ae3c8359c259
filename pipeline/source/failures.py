"""Errors of drivers and engines, told as tablewatch's own: one line, the mend, no secret and no value of a record."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from pipeline.errors import ConfigurationError, FailedMachinery, RefusedData, TablewatchError

# Drivers share no base class, but the DB-API names its classes; the first known name along the MRO decides.
_FAMILIES: dict[str, type[TablewatchError]] = {
    "OperationalError": FailedMachinery,
    "InterfaceError": FailedMachinery,
    "InternalError": FailedMachinery,
    "MemoryError": FailedMachinery,
    "EOFError": RefusedData,
    "BadGzipFile": RefusedData,
    "DataError": RefusedData,
    "DatabaseError": RefusedData,
    "ArrowException": RefusedData,
    "UnicodeDecodeError": RefusedData,
    "OverflowError": RefusedData,
    "ProgrammingError": ConfigurationError,
    "NotSupportedError": ConfigurationError,
    "IbisError": ConfigurationError,
    "ImportError": ConfigurationError,
    "OSError": FailedMachinery,
    "error": RefusedData,  # zlib.error
    "Error": RefusedData,  # csv.Error
    "ValueError": RefusedData,
}
_SIGNS: dict[str, type[TablewatchError]] = {
    "Could not decode to UTF-8": RefusedData,
    "not a valid DuckDB database": ConfigurationError,
}
_MENDS = {
    FailedMachinery: "see that it answers, then try again",
    RefusedData: "mend the records there",
    ConfigurationError: "mend the monitor's source",
}
_CSV_PROBLEMS = {
    "Invalid unicode": "is not UTF-8",
    "unterminated quote": "has a quote that is not closed where its cell ends",
    "Maximum line size": "is longer than 2 MB",
    "state machine": "mixes kinds of line ends or is not CSV",
}


class Failures:
    """Tells the errors of one source. `secrets` never appear; of quoted text only `known` names do, never values."""

    def __init__(self, monitor: str, secrets: Collection[str] = ()) -> None:
        self.monitor = monitor
        self.known: set[str] = set()
        # One or two characters tell nothing, and hiding them would blot out every message.
        self.secrets = sorted((secret for secret in secrets if len(secret) > 2), key=len, reverse=True)

    @contextmanager
    def told(
        self,
        where: str = "",
        otherwise: type[TablewatchError] = FailedMachinery,
        families: dict[str, type[TablewatchError]] | None = None,
    ) -> Iterator[None]:
        """Raises what is raised within as one line about the monitor and `where`.

        `families` overrides what class of error each class of exception is; `otherwise` is for unknown classes.
        """
        try:
            yield
        except (TablewatchError, AttributeError, NameError, AssertionError):
            raise  # the last three are faults of this program, and their traces are wanted
        except Exception as error:
            names = [cls.__name__ for cls in type(error).__mro__]
            table = _FAMILIES | (families or {})
            family = next((table[name] for name in names if name in table), otherwise)
            family = next((said for sign, said in _SIGNS.items() if sign in str(error)), family)
            # A driver quotes the value that it trips over: of a record, or of a URL that it cannot take apart.
            quotes_values = family is RefusedData or isinstance(error, ValueError)
            text = _csv_problem(str(error)) or self._shown(error, quotes_values)
            # Not chained: the driver's own text may hold the URL or a record.
            raise family(f"{self.monitor}{where and ' ' + where}: {text}; {_MENDS[family]}") from None

    def _shown(self, error: Exception, quotes_values: bool) -> str:
        text = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
        for secret in self.secrets:
            text = text.replace(secret, "***")
        text = re.sub(r"://[^/@\s]*@", "://***@", text)
        if quotes_values:
            text = re.sub(r"""(["'])(.*?)\1""", lambda quoted: quoted[0] if quoted[2] in self.known else "'...'", text)
        return f"{text[:300]} ({type(error).__name__})"


def _csv_problem(text: str) -> str | None:
    """DuckDB's page about a broken CSV file in a few words; it also shows the line itself, which may be sensitive."""
    paths = re.findall(r"^\s*file = (.+)$", text, re.MULTILINE)
    if not paths:
        return None
    line = re.search(r"CSV Error on Line: (\d+)", text)
    cells = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    problem = f"has {cells[2]} cells where the header has {cells[1]}" if cells else "cannot be read as CSV"
    problem = next((words for sign, words in _CSV_PROBLEMS.items() if sign in text), problem)
    # The last one: the shown line stands before it, and may hold the same words.
    return f"{paths[-1].strip()}{f' line {line[1]}' if line else ''} {problem}"
