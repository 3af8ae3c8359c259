"""Errors as a person reads them: `error: ...` on stderr and exit code 1; a traceback only under TABLEWATCH_DEBUG=1."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import ParamSpec

import typer

from pipeline.cli.quiet import debugging
from pipeline.errors import TablewatchError

P = ParamSpec("P")

_USER_PART = re.compile(r"://[^/@\s]*@")


def told(command: Callable[P, None]) -> Callable[P, None]:
    """The command with its errors told. Wrong usage, a closed pipe and Ctrl-C are typer's own to tell."""

    @functools.wraps(command)
    def telling(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise
        except TablewatchError as error:
            tell(str(error))
            raise typer.Exit(1) from None
        except Exception as error:
            if debugging():
                raise
            tell(f"{_named(error)}; set TABLEWATCH_DEBUG=1 to see where it comes from")
            raise typer.Exit(1) from None

    return telling


def tell(message: str) -> None:
    """Each line of an error's message on stderr, marked as one."""
    from pipeline.cli.screen import safe

    for line in message.splitlines():
        typer.echo(f"error: {safe(line)}", err=True)


def _named(error: Exception) -> str:
    """An exception that nobody foresaw, in one line; of a URL in it, the user part may be a secret."""
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {_USER_PART.sub('://***@', first)[:300]}"
