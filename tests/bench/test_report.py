"""The table of what was measured, and the plots of how cost grows."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from bench.plot import HEIGHT, WIDTH, svg
from bench.report import put_into, table
from bench.row import Figures

PRODUCE, START = "produce 16 KiB, acks=1, 5 in flight", "ready: ZooKeeper + 1 broker(s)"


def results(ours: list[Figures], theirs: list[Figures], name: str = PRODUCE) -> dict[str, dict[str, list[Figures]]]:
    return {name: {"kops": ours, "apache": theirs}}


def test_more_is_better_of_rates_and_less_of_all_else_and_medians_count() -> None:
    import bench.rows  # noqa: F401 - registers what is asked

    rates = table(results([{"MB/s": 100}, {"MB/s": 300}, {"MB/s": 200}], [{"MB/s": 40}]))
    assert "| 200 | 40 | 5 | 5 x better | met |" in rates
    assert "| 190 | 40 | 4.75 | 5 x better | **not met** |" in table(results([{"MB/s": 190}], [{"MB/s": 40}]))
    assert "| 0.5 | 3 | 6 | 5 x better | met |" in table(results([{"s": 0.5}], [{"s": 3.0}], START))


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    import bench.rows  # noqa: F401

    (line,) = table(results([{"MB/s": 100}], [])).splitlines()[2:]
    assert line.endswith("| 100 | - | - | 5 x better |  |")


def test_the_table_goes_between_the_marks_of_a_page() -> None:
    page = "before\n<!-- measured -->\nold\n<!-- end -->\nafter\n"
    assert put_into(page, "new") == page.replace("old", "new")
    with pytest.raises(ValueError, match="measured"):
        put_into("a page without marks", "new")


def test_a_plot_is_a_small_picture_with_every_point_inside() -> None:
    lines = {"MB/s": [(1.0, 0.5), (100.0, 70.0), (5000.0, 900.0)], "µs <each>": [(1.0, 30.0), (5000.0, 31.0)]}
    picture = svg("Title", "partitions", "unit", lines)
    root = ElementTree.fromstring(picture)
    circles = [node for node in root if node.tag.endswith("circle")]
    assert len(circles) == 5
    assert all(0 < float(node.attrib["cx"]) < WIDTH and 0 < float(node.attrib["cy"]) < HEIGHT for node in circles)
    assert [node.text for node in root if node.text in lines] == list(lines)
    assert len(picture) < 8000
