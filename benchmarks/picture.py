"""The picture of one flagged record: a real flight with a planted wrong destination, and the reasons given for it.

Trains on the flights as benchmarks/planted.py does, plants errors in the night of 2013-01-31 and draws what `explain`
says of the first wrong destination: for each column its share of the fall of the score, what was observed and what is
expected.

    python benchmarks/picture.py [--seed 0] [--out docs/images/flagged-record.svg]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.planted import flights, plant
from pipeline.detector import Detector, explain
from pipeline.results import Contribution

OUT = Path(__file__).parents[1] / "docs" / "images" / "flagged-record.svg"
WIDTH, MARGIN, ROW, TOP = 760, 24, 34, 104
COLUMN, BAR, SHARE, OBSERVED, EXPECTED = MARGIN, 150, 348, 400, 570
"""Where the columns of the picture begin."""
LONGEST_BAR = 190
STYLE = """
    .card { fill: #ffffff; stroke: #d0d7de } .line { stroke: #d0d7de } .track { fill: #eaeef2 }
    .bar { fill: #0969da } text { fill: #1f2328; font: 14px system-ui, sans-serif }
    .title { font-size: 17px; font-weight: 600 } .small { font-size: 12px; fill: #59636e }
    .lead { font-weight: 600 } .wrong { fill: #cf222e } .value { font-family: ui-monospace, monospace; font-size: 13px }
    @media (prefers-color-scheme: dark) {
      .card { fill: #0d1117; stroke: #3d444d } .line { stroke: #3d444d } .track { fill: #262c36 }
      .bar { fill: #4493f8 } text { fill: #f0f6fc } .small { fill: #9198a1 } .wrong { fill: #ff7b72 }
    }
"""


def picture(title: str, subtitle: str, why: Sequence[Contribution], truth: str) -> str:
    """An SVG document: a bar, the observed and the expected value of each contribution, in their order."""
    height = TOP + ROW * len(why) + 44
    body = [
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        _text(MARGIN, 36, title, "title"),
        _text(MARGIN, 58, subtitle, "small"),
        *(_text(x, TOP - 16, words, "small") for x, words in _HEADINGS),
        f'<line class="line" x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{TOP - 6}" y2="{TOP - 6}"/>',
        *(line for at, each in enumerate(why) for line in _row(TOP + ROW * at, each, at == 0)),
        _text(MARGIN, height - 16, truth, "small"),
    ]
    inside = "\n  ".join(body)
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    label = escape(f"{title}. {truth}", quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{label}">\n'
        f"  <style>{STYLE}  </style>\n  {inside}\n</svg>\n"
    )


_HEADINGS = (COLUMN, "column"), (BAR, "share of the fall of the score"), (OBSERVED, "observed"), (EXPECTED, "expected")


def _row(y: int, why: Contribution, leads: bool) -> list[str]:
    middle = y + 21
    bar = f'<rect class="{{}}" x="{BAR}" y="{y + 9}" width="{{:.1f}}" height="14" rx="3"/>'
    return [
        _text(COLUMN, middle, why.column_name, "lead" if leads else ""),
        bar.format("track", LONGEST_BAR),
        bar.format("bar", LONGEST_BAR * why.share),
        _text(SHARE, middle, f"{why.share:.0%}", "lead" if leads else ""),
        _text(OBSERVED, middle, _shown(why.observed), "value wrong" if leads else "value"),
        _text(EXPECTED, middle, _shown(why.expected), "value"),
    ]


def _text(x: int, y: int, words: str, style: str) -> str:
    of = f' class="{style}"' if style else ""
    return f'<text x="{x}" y="{y}"{of}>{escape(words)}</text>'


def _shown(value: str | None) -> str:
    """A value that fits its place; an instant without its seconds."""
    if value is None:
        return "null"
    value = value.removesuffix(":00+00:00") + "Z" if value.endswith(":00+00:00") else value
    return value if len(value) <= 20 else value[:19] + "…"


def wrong_destination(seed: int) -> str:
    """Train, plant, explain and draw."""
    window, night = flights()
    planted, truth = plant(night, seed)
    place = next(place for place, columns in truth.items() if columns == {"dest"})
    record = pa.Table.from_pylist([planted[place]]).select(window.column_names).cast(window.schema)
    detector = Detector(anchor="flight_date", seed=seed).fit(window)
    scores, flight = detector.score(record), planted[place]
    return picture(
        f"{flight['carrier']} {flight['flight']}, {flight['origin']} to {flight['dest']}, {flight['flight_date']}",
        f"anomaly score {scores.score[0]:.1f}, p-value {scores.p_value[0]:.2g}",
        explain(detector, record)[0],
        f"What was planted: dest {flight['dest']} in place of {night[place]['dest']}.",
    )


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(wrong_destination(options.seed), encoding="utf-8")
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
