"""The table of what was measured, from the figures of all rounds: medians, ratios, and what issue 7 asks."""

from __future__ import annotations

import statistics

from bench.row import ROWS, Asked, AtMost, Figures, Times, is_rate

Results = dict[str, dict[str, list[Figures]]]

STARTED = "ready: ZooKeeper + {} broker(s)"
LOADED = "memory after the loads, {} broker(s) + ZooKeeper"
AROUND: dict[str, Asked] = {
    STARTED.format(1): {"s": Times(5)},
    STARTED.format(3): {"s": Times(8)},
    LOADED.format(1): {"MB": Times(10)},
}
"""What is asked of figures that belong to a whole cluster."""


def table(results: Results) -> str:
    """Markdown: a line per figure. "x better" is Apache's figure over ours, or ours over Apache's for rates."""
    asked = AROUND | {row.name: row.asked for row in ROWS}
    lines = ["| case | figure | kops | Apache 3.9 | x better | asked | |", "|---|---|---:|---:|---:|---|---|"]
    for name, by_engine in results.items():
        rounds = next((rounds for rounds in by_engine.values() if rounds), [])
        figures = rounds[0] if rounds else {}
        lines += [_line(name, figure, by_engine, asked.get(name, {}).get(figure)) for figure in figures]
    return "\n".join(lines)


def put_into(page: str, text: str) -> str:
    """``page`` with ``text`` between its marks. Raises ValueError where it has none."""
    before, begin, rest = page.partition("<!-- measured -->\n")
    _, end, after = rest.partition("<!-- end -->")
    if not begin or not end:
        raise ValueError("the page has no <!-- measured --> and <!-- end -->")
    return f"{before}{begin}{text}\n{end}{after}"


def _line(name: str, figure: str, by_engine: dict[str, list[Figures]], asked: Times | AtMost | None) -> str:
    ours, theirs = (_median(by_engine.get(engine, []), figure) for engine in ("kops", "apache"))
    better = None
    if ours and theirs:
        better = ours / theirs if is_rate(figure) else theirs / ours
    met = asked.is_met(ours, better) if asked is not None and ours is not None else None
    verdict = "" if met is None else "met" if met else "**not met**"
    cells = [name, figure, _number(ours), _number(theirs), _number(better), str(asked or ""), verdict]
    return "| " + " | ".join(cells) + " |"


def _median(rounds: list[Figures], figure: str) -> float | None:
    return statistics.median(each[figure] for each in rounds) if rounds else None


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
