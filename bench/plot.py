"""A small plot as SVG: lines over a logarithmic x axis, a logarithmic y axis, nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 520, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 34, 46
FONT = 'font-family="sans-serif" font-size="11"'
COLOURS = ("#0b6fb8", "#c2541b", "#3b8f3b", "#7a4fa3")

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Axis:
    """From data to pixels, logarithmically; ``low`` and ``high`` are powers of ten on the y axis."""

    low: float
    high: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        span = math.log10(self.high / self.low) or 1.0
        return self.start + (self.stop - self.start) * math.log10(max(value, self.low) / self.low) / span


def svg(title: str, x_label: str, y_label: str, lines: Mapping[str, Points]) -> str:
    """The picture. All values must be above 0."""
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    across = Axis(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    low, high = 10.0 ** math.floor(math.log10(min(ys))), 10.0 ** math.ceil(math.log10(max(ys)))
    up = Axis(low, high if high > low else low * 10, HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" {FONT}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 16, title, weight="bold"),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_label, anchor="middle"),
        _text(LEFT - 56, TOP - 6, y_label),
        *_grid(across, up, sorted(set(xs))),
    ]
    for number, (name, points) in enumerate(lines.items()):
        parts += _line(number, name, [(across.at(x), up.at(y)) for x, y in points])
    return "\n".join([*parts, "</svg>\n"])


def _grid(across: Axis, up: Axis, xs: list[float]) -> list[str]:
    parts = []
    value = up.low
    while value <= up.high * 1.001:
        y = up.at(value)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{value:g}", anchor="end"))
        value *= 10
    return parts + [_text(across.at(x), HEIGHT - BOTTOM + 16, _short(x), anchor="middle") for x in xs]


def _line(number: int, name: str, points: list[tuple[float, float]]) -> list[str]:
    colour = COLOURS[number % len(COLOURS)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points)
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}',
        _text(LEFT + 8, TOP + 14 * (number + 1), name, colour=colour),
    ]


def _short(value: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal", colour: str = "#222") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="{colour}">'
        f"{escape(text)}</text>"
    )
