"""Charts. Fields have names of ours, so that no column's name is code; colours are told apart by the colour-blind, on
light and on dark ground.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import altair as alt
import numpy as np

from dashboard.markup import cell

BLUE, ORANGE, GREY = "#4a90c8", "#dd7511", "#8a8f98"
MOST_RECORDS = 40
MOST_VALUES = 12
BINS = 60
LEGEND_LINE = 18

Row = dict[str, Any]
Chart = Any


def rate_by_night(rows: Iterable[Row], height: int = 220, axis: bool = True) -> Chart:
    """The flagged rate of each partition and the rate that was asked for; rows of `partition`, `flagged`, `asked`."""
    points = list(rows)
    night = _night()
    rate = alt.Axis(format=".2~%", tickCount=4 if axis else 2)
    told = [
        alt.Tooltip("partition:N", title="partition"),
        alt.Tooltip("flagged:Q", title="flagged", format=".2%"),
        alt.Tooltip("asked:Q", title="asked for", format=".2%"),
    ]
    base = alt.Chart({"values": points}).encode(x=night, tooltip=told)
    flagged = alt.Y("flagged:Q", title="share flagged" if axis else None, axis=rate, scale=alt.Scale(domainMin=0))
    line = base.mark_line(color=ORANGE, point=alt.OverlayMarkDef(color=ORANGE, size=40)).encode(y=flagged)
    asked = base.mark_line(color=BLUE, strokeDash=[5, 3]).encode(y=alt.Y("asked:Q"))
    return alt.layer(asked, line).properties(height=height)


def bars(rows: Sequence[Row], value: str, form: str = ".0%", colour: str = ORANGE) -> Chart:
    """Horizontal bars; rows of `name` and `value`, in their order, `value` being what it is called."""
    named = [{"name": cell(row["name"]), "value": row["value"]} for row in rows]
    order = [row["name"] for row in named]
    name = alt.Y("name:N", sort=order, title=None, axis=alt.Axis(labelLimit=220))
    base = alt.Chart({"values": named}).encode(y=name)
    told = [alt.Tooltip("name:N", title="name"), alt.Tooltip("value:Q", title=value, format=form)]
    length = alt.X("value:Q", title=value, axis=alt.Axis(format=form, tickCount=4), scale=alt.Scale(domainMin=0))
    bar = base.mark_bar(color=colour).encode(x=length, tooltip=told)
    text = base.mark_text(align="left", dx=4, color=GREY).encode(x="value:Q", text=alt.Text("value:Q", format=form))
    return alt.layer(bar, text).properties(height=alt.Step(24))


def observed_expected(rows: Sequence[Row]) -> Chart:
    """One column of some records; rows of `record`, `observed` and `expected`, texts or None."""
    rows = rows[:MOST_RECORDS]
    seen = [row["observed"] for row in rows if row["observed"] is not None]
    if len({row["observed"] for row in rows}) == 1 and len(rows) > 1:
        return _counted(rows)
    for read in (_number, _moment):
        if sum(read(text) is not None for text in seen) > 0.8 * len(seen):
            return _on_a_scale(rows, read)
    return _counted(rows)


def _on_a_scale(rows: Sequence[Row], read: Callable[[str | None], float | None]) -> Chart:
    ends = [(cell(row["record"]) or "", read(row["observed"]), read(row["expected"])) for row in rows]
    ends.sort(key=lambda each: (each[1] is None, each[1] or 0))
    pairs: list[Row] = [
        {"record": key, "observed": seen, "expected": hoped} for key, seen, hoped in ends if seen is not None
    ]
    dots: list[Row] = [
        {"record": pair["record"], "value": pair[what], "what": what}
        for pair in pairs
        for what in ("expected", "observed")
        if pair[what] is not None
    ]
    times = read is _moment
    kind, scale = ("T", alt.Scale(type="utc")) if times else ("Q", _scale([dot["value"] for dot in dots]))
    axis = alt.Axis(format="%m-%d %H:%M" if times else ",.6~g", tickCount=5, labelOverlap=True)
    order = [pair["record"] for pair in pairs]
    record = alt.Y("record:N", sort=order, title=None, axis=alt.Axis(labels=len(order) <= MOST_RECORDS, labelLimit=120))
    value = alt.X(f"value:{kind}", title=None, scale=scale, axis=axis)
    told = [
        alt.Tooltip("record:N", title="record"),
        alt.Tooltip("what:N", title="which"),
        alt.Tooltip("utcyearmonthdatehoursminutes(value):T" if times else "value:Q", title="value"),
    ]
    both = [pair for pair in pairs if pair["expected"] is not None]
    span = alt.Chart({"values": both}).mark_rule(color=GREY)
    span = span.encode(y=record, x=alt.X(f"expected:{kind}", scale=scale), x2=f"observed:{kind}")
    dot = alt.Chart({"values": dots}).mark_point(filled=True, size=70, opacity=0.95)
    dot = dot.encode(y=record, x=value, color=_which(dots), shape=_which_shape(dots), tooltip=told)
    return alt.layer(span, dot).properties(height=alt.Step(15 if len(order) > 8 else 26))


def _counted(rows: Sequence[Row]) -> Chart:
    seen = Counter(cell(row["observed"]) or "null" for row in rows)
    hoped = Counter(cell(row["expected"]) or "" for row in rows if row["expected"] is not None)
    names = [name for name, _ in (seen + hoped).most_common(MOST_VALUES)]
    counted = [
        {"name": name, "what": what, "records": counts[name]}
        for name in names
        for what, counts in (("expected", hoped), ("observed", seen))
        if counts[name]
    ]
    name = alt.Y("name:N", sort=names, title=None, axis=alt.Axis(labelLimit=220))
    told = [
        alt.Tooltip("name:N", title="value"),
        alt.Tooltip("what:N", title="which"),
        alt.Tooltip("records:Q", title="records"),
    ]
    chart = alt.Chart({"values": counted}).mark_bar()
    records = alt.X("records:Q", title="records", axis=alt.Axis(tickMinStep=1, format="d"))
    offset = alt.YOffset("what:N", sort=["expected", "observed"])
    return chart.encode(y=name, yOffset=offset, x=records, color=_which(counted), tooltip=told).properties(
        height=alt.Step(14)
    )


def scores(normal: Sequence[float], flagged: Sequence[float], threshold: float, this: float | None = None) -> Any:
    """How many records have which score, on a logarithmic axis: normal ones, flagged ones, where flagging begins."""
    every = np.array([*normal, *flagged, threshold])
    low, high = float(np.quantile(every, 0.001)), float(every.max())
    edges = np.linspace(low, max(high, low + 1e-6), BINS + 1)
    binned: list[Row] = []
    for what, values in (("normal records at training", normal), ("flagged records", flagged)):
        counts, _ = np.histogram(np.clip(values, low, high), edges) if len(values) else (np.zeros(BINS, int), edges)
        binned += [
            {"from": float(edges[at]), "to": float(edges[at + 1]), "records": int(count), "floor": 0.7, "what": what}
            for at, count in enumerate(counts)
            if count
        ]
    most = max((each["records"] for each in binned), default=1)
    told = [
        alt.Tooltip("what:N", title="which"),
        alt.Tooltip("from:Q", title="score from", format=".2f"),
        alt.Tooltip("to:Q", title="to", format=".2f"),
        alt.Tooltip("records:Q", title="records", format=","),
    ]
    records = alt.Y(
        "records:Q", title="records", scale=alt.Scale(type="log", domain=[0.7, 10 * most]), axis=alt.Axis(format="~s")
    )
    domain = ["normal records at training", "flagged records"]
    colour = alt.Color("what:N", scale=alt.Scale(domain=domain, range=[BLUE, ORANGE]), legend=_legend())
    bar = alt.Chart({"values": binned}).mark_bar(opacity=0.75, binSpacing=0)
    bar = bar.encode(
        x=alt.X("from:Q", title="anomaly score", axis=alt.Axis(tickCount=8)),
        x2="to:Q",
        y=records,
        y2="floor:Q",
        color=colour,
        tooltip=told,
    )
    lines = [_line(threshold, f"flagged from {threshold:.2f}", GREY, [5, 3], 8)]
    if this is not None:
        lines.append(_line(this, f"this record {this:.2f}", ORANGE, [1, 0], 24))
    return alt.layer(bar, *(layer for line in lines for layer in line)).properties(height=240)


def _line(at: float, text: str, colour: str, dash: list[int], top: int) -> list[alt.Chart]:
    data = alt.Chart({"values": [{"at": at, "text": text}]})
    rule = data.mark_rule(color=colour, size=2, strokeDash=dash).encode(x="at:Q")
    words = data.mark_text(align="right", dx=-6, color=colour, fontWeight="bold", baseline="top")
    return [rule, words.encode(x="at:Q", y=alt.value(top), text="text:N")]


def curve(rows: Sequence[Row]) -> Chart:
    """How the loss fell while a model was trained; rows of `steps`, `what` (training or validation) and `loss`."""
    kinds = ["training", "validation"]
    scale = alt.Scale(domain=kinds, range=[BLUE, ORANGE])
    told = [
        alt.Tooltip("steps:Q", title="steps", format=","),
        alt.Tooltip("what:N", title="of records"),
        alt.Tooltip("loss:Q", title="loss", format=".4g"),
    ]
    line = alt.Chart({"values": list(rows)}).mark_line(point=alt.OverlayMarkDef(size=40))
    return line.encode(
        x=alt.X("steps:Q", title="training steps", axis=alt.Axis(tickCount=5, format="~s")),
        y=alt.Y("loss:Q", title="loss", scale=alt.Scale(zero=False), axis=alt.Axis(format=".3~g")),
        color=alt.Color("what:N", scale=scale, legend=_legend()),
        strokeDash=alt.StrokeDash("what:N", scale=alt.Scale(domain=kinds, range=[[5, 3], [1, 0]]), legend=None),
        tooltip=told,
    ).properties(height=280)


def grid(rows: Sequence[Row], value: str, most: float) -> Chart:
    """Columns by nights; rows of `partition`, `column_name` and `value`, the stronger the larger, up to `most`."""
    cells = [{"partition": row["partition"], "name": cell(row["column_name"]), "value": row["value"]} for row in rows]
    worst: dict[Any, float] = {}
    for each in cells:
        worst[each["name"]] = max(worst.get(each["name"], 0.0), each["value"])
    order = sorted(worst, key=lambda name: -worst[name])
    # Opacity, unlike a scheme of colours, begins at the ground of either theme.
    scale = alt.Scale(domain=[0, most], range=[0.03, 1], clamp=True)
    told = [
        alt.Tooltip("partition:N", title="partition"),
        alt.Tooltip("name:N", title="column"),
        alt.Tooltip("value:Q", title=value, format=".3f"),
    ]
    return (
        alt.Chart({"values": cells})
        .mark_rect(color=ORANGE, stroke=GREY, strokeWidth=0.3, strokeOpacity=1)
        .encode(
            x=_night(),
            y=alt.Y("name:N", sort=order, title=None, axis=alt.Axis(labelLimit=160)),
            opacity=alt.Opacity("value:Q", title=value, scale=scale, legend=alt.Legend(orient="top", tickCount=3)),
            tooltip=told,
        )
        .properties(height=alt.Step(20))
    )


def stacked(rows: Sequence[Row], kinds: Sequence[str], value: str, colours: Sequence[str] | None = None) -> Chart:
    """Bars by night; rows of `partition`, `what` and `value`, with what it is called; the first kind at the bottom."""
    shown = [{**row, "what": cell(row["what"]), "order": list(kinds).index(row["what"])} for row in rows]
    domain = [cell(kind) for kind in kinds]
    scale = alt.Scale(domain=domain, range=list(colours)) if colours else alt.Scale(domain=domain, scheme="tableau10")
    told = [
        alt.Tooltip("partition:N", title="partition"),
        alt.Tooltip("what:N", title="which"),
        alt.Tooltip("value:Q", title=value, format=","),
    ]
    return (
        alt.Chart({"values": shown})
        .mark_bar()
        .encode(
            x=_night(),
            y=alt.Y("sum(value):Q", title=value, axis=alt.Axis(tickMinStep=1, format="~s")),
            color=alt.Color("what:N", scale=scale, legend=_legend(columns=1)),
            order=alt.Order("order:Q"),
            tooltip=told,
        )
        # The legend, a line for each kind, takes its part of the height.
        .properties(height=240 + LEGEND_LINE * len(kinds))
    )


def _night() -> alt.X:
    axis = alt.Axis(labelAngle=0, labelOverlap=True, labelSeparation=8)
    return alt.X("partition:O", title=None, axis=axis)


def _which(rows: Sequence[Row]) -> alt.Color:
    kinds = _kinds(rows)
    scale = alt.Scale(domain=kinds, range=[{"expected": BLUE, "observed": ORANGE}[kind] for kind in kinds])
    return alt.Color("what:N", scale=scale, legend=_legend())


def _which_shape(rows: Sequence[Row]) -> alt.Shape:
    kinds = _kinds(rows)
    scale = alt.Scale(domain=kinds, range=[{"expected": "circle", "observed": "diamond"}[kind] for kind in kinds])
    return alt.Shape("what:N", scale=scale, legend=_legend())


def _kinds(rows: Sequence[Row]) -> list[str]:
    """Which of the two there are: nothing was expected of records in quarantine."""
    return [kind for kind in ("expected", "observed") if any(row["what"] == kind for row in rows)]


def _legend(columns: int = 0) -> alt.Legend:
    return alt.Legend(title=None, orient="top", columns=columns, labelLimit=400)


def _scale(values: Sequence[float]) -> alt.Scale:
    """Logarithmic where the values span more than two orders of magnitude."""
    sizes = [abs(value) for value in values if value]
    if not sizes or max(sizes) < 30 * min(sizes):
        return alt.Scale(zero=False)
    return alt.Scale(type="log") if min(values) > 0 else alt.Scale(type="symlog")


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else None
    except ValueError:
        return None
    return number if number is not None and math.isfinite(number) else None


def _moment(text: str | None) -> float | None:
    """Milliseconds since 1970, UTC, of a date or a time with its date."""
    try:
        moment = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return 1_000 * (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
