"""Text on the page. What comes from a table is data: it is escaped here, and nothing else on a page is markup."""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Iterable, Sequence
from typing import Any

import streamlit as st

from pipeline.plain import safe

LONGEST = 500

_STYLE = """<style>
.tw p, p.tw, h1.tw, h2.tw { overflow-wrap: anywhere; margin: 0 0 .35rem 0; }
h1.tw { font-size: 1.55rem; font-weight: 600; padding: 0; line-height: 1.3; }
h2.tw { font-size: 1.1rem; font-weight: 600; padding: .6rem 0 0 0; }
p.tw { line-height: 1.45; }
p.tw-small { font-size: .875rem; opacity: .75; }
.tw-badge { display: inline-block; padding: .05rem .5rem; border-radius: .6rem; font-size: .78rem; font-weight: 600;
  margin-right: .45rem; white-space: nowrap; }
.tw-critical, .tw-failed, .tw-refused { background: #a8201a; color: #fff; }
.tw-warning, .tw-empty { background: #f0b429; color: #1b1b1b; }
.tw-info, .tw-muted, .tw-running { background: #5b6675; color: #fff; }
.tw-done, .tw-champion { background: #1f6f5c; color: #fff; }
.tw-grid { overflow-x: auto; margin-bottom: .35rem; }
.tw-grid table { border-collapse: collapse; font-size: .875rem; width: max-content; }
.tw-grid th, .tw-grid td { text-align: left; vertical-align: top; padding: .3rem .6rem; max-width: 14rem;
  overflow-wrap: break-word; border-bottom: 1px solid rgba(128, 128, 128, .3); }
.tw-grid thead th { opacity: .75; font-weight: 400; }
.tw-grid td.tw-wrong { background: rgba(168, 32, 26, .28); font-weight: 600; }
.tw-grid td.tw-usual { background: rgba(31, 111, 92, .32); font-weight: 600; }
.tw-grid td.tw-same { opacity: .6; }
.block-container, [data-testid="stMainBlockContainer"] { padding-top: 4.5rem; }
[data-testid="stHtml"] { margin-bottom: -.25rem; }
</style>"""

BADGES = {"critical", "warning", "info", "failed", "refused", "empty", "running", "done", "muted", "champion"}


def style() -> None:
    """What the classes below look like; in light and dark the text takes the theme's colours."""
    st.html(_STYLE)


def shown(value: Any) -> str:
    """A value as the text of an HTML element, whatever it holds: no markup, nothing that turns or hides text."""
    return html.escape(safe(value, LONGEST), quote=True)


def badge(kind: str, text: str | None = None) -> str:
    """A word on a coloured ground, as HTML."""
    known = kind if kind in BADGES else "info"
    return f'<span class="tw-badge tw-{known}">{shown(text or kind)}</span>'


def title(text: Any, *badges: str) -> None:
    """The page's title."""
    st.html(f'<h1 class="tw">{"".join(badges)}{shown(text)}</h1>')


def heading(text: Any) -> None:
    """The title of a part of the page."""
    st.html(f'<h2 class="tw">{shown(text)}</h2>')


def says(text: Any, *badges: str) -> None:
    """A sentence."""
    st.html(f'<p class="tw">{"".join(badges)}{shown(text)}</p>')


def remark(text: Any) -> None:
    """A sentence that matters less."""
    st.html(f'<p class="tw tw-small">{shown(text)}</p>')


def grid(names: Sequence[Any], rows: Iterable[Sequence[tuple[Any, str]]]) -> None:
    """A small table. A cell is a value and its look: `wrong`, `usual`, `same` or nothing; the first names its row."""
    head = "".join(f'<th scope="col">{shown(name)}</th>' for name in names)
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    st.html(f'<div class="tw-grid"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>')


def _cells(row: Sequence[tuple[Any, str]]) -> str:
    (name, _), *others = row
    values = (
        f'<td class="tw-{look}">{shown(value)}</td>' if look else f"<td>{shown(value)}</td>" for value, look in others
    )
    return f'<th scope="row">{shown(name)}</th>{"".join(values)}'


def cell(value: Any) -> str | None:
    """A value as the text of a cell of a table or a chart; None stays None."""
    return None if value is None else safe(value, 200)


def moment(time: dt.datetime | None) -> str:
    """A time to the minute, in UTC."""
    return "never" if time is None else f"{time.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def age(time: dt.datetime | None) -> str:
    """How long ago, in days or hours."""
    if time is None:
        return "never"
    hours = (dt.datetime.now(dt.UTC) - time).total_seconds() / 3600
    if hours < 1:
        return "within the hour"
    if hours < 48:
        return f"{hours:.0f} h ago"
    return f"{hours / 24:.0f} days ago"


def percent(share: float | None) -> str:
    """A share of one as a percentage of two digits, `0.56 %`, `4.5 %`."""
    return "" if share is None else f"{100 * share:.2g} %"
