"""The picture of a flagged record says what the contributions say."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from benchmarks.picture import LONGEST_BAR, picture
from pipeline.results import Contribution

WHY = (
    Contribution("dest", "a <&> b", "ORD", 0.75, 1, "reconstruction"),
    Contribution("time_hour", "2013-01-31T23:00:00+00:00", None, 0.25, 2, "reconstruction"),
)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def drawn() -> ElementTree.Element:
    return ElementTree.fromstring(picture("UA 1", "score 9", WHY, 'dest "MIA" in place of ORD'))


def test_it_shows_every_column_share_and_value(drawn: ElementTree.Element) -> None:
    words = [element.text for element in drawn.iter(f"{SVG}text")]
    for expected in (
        "UA 1",
        "score 9",
        "dest",
        "75%",
        "a <&> b",
        "ORD",
        "time_hour",
        "25%",
        "2013-01-31T23:00Z",
        "null",
    ):
        assert expected in words


def test_a_bar_is_as_long_as_its_share(drawn: ElementTree.Element) -> None:
    bars = [float(bar.attrib["width"]) for bar in drawn.iter(f"{SVG}rect") if bar.attrib["class"] == "bar"]
    assert bars == pytest.approx([0.75 * LONGEST_BAR, 0.25 * LONGEST_BAR], abs=0.1)


def test_nothing_reaches_beyond_the_card(drawn: ElementTree.Element) -> None:
    width, height = float(drawn.attrib["width"]), float(drawn.attrib["height"])
    for element in drawn.iter():
        if "x" in element.attrib:
            assert 0 <= float(element.attrib["x"]) + float(element.attrib.get("width", 0)) <= width
            assert 0 <= float(element.attrib["y"]) + float(element.attrib.get("height", 0)) <= height


def test_a_long_value_is_cut() -> None:
    long = Contribution("note", "x" * 80, "y", 1.0, 1, "reconstruction")
    assert "x" * 19 + "…<" in picture("t", "s", [long], "")
