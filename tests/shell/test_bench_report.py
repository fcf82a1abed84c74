"""The table of `scripts/bench`: medians, which way a figure is better, and whether what is asked is met."""

from __future__ import annotations

import bench.rows  # noqa: F401 - registers the rows
from bench.report import put_into, table

RATE = "produce 16 KiB, acks=1, 5 in flight"
LATENCY = "latency 100 B, acks=1, one at a time"
WIDE = "1000 partitions in one request"


def cells(text: str, figure: str) -> list[str]:
    line = next(line for line in text.splitlines() if f"| {figure} |" in line)
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_rate_is_better_when_it_is_higher_and_a_median_is_shown() -> None:
    text = table({RATE: {"kops": [{"MB/s": 10.0}, {"MB/s": 300.0}, {"MB/s": 210.0}], "apache": [{"MB/s": 40.0}]}})
    assert cells(text, "MB/s") == [RATE, "MB/s", "210", "40", "5.25", "5 x better", "met"]


def test_a_latency_is_better_when_it_is_lower() -> None:
    text = table({LATENCY: {"kops": [{"p50 ms": 0.2}], "apache": [{"p50 ms": 0.3}]}})
    assert cells(text, "p50 ms") == [LATENCY, "p50 ms", "0.2", "0.3", "1.5", "2 x better", "**not met**"]


def test_a_limit_is_met_or_not_without_apache() -> None:
    text = table({WIDE: {"kops": [{"first s": 0.5}]}})
    assert cells(text, "first s") == [WIDE, "first s", "0.5", "-", "-", "at most 1", "met"]


def test_the_table_takes_the_place_of_the_last_one_in_a_page() -> None:
    page = "# A\n\n<!-- measured -->\nold\n<!-- end -->\nafter\n"
    assert put_into(page, "| new |") == "# A\n\n<!-- measured -->\n| new |\n<!-- end -->\nafter\n"
